"""Plots of vertices along the beams: efficiency against false ones, and an event."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from colliderkit.metrics.value import Value
from colliderkit.report.plots import COLOURS, drawn, legend

__all__ = ["efficiency_by_tracks", "efficiency_over_false", "vertex_display"]


@drawn
def efficiency_over_false(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], allowed: float
) -> Figure:
    """Draw the efficiency over the false vertices an event of {finder: (false, efficiency)}.

    A line stands at the number that is `allowed`.
    """
    figure = Figure()
    axes = figure.subplots()
    for (name, (false, found)), colour in zip(curves.items(), COLOURS, strict=False):
        axes.plot(np.maximum(np.asarray(false), 1e-3), np.asarray(found), color=colour, label=name)
    axes.axvline(allowed, color="k", linestyle="--", linewidth=1.4)
    axes.set_xscale("log")
    axes.set_xlabel("False vertices an event")
    axes.set_ylabel("Efficiency")
    legend(figure, axes)
    return figure


@drawn
def efficiency_by_tracks(values: Mapping[str, Sequence[Value]], edges: Sequence[float]) -> Figure:
    """Draw the efficiency of {finder: values} in bins of the number of tracks, with `edges`."""
    figure = Figure()
    axes = figure.subplots()
    middle = np.sqrt(np.asarray(edges[:-1]) * np.asarray(edges[1:]))
    for i, (name, row) in enumerate(values.items()):
        axes.errorbar(
            middle * (1 + 0.04 * i),
            [v.value for v in row],
            [v.error for v in row],
            fmt="o-",
            color=COLOURS[i % len(COLOURS)],
            linewidth=1.4,
            label=name,
        )
    axes.set_xscale("log")
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("Tracks of the vertex")
    axes.set_ylabel("Efficiency")
    legend(figure, axes)
    return figure


@drawn
def vertex_display(
    tracks: ArrayLike,
    errors: ArrayLike,
    true: ArrayLike,
    found: Mapping[str, ArrayLike],
    window: tuple[float, float],
) -> Figure:
    """Draw the density of tracks (P,) with `errors` [mm] in a `window` of z [mm].

    True vertices are lines, those of {finder: found} marks below.
    """
    figure = Figure(figsize=(16.4, 7.2))
    axes = figure.subplots()
    z = np.linspace(*window, 2000)
    here, error = np.asarray(tracks, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    near = (here > window[0] - 3) & (here < window[1] + 3)
    pull = (z[:, None] - here[near]) / error[near]
    density = (np.exp(-0.5 * pull**2) / (error[near] * np.sqrt(2 * np.pi))).sum(1)
    axes.fill_between(z, density, color=COLOURS[3], alpha=0.5, linewidth=0, label="tracks")
    height = max(density.max(), 1e-9)
    places = np.asarray(true)
    for i, place in enumerate(places[(places > window[0]) & (places < window[1])]):
        label = "true vertices" if i == 0 else None
        axes.axvline(place, color="k", linestyle=":", linewidth=1.2, label=label)
    for i, (name, values) in enumerate(found.items()):
        marks = np.asarray(values)
        marks = marks[(marks > window[0]) & (marks < window[1])]
        level = np.full(len(marks), -0.05 * height * (i + 1))
        axes.plot(marks, level, "^", color=COLOURS[i], markersize=9, label=name)
    axes.set_xlim(*window)
    axes.set_ylim(-0.05 * height * (len(found) + 1.5), 1.1 * height)
    axes.set_xlabel("z [mm]")
    axes.set_ylabel("Density of tracks [1/mm]")
    legend(figure, axes)
    return figure
