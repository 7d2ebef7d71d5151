"""Losses of lumi sections, corrected in space and time: from a mean, or from a network."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from colliderkit.events.monitors import MonitorRuns
from colliderkit.events.tables import Floats
from colliderkit.methods.operations.measured import Measured, products, robust_total, shape_of
from colliderkit.methods.search.autoencoder import Autoencoder

__all__ = ["Reconstruction", "Sections"]


@dataclass(frozen=True)
class Sections:
    """Compare each lumi section with the mean of good runs, and ask for faults that stay.

    With n_i entries of n (`robust_total`) in a section and s_i the mean share of bin i, the loss is
    (n_i - n s_i)^2 / max(n s_i, 1) over its mean in good sections (space); the statistic is the
    largest geometric mean of the losses of a bin in `window` sections one after another (time).

    - `shape` (bins,): s; `usual` (bins,): mean losses of good sections.
    """

    monitor: str
    shape: Floats
    usual: Floats
    window: int

    @classmethod
    def learned(cls, runs: MonitorRuns, monitor: str, *, window: int) -> Self:
        """Learn the mean shares and losses of good runs."""
        shape = shape_of(runs, monitor)
        unit = cls(monitor, shape, np.ones_like(shape), window)
        return cls(monitor, shape, usual_loss(unit.losses(runs)), window)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the statistics."""
        return (f"{self.monitor}: sections",)

    def losses(self, runs: MonitorRuns) -> Floats:
        """Return losses of the sections (T, bins)."""
        entries = flat(runs, self.monitor)
        expected = robust_total(entries, self.shape) * self.shape
        loss: Floats = (entries - expected) ** 2 / np.maximum(expected, 1) / self.usual
        return loss

    def measure(self, runs: MonitorRuns) -> Measured:
        """Return the largest product of losses in runs, by bin and by section."""
        return measured(self.losses(runs), runs, self.window)


@dataclass(frozen=True)
class Reconstruction:
    """Compare each lumi section with what an autoencoder makes of it; corrections as `Sections`.

    The network reproduces the entries over those of the mean of good runs with as many in all,
    bins that are never filled left out, as the CMS calorimeter does (2309.10157).

    - `network`: an `Autoencoder` of maps; `shape`, `usual` and `window` as of `Sections`.
    """

    monitor: str
    network: Autoencoder
    shape: Floats
    usual: Floats
    window: int

    @classmethod
    def learned(
        cls,
        runs: MonitorRuns,
        monitor: str,
        network: Autoencoder,
        *,
        window: int,
        **tail: Any,
    ) -> Self:
        """Train the network on the sections of good runs, and learn its mean losses in them."""
        shape = shape_of(runs, monitor)
        unit = cls(monitor, network, shape, np.ones_like(shape), window)
        # Sections of one run stay together: the same number of event.
        event = np.repeat(runs.run, np.diff(runs.offsets))
        network.fit(unit.relative(runs), event=event, **tail)
        return cls(monitor, network, shape, usual_loss(unit.losses(runs)), window)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the statistics."""
        return (f"{self.monitor}: autoencoder",)

    def relative(self, runs: MonitorRuns) -> Floats:
        """Return the entries of sections over the expected ones, (T, filled bins)."""
        entries = flat(runs, self.monitor)
        filled = self.shape > 0
        expected = robust_total(entries, self.shape) * self.shape[filled]
        share: Floats = entries[:, filled] / np.maximum(expected, 1)
        return share

    def losses(self, runs: MonitorRuns) -> Floats:
        """Return losses of the sections (T, bins), 0 in bins that are never filled."""
        loss = np.zeros((len(runs.section), len(self.shape)))
        loss[:, self.shape > 0] = self.network.differences(self.relative(runs)) ** 2
        return loss / self.usual

    def measure(self, runs: MonitorRuns) -> Measured:
        """Return the largest product of losses in runs, by bin and by section."""
        return measured(self.losses(runs), runs, self.window)


def flat(runs: MonitorRuns, monitor: str) -> Floats:
    """Return the entries of each section, (T, bins)."""
    counts = runs.counts[monitor]
    return counts.reshape(len(counts), -1).astype(np.float64)


def usual_loss(loss: Floats) -> Floats:
    """Return the mean loss of each bin (bins,), 1 for bins that have none."""
    mean = loss.mean(0)
    usual: Floats = np.where(mean > 0, np.maximum(mean, 0.3 * np.median(mean)), 1.0)
    return usual


def measured(loss: Floats, runs: MonitorRuns, window: int) -> Measured:
    """Return the largest products of losses."""
    largest, worst = products(loss, runs.offsets, window)
    return Measured(largest.max(1, keepdims=True), largest, None, worst, window)
