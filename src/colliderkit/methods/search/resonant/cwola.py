"""CWoLa hunting: classify a mass window against its sidebands (1805.02664, 1902.02634)."""

from typing import Any, ClassVar

import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.methods.search.resonant.classifiers import Classifiers, Judge, TwoSamples
from colliderkit.methods.search.resonant.search import Candidates, Range, ResonantSearch
from colliderkit.seeds import derive

__all__ = ["CwolaHunting"]

SIDEBAND_EFFICIENCY = 0.005  # of the sidebands, at which the best of several starts is chosen


class CwolaHunting(ResonantSearch):
    """Search by a classifier of the events in the window against those in its sidebands.

    The two differ in their shares of signal alone, as long as no feature of the background depends
    on the mass; the best classifier of the two is then the best one of signal and background.

    The folds are nested, as published: for each fold l other than k, `members` classifiers are
    trained on the folds but k and l and stopped by l; the one that keeps most of the window of l
    where 0.5% of its sidebands pass is taken, and judge k is the mean of these over l. The
    window and both sidebands together have the same weight, and so has each sideband.

    The arguments are those of `ResonantSearch`; `sidebands` of None are half as wide as the window
    on either side.
    """

    name: ClassVar[str] = "cwola-hunting"

    @property
    def background_range(self) -> Range:
        """The outer ends of the sidebands."""
        low, high = self.signal_region
        half = (high - low) / 2
        return self.sidebands or (low - half, high + half)

    def _check_arguments(self) -> None:
        if self.folds < 3:
            raise InputError(
                f"folds is {self.folds}; nested folds need 3: one to judge, one to validate with,"
                " one to train on."
            )
        super()._check_arguments()

    def _judge(
        self,
        data: Candidates,
        simulation: Candidates | None,
        seed: int,
        **where: Any,
    ) -> Judge:
        taken = []
        for fold in np.unique(data.fold).tolist():
            train, held = (self._samples(data.at(rows)) for rows in _parted(data, fold))
            fitted = Classifiers.fit(
                self._settings(), train, self.members, derive(seed, "validate", fold), held=held
            )
            taken.append(fitted.only(_best(fitted.each(held.x), held)))
        return Classifiers.of(taken)

    def _samples(self, data: Candidates) -> TwoSamples:
        """Return the window (target 1) and its sidebands (target 0), of equal weight each."""
        inside, (below, above) = data.inside(self.signal_region), self._sideband(data)
        outside = [side.weight / max(side.weight.sum(), 1e-300) for side in (below, above)]
        return TwoSamples.of(
            inside.features,
            np.concatenate([below.features, above.features]),
            (inside.weight, np.concatenate(outside)),
        )


def _parted(data: Candidates, fold: int) -> tuple[Any, Any]:
    """Return the masks of the events to train on, and of those to validate with."""
    return data.fold != fold, data.fold == fold


def _best(probability: Floats, held: TwoSamples) -> int:
    """Return the member that keeps most of the window at 0.5% of the sidebands, (M, N)."""
    if len(probability) == 1:
        return 0
    window = held.target == 1
    kept = []
    for p in probability:
        order = np.argsort(-p[~window], kind="stable")
        share = np.cumsum(held.weight[~window][order]) / held.weight[~window].sum()
        cut = p[~window][order][min(np.searchsorted(share, SIDEBAND_EFFICIENCY), len(order) - 1)]
        kept.append(float(held.weight[window][p[window] > cut].sum()))
    return int(np.argmax(kept))
