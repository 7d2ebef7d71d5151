"""Tables of events: N rows of named columns with a weight and an event number each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.schema import hash_uniform, say_decisive

__all__ = [
    "FILLINGS",
    "Floats",
    "Ints",
    "Table",
    "as_column",
    "as_table",
    "as_weight",
    "filling",
    "validation_mask",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FILLINGS = (-999.0, -99.0, -9999.0)  # what stands for "none" where zero may be a value


@dataclass(frozen=True)
class Table:
    """N events in a table: columns of numbers, weights and event numbers.

    - `values` (N, C) float64, finite, with `names` (C,);
    - `weight` (N,) float64, finite;
    - `event` (N,) int64: rows of one number are one event, which no split parts.
    """

    values: Floats
    names: tuple[str, ...]
    weight: Floats
    event: Ints

    @classmethod
    def checked(
        cls,
        values: ArrayLike,
        what: str,
        *,
        names: Sequence[str] = (),
        weight: ArrayLike | None = None,
        event: ArrayLike | None = None,
        negative: str | None = None,
    ) -> Self:
        """Return a checked table of `what` ("the data"); raise `InputError` for what is wrong.

        `negative` is the reason why weights may not be negative, if they may not.
        """
        table = as_table(values, what, names)
        labels = tuple(names) or tuple(f"column {i}" for i in range(table.shape[1]))
        return cls(
            table,
            labels,
            as_weight(weight, len(table), what, negative=negative),
            event_numbers(event, len(table), what),
        )

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, name: str) -> Floats:
        """Return a column (N,); raise `InputError` if there is none of that name."""
        if name not in self.names:
            raise InputError(f"there is no column '{name}'; the table has {', '.join(self.names)}.")
        return self.values[:, self.names.index(name)]

    def at(self, rows: Any) -> Self:
        """Return some of the events: a mask (N,), numbers (n,) or a slice."""
        return replace(
            self, values=self.values[rows], weight=self.weight[rows], event=self.event[rows]
        )


def as_table(values: ArrayLike, what: str, names: Sequence[str] = ()) -> Floats:
    """Return a table (N, C) float64 of `what`; one column may be given as (N,).

    Raises `InputError`, one sentence each, for another shape, no events, a number of columns that
    is not that of `names`, and a value that is NaN or infinite, which is named by column and event.
    """
    table = np.asarray(values, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or table.shape[1] == 0:
        raise InputError(f"{what}: has shape {np.shape(values)}; give (events, columns).")
    if len(table) == 0:
        raise InputError(f"{what}: holds no events; check the selection and the file.")
    if names and table.shape[1] != len(names):
        raise InputError(
            f"{what}: has {table.shape[1]} columns for the {len(names)} names {', '.join(names)}."
        )
    bad = ~np.isfinite(table)
    if bad.any():
        event, column = (int(i) for i in np.argwhere(bad)[0])
        name = f"column '{names[column]}'" if names else f"column {column}"
        where = f"{what}: {name}" if table.shape[1] > 1 or names else what
        raise InputError(
            f"{where} is {table[event, column]} in event {event} (counted from 0); mend it or drop"
            " the event."
        )
    return table


def as_column(values: ArrayLike, count: int, what: str) -> Floats:
    """Return one finite number for each of `count` events, (count,) float64, or raise."""
    column = np.asarray(values, dtype=np.float64)
    if column.shape != (count,):
        raise InputError(
            f"{what}: has shape {column.shape} for {count} events; give one number for each."
        )
    as_table(column, what)
    return column


def as_weight(
    weight: ArrayLike | None, count: int, what: str = "", *, negative: str | None = None
) -> Floats:
    """Return the weights (count,) float64 of events, 1 where none are given.

    Raises `InputError`, one sentence each, for another number of weights, one that is not finite,
    a sum that is not positive and, where `negative` says why not, one below 0. `what` names the
    events ("the data"). Warns where one event has more than half of all |weights|, for what is
    learned then is that event; the effective number is (sum w)^2 / sum w^2.
    """
    if weight is None:
        return np.ones(count)
    values = np.asarray(weight, dtype=np.float64)
    whose = f"{what}: " if what else ""
    if values.shape != (count,):
        raise InputError(
            f"{whose}weight has shape {values.shape} for {count} events; give one for each."
        )
    if not np.isfinite(values).all():
        event = int(np.argmin(np.isfinite(values)))
        raise InputError(
            f"{whose}the weight of event {event} (counted from 0) is {values[event]}; mend it or"
            " drop the event."
        )
    if negative is not None and (values < 0).any():
        event = int(np.argmax(values < 0))
        raise InputError(
            f"{whose}the weight of event {event} (counted from 0) is {values[event]:g}; {negative},"
            " so that weights must not be negative."
        )
    if not values.sum() > 0:
        raise InputError(
            f"{whose}the weights sum to {values.sum():.6g}; their sum must be positive."
        )
    say_decisive(values, whose)
    return values


def filling(values: NDArray[Any]) -> float | None:
    """Return the number that stands for "none" in a column (N,), or None if there is none.

    It is -999, -99 or -9999, the least value of all, and further from the others than these are
    from each other, or the value of ten events or more where others are not whole.
    """
    low = float(np.min(values, initial=0))
    if low not in FILLINGS:
        return None
    rest = values[values != low]
    if not len(rest) or not np.isfinite(rest).all():
        return None
    apart = rest.min() - low > rest.max() - rest.min()
    atom = len(values) - len(rest) >= 10 and bool((rest != np.floor(rest)).any())
    return low if apart or atom else None


def event_numbers(event: ArrayLike | None, count: int, what: str) -> Ints:
    """Return the event numbers (count,) int64, those of the rows where none are given."""
    if event is None:
        return np.arange(count)
    numbers = np.asarray(event)
    if numbers.shape != (count,) or numbers.dtype.kind not in "iu":
        raise InputError(
            f"{what}: event has shape {numbers.shape} and type {numbers.dtype} for {count} events;"
            " give a whole number for each."
        )
    return numbers.astype(np.int64)


def validation_mask(event: NDArray[Any], share: float, seed: int) -> NDArray[np.bool_]:
    """Choose the events held out of the training, (N,) bool, by a hash of their number.

    About `share` of them; the side of an event depends on its number and `seed` alone, so that
    the rows of one event are never parted and other events move none. Raises `InputError` for a
    share outside (0, 1), for a few numbers that all events share, and where no row is left on one
    of the sides.
    """
    if not 0 < share < 1:
        raise InputError(f"validation is {share:g}; give a share between 0 and 1.")
    held = hash_uniform(np.asarray(event), seed) < share
    # What is far from the share is looked into: the numbers may be no numbers of events.
    if abs(held.mean() - share) > share / 2 and len(held):
        numbers = np.unique(event)
        if len(numbers) < 10 and len(held) >= 10 * len(numbers):
            listed = ", ".join(map(str, numbers[:3].tolist())) + ", ..." * (len(numbers) > 3)
            raise InputError(
                f"event has only {len(numbers)} different number(s) ({listed}) in"
                f" {len(held)} events, and events are held out by their numbers; leave event out,"
                " or give each event its own."
            )
    if not held.any() or held.all():
        raise InputError(
            f"{len(held)} events of {len(np.unique(event))} numbers and validation = {share:g}"
            " leave none to train on or none to validate with; give more events."
        )
    return held
