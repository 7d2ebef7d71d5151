"""A Gaussian truth seen by several detector observables: the best combination is known exactly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError

__all__ = ["LinearToy", "angle_toy", "pair_toy"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinearToy:
    """Latent quantities h ~ N(mean, diag(width^2)), measured as x = A h + N(0, noise).

    `slopes` A (C, L), `noise` (C, C) the covariance of the detector, `mean` and `width` (L,).
    The first latent quantity is the truth z that is unfolded, the others are what the detector's
    response to z depends on.
    """

    slopes: Floats
    noise: Floats
    mean: Floats
    width: Floats

    def __post_init__(self) -> None:
        columns, latent = self.slopes.shape
        if self.noise.shape != (columns, columns) or len(self.mean) != latent:
            raise InputError(
                f"slopes {self.slopes.shape}, noise {self.noise.shape} and means"
                f" {self.mean.shape} do not belong together; give (C, L), (C, C) and (L,)."
            )
        if not (self.width > 0).all():
            raise InputError("a width of the latent quantities is not positive.")

    def sample(self, count: int, seed: int | list[int]) -> tuple[Floats, Floats]:
        """Draw `count` events: what is seen x (count, C) and the truth z (count,)."""
        random = np.random.default_rng(seed)
        latent = self.mean + self.width * random.standard_normal((count, len(self.mean)))
        noise = random.multivariate_normal(np.zeros(len(self.noise)), self.noise, count)
        return latent @ self.slopes.T + noise, latent[:, 0]

    @property
    def covariance(self) -> Floats:
        """The covariance of x, A diag(width^2) A^T + noise (C, C)."""
        return (self.slopes * self.width**2) @ self.slopes.T + self.noise

    @property
    def regression(self) -> Floats:
        """The combination (C,) of E[z | x] = mean_z + r (x - A mean): it knows the prior."""
        return np.linalg.solve(self.covariance, self.slopes[:, 0] * self.width[0] ** 2)

    @property
    def unbiased(self) -> Floats:
        """The best linear unbiased combination (C,), b = e_z (A^T noise^-1 A)^-1 A^T noise^-1.

        It knows no prior of any latent quantity: b x has mean z whatever nature is.
        """
        weighted = np.linalg.solve(self.noise, self.slopes)
        return np.linalg.solve(self.slopes.T @ weighted, weighted.T)[0]

    def residual(self, combination: ArrayLike) -> float:
        """Return var(z | c x), c (C,) the combination: what it leaves unknown."""
        c = np.asarray(combination, dtype=np.float64)
        cross = self.width[0] ** 2 * float(c @ self.slopes[:, 0])
        return float(self.width[0] ** 2 - cross**2 / (c @ self.covariance @ c))

    def information(self, combination: ArrayLike) -> float:
        """Return the mutual information of z and c x in nats, 1/2 ln(var z / var(z | c x))."""
        return 0.5 * float(np.log(self.width[0] ** 2 / self.residual(combination)))

    def bias(self, combination: ArrayLike, shift: ArrayLike) -> float:
        """Return by how much unfolding with c x moves the mean of z in another nature.

        `shift` (L,) is the nature's mean less the simulation's. At fixed z the simulation expects
        c x to have the mean (c a_z) z + const; nature's differs by sum_l (c a_l) shift_l over
        the other quantities, which unfolding takes for (c a_z) times a shift of z.
        """
        c, moved = np.asarray(combination, dtype=np.float64), np.asarray(shift, dtype=np.float64)
        through = c @ self.slopes
        return float(through[1:] @ moved[1:] / through[0])


def pair_toy() -> LinearToy:
    """Return x_1 = z + N(0, 0.8^2) and x_2 = z / 2 + N(0, 0.5^2), noise correlated by -0.6."""
    return LinearToy(
        slopes=np.array([[1.0], [0.5]]),
        noise=np.array([[0.64, -0.24], [-0.24, 0.25]]),
        mean=np.zeros(1),
        width=np.ones(1),
    )


def angle_toy(resolution: float = 0.1, shift: float = 0.0) -> LinearToy:
    """Return x_1 = z + 0.6 u + N(0, 0.5^2) beside x_2 = u + N(0, resolution^2).

    The response to z depends on u, "the angle of the emission", which is measured as well; u has
    the mean `shift` and width 1. The plain observable x_1 is biased by 0.6 shift.
    """
    return LinearToy(
        slopes=np.array([[1.0, 0.6], [0.0, 1.0]]),
        noise=np.diag([0.25, resolution**2]),
        mean=np.array([0.0, shift]),
        width=np.ones(2),
    )
