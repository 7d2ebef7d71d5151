"""PCA of monitors: what of a run is not a sum of a few patterns of good runs."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.decomposition import PCA

from colliderkit.errors import InputError
from colliderkit.events.monitors import MonitorRuns
from colliderkit.events.tables import Floats
from colliderkit.methods.operations.measured import FAR, Measured, robust_total, spread_by_bin

__all__ = ["Principal"]


@dataclass(frozen=True)
class Principal:
    """Subtract the nearest sum of principal components of good runs from a run's shares of entries.

    What is left of bin i, in expected Poisson errors and over its root mean square in good runs, is
    z_i; the statistic is the largest |z_i|.

    - `mean` (bins,), `components` (K, bins): of shares; `spread` (bins,).
    """

    monitor: str
    mean: Floats
    components: Floats
    spread: Floats

    @classmethod
    def learned(cls, runs: MonitorRuns, monitor: str, *, components: int) -> Self:
        """Learn the patterns of good runs; raise `InputError` for fewer of them than patterns."""
        if len(runs) < components + 2:
            raise InputError(
                f"{len(runs)} runs to learn from have no {components} components; give more runs,"
                " or lower components."
            )
        sums = runs.sums(monitor).reshape(len(runs), -1)
        shares = sums / np.maximum(sums.sum(1, keepdims=True), 1)
        # The same answer for any number of threads: no randomised solver.
        found = PCA(components, svd_solver="full").fit(shares)
        unit = cls(monitor, found.mean_, found.components_, np.ones(shares.shape[1]))
        # Residuals of what was learned from are too small by the patterns that were fitted.
        rest = np.sqrt(len(runs) / (len(runs) - components - 1))
        spread = spread_by_bin(unit.residuals(sums) * rest)
        return cls(monitor, found.mean_, found.components_, spread)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the statistics."""
        return (f"{self.monitor}: pca",)

    def residuals(self, sums: Floats) -> Floats:
        """Return z (R, bins) of entries of runs (R, bins)."""
        total = np.maximum(robust_total(sums, self.mean), 1)
        error = np.sqrt(np.maximum(total * self.mean, 1)) / total
        away = sums / total - self.mean
        # A bin that is far off is no part of a pattern: the others would be moved by it.
        near = np.where(np.abs(away) < FAR * error * self.spread, away, 0.0)
        z: Floats = (away - (near @ self.components.T) @ self.components) / error / self.spread
        return z

    def measure(self, runs: MonitorRuns) -> Measured:
        """Return the largest |z| of runs, and z by bin."""
        z = self.residuals(runs.sums(self.monitor).reshape(len(runs), -1))
        size = np.abs(z)
        return Measured(size.max(1, keepdims=True), size, z)
