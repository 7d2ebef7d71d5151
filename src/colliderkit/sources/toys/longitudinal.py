"""Toy of a sampling calorimeter whose best absorber is known: a Gamma profile, cut at its end."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.stats import gamma

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats

__all__ = ["LongitudinalToy"]


@dataclass(frozen=True)
class LongitudinalToy:
    """Energy in N layers with absorbers of t radiation lengths each, at a beam energy E [GeV].

    The mean profile is dE/dx = E b (b x)^(a-1) e^(-b x) / Gamma(a) (Longo and Sestili, 1975), of
    which N layers hold the share F(t) = P(a, b N t). The measured share is normal with mean F and

        sigma^2 = c^2 t F / E + k^2 (1 - F)^2,

    sampling and the fluctuation of what leaks out. Thin absorbers leak and thick ones sample
    badly: the resolution sigma / F has one least value.
    """

    layers: int = 12
    energy: float = 1.0
    a: float = 3.5
    b: float = 0.5
    c: float = 0.12
    k: float = 0.8

    def contained(self, t: ArrayLike) -> Floats:
        """Return F(t)."""
        share: Floats = gamma.cdf(
            self.layers * np.asarray(t, dtype=np.float64), self.a, 0, 1 / self.b
        )
        return share

    def resolution(self, t: ArrayLike) -> Floats:
        """Return sigma / F at absorbers of t."""
        thick, f = np.asarray(t, dtype=np.float64), self.contained(t)
        squared: Floats = self.c**2 * thick / (self.energy * f) + (self.k * (1 - f) / f) ** 2
        return np.sqrt(squared)

    def slope(self, t: ArrayLike) -> Floats:
        """Return d(sigma / F) / dt in closed form."""
        thick, f = np.asarray(t, dtype=np.float64), self.contained(t)
        rise = self.layers * gamma.pdf(self.layers * thick, self.a, 0, 1 / self.b)
        sampling = self.c**2 / self.energy * (1 / f - thick * rise / f**2)
        leaking = -2 * self.k**2 * (1 - f) * rise / f**3
        steep: Floats = (sampling + leaking) / (2 * self.resolution(t))
        return steep

    def best(self) -> float:
        """Return the absorber with the least resolution, where the slope is zero."""
        low, high = 2 * self.a / self.b / self.layers / 10, 20 * self.a / self.b / self.layers
        return float(brentq(self.slope, low, high))

    def sample(self, t: ArrayLike, *, seed: int = 0) -> Floats:
        """Draw the measured share of a shower for each absorber (N,); raise for 0 or less."""
        thick = np.asarray(t, dtype=np.float64)
        if not (thick > 0).all():
            raise InputError(f"an absorber of {thick.min():g} radiation lengths; give more than 0.")
        random = np.random.default_rng(seed)
        mean = self.contained(thick)
        drawn: Floats = mean * (1 + self.resolution(thick) * random.normal(size=thick.shape))
        return drawn
