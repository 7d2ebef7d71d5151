"""Counters of links by interval: what monitoring writes, checked, and read from a user's table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Ints, as_table
from colliderkit.sources.files.formats import Paths
from colliderkit.sources.files.rows import Rows, read_rows

__all__ = ["COUNTERS", "LinkCounters", "checked_interval", "of_rows", "on_grid", "read_counters"]

COUNTERS = ("utilisation", "queue", "loss")
FULL = 0.8  # of a queue: above it a link is congested


@dataclass(frozen=True)
class LinkCounters:
    """Counters of L links in T intervals, one after another.

    - `interval` (T,) int64: numbers of the intervals, rising by one;
    - `link` (L,) int64: numbers of the links;
    - `values` (T, L, C) float64 with `names` (C,), the first three of which are `COUNTERS`: the
      share of the capacity in use, of the queue that is full, and of the packets lost;
    - `feeds` (L, L) bool: whether the link of the row feeds that of the column; all False where
      nobody knows.
    """

    interval: Ints
    link: Ints
    values: Floats
    names: tuple[str, ...]
    feeds: NDArray[np.bool_]

    @classmethod
    def checked(
        cls,
        values: ArrayLike,
        *,
        names: Sequence[str] = COUNTERS,
        interval: ArrayLike | None = None,
        link: ArrayLike | None = None,
        feeds: ArrayLike | None = None,
        what: str = "the counters",
    ) -> Self:
        """Return checked counters (T, L, C); numbered from 0 where no numbers are given.

        Raises `InputError`, which names event t L + l for interval t of link l, for values that are
        not finite, a queue or loss outside 0 to 1, intervals that do not follow one another, and
        counters that are missing.
        """
        table = np.asarray(values, dtype=np.float64)
        labels = tuple(names)
        if table.ndim != 3 or table.shape[2] != len(labels):
            raise InputError(
                f"{what}: has shape {table.shape} for the counters {', '.join(labels)}; give"
                " (intervals, links, counters)."
            )
        if labels[:3] != COUNTERS:
            raise InputError(
                f"{what}: has the counters {', '.join(labels)}; begin with {', '.join(COUNTERS)}."
            )
        as_table(table.reshape(-1, len(labels)), what, labels)
        for name in ("queue", "loss"):
            share = table[:, :, labels.index(name)]
            if (out := (share < 0) | (share > 1)).any():
                time, which = (int(i) for i in np.argwhere(out)[0])
                raise InputError(
                    f"{what}: {name} is {share[time, which]:g} in interval {time} of link {which}"
                    " (counted from 0); give shares from 0 to 1."
                )
        times = checked_interval(interval, len(table), what)
        numbers = np.arange(table.shape[1]) if link is None else np.asarray(link, np.int64)
        count = len(numbers)
        known = np.zeros((count, count), bool) if feeds is None else np.asarray(feeds, bool)
        return cls(times, numbers, table, labels, known)

    def __len__(self) -> int:
        return len(self.interval)

    def __getitem__(self, name: str) -> Floats:
        """Return one counter (T, L); raise `InputError` if there is none of that name."""
        if name not in self.names:
            raise InputError(f"there is no counter '{name}'; there are {', '.join(self.names)}.")
        return self.values[:, :, self.names.index(name)]

    @property
    def congested(self) -> NDArray[np.bool_]:
        """Where a queue is fuller than 80% or packets are lost, (T, L)."""
        found: NDArray[np.bool_] = (self["queue"] > FULL) | (self["loss"] > 0)
        return found

    def between(self, begin: int, end: int) -> Self:
        """Return the counters of the intervals at places `begin` to `end`, without the last."""
        part = slice(begin, end)
        return replace(self, interval=self.interval[part], values=self.values[part])


def read_counters(
    path: Paths,
    *,
    features: Sequence[str] = (),
    selection: str | None = None,
    tree: str | None = None,
) -> LinkCounters:
    """Read a table with a row for each interval and link, of any format and in any order.

    It has the columns `interval` and `link`, whole numbers, `utilisation`, `queue` and `loss`, and
    of further counters the expressions `features`. With `source` and `target`, the numbers of the
    nodes at its ends, a link is fed by those that end where it begins.
    Raises `InputError` as `read_rows` does, for an interval and link that has two rows or none,
    and as `LinkCounters.checked`.
    """
    rows = read_rows(
        path,
        ["interval", "link", *COUNTERS, *features],
        optional=("source", "target"),
        selection=selection,
        tree=tree,
    )
    return of_rows(rows, (*COUNTERS, *features))


def of_rows(rows: Rows, names: Sequence[str]) -> LinkCounters:
    """Make counters of rows with the columns interval, link and `names`."""
    what = ", ".join(map(str, rows.paths[:3]))
    interval, link, table, place = on_grid(rows, names, "link")
    feeds = None
    if {"source", "target"} <= set(rows.columns):
        ends = [np.empty(len(place), np.int64) for _ in range(2)]
        for end, name in zip(ends, ("source", "target"), strict=True):
            end[place] = rows.numbers(name)
        source, target = (end.reshape(len(interval), len(link)) for end in ends)
        if any((end != end[0]).any() for end in (source, target)):
            raise InputError(
                f"{what}: source or target of a link changes; give each link ends of its own."
            )
        feeds = target[0][:, None] == source[0][None, :]
    return LinkCounters.checked(
        table, names=names, interval=interval, link=link, feeds=feeds, what=what
    )


def on_grid(rows: Rows, names: Sequence[str], by: str) -> tuple[Ints, Ints, Floats, Ints]:
    """Order rows by interval and by another number, such as "link".

    Returns the intervals (T,), the numbers (L,), the values (T, L, C) of the columns `names` and
    the place t L + l of each row. Raises `InputError` for a place with two rows or none.
    """
    what = ", ".join(map(str, rows.paths[:3]))
    values = rows.table(names)
    interval, time = np.unique(rows.numbers("interval"), return_inverse=True)
    number, which = np.unique(rows.numbers(by), return_inverse=True)
    place = time * len(number) + which
    count = np.bincount(place, minlength=len(interval) * len(number))
    if (count != 1).any():
        bad = int(np.argmax(count != 1))
        some = "no row" if count[bad] == 0 else f"{count[bad]} rows"
        raise InputError(
            f"{what}: has {some} of interval {interval[bad // len(number)]} and {by}"
            f" {number[bad % len(number)]}; give one for each interval and {by}, by a selection of"
            f" those that are complete."
        )
    table = np.empty((len(place), len(names)))
    table[place] = values
    return interval, number, table.reshape(len(interval), len(number), -1), place.astype(np.int64)


def checked_interval(interval: ArrayLike | None, count: int, what: str) -> Ints:
    """Return numbers of intervals (count,) that follow one another, from 0 if none are given."""
    times: Ints = np.arange(count) if interval is None else np.asarray(interval, np.int64)
    if len(times) != count or (np.diff(times) != 1).any():
        gap = times[np.argmax(np.diff(times) != 1)] if len(times) > 1 else 0
        raise InputError(
            f"{what}: what follows interval {gap} is missing; fill it in, or give a stretch"
            " without holes."
        )
    return times
