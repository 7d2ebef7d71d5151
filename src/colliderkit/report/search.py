"""Plots of a bump hunt: the spectrum with its largest excess, and local p-values by window."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from colliderkit.methods.search.bump_hunt import Bump
from colliderkit.report.observables import axis_label, unit_of
from colliderkit.report.plots import COLOURS, drawn, legend

__all__ = ["bump", "local_p_values"]

Floats = NDArray[np.float64]


@drawn
def bump(
    counts: ArrayLike,
    edges: ArrayLike,
    largest: Bump,
    title: str,
    *,
    label: str = "Jet mass [GeV]",
    what: str = "Background jets",
) -> Figure:
    """Draw a spectrum, what its sidebands foretell, the window of the largest excess, and pulls.

    `counts` (B,) of `what` stand in the bins of `edges` (B + 1,), of the quantity `label`, a
    column's name or a label with its unit in brackets.
    """
    figure = Figure()
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    label = axis_label(label)
    borders, events = np.asarray(edges, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    middle = (borders[1:] + borders[:-1]) / 2
    top.errorbar(
        middle, events, np.sqrt(events), fmt="ko", markersize=5, elinewidth=1.2, label="data"
    )
    look = {"color": COLOURS[0], "linewidth": 2.4, "label": "from the sidebands"}
    top.stairs(largest.background, borders, baseline=None, **look)
    pulls = (events - largest.background) / np.sqrt(np.maximum(largest.background, 1e-9))
    bottom.stairs(pulls, borders, color=COLOURS[0], fill=True, alpha=0.6)
    bottom.axhline(0, color="k", linewidth=1.0)
    for axes in (top, bottom):
        axes.axvspan(*largest.window, color=COLOURS[1], alpha=0.25, linewidth=0)
    top.set_yscale("log")
    least = events[events > 0].min()
    top.set_ylim(0.5 * least, 2 * events.max())
    top.set_xlim(borders[0], borders[-1])
    unit = f" {unit_of(label)}".rstrip()
    top.set_title(
        f"{title}\n{largest.window[0]:g}-{largest.window[1]:g}{unit}: {largest.observed:g} events,"
        f" {largest.expected:.0f} $\\pm$ {largest.uncertainty:.0f} expected\n"
        f"local {largest.significance:.1f}$\\sigma$, global p = {largest.global_p:.2g}",
        loc="left",
        fontsize=14,
    )
    legend(figure, top)
    top.set_ylabel(f"{what} / {borders[1] - borders[0]:g}{unit}")
    bottom.set_ylabel("Pull", loc="center")
    bottom.set_xlabel(label)
    return figure


@drawn
def local_p_values(
    windows: Floats, p_values: Floats, global_p: float, label: str = "Mass [GeV]"
) -> Figure:
    """Draw the local p-value (W,) of each window (W, 2), and the global one of the smallest."""
    figure = Figure()
    axes = figure.subplots()
    axes.hlines(p_values, windows[:, 0], windows[:, 1], color=COLOURS[0], linewidth=1.6, alpha=0.6)
    best = int(p_values.argmin())
    axes.hlines(
        p_values[best], *windows[best], color=COLOURS[1], linewidth=4, label="largest excess"
    )
    axes.axhline(global_p, color="k", linestyle=":", label="its global p-value")
    axes.set_yscale("log")
    axes.set_ylim(0.3 * max(p_values.min(), 1e-30), 3.0)
    axes.set_xlim(windows.min(), windows.max())
    axes.set_xlabel(axis_label(label))
    axes.set_ylabel("Local p-value")
    legend(figure)
    return figure
