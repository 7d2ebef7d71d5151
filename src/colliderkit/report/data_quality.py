"""Plots of data quality: maps with what is wrong marked, turn-ons by size, flags by month."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from colliderkit.metrics.value import Value
from colliderkit.report.plots import COLOURS, MARKERS, drawn, legend

__all__ = ["flags_by_month", "monitor_histogram", "monitor_map", "sections_lost", "turn_on"]

WIDE = 15.0  # the last size over the first, from which on their axis is logarithmic


@drawn
def monitor_map(
    values: ArrayLike,
    label: str,
    *,
    marked: ArrayLike | None = None,
    place: tuple[int, int] | None = None,
    axes: tuple[str, str] = (r"$\phi$ index", r"$\eta$ index"),
) -> Figure:
    """Draw a map (rows, columns), the bins that are `marked` outlined and a ring at `place`.

    Values of both signs have colours from blue to red, with white at 0.
    """
    figure = Figure(figsize=(16.4, 7.0))
    panel = figure.subplots()
    shown = np.asarray(values, dtype=np.float64)
    both = bool((shown < 0).any())
    reach = max(float(np.abs(shown).max()), 1e-9)
    look = (
        {"cmap": "RdBu_r", "norm": TwoSlopeNorm(0, -reach, reach)} if both else {"cmap": "viridis"}
    )
    image = panel.imshow(shown, origin="lower", aspect="auto", interpolation="nearest", **look)
    figure.colorbar(image, ax=panel, label=label, pad=0.01)
    for row, column in np.argwhere(np.asarray(marked)) if marked is not None else ():
        panel.add_patch(
            Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="k", linewidth=1.2)
        )
    if place is not None:
        panel.plot(
            *place[::-1], "o", markersize=26, markerfacecolor="none", markeredgecolor="k",
            markeredgewidth=2.2, label="worst bin",
        )  # fmt: skip
    panel.set_xlabel(axes[0])
    panel.set_ylabel(axes[1])
    legend(figure, panel)
    return figure


@drawn
def monitor_histogram(counts: ArrayLike, reference: ArrayLike, pulls: ArrayLike) -> Figure:
    """Draw the entries of a histogram (bins,) and those of references, as many, and the pulls."""
    figure = Figure()
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    data, other = (np.asarray(x, dtype=np.float64) for x in (counts, reference))
    scaled = other * data.sum() / max(other.sum(), 1)
    edges = np.arange(len(data) + 1) - 0.5
    filled = np.flatnonzero((data > 0) | (scaled > 0.5))
    middle = np.arange(len(data))
    top.stairs(scaled, edges, color="0.5", fill=True, alpha=0.5, label="references")
    top.errorbar(
        middle, data, np.sqrt(data), fmt="o", color=COLOURS[0], markersize=5, label="this run"
    )
    top.set_yscale("log")
    top.set_ylabel("Entries")
    top.set_ylim(0.5, 3 * max(data.max(), 1))
    bottom.stairs(np.asarray(pulls, dtype=np.float64), edges, color=COLOURS[2], fill=True)
    bottom.axhline(0, color="k", linewidth=1.2)
    bottom.set_ylabel("Pull")
    bottom.set_xlabel("Bin")
    if len(filled):  # empty edges are trimmed
        bottom.set_xlim(edges[filled[0]], edges[filled[-1] + 1])
    legend(figure, top)
    return figure


@drawn
def flags_by_month(
    months: Sequence[str], series: Mapping[str, Sequence[Value]], rate: float, what: str
) -> Figure:
    """Draw the share of runs that are flagged in each month, with errors, and the rate asked for.

    `what` names the runs: "good runs".
    """
    figure = Figure()
    axes = figure.subplots()
    places = np.arange(len(months))
    for i, (name, values) in enumerate(series.items()):
        share, error = (np.array([getattr(v, key) for v in values]) for key in ("value", "error"))
        shift = 0.12 * (i - (len(series) - 1) / 2)
        axes.errorbar(
            places + shift, share, error, fmt=MARKERS[i % len(MARKERS)], markersize=8,
            color=COLOURS[i % len(COLOURS)], label=name,
        )  # fmt: skip
    axes.axhline(rate, color="k", linestyle="--", linewidth=1.4, label="asked for")
    axes.set_xticks(places, list(months), rotation=30 if len(months) > 4 else 0)
    axes.set_xlim(-0.5, len(months) - 0.5)
    axes.set_ylim(0, None)
    axes.set_ylabel(f"Share of {what} flagged")
    legend(figure, axes)
    return figure


@drawn
def turn_on(
    sizes: ArrayLike,
    series: Mapping[str, Sequence[Value]],
    label: str,
    *,
    first: str = "",
    good: float | None = None,
) -> Figure:
    """Draw the share of faults that is found against their size, by tests, with binomial errors.

    `first` is drawn thick and black (all tests combined); `good` is the share of good runs.
    """
    figure = Figure()
    axes = figure.subplots()
    axis = np.asarray(sizes, dtype=np.float64)
    for i, (name, values) in enumerate(series.items()):
        share, error = (np.array([getattr(v, key) for v in values]) for key in ("value", "error"))
        thick = name == first
        axes.errorbar(
            axis, share, error, fmt=f"{MARKERS[i % len(MARKERS)]}{'-' if thick else '--'}",
            color="k" if thick else COLOURS[i % len(COLOURS)],
            linewidth=2.6 if thick else 1.5, markersize=7 if thick else 5, label=name,
        )  # fmt: skip
    for level in (0.5, 0.95):
        axes.axhline(level, color="0.6", linewidth=1.0, linestyle=":")
    if good is not None:
        axes.axhline(good, color="0.3", linewidth=1.4, linestyle="-.", label="of good runs")
    axes.set_ylim(0, 1.05)
    if axis[-1] > WIDE * axis[0] > 0:
        axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.set_ylabel("Share of faults found")
    legend(figure, axes, fontsize=13)
    return figure


@drawn
def sections_lost(section: ArrayLike, worst: Mapping[str, ArrayLike], lost: ArrayLike) -> Figure:
    """Draw the worst stretch that ends with each lumi section (S,) over its cut; shade the lost."""
    figure = Figure()
    axes = figure.subplots()
    number = np.asarray(section)
    for (name, values), colour in zip(worst.items(), COLOURS, strict=False):
        found = np.asarray(values, dtype=np.float64)
        # No stretch ends in the first sections of a run.
        axes.plot(number, np.where(found > 0, found, np.nan), "o-", color=colour, label=name)
    gone = number[np.asarray(lost, dtype=bool)]
    for i, place in enumerate(gone):
        axes.axvspan(
            place - 0.5, place + 0.5, color=COLOURS[2], alpha=0.15, linewidth=0,
            label="not to be used" if i == 0 else None,
        )  # fmt: skip
    axes.set_xlim(number.min() - 0.5, number.max() + 0.5)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("Lumi section")
    axes.set_ylabel("Worst stretch that ends here / cut")
    axes.axhline(1.0, color="k", linestyle="--", linewidth=1.4)
    legend(figure, axes)
    return figure
