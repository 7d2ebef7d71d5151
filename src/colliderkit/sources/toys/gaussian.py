"""The Gaussian example of calibration (2205.05084): a normal truth and normal noise."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["GAUSSIAN_EXAMPLES", "ExactClosure", "GaussianExample", "with_feature"]

Floats = NDArray[np.float64]
NODES = np.linspace(-5, 5, 101)
SHARE = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()


@dataclass(frozen=True)
class ExactClosure:
    """Exact closure: bias and scatter of a calibration at each truth z, integrals over p(x | z).

    - `truth` (T,), and `bias`: E[z_hat | z] - z, float64 (T,);
    - `scatter`: the standard deviation of z_hat given z;
    - `sigma`: the mean of the resolution that is quoted.
    """

    truth: Floats
    bias: Floats
    scatter: Floats
    sigma: Floats

    @property
    def largest_bias(self) -> float:
        """The largest |bias|."""
        return float(np.abs(self.bias).max())

    def sigma_error(self, noise: float) -> float:
        """The largest relative error of sigma and of the scatter, which both should be `noise`."""
        both = np.stack([self.sigma, self.scatter]) / noise - 1
        return float(np.abs(both).max())


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

    def closure(
        self, predict: Callable[[Floats], tuple[Floats, Floats]], truth: Floats
    ) -> ExactClosure:
        """Integrate what ``predict(x)`` says, estimates and resolutions, over N(x; z, noise^2).

        It is taken at each `truth` (T,), at 101 points within five standard deviations.
        """
        x = truth[:, None] + self.noise * NODES
        estimate, sigma = (values.reshape(x.shape) for values in predict(x.ravel()))
        mean = estimate @ SHARE
        scatter = np.sqrt((estimate - mean[:, None]) ** 2 @ SHARE)
        return ExactClosure(truth, mean - truth, scatter, sigma @ SHARE)

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


# As published, and another distribution of the truth.
GAUSSIAN_EXAMPLES = {"N(0, 1)": GaussianExample(), "N(0.5, 1.5)": GaussianExample(0.5, 1.5)}


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
