"""Accesses to data sets: who was read when, and how large each is; what a cache sees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Ints, as_column

__all__ = ["Accesses"]


@dataclass(frozen=True)
class Accesses:
    """N accesses to D data sets, in the order of time.

    - `time` (N,) float64, in days since any day, never falling;
    - `dataset` (N,) int64: the row of the catalogue, 0 to D - 1;
    - `size` (D,) float64, positive, in GB; `names` (D,);
    - `born` (D,) float64, the day on which each appeared: the first access where it is not known;
    - `features`: further numbers of each data set by name (D,), such as its tier as a code;
    - `conferences`: days before which people hurry.

    Raises `InputError` for an access without a time, times that fall, a data set that the
    catalogue does not have, and sizes that are not positive.
    """

    time: Floats
    dataset: Ints
    size: Floats
    names: Sequence[str] = ()
    born: ArrayLike | None = None
    features: Mapping[str, ArrayLike] = field(default_factory=dict)
    conferences: ArrayLike = ()

    def __post_init__(self) -> None:
        keep = partial(object.__setattr__, self)
        time = as_column(self.time, len(self.time), "the time of the accesses")
        keep("time", time)
        dataset = np.asarray(self.dataset, dtype=np.int64)
        size = as_column(self.size, len(self.size), "the sizes of the data sets")
        keep("dataset", dataset)
        keep("size", size)
        if dataset.shape != time.shape:
            raise InputError(f"{len(time)} times and {len(dataset)} data sets; give one for each.")
        if len(time) > 1 and (fall := np.flatnonzero(np.diff(time) < 0)).size:
            raise InputError(
                f"the time of access {fall[0] + 1} (counted from 0) is before that of the access"
                " before it; sort the accesses by time."
            )
        if dataset.min() < 0 or dataset.max() >= len(size):
            raise InputError(
                f"an access is to data set {dataset.max()}, and the catalogue has {len(size)},"
                " counted from 0."
            )
        keep("names", tuple(self.names) or tuple(f"set{i}" for i in range(len(size))))
        if (size <= 0).any():
            wrong = int(np.argmax(size <= 0))
            raise InputError(
                f"the size of data set {self.names[wrong]} is {size[wrong]:g}; a cache holds sizes"
                " above 0, mend it or drop its accesses."
            )
        first = np.full(len(size), np.inf)
        np.minimum.at(first, dataset, time)
        born = first if self.born is None else np.asarray(self.born, dtype=np.float64)
        # Whoever is read before it is said to be there was there.
        keep("born", np.fmin(born, first))
        features = {name: np.asarray(x, dtype=np.float64) for name, x in self.features.items()}
        keep("features", features)
        keep("conferences", np.sort(np.asarray(self.conferences, dtype=np.float64).ravel()))

    def __len__(self) -> int:
        return len(self.time)

    @property
    def begin(self) -> float:
        """The day of the first access."""
        return float(self.time[0])

    @property
    def end(self) -> float:
        """The day of the last access."""
        return float(self.time[-1])

    def before(self, day: float) -> Self:
        """Return the accesses before a day, with the whole catalogue but no birth after it.

        Raises `InputError` where there are none.
        """
        count = int(np.searchsorted(self.time, day))
        if count == 0:
            raise InputError(f"there are no accesses before day {day:g}; the first is on day"
                             f" {self.begin:g}.")  # fmt: skip
        known = np.asarray(self.born, dtype=np.float64)
        born = np.where(known < day, known, np.inf)
        return replace(self, time=self.time[:count], dataset=self.dataset[:count], born=born)

    def counts(self, begin: float, end: float) -> Floats:
        """Return how often each data set is read in begin <= t < end, (D,)."""
        low, high = np.searchsorted(self.time, (begin, end))
        counted: Floats = np.bincount(self.dataset[low:high], minlength=len(self.size)).astype(
            np.float64
        )
        return counted

    def known(self, day: float) -> NDArray[np.bool_]:
        """Return which data sets are there before a day, (D,)."""
        return np.asarray(self.born) < day

    def idle(self, day: float) -> Floats:
        """Return the days since the last access before `day`, (D,); infinity for none."""
        count = int(np.searchsorted(self.time, day))
        last = np.full(len(self.size), -np.inf)
        # Of several assignments to one place numpy keeps the last, which is the latest.
        last[self.dataset[:count]] = self.time[:count]
        return day - last

    def next_use(self) -> Ints:
        """Return the number of the next access to the same data set, (N,); N where none is."""
        count = len(self.dataset)
        order = np.argsort(self.dataset, kind="stable")
        follows = np.full(count, count)
        same = self.dataset[order[1:]] == self.dataset[order[:-1]]
        follows[order[:-1][same]] = order[1:][same]
        return follows
