"""Plots of accesses to data sets: misses of caches, forecasts over weeks, what a disk buys."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import ArrayLike, NDArray

from colliderkit.metrics.value import Value
from colliderkit.report.plots import COLOURS, LINES, MARKERS, drawn, legend, ratio_label, with_ratio

__all__ = ["against_disk", "miss_ratios", "over_time"]

Series = Mapping[str, Sequence[Value]]


@drawn
def miss_ratios(series: Series, caches: ArrayLike, reference: str, what: str = "Miss") -> Figure:
    """Draw the miss ratio of policies over the size of the cache, above its ratio to one of them.

    `series` are {policy: ratios (K,)} at the sizes `caches` (K,), shares of all data.
    """
    sizes = 100 * np.asarray(caches, dtype=np.float64)
    figure, (axes, below) = with_ratio()
    base = np.array([value.value for value in series[reference]])
    for i, (name, values) in enumerate(series.items()):
        middle, error = (
            np.array([getattr(v, part) for v in values]) for part in ("value", "error")
        )
        look: dict[str, Any] = {
            "color": COLOURS[i % len(COLOURS)],
            "linestyle": LINES[i // len(COLOURS) % len(LINES)],
            "marker": MARKERS[i % len(MARKERS)],
        }
        axes.errorbar(sizes, middle, error, label=name, **look)
        below.errorbar(sizes, middle / base, error / base, **look)
    axes.set_yscale("log")
    axes.set_ylabel(f"{what} ratio")
    ratio_label(below, reference)
    below.set_xlabel("Size of the cache over that of all data sets [%]")
    for each in (axes, below):
        each.set_xscale("log")
        each.xaxis.set_major_locator(FixedLocator(sizes.tolist()))
        each.xaxis.set_minor_locator(NullLocator())
        each.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    legend(figure, axes)
    return figure


@drawn
def over_time(
    series: Mapping[str, ArrayLike], days: ArrayLike, what: str, mark: float | None = None
) -> Figure:
    """Draw one number a day or week of several forecasts, {name: (T,)}; a line at day `mark`."""
    figure = Figure()
    axes = figure.subplots()
    when = np.asarray(days, dtype=np.float64)
    for i, (name, values) in enumerate(series.items()):
        axes.plot(when, np.asarray(values), color=COLOURS[i % len(COLOURS)], label=name,
                  linestyle=LINES[i // len(COLOURS) % len(LINES)])  # fmt: skip
    if mark is not None:
        axes.axvline(mark, color="k", linestyle=":", linewidth=1.4)
    axes.set_xlabel("Day")
    axes.set_ylabel(what)
    axes.set_ylim(bottom=0)
    legend(figure, axes)
    return figure


@drawn
def against_disk(series: Series, disk: ArrayLike, what: str, unit: str) -> Figure:
    """Draw what a disk buys: `what` of several rules over its size, {rule: values (K,)}."""
    figure = Figure()
    axes = figure.subplots()
    sizes = np.asarray(disk, dtype=np.float64)
    for i, (name, values) in enumerate(series.items()):
        middle, error = (
            np.array([getattr(v, part) for v in values]) for part in ("value", "error")
        )
        axes.errorbar(sizes, middle, error, color=COLOURS[i % len(COLOURS)],
                      marker=MARKERS[i % len(MARKERS)], label=name)  # fmt: skip
    axes.set_yscale("log")
    axes.set_xlabel("Disk over the size of all data sets")
    axes.set_ylabel(f"{what} [{unit}]" if unit else what)
    legend(figure, axes)
    return figure


def split(values: Sequence[Value]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return values and errors as arrays."""
    return np.array([v.value for v in values]), np.array([v.error for v in values])
