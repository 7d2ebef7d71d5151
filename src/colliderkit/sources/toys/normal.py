"""Normal densities over N(0, 1): a ratio with parameters of which everything is known exactly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

__all__ = ["NormalRatio"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NormalRatio:
    """Stand for the exact ratio of N(mean, width) to N(0, 1), as `Ratio` with `parameters` would.

        ln r(x; mean, width) = x^2 / 2 - (x - mean)^2 / (2 width^2) - ln width

    The estimate of maximum likelihood is the mean and the standard deviation of the data, with
    the errors width / sqrt(n) and width / sqrt(2 n), uncorrelated.
    """

    range_: Floats = field(default_factory=lambda: np.array([[-1.0, 0.5], [1.0, 1.5]]))
    parameters: Sequence[str] = ("mean", "width")

    def sample(self, theta: ArrayLike, count: int, seed: int | Sequence[int]) -> Floats:
        """Draw events (count, 1) at one theta (2,), or one event at each theta (count, 2)."""
        mean, width = np.asarray(theta, dtype=np.float64).T
        return np.random.default_rng(seed).normal(mean, width, count)[:, None]

    def log_ratio(self, events: ArrayLike, theta: ArrayLike) -> Floats:
        """Return ln r of events (N, 1) at theta, (N,)."""
        x = np.asarray(events, dtype=np.float64)[:, 0]
        mean, width = np.asarray(theta, dtype=np.float64).T
        return np.asarray(x**2 / 2 - ((x - mean) / width) ** 2 / 2 - np.log(width))

    def inputs(self, events: ArrayLike) -> Tensor:
        """Return events (N, 1) as a tensor."""
        return torch.from_numpy(np.asarray(events, dtype=np.float64).reshape(-1, 1))

    def log_ratio_of(self, events: ArrayLike | Tensor) -> Callable[[Tensor], Tensor]:
        """Return theta (2,) -> ln r of `events`, differentiable."""
        x = (events if isinstance(events, Tensor) else self.inputs(events))[:, 0]

        def log_ratio(theta: Tensor) -> Tensor:
            mean, width = theta.double().unbind(-1)
            return x**2 / 2 - ((x - mean) / width) ** 2 / 2 - width.log()

        return log_ratio
