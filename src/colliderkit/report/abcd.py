"""Plots of an ABCD plane: its events and cuts, and closure outside of the signal region."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from colliderkit.methods.search.plane import Check
from colliderkit.metrics.value import Value
from colliderkit.report.observables import axis_label
from colliderkit.report.plots import COLOURS, drawn, legend, styles

__all__ = ["closures", "plane", "validation"]

Floats = NDArray[np.float64]
BINS = 40


@drawn
def plane(
    scores: ArrayLike, weight: ArrayLike, cuts: ArrayLike, labels: Sequence[str], title: str = ""
) -> Figure:
    """Draw the density of events, scores (N, 2) and weights (N,), with the cuts and regions."""
    x, y = np.asarray(scores, dtype=np.float64).T
    figure = Figure(figsize=(8.0, 6.8))
    axes = figure.subplots()
    ends = [np.quantile(values, [0.0005, 0.9995]) for values in (x, y)]
    edges = [np.linspace(low, max(high, low + 1e-9), BINS + 1) for low, high in ends]
    density = np.histogram2d(x, y, edges, weights=np.asarray(weight))[0]
    largest = max(float(density.max()), 1.0)
    least = float(density[density > 0].min(initial=largest / 2))
    image = axes.pcolormesh(
        *edges, np.ma.masked_less_equal(density.T, 0), norm=LogNorm(least, largest), rasterized=True
    )
    figure.colorbar(image, ax=axes, label="Events / bin")
    cut_x, cut_y = np.asarray(cuts, dtype=np.float64)
    axes.axvline(cut_x, color=COLOURS[2], linewidth=2.4)
    axes.axhline(cut_y, color=COLOURS[2], linewidth=2.4)
    boxed = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 2}
    for name, across, up in (
        ("A", 0.97, 0.97),
        ("B", 0.97, 0.03),
        ("C", 0.03, 0.97),
        ("D", 0.03, 0.03),
    ):
        axes.text(
            across,
            up,
            name,
            transform=axes.transAxes,
            ha="right" if across > 0.5 else "left",
            va="top" if up > 0.5 else "bottom",
            bbox=boxed,
        )
    axes.set_xlabel(axis_label(labels[0]))
    axes.set_ylabel(axis_label(labels[1]))
    if title:
        axes.set_title(title, loc="left")
    return figure


@drawn
def validation(checks: Sequence[Check], labels: Sequence[str]) -> Figure:
    """Draw the non-closure of each validation region with its counting error, by boundary."""
    figure = Figure()
    panels = np.atleast_1d(figure.subplots(1, 2, sharey=True))
    for axes, axis, label, colour in zip(panels, "xy", labels, COLOURS, strict=False):
        some = [check for check in checks if check.axis == axis]
        values = [check.counts.closure for check in some]
        axes.errorbar(
            [check.boundary for check in some],
            [value.value for value in values],
            [value.error for value in values],
            fmt="o",
            color=colour,
            capsize=4,
            label=f"{label} moved",
        )
        axes.axhline(0, color="k", linewidth=1.0)
        axes.margins(x=0.2)
        axes.set_xlabel(f"Boundary in {axis_label(label)}")
    panels[0].set_ylabel("$N_A N_D / (N_B N_C) - 1$")
    legend(figure)
    return figure


@drawn
def closures(
    points: Mapping[str, Sequence[Value]], shares: Sequence[float], limit: float | None = None
) -> Figure:
    """Draw the non-closure of several pairs of scores, by the share of background a cut leaves.

    `points` has a value for each of the `shares` that pass the cut of either score. One that is
    beyond the axis of 100 is not drawn.
    """
    figure = Figure()
    axes = figure.subplots()
    looks: Mapping[str, Any] = styles(list(points))
    for name, values in points.items():
        axes.errorbar(
            np.asarray(shares),
            [value.value for value in values],
            [value.error for value in values],
            marker="o",
            capsize=4,
            label=name,
            **looks[name],
        )
    axes.axhline(0, color="k", linewidth=1.0)
    if limit is not None:
        axes.axhspan(-limit, limit, color=COLOURS[3], alpha=0.25, linewidth=0, label="limit")
    axes.set_yscale("symlog", linthresh=0.2)
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.set_ylim(-2, 100)
    axes.set_xlabel("Share of the background that passes each cut")
    axes.set_ylabel("$N_A N_D / (N_B N_C) - 1$")
    legend(figure)
    return figure
