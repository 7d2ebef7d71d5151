"""Showers as eight numbers of known density, and distortions of them that are known exactly."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLUMNS", "ShowerToy"]

Floats = NDArray[np.float64]
COLUMNS = tuple(f"{what} {layer}" for what in ("energy", "width") for layer in range(4))
# A shower that begins late has less in the first layers and more in the last ones, and is wider.
DEPTH = np.array([-1.5, -0.7, 0.7, 1.5, 0.5, 0.5, 0.5, 0.5])
LATE = np.array([-3.0, -1.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0])
CORRELATION = np.eye(len(DEPTH)) + np.outer(DEPTH, DEPTH)
CORRELATION /= np.sqrt(np.outer(CORRELATION.diagonal(), CORRELATION.diagonal()))
MOVED = COLUMNS.index("energy 2")


@dataclass(frozen=True)
class ShowerToy:
    """Draw ln energies and widths of four layers, a mixture of two normal densities:

        p(x) = (1 - late) N(0, D C D) + late N(m, D C D),  D = diag(1, ..., width, ..., 1)

    with C the correlations that the depth of the shower's begin makes and m what a late one moves
    by, in units of the fluctuations. What a generator may have wrong, of ``energy 2`` alone where
    a column is meant:

    - `mean`: is added; `width`: its fluctuations are multiplied by it;
    - `correlation`: all correlations are multiplied by it, and no column alone changes;
    - `late`: the share of the late showers, 0.1 as it should be.
    """

    mean: float = 0.0
    width: float = 1.0
    correlation: float = 1.0
    late: float = 0.1

    def sample(self, count: int, seed: int | list[int]) -> Floats:
        """Draw showers (count, 8)."""
        random = np.random.default_rng(seed)
        root = np.linalg.cholesky(self._correlations())
        x = random.normal(size=(count, len(COLUMNS))) @ root.T
        x[:, MOVED] = self.width * x[:, MOVED] + self.mean
        return x + LATE * (random.random(count) < self.late)[:, None]

    def moments(self) -> tuple[Floats, Floats]:
        """Return the mean (8,) and the covariance (8, 8)."""
        scale = np.ones(len(COLUMNS))
        scale[MOVED] = self.width
        mean = self.late * LATE
        mean[MOVED] += self.mean
        spread = self.late * (1 - self.late) * np.outer(LATE, LATE)
        return mean, self._correlations() * np.outer(scale, scale) + spread

    def distorted(self, what: str, size: float) -> "ShowerToy":
        """Return it with the mean moved, a width stretched, correlations or late showers lost.

        `what` is "mean" (`size` in standard deviations), "width" (the relative change),
        "correlation" or "mode" (the share that is lost).
        """
        changes = {
            "mean": {"mean": self.mean + size},
            "width": {"width": self.width * (1 + size)},
            "correlation": {"correlation": self.correlation * (1 - size)},
            "mode": {"late": self.late * (1 - size)},
        }
        return replace(self, **changes[what])

    def _correlations(self) -> Floats:
        unit = np.eye(len(COLUMNS))
        return unit + self.correlation * (CORRELATION - unit)
