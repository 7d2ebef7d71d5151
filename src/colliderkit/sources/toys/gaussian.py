"""The Gaussian example of calibration (2205.05084): a normal truth and normal noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["GaussianExample", "with_feature"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GaussianExample:
    """Describe Z ~ N(mean, width^2) and X = Z + N(0, noise^2); as published, (0, 1, 2)."""

    mean: float = 0.0
    width: float = 1.0
    noise: float = 2.0

    def sample(self, count: int, seed: int | list[int]) -> tuple[Floats, Floats]:
        """Draw measured and truth, (count,) each."""
        random = np.random.default_rng(seed)
        truth = random.normal(self.mean, self.width, count)
        return truth + self.noise * random.normal(size=count), truth

    @property
    def slope(self) -> float:
        """d/dx of E[Z | x] = (width^2 x + noise^2 mean) / (width^2 + noise^2)."""
        return self.width**2 / (self.width**2 + self.noise**2)

    def regression(self, x: ArrayLike) -> Floats:
        """Return E[Z | x], which the squared loss learns."""
        return self.slope * np.asarray(x) + (1 - self.slope) * self.mean

    def regression_bias(self, z: ArrayLike) -> Floats:
        """Return E[E[Z | X] | z] - z = (1 - slope) (mean - z)."""
        return (1 - self.slope) * (self.mean - np.asarray(z))

    @property
    def information(self) -> float:
        """I(X; Z) = 1/2 ln(1 + width^2 / noise^2), in nats."""
        return float(0.5 * np.log1p((self.width / self.noise) ** 2))


def with_feature(
    count: int, seed: int | list[int], mean: float = 0.0, width: float = 1.0
) -> tuple[Floats, Floats, Floats]:
    """Draw X = Z + T^2 - 1 + N(0, 1/4), Z and T (1,), T a normal feature that is measured too.

    The likelihood has its maximum at X - T^2 + 1, with a resolution of 1/2; without T it is 1.5.
    """
    random = np.random.default_rng(seed)
    truth = random.normal(mean, width, count)
    feature = random.normal(size=count)
    return truth + feature**2 - 1 + 0.5 * random.normal(size=count), truth, feature[:, None]
