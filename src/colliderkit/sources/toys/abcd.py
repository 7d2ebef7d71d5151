"""Normal background and signal for ABCD: the non-closure and the best two scores in closed form."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import multivariate_normal, norm

__all__ = ["AbcdToy"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AbcdToy:
    """Describe a background N(0, S) and a signal N(shift, S) of three numbers.

    S has ones on the diagonal and `correlation` between the first two. The likelihood ratio is
    exp(shift . S^-1 x - |shift|^2_S / 2), with |shift|^2_S = shift . S^-1 shift: one linear score.
    Two linear scores a . x and b . x are independent where a . S b = 0; a pair that shares what
    there is, has the separation |shift|_S / sqrt 2 each.
    """

    correlation: float = 0.6
    shift: tuple[float, float, float] = (1.4, 1.4, 1.4)

    @property
    def covariance(self) -> Floats:
        """S, (3, 3)."""
        s = np.eye(3)
        s[0, 1] = s[1, 0] = self.correlation
        return s

    @property
    def separation(self) -> float:
        """|shift|_S, standard deviations between the classes along the likelihood ratio."""
        m = np.array(self.shift)
        return float(np.sqrt(m @ np.linalg.solve(self.covariance, m)))

    @property
    def best_auc(self) -> float:
        """The AUC of the likelihood ratio, Phi(separation / sqrt 2)."""
        return float(norm.cdf(self.separation / np.sqrt(2)))

    @property
    def independent_auc(self) -> float:
        """The AUC of each of two independent linear scores that share the separation."""
        return float(norm.cdf(self.separation / 2))

    def pair(self) -> Floats:
        """Return two such scores of unit variance as columns, (3, 2)."""
        root = np.linalg.cholesky(self.covariance)
        along = np.linalg.solve(root, np.array(self.shift))
        along /= np.linalg.norm(along)
        across = np.cross(along, [0.0, 0.0, 1.0])
        across /= np.linalg.norm(across)
        both = np.column_stack([along + across, along - across]) / np.sqrt(2)
        return np.asarray(np.linalg.solve(root.T, both))

    def sample(
        self, background: int, signal: int, seed: int | list[int]
    ) -> tuple[Floats, NDArray[np.int64]]:
        """Draw events (N, 3) of both classes, and their labels (N,), 1 for signal."""
        random = np.random.default_rng(seed)
        label = np.repeat([0, 1], [background, signal])
        x = random.multivariate_normal(np.zeros(3), self.covariance, len(label))
        return x + label[:, None] * np.array(self.shift), label

    def regions(self, scores: Floats, cuts: tuple[float, float]) -> Floats:
        """Return the background's shares in the regions [passes x, passes y], (2, 2).

        `scores` (3, 2) are the coefficients of two linear scores, cut at `cuts` from below.
        """
        covariance = scores.T @ self.covariance @ scores
        width = np.sqrt(np.diag(covariance))
        x, y = np.asarray(cuts) / width
        rho = covariance[0, 1] / (width[0] * width[1])
        d = float(multivariate_normal.cdf([x, y], cov=[[1, rho], [rho, 1]], allow_singular=True))
        px, py = norm.cdf([x, y])
        return np.array([[d, px - d], [py - d, 1 - px - py + d]])

    def nonclosure(self, scores: Floats, cuts: tuple[float, float]) -> float:
        """Return N_A N_D / (N_B N_C) - 1 of the background, exactly (`regions`)."""
        (d, c), (b, a) = self.regions(scores, cuts)
        return float(a * d / (b * c) - 1)
