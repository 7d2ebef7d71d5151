"""Noise schedules of diffusion (VP, sub-VP, VE, cosine): x_t = alpha_t x + sigma_t z."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["PROCESSES", "VE", "VP", "Cosine", "Process", "SubVP"]


class Process(ABC):
    """Noise schedule: signal alpha_t and noise sigma_t for t from 0 to 1.

    At the `first` time that is used the noise is small, but a network can see it; at the `last` one
    the data can hardly be seen.
    """

    first: float = 1e-3
    last: float = 1.0

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Return what is left of the signal."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """Return the standard deviation of the noise."""

    def ratio(self, t: Tensor) -> Tensor:
        """Return s = sigma_t / alpha_t; the signal-to-noise ratio is 1/s^2."""
        return self.sigma(t) / self.alpha(t)


@dataclass(frozen=True)
class VP(Process):
    """Variance-preserving process (2011.13456), B = int_0^t beta, beta linear from low to high:

    alpha = exp(-B/2), sigma^2 = 1 - exp(-B).
    """

    low: float = 0.1
    high: float = 20.0

    def integral(self, t: Tensor) -> Tensor:
        """Return B."""
        return self.low * t + 0.5 * (self.high - self.low) * t**2

    def alpha(self, t: Tensor) -> Tensor:
        return (-0.5 * self.integral(t)).exp()

    def sigma(self, t: Tensor) -> Tensor:
        return (-torch.expm1(-self.integral(t))).sqrt()


@dataclass(frozen=True)
class SubVP(VP):
    """Sub-VP process, of a variance below that of VP (2011.13456): sigma = 1 - exp(-B)."""

    def sigma(self, t: Tensor) -> Tensor:
        return -torch.expm1(-self.integral(t))


@dataclass(frozen=True)
class VE(Process):
    """Variance-exploding process (2011.13456): alpha = 1, sigma = low (high / low)^t."""

    low: float = 0.01
    high: float = 50.0
    first: float = 0.0

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return self.low * (self.high / self.low) ** t


@dataclass(frozen=True)
class Cosine(Process):
    """Cosine schedule (2102.09672): with a(t) = (t + h) / (1 + h) pi/2,

    alpha = cos a(t) / cos a(0), sigma^2 = 1 - alpha^2 = sin(a(t) - a(0)) sin(a(t) + a(0)) / cos^2
    a(0), the last form without cancellation.
    """

    offset: float = 0.008
    last: float = 0.995  # s = 128; at t = 1 nothing is left of the signal

    def angle(self, t: Tensor) -> Tensor:
        """Return a(t)."""
        return (t + self.offset) / (1 + self.offset) * (math.pi / 2)

    @property
    def start(self) -> float:
        """a(0)."""
        return self.offset / (1 + self.offset) * math.pi / 2

    def alpha(self, t: Tensor) -> Tensor:
        return self.angle(t).cos() / math.cos(self.start)

    def sigma(self, t: Tensor) -> Tensor:
        a = self.angle(t)
        square = (a - self.start).sin() * (a + self.start).sin()
        return square.clamp(min=0).sqrt() / math.cos(self.start)


PROCESSES: dict[str, Process] = {
    "vp": VP(),
    "sub-vp": SubVP(),
    "ve": VE(),
    "cosine": Cosine(),
}
