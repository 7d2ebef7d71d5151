"""Probes of paths by interval: traffic, delay and loss between sites, and the links on the way."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Ints, as_table
from colliderkit.sources.files.formats import Paths
from colliderkit.sources.files.rows import Rows, read_rows
from colliderkit.sources.network.counters import checked_interval, on_grid
from colliderkit.sources.network.faults import KINDS, Fault

__all__ = ["MEASURED", "PathProbes", "probes_of_rows", "read_faults", "read_probes"]

MEASURED = ("traffic", "delay", "loss")


@dataclass(frozen=True)
class PathProbes:
    """What was measured on P paths in T intervals, one after another.

    - `interval` (T,) int64, rising by one;
    - `values` (T, P, 3): the traffic that a pair of sites exchanges [any unit], the delay [ms] and
      the share of probes that were lost;
    - `routes` (P, L) bool: which of the links `link` (L,) int64 each path takes.
    """

    interval: Ints
    values: Floats
    routes: NDArray[np.bool_]
    link: Ints

    @classmethod
    def checked(
        cls,
        values: ArrayLike,
        routes: ArrayLike,
        *,
        interval: ArrayLike | None = None,
        link: ArrayLike | None = None,
        what: str = "the probes",
    ) -> Self:
        """Return checked probes; intervals and links are numbered from 0 if no numbers are given.

        Raises `InputError`, which names event t P + p for interval t of path p, for values that are
        not finite, a loss outside 0 to 1, intervals that do not follow one another, and routes of
        another number of paths, or of a path without links.
        """
        table = np.asarray(values, dtype=np.float64)
        if table.ndim != 3 or table.shape[2] != len(MEASURED):
            raise InputError(
                f"{what}: has shape {table.shape}; give (intervals, paths, {len(MEASURED)}):"
                f" {', '.join(MEASURED)}."
            )
        as_table(table.reshape(-1, len(MEASURED)), what, MEASURED)
        loss = table[:, :, 2]
        if (out := (loss < 0) | (loss > 1)).any():
            time, path = (int(i) for i in np.argwhere(out)[0])
            raise InputError(
                f"{what}: loss is {loss[time, path]:g} in interval {time} of path {path} (counted"
                " from 0); give shares from 0 to 1."
            )
        taken = np.asarray(routes, dtype=bool)
        if taken.ndim != 2 or len(taken) != table.shape[1] or not taken.any(1).all():
            raise InputError(
                f"{what}: has {table.shape[1]} paths and routes of shape {taken.shape}; give the"
                " links of each path, one or more."
            )
        numbers = np.arange(taken.shape[1]) if link is None else np.asarray(link, np.int64)
        return cls(checked_interval(interval, len(table), what), table, taken, numbers)

    def __len__(self) -> int:
        return len(self.interval)

    def __getitem__(self, name: str) -> Floats:
        """Return what was measured by name, (T, P)."""
        return self.values[:, :, MEASURED.index(name)]

    def between(self, begin: int, end: int) -> Self:
        """Return the intervals at places `begin` to `end`, without the last."""
        part = slice(begin, end)
        return replace(self, interval=self.interval[part], values=self.values[part])


def read_probes(path: Paths, routes: Paths, *, selection: str | None = None) -> PathProbes:
    """Read a table with a row for each interval and path, and one with a row for each path's link.

    The first has the columns `interval`, `path`, `traffic`, `delay` and `loss`, the second, as of
    traceroutes, `path` and `link`; all numbers of intervals, paths and links are whole. Raises
    `InputError` as `read_rows` does, for an interval and path that has two rows or none, and as
    `PathProbes.checked`.
    """
    rows = read_rows(path, ["interval", "path", *MEASURED], selection=selection)
    return probes_of_rows(rows, read_rows(routes, ["path", "link"]))


def probes_of_rows(rows: Rows, routes: Rows) -> PathProbes:
    """Make probes of rows of both tables."""
    what = ", ".join(map(str, rows.paths[:3]))
    interval, paths, values, _ = on_grid(rows, MEASURED, "path")
    link, which = np.unique(routes.numbers("link"), return_inverse=True)
    taken = np.zeros((len(paths), len(link)), dtype=bool)
    of = routes.numbers("path")
    known = np.isin(of, paths)
    taken[np.searchsorted(paths, of[known]), which[known]] = True
    return PathProbes.checked(values, taken, interval=interval, link=link, what=what)


def read_faults(path: Paths) -> list[Fault]:
    """Read known incidents: columns `begin`, `end` [intervals], `link` and `kind`.

    `kind` is one more than the place in `faults.KINDS`, whole numbers all; the size is not known.
    """
    rows = read_rows(path, ["begin", "end", "link", "kind"])
    columns = [rows.numbers(name).tolist() for name in ("begin", "end", "link", "kind")]
    found: Sequence[tuple[int, ...]] = list(zip(*columns, strict=True))
    for row in found:
        if not 1 <= row[3] <= len(KINDS):
            raise InputError(
                f"{path}: kind is {row[3]}; give 1 to {len(KINDS)}: {', '.join(KINDS)}."
            )
    return [Fault(KINDS[kind - 1], link, begin, end, 1.0) for begin, end, link, kind in found]
