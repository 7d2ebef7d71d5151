"""ABCD: the background of a non-resonant search from two scores, its error, and its closure."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, as_column, as_table, as_weight
from colliderkit.methods.method import Method
from colliderkit.methods.search.plane import Counts, Estimate, checks, cut_counts, likelihood_ratio

__all__ = ["ABCD"]

GRID = 40  # cuts that are tried on each score
FAILING = (0.5, 0.999)  # the least and the largest share of the background that may fail one
COUNTS = "a region is a Poisson count of events"


class ABCD(Method):
    """Estimate the background that passes cuts on two given scores, N_A = N_B N_C / N_D.

    Where the scores of the background are independent, the estimate has no bias. Its relative
    counting error is sqrt(1 / N_B + 1 / N_C + 1 / N_D); that of non-closure comes from validation
    regions outside of A and from the simulation (`plane.Estimate`).

    Args:
        cuts: on x and y, from below; None chooses those of the largest expected significance of
            the signal, its share in B, C and D included.
        least: the share of the background that the choice leaves in each region.
        regions: validation regions for each score.
        columns: names of the table's columns, by which the command line reads them.

    After `fit`: `cuts_` (2,), and the counts of the simulation, `background_` and `signal_` (None
    if no signal was given).
    """

    name: ClassVar[str] = "abcd"

    cuts_: Floats
    background_: Counts
    signal_: Counts | None

    def __init__(
        self,
        *,
        cuts: Sequence[float] | None = None,
        least: float = 0.002,
        regions: int = 3,
        columns: Sequence[str] = (),
    ) -> None:
        self.cuts = cuts
        self.least = least
        self.regions = regions
        self.columns = columns

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Choose the cuts on the scores X (N, 2) of simulated events; return self.

        `y` (N,) is 1 for signal and 0 for background, None for background alone, which needs
        `cuts`. The weights (N,) of each class sum to its expected yield: the best cuts depend on
        it. Raises `InputError` for events that cannot be used, weights below 0, and cuts that
        leave a region empty.
        """
        self._begin(seed=seed, folder=folder, resume=resume)
        scores = as_table(X, "the events", self.columns)
        if scores.shape[1] != 2:
            raise InputError(f"the events have {scores.shape[1]} columns; ABCD takes two scores.")
        label = labels(y, len(scores))
        self._choose(scores, label, as_weight(weight, len(scores), "the events", negative=COUNTS))
        return self

    def scores(self, X: ArrayLike) -> Floats:
        """Return the two scores of events, (N, 2)."""
        cuts = self.cuts_  # says that nothing is fitted
        scores = as_table(X, "the events", self.columns)
        if scores.shape[1] != len(cuts):
            raise InputError(f"the events have {scores.shape[1]} columns; ABCD takes two scores.")
        return scores

    def estimate(self, X: ArrayLike, *, weight: ArrayLike | None = None) -> Estimate:
        """Return the background of events (N, C) in region A, and how well it closes elsewhere.

        Raises `InputError` for a region B, C or D without events.
        """
        return self.estimate_of(self.scores(X), weight=weight)

    def estimate_of(self, scores: Floats, *, weight: ArrayLike | None = None) -> Estimate:
        """Return what `estimate` does, of events whose `scores` (N, 2) are known."""
        w = as_weight(weight, len(scores), "the events", negative=COUNTS)
        counts = Counts.of(scores, w, self.cuts_).needed()
        simulated = self.background_.closure
        return Estimate(
            counts, checks(scores, w, self.cuts_, self.regions), simulated, self.signal_
        )

    def _choose(
        self,
        scores: Floats,
        label: NDArray[np.int64],
        weight: Floats,
        failing: tuple[float, float] = FAILING,
    ) -> None:
        """Set the cuts and the counts of the simulation from its scores (N, 2).

        Cuts are tried that a share of the background between two ends fails.
        """
        background, signal = label == 0, label == 1
        if not weight[background].sum() > 0:
            raise InputError("there is no background among the events; ABCD estimates it.")
        if self.cuts is None:
            if not weight[signal].sum() > 0:
                raise InputError("cuts are chosen by a signal; give events of it, or the cuts.")
            self.cuts_ = self._best(scores, background, weight, failing)
        else:
            if len(self.cuts) != 2:
                raise InputError(f"cuts has {len(self.cuts)} numbers; give one for each score.")
            self.cuts_ = np.array(self.cuts, dtype=np.float64)
        self.background_ = Counts.of(scores[background], weight[background], self.cuts_)
        self.background_.needed("of the background: ")
        self.signal_ = None
        if weight[signal].sum() > 0:
            self.signal_ = Counts.of(scores[signal], weight[signal], self.cuts_)

    def _best(
        self,
        scores: Floats,
        background: NDArray[np.bool_],
        weight: Floats,
        failing: tuple[float, float],
    ) -> Floats:
        """Return the cuts (2,) of the largest expected significance."""
        b, w = scores[background], weight[background]
        edges = quantiles(b[:, 0], w, failing), quantiles(b[:, 1], w, failing)
        of_background = cut_counts(b, w, edges)
        of_signal = cut_counts(scores[~background], weight[~background], edges)
        best, cuts = -1.0, None
        for i, j in np.argwhere((of_background >= self.least * w.sum()).all((2, 3))):
            # What closes exactly, so that a fluctuation of the simulation is not taken for signal.
            row, column = of_background[i, j][1].sum(), of_background[i, j][:, 1].sum()
            total = of_background[i, j].sum()
            margins = np.outer([total - row, row], [total - column, column]) / total
            found = likelihood_ratio(margins + of_signal[i, j])
            inside = of_signal[i, j]
            # An excess in A or D; and the one in A is asked for.
            if found > best and inside[1, 1] * margins[0, 0] > inside[0, 0] * margins[1, 1]:
                best, cuts = found, np.array([edges[0][i], edges[1][j]])
        if cuts is None:
            raise InputError(
                f"no cuts leave a share of {self.least:g} of the background in each region and the"
                " signal in A; give more events or cuts, or lower least."
            )
        return cuts


def labels(y: ArrayLike | None, count: int) -> NDArray[np.int64]:
    """Return labels (N,), 1 for signal and 0 for background, all 0 for None, or raise."""
    if y is None:
        return np.zeros(count, dtype=np.int64)
    label = as_column(y, count, "y")
    if not np.isin(label, (0, 1)).all():
        event = int(np.argmin(np.isin(label, (0, 1))))
        raise InputError(
            f"y: labels must be 1 for signal and 0 for background; that of event {event} (counted"
            f" from 0) is {label[event]:g}."
        )
    return label.astype(np.int64)


def quantiles(values: Floats, weight: Floats, failing: tuple[float, float]) -> Floats:
    """Return the cuts that are tried: values (N,) that shares of the weight lie below."""
    order = np.argsort(values, kind="stable")
    share = weight[order].cumsum() / weight.sum()
    wanted = 1 - np.geomspace(1 - failing[0], 1 - failing[1], GRID)
    return np.unique(values[order][np.searchsorted(share, wanted).clip(max=len(values) - 1)])
