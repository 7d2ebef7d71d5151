"""Means of monitors, such as the time of a tower: how far off in their own errors."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.monitors import MonitorRuns
from colliderkit.events.tables import Floats
from colliderkit.methods.operations.measured import Measured, spread_by_bin

__all__ = ["Means"]


@dataclass(frozen=True)
class Means:
    """Compare the mean of a quantity in each bin with that of good runs.

    With N entries of mean t in a run, z = (t - t_good) sqrt(N) / sigma, where sigma is the root
    mean square of (t - t_good) sqrt(N) in good runs; the statistic is the largest |z|.

    - `usual` (bins,): t_good, weighted by entries; `sigma` (bins,).
    """

    monitor: str
    usual: Floats
    sigma: Floats

    @classmethod
    def learned(cls, runs: MonitorRuns, monitor: str) -> Self:
        """Learn the means of good runs; raise `InputError` where there are no entries."""
        entries = runs.sums(runs.entries_of(monitor)).reshape(len(runs), -1)
        if not entries.any():
            raise InputError(
                f"the runs to learn from have no entries in monitor '{runs.entries_of(monitor)}';"
                " leave it and its means out."
            )
        means = runs.run_means(monitor).reshape(len(runs), -1)
        usual = (entries * means).sum(0) / np.maximum(entries.sum(0), 1)
        away = (means - usual) * np.sqrt(entries)
        return cls(monitor, usual, spread_by_bin(away))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the statistics."""
        return (f"{self.monitor}: mean",)

    def measure(self, runs: MonitorRuns) -> Measured:
        """Return the largest |z| of runs, and z by bin."""
        entries = runs.sums(runs.entries_of(self.monitor)).reshape(len(runs), -1)
        means = runs.run_means(self.monitor).reshape(len(runs), -1)
        z = (means - self.usual) * np.sqrt(entries) / self.sigma
        size = np.abs(z)
        return Measured(size.max(1, keepdims=True), size, z)
