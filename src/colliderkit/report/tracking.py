"""Plots of tracking: an event's hits and tracks, efficiencies and fakes, time against hits."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from colliderkit.report.plots import COLOURS, drawn, legend, styles

__all__ = ["event_display", "pull_histograms", "rates_along", "time_against_hits"]

FREE = "#76808c"  # hits of no track


@drawn
def event_display(
    x: ArrayLike,
    y: ArrayLike,
    z: ArrayLike,
    tracks: ArrayLike,
    missed: ArrayLike | None = None,
) -> Figure:
    """Draw the hits (H,) of one event in mm across and along the beam, and lines along its tracks.

    Hits of no track are grey; those where `missed` (H,) is true, of particles that should have been
    found, are ringed.
    """
    across, up, along = (np.asarray(a, dtype=np.float64) for a in (x, y, z))
    labels = np.asarray(tracks)
    radius = np.hypot(across, up)
    # Below the beam and above it, as the detector is cut; a track is on one side.
    _, which = np.unique(labels, return_inverse=True)
    middle = np.bincount(which, up)[which] if len(up) else up
    side = np.where(np.where(labels == 0, up, middle) >= 0, radius, -radius)
    figure = Figure(figsize=(16.4, 7.6))
    panels = figure.subplots(1, 2, width_ratios=(1, 1.25))
    order = np.lexsort((radius, labels))
    order = order[labels[order] != 0]
    pieces = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if len(order) else []
    free = labels == 0
    ringed = np.zeros(len(labels), dtype=bool) if missed is None else np.asarray(missed, dtype=bool)
    named = {
        "track": f"{len(pieces)} tracks",
        "on": f"{int((~free).sum())} hits on them",
        "free": f"{int(free.sum())} other hits",
        "missed": f"{int(ringed.sum())} hits of missed particles",
    }
    for axes, (first, second) in zip(panels, ((across, up), (along, side)), strict=True):
        lines = [np.column_stack([first[p], second[p]]) for p in pieces if len(p) > 1]
        colours = [COLOURS[i % len(COLOURS)] for i in range(len(lines))]
        axes.add_collection(
            LineCollection(
                lines, colors=colours, linewidths=1.0, alpha=0.8, label=named["track"]
            )
        )  # fmt: skip
        dot: dict[str, Any] = {"linestyle": "none", "marker": "o", "markeredgewidth": 0}
        axes.plot(
            *(first[free], second[free]), color=FREE, markeredgecolor=FREE, markersize=3.5,
            label=named["free"], **dot,
        )  # fmt: skip
        axes.plot(
            *(first[~free], second[~free]), color="k", markeredgecolor="k", markersize=2.5,
            label=named["on"], **dot,
        )  # fmt: skip
        if ringed.any():
            axes.plot(
                *(first[ringed], second[ringed]), markersize=9, markerfacecolor="none",
                color=COLOURS[2], markeredgecolor=COLOURS[2], label=named["missed"],
                **{**dot, "markeredgewidth": 1.4},
            )  # fmt: skip
        axes.autoscale_view()
    panels[0].set_aspect("equal", adjustable="datalim")
    panels[0].set_xlabel("x [mm]")
    panels[0].set_ylabel("y [mm]")
    panels[1].set_xlabel("z [mm]")
    panels[1].set_ylabel("r [mm], with the sign of y")
    legend(figure, panels[0])
    return figure


@drawn
def rates_along(
    series: Mapping[str, Mapping[str, Sequence[float]]],
    quantity: str,
    label: str,
    *,
    logarithmic: bool = False,
    bound: float | None = None,
) -> Figure:
    """Draw shares with their errors in bins of a quantity, {name: `metrics.tracking.by_bins`}.

    `quantity` is along x, `label` what the shares are; a line is drawn at `bound`.
    """
    figure = Figure()
    axes = figure.subplots()
    look = styles(list(series))
    for i, (name, found) in enumerate(series.items()):
        centre, half, share, error = (
            np.asarray(found[key], dtype=np.float64) for key in ("centre", "half", "share", "error")
        )
        # Side by side in a bin, where many are near 1.
        aside = 0.3 * half * (i - (len(series) - 1) / 2)
        axes.errorbar(
            centre + aside,
            share,
            error,
            [half + aside, half - aside],
            fmt="o",
            color=look[name]["color"],
            linewidth=1.8,
            label=name,
        )
    if bound is not None:
        axes.axhline(bound, color="k", linestyle="--", linewidth=1.2)
    if logarithmic:
        axes.set_xscale("log")
    axes.set_xlabel(quantity)
    axes.set_ylabel(label)
    legend(figure, axes)
    return figure


@drawn
def pull_histograms(counts: Mapping[str, ArrayLike]) -> Figure:
    """Draw pulls by the parameter's name, counts of `metrics.tracking.pull_counts`, and a normal.

    The number above is the share that lies outside of what is drawn.
    """
    figure = Figure(figsize=(16.4, 4.4))
    panels = np.atleast_1d(figure.subplots(1, max(len(counts), 1), sharey=True))
    edges = np.linspace(-5, 5, 41)
    centre, step = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    fine = np.linspace(-5, 5, 201)
    normal = np.exp(-(fine**2) / 2) / (2 * np.pi) ** 0.5
    for axes, (name, values) in zip(panels, counts.items(), strict=False):
        number = np.asarray(values, dtype=np.float64)
        total = max(number.sum(), 1.0)
        inside = number[1:-1]
        axes.errorbar(
            *(centre, inside / (total * step), np.sqrt(inside) / (total * step)),
            fmt="o", color=COLOURS[0], markersize=3.5, linewidth=1.2, label="fitted tracks",
        )  # fmt: skip
        axes.plot(fine, normal, color="k", linewidth=1.4, label="normal of unit width")
        axes.set_xlabel(f"({name} - true) / error")
        axes.set_title(f"{1 - inside.sum() / total:.1%} outside", loc="right", fontsize="small")
    panels[0].set_ylabel("Density")
    legend(figure, panels[0])
    return figure


@drawn
def time_against_hits(series: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Draw milliseconds an event against its hits, {name: {hits (n,), time (n,), error (n,)}}."""
    figure = Figure()
    axes = figure.subplots()
    look = styles(list(series))
    for name, found in series.items():
        axes.errorbar(
            *(found["hits"], found["time"], found["error"]),
            fmt="o-", color=look[name]["color"], linewidth=1.8, label=name,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("Hits in the event")
    axes.set_ylabel("Time [ms]")
    legend(figure, axes)
    return figure
