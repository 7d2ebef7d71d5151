"""A search for a resonance in all windows of the mass, and its global p-value."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from colliderkit.errors import InputError
from colliderkit.events.binning import rising
from colliderkit.events.tables import as_column, as_table
from colliderkit.files import atomic_file
from colliderkit.methods.method import Method
from colliderkit.methods.search.resonant.global_p import (
    GlobalP,
    global_p,
    of_windows,
    pseudo_experiments,
    without_bump,
)
from colliderkit.methods.search.resonant.search import Range, ResonantSearch
from colliderkit.methods.search.spectrum import Excess, edges_with
from colliderkit.progress import progress_bar
from colliderkit.seeds import derive

__all__ = ["WindowScan"]

Floats = NDArray[np.float64]
SIDEBAND = 2  # bins that a window leaves free on either side
TAIL = 100  # events above the last bin, where no edges are given


class WindowScan(Method):
    """Search in all windows of a mass, each trained for itself; repeat it all without a bump.

    In each window of `width` bins a clone of `method` is fitted: its `signal_region` is the window,
    its sidebands lie where they lie about the region of `method`. The windows overlap, and all look
    at the same events, so that the least local p-value is no p-value. With `null` the whole scan,
    training included, is repeated on that many data sets without a bump, which are made of the data
    (`without_bump`), and the least local p-value is held against theirs (`global_p`). Without it
    the number of windows bounds the global p-value from above,

        p <= 1 - (1 - p_local)^W.

    Args:
        method: the search in one window.
        windows: the windows; `width` neighbouring bins each, if not given.
        width: bins in a window.
        bins: of the spectrum where `method` has no `edges`, all of the same width in ln m.
        null: whole scans that are repeated without a bump.
        toys: pseudo-experiments of the spectrum behind the cut, a cross-check.

    After `fit`: `windows_` (W, 2), `excesses_` and `before_`, what is in excess in each window
    behind the cut and without one; `local_p_` (W,); `best_`, the number of the window of the least;
    `search_`, the search in it; `null_` (null, W), the local p-values of the repeated scans;
    `global_p_`, None without them; `bound_`, the largest that it can be for this many windows;
    `toys_p_`, that of the pseudo-experiments; `edges_`.
    """

    name: ClassVar[str] = "window-scan"
    resumable: ClassVar[bool] = True
    extended: ClassVar[tuple[str, ...]] = ("null", "toys")

    edges_: Floats
    windows_: Floats
    excesses_: list[Excess]
    before_: list[Excess]
    local_p_: Floats
    best_: int
    search_: ResonantSearch
    null_: Floats
    global_p_: GlobalP | None
    bound_: float
    toys_p_: float

    def __init__(
        self,
        method: ResonantSearch,
        *,
        windows: Sequence[Range] | None = None,
        width: int = 3,
        bins: int = 15,
        null: int = 0,
        toys: int = 999,
    ) -> None:
        self.method = method
        self.windows = windows
        self.width = width
        self.bins = bins
        self.null = null
        self.toys = toys

    def fit(
        self,
        features: ArrayLike,
        mass: ArrayLike,
        *,
        simulation: tuple[ArrayLike, ...] | None = None,
        label: ArrayLike | None = None,
        event: ArrayLike | None = None,
        names: Sequence[str] = (),
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Search all windows of `mass` (N,) by `features` (N, F), and return self.

        The arguments are those of the method's own `fit`. Finished windows and repeated scans are
        kept in `folder`, from which `resume` goes on; `null` may then be larger than before.
        Raises `InputError` for what the search in one window cannot do, which it names, and where
        weights or labels meet `null`.
        """
        self._begin(
            seed=seed,
            folder=folder,
            resume=resume,
            features=features,
            mass=mass,
            simulation=simulation,
            label=label,
            event=event,
            weight=weight,
        )
        if self.null and (weight is not None or label is not None):
            raise InputError(
                "null repeats the search on events without a bump, which are drawn from data of"
                " weight 1 and know no labels; leave out weight and label, or take null 0."
            )
        table = as_table(features, "features", names)
        column = as_column(mass, len(table), "mass")
        self.edges_ = self._edges(column)
        self.windows_ = self._windows()
        data: dict[str, Any] = {"simulation": simulation, "names": names, "weight": weight}
        steps = len(self.windows_) * (1 + self.null)
        with progress_bar(shown=progress) as shown:
            task = shown.add_task("windows", total=steps)

            def done() -> None:
                shown.advance(task)

            found = []
            for w in range(len(self.windows_)):
                kept = None if folder is None else Path(folder) / f"window-{w}"
                search = self._search(w).fit(
                    table,
                    column,
                    label=label,
                    event=event,
                    **data,
                    seed=derive(seed, "window", w),
                    folder=kept,
                    resume=resume and kept is not None and kept.exists(),
                    progress=False,
                )
                found.append(search)
                done()
            self.excesses_ = [search.excess_ for search in found]
            self.before_ = [search.before_ for search in found]
            self.local_p_ = np.array([excess.local_p for excess in self.excesses_])
            self.best_ = int(self.local_p_.argmin())
            self.search_ = found[self.best_]
            self.null_ = np.empty((self.null, len(self.windows_)))
            for k in range(self.null):
                note = None if folder is None else Path(folder) / f"null-{k}.json"
                self.null_[k] = self._repeated(k, table, column, event, data, note, done)
        self._judge()
        return self

    def score(self, features: ArrayLike, mass: ArrayLike) -> Floats:
        """Return the score of new events, (N, F), (N,) -> (N,), in the window of least p-value."""
        return self.search_.score(features, mass)

    def _judge(self) -> None:
        """Turn the local p-values of windows and repeated scans into global ones."""
        least = float(self.local_p_.min())
        self.bound_ = of_windows(least, len(self.windows_))
        self.global_p_ = global_p(least, self.null_.min(1)) if self.null else None
        toys = pseudo_experiments(
            self.excesses_[self.best_],
            self.windows_,
            family=self.method.family,
            toys=self.toys,
            seed=self.seed_,
        )
        self.toys_p_ = float((1 + (toys <= least).sum()) / (1 + self.toys))

    def _search(self, window: int) -> ResonantSearch:
        """Return the search in one window, not fitted."""
        low, high = (float(end) for end in self.windows_[window])
        search: ResonantSearch = clone(self.method)
        search.signal_region, search.edges = (low, high), tuple(self.edges_.tolist())
        if self.method.sidebands is not None:
            here, there = self.method.signal_region, self.method.sidebands
            search.sidebands = (low - (here[0] - there[0]), high + (there[1] - here[1]))
        return search

    def _repeated(
        self,
        number: int,
        table: Floats,
        mass: Floats,
        event: ArrayLike | None,
        data: dict[str, Any],
        note: Path | None,
        done: Any,
    ) -> Floats:
        """Return the local p-values (W,) of one scan without a bump, or those kept of it."""
        if note is not None and note.is_file():
            return np.array(json.loads(note.read_text()))
        seed = derive(self.seed_, "null", number)
        rows, masses = without_bump(
            mass,
            edges=self.edges_,
            reach=float(np.diff(self.windows_).max()),
            family=self.method.family,
            seed=seed,
        )
        numbers = None if event is None else np.asarray(event)[rows]
        p = np.empty(len(self.windows_))
        for w in range(len(p)):
            search = self._search(w).fit(
                table[rows],
                masses,
                event=numbers,
                **data,
                seed=derive(seed, "window", w),
                progress=False,
            )
            p[w] = search.excess_.local_p
            done()
        if note is not None:
            with atomic_file(note, force=True) as part:
                part.write_text(json.dumps(p.tolist()))
        return p

    def _edges(self, mass: Floats) -> Floats:
        """Return the bins of the spectrum, of all windows the same."""
        if self.method.edges is not None:
            return rising(self.method.edges, "edges")
        if self.windows is not None:
            ends = float(mass.min()), float(mass.max())
            return edges_with(np.ravel(self.windows), *ends, self.method.bins)
        if len(mass) <= 2 * TAIL or mass.min() <= 0:
            raise InputError(
                f"{len(mass)} masses from {mass.min():g} make no bins; give edges, or more events."
            )
        top = np.partition(mass, -TAIL)[-TAIL]
        return np.geomspace(mass.min(), top, self.bins + 1)

    def _windows(self) -> Floats:
        """Return the windows (W, 2), checked."""
        bins = len(self.edges_) - 1
        if self.windows is not None:
            given = np.asarray(self.windows, dtype=np.float64)
            if given.ndim != 2 or given.shape[1] != 2 or not (given[:, 0] < given[:, 1]).all():
                raise InputError("windows must be pairs of a lower and a higher end.")
            return given
        count = bins - self.width - 2 * SIDEBAND + 1
        if self.width < 1 or count < 1:
            raise InputError(
                f"{bins} bins leave no window of {self.width} with {SIDEBAND} bins on either side;"
                " take more bins or a smaller width."
            )
        first = SIDEBAND + np.arange(count)
        return np.column_stack([self.edges_[first], self.edges_[first + self.width]])
