"""Plots of a jet's tracks parted into vertices: one jet, and how well jets are parted."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from colliderkit.events.secondary_vertices import JetTracks, constraints
from colliderkit.events.tables import Floats
from colliderkit.metrics.value import Value
from colliderkit.report.plots import COLOURS, drawn, legend

__all__ = ["jet_display", "partition_quality"]

SOFT = 0.05  # 1/mm, so that one track has a place: where it is nearest to the collision


@drawn
def partition_quality(
    values: Mapping[str, Sequence[Value]], ticks: Sequence[str], label: str, axis: str = ""
) -> Figure:
    """Draw a figure of merit of {method: values}, one of each of the `ticks`, which `axis` names.

    `label` names the figure of merit.
    """
    figure = Figure()
    axes = figure.subplots()
    where = np.arange(len(ticks))
    for i, (name, row) in enumerate(values.items()):
        axes.errorbar(
            where + 0.12 * (i - (len(values) - 1) / 2),
            [v.value for v in row],
            [v.error for v in row],
            fmt="os^Dv"[i % 5],
            color=COLOURS[i % len(COLOURS)],
            linewidth=1.6,
            label=name,
        )
    axes.set_xticks(where, ticks)
    axes.tick_params(axis="x", which="minor", bottom=False, top=False)
    axes.set_xlim(-0.5, len(ticks) - 0.5)
    axes.set_xlabel(axis)
    axes.set_ylabel(label)
    legend(figure, axes)
    return figure


@drawn
def jet_display(tracks: JetTracks, parts: Mapping[str, ArrayLike]) -> Figure:
    """Draw the tracks of one jet across the beams, coloured by the vertices of each {name: (P,)}.

    The collision is at the origin and the jet goes to the right. A vertex is a cross, where its
    tracks are nearest to each other; the largest is drawn first.
    """
    figure = Figure(figsize=(5.6 * len(parts), 5.6))
    panels = figure.subplots(1, len(parts), sharex=True, sharey=True, squeeze=False)[0]
    labels = {name: np.asarray(part, dtype=np.int64) for name, part in parts.items()}
    whole = _fitted(tracks, np.arange(len(tracks.vertex)))
    places = [whole[:2]]
    for label in labels.values():
        places += [_fitted(tracks, np.flatnonzero(label == k))[:2] for k in np.unique(label)]
    reach = float(np.clip(1.4 * np.abs(np.array(places)).max(), 1.0, 60.0))
    phi, d0 = tracks["phi"], tracks["d0"]
    along = np.array([-0.35 * reach, 2.5 * reach])
    for axes, (name, label) in zip(panels, labels.items(), strict=True):
        for rank, k in enumerate(_by_size(label)):
            mine = np.flatnonzero(label == k)
            colour = COLOURS[rank % len(COLOURS)]
            for i in mine:
                start = d0[i] * np.array([np.sin(phi[i]), -np.cos(phi[i])])
                axes.plot(
                    start[0] + along * np.cos(phi[i]),
                    start[1] + along * np.sin(phi[i]),
                    color=colour,
                    linewidth=1.6 if len(mine) > 1 else 1.0,
                    linestyle="-" if len(mine) > 1 else ":",
                )
            if len(mine) > 1:
                x, y, _ = _fitted(tracks, mine)
                axes.plot(x, y, "X", color=colour, markeredgecolor="k", markersize=11, zorder=5)
        axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
        axes.set_xlim(-0.35 * reach, 1.25 * reach)
        axes.set_ylim(-0.5 * reach, 0.5 * reach)
        axes.set_xlabel("Along the jet [mm]")
        axes.set_title(name, fontsize="medium")
    panels[0].set_ylabel("Beside the jet [mm]")
    return figure


def _by_size(label: ArrayLike) -> list[int]:
    """Return the vertices, that of the most tracks first."""
    numbers, sizes = np.unique(np.asarray(label), return_counts=True)
    return [int(number) for number in numbers[np.argsort(-sizes, kind="stable")]]


def _fitted(tracks: JetTracks, rows: ArrayLike) -> Floats:
    """Return where some tracks are nearest to each other, (3,) [mm]."""
    directions, measured, variance = constraints(tracks.values[np.asarray(rows)])
    matrix = np.einsum("lki,lk,lkj->ij", directions, 1 / variance, directions)
    vector = np.einsum("lki,lk->i", directions, measured / variance)
    place: Floats = np.linalg.solve(matrix + SOFT**2 * np.eye(3), vector)
    return place
