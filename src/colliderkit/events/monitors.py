"""Monitors of a detector: occupancy maps, means and histograms in the lumi sections of runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Ints

__all__ = ["MonitorRuns", "check_order", "day_text"]


@dataclass(frozen=True)
class MonitorRuns:
    """R runs in the order of time, with their monitors in each of T lumi sections.

    - `run` (R,) int64, rising; the sections of run r are the rows offsets[r] to offsets[r + 1];
    - `section` (T,) int64, rising in a run, and `luminosity` (T,), in a unit of the user's;
    - `counts`: entries of each bin, {monitor: (T, ...)}: maps of two axes, histograms of one;
    - `means`: of a quantity in each bin, such as a time in ns, {monitor: (T, ...)}; the entries
      are those of the counts that `entries_of` names;
    - `day` (R,) int64, days since 1970-01-01, or None; `good` (R,), the label of a run, or None.
    """

    run: Ints
    offsets: Ints
    section: Ints
    luminosity: Floats
    counts: Mapping[str, NDArray[Any]]
    means: Mapping[str, NDArray[Any]]
    day: Ints | None = None
    good: NDArray[np.bool_] | None = None

    @classmethod
    def checked(
        cls,
        run: ArrayLike,
        section: ArrayLike,
        counts: Mapping[str, ArrayLike],
        *,
        means: Mapping[str, ArrayLike] | None = None,
        luminosity: ArrayLike | None = None,
        day: ArrayLike | None = None,
        good: ArrayLike | None = None,
        what: str = "the monitors",
    ) -> Self:
        """Return runs of T sections in any order: `run`, `section`, `day`, `good` are (T,) each.

        Raises `InputError` for a section that is there twice, a day or a label that changes in a
        run, days that fall as the number of the run rises, entries that are no counts, a
        luminosity below 0 and values that are not finite, each named by its run and section.
        """
        runs, sections = np.asarray(run, dtype=np.int64), np.asarray(section, dtype=np.int64)
        if not len(runs) or not counts:
            raise InputError(f"{what}: holds no lumi sections with counts; check the file.")
        order = np.lexsort((sections, runs))
        runs, sections = runs[order], sections[order]
        begin = np.flatnonzero(np.r_[True, runs[1:] != runs[:-1]])
        offsets = np.append(begin, len(runs))
        twice = (runs[1:] == runs[:-1]) & (sections[1:] == sections[:-1])
        if twice.any():
            i = int(np.argmax(twice))
            raise InputError(
                f"{what}: lumi section {sections[i]} of run {runs[i]} is there twice; keep one."
            )
        lumi = np.ones(len(runs)) if luminosity is None else np.asarray(luminosity, np.float64)
        lumi = lumi if luminosity is None else lumi[order]
        held: dict[str, dict[str, NDArray[Any]]] = {"counts": {}, "means": {}}
        for kind, given in (("counts", counts), ("means", means or {})):
            for name, values in given.items():
                array = np.asarray(values)
                if array.ndim < 2 or len(array) != len(runs):
                    raise InputError(
                        f"{what}: monitor '{name}' has shape {array.shape} for {len(runs)} lumi"
                        " sections; give the bins of each."
                    )
                held[kind][name] = array[order]
        columns = {"luminosity": (lumi, True)}
        columns |= {name: (values, True) for name, values in held["counts"].items()}
        columns |= {name: (values, False) for name, values in held["means"].items()}
        for name, (values, positive) in columns.items():
            bad = ~np.isfinite(values) | (positive & (values < 0))
            if name in held["counts"] and values.dtype.kind == "f":
                bad |= values != np.floor(values)
            if bad.any():
                row = int(np.argwhere(bad)[0][0])
                value = values[row][bad[row]].reshape(-1)[0] if values.ndim > 1 else values[row]
                due, way = "finite", ""
                if name in held["counts"]:
                    due, way = "a count", "; name it among the means if it is one"
                elif positive:
                    due = "0 or more"
                raise InputError(
                    f"{what}: '{name}' is {value} in lumi section {sections[row]} of run"
                    f" {runs[row]}, and is to be {due}{way}."
                )
        each: dict[str, Any] = {}
        for name, values_of in (("day", day), ("good", good)):
            if values_of is None:
                continue
            values = np.asarray(values_of)[order]
            first = np.repeat(values[begin], np.diff(offsets))
            if (first != values).any():
                row = int(np.argmax(first != values))
                raise InputError(f"{what}: the {name} changes inside run {runs[row]}; mend it.")
            each[name] = values[begin].astype(bool if name == "good" else np.int64)
        check_order(runs[begin], each.get("day"), what)
        return cls(runs[begin], offsets, sections, lumi, held["counts"], held["means"], **each)

    def __len__(self) -> int:
        return len(self.run)

    def at(self, rows: Any) -> Self:
        """Return some of the runs: a mask (R,), numbers (n,) or a slice."""
        chosen = np.arange(len(self))[rows]
        sizes = np.diff(self.offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        if len(chosen) and (np.diff(chosen) == 1).all():  # neighbours are not copied
            where: Any = slice(self.offsets[chosen[0]], self.offsets[chosen[-1] + 1])
        else:
            where = np.repeat(self.offsets[chosen] - offsets[:-1], sizes) + np.arange(offsets[-1])
        return replace(
            self,
            run=self.run[chosen],
            offsets=offsets,
            section=self.section[where],
            luminosity=self.luminosity[where],
            counts={name: values[where] for name, values in self.counts.items()},
            means={name: values[where] for name, values in self.means.items()},
            day=None if self.day is None else self.day[chosen],
            good=None if self.good is None else self.good[chosen],
        )

    def sums(self, monitor: str) -> Floats:
        """Return the entries of a monitor in whole runs, (R, ...)."""
        counts = self.counts[monitor]
        sums: Floats = np.add.reduceat(counts, self.offsets[:-1], axis=0, dtype=np.float64)
        return sums

    def run_means(self, monitor: str) -> Floats:
        """Return a mean of whole runs, (R, ...), weighted by its entries; 0 where there are none.

        mean = sum_s n_s mean_s / sum_s n_s
        """
        entries = self.counts[self.entries_of(monitor)]
        product = entries * self.means[monitor]
        sums = np.add.reduceat(product, self.offsets[:-1], axis=0, dtype=np.float64)
        means: Floats = sums / np.maximum(self.sums(self.entries_of(monitor)), 1)
        return means

    def entries_of(self, mean: str) -> str:
        """Return the counts that a mean is of: the first with the same bins."""
        shape = self.means[mean].shape[1:]
        for name, values in self.counts.items():
            if values.shape[1:] == shape:
                return name
        raise InputError(
            f"monitor '{mean}' is a mean in {_bins(shape)} bins, and no counts have these; give"
            " its entries too."
        )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the numbers of bins of each monitor."""
        both = {**self.counts, **self.means}
        return {name: tuple(values.shape[1:]) for name, values in both.items()}

    def joined(self, other: Self) -> Self:
        """Return these runs and later ones; raise `InputError` for other monitors or bins."""
        for name, shape in self.shapes().items():
            if (found := other.shapes().get(name)) != shape:
                has = "is not there" if found is None else f"has {_bins(found)} bins"
                raise InputError(
                    f"monitor '{name}' has {_bins(shape)} bins until run {self.run[-1]} and"
                    f" {has} from run {other.run[0]} on; certify the two by themselves."
                )
        check_order(np.append(self.run, other.run), None, "the runs")
        days = None if self.day is None or other.day is None else np.append(self.day, other.day)
        good = None
        if self.good is not None and other.good is not None:
            good = np.append(self.good, other.good)
        return replace(
            self,
            run=np.append(self.run, other.run),
            offsets=np.append(self.offsets, other.offsets[1:] + self.offsets[-1]),
            section=np.append(self.section, other.section),
            luminosity=np.append(self.luminosity, other.luminosity),
            counts={n: np.concatenate([v, other.counts[n]]) for n, v in self.counts.items()},
            means={n: np.concatenate([v, other.means[n]]) for n, v in self.means.items()},
            day=days,
            good=good,
        )


def check_order(run: Ints, day: Ints | None, what: str) -> None:
    """Raise `InputError` where runs (R,) are not in order, or their days fall as they rise."""
    falls = np.diff(run) <= 0
    if falls.any():
        i = int(np.argmax(falls))
        raise InputError(
            f"{what}: run {run[i + 1]} comes after run {run[i]}; give each run once, in order."
        )
    if day is not None and (early := np.diff(day) < 0).any():
        i = int(np.argmax(early))
        raise InputError(
            f"{what}: run {run[i + 1]} is of {day_text(day[i + 1])}, before run {run[i]} of"
            f" {day_text(day[i])}: dates are out of order; mend them, or leave the date out to go"
            " by the number of the run."
        )


def day_text(day: int | np.integer[Any]) -> str:
    """Write a day as 2024-05-31."""
    return str(np.datetime64(int(day), "D"))


def _bins(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
