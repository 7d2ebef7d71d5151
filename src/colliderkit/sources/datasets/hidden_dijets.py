"""A resonance hidden in dijets: data to search in, and what judges a search (2101.08320).

Pythia's events by `lhc_olympics`, or for quick runs those of `sources.toys.resonance`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.binning import inside
from colliderkit.sources.datasets.lhc_olympics import (
    SIGNAL_REGION,
    Dijets,
    inject,
    make_dijets,
    read_dijets,
    shift,
)
from colliderkit.sources.toys.resonance import Resonance, ResonanceEvents

__all__ = ["HiddenDijets", "in_region", "labelled", "toy_dijets"]

APART = 100_000_000  # event numbers of signal and background of the toy


@dataclass(frozen=True)
class HiddenDijets:
    """Background of the data, signal to inject, more background, and test events.

    The `template` is background that the data do not have, for bounds and as simulation; `test`
    holds labelled events of the signal region alone.
    """

    background: Dijets
    signal: Dijets
    template: Dijets
    test: Dijets

    @classmethod
    def of(cls, background: Dijets, signal: Dijets, shares: tuple[float, float]) -> "HiddenDijets":
        """Divide events: these shares of the background for data and template, the rest for tests.

        Half of the signal is for tests.
        """
        ends = (np.cumsum(shares) * len(background)).astype(int)
        data, template, rest = (
            background.at(rows) for rows in np.split(np.arange(len(background)), ends)
        )
        half = len(signal) // 2
        test = labelled(rest, signal.at(slice(half, None)))
        return cls(data, signal.at(slice(half)), template, test.at(in_region(test)))

    @classmethod
    def made(
        cls,
        folder: Path,
        background: int,
        signal: int,
        shares: tuple[float, float],
        *,
        toy: bool = False,
        workers: int = 1,
    ) -> "HiddenDijets":
        """Make so many events in a folder once, with Pythia or, with `toy`, in no time."""
        if toy:
            model = Resonance()
            parts = model.events(background, 0, 1), model.events(0, signal, 2)
            return cls.of(toy_dijets(parts[0]), toy_dijets(parts[1]), shares)
        dijets, resonance = (
            read_dijets(make_dijets(folder, label, count, seed=1, workers=workers))
            for label, count in enumerate((background, signal))
        )
        return cls.of(dijets, resonance, shares)

    def moved(self) -> "HiddenDijets":
        """Return the same events with jet masses that grow with the mass of the pair."""
        return HiddenDijets(*map(shift, (self.background, self.signal, self.template, self.test)))

    def data(self, strength: float, seed: int) -> Dijets:
        """Return background with a signal of S / sqrt(B) = `strength` in the signal region."""
        expected = strength * in_region(self.background).sum() ** 0.5
        count = round(expected / max(float(in_region(self.signal).mean()), 1e-3))
        return inject(self.background, self.signal, count, seed=seed)


def toy_dijets(events: ResonanceEvents) -> Dijets:
    """Return events of the toy as pairs of jets, its four features as masses and ratios."""
    scale, middle = np.array([30.0, 60.0, 0.1, 0.1]), np.array([120.0, 150.0, 0.6, 0.6])
    numbers = np.arange(len(events)) + APART * events.label
    return Dijets(
        events.features * scale + middle, events.mass, events.label, np.ones(len(events)), numbers
    )


def labelled(background: Dijets, signal: Dijets) -> Dijets:
    """Return the events of both, mixed."""
    return inject(background, signal, len(signal), seed=0)


def in_region(events: Dijets) -> NDArray[np.bool_]:
    """Return which events lie in the signal region, (N,)."""
    return inside(events.mass, SIGNAL_REGION)
