"""Plots of pileup mitigation: figures of merit against pileup, and an event before and after."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from colliderkit.metrics.value import Value
from colliderkit.report.plots import COLOURS, LINES, drawn, legend

__all__ = ["against_pileup", "event_display", "interactions"]

SHOWN = 1.0  # pT [GeV] of a point of size 1
FARTHEST = 4.0  # |eta| of a display
MOST, HARD = 10, 20.0  # rings of a display, and the pT [GeV] within one


@drawn
def against_pileup(
    values: Mapping[str, Mapping[str, Value]],
    samples: Sequence[str],
    y: str,
    along: Sequence[float] | None = None,
) -> Figure:
    """Draw a figure of merit, named `y`, of {method: {sample: value}} over the samples.

    `along` are their mean numbers of collisions, for an axis of numbers; else they stand by name.
    """
    figure = Figure(figsize=(16.4, 7.2))
    axes = figure.subplots()
    place = np.arange(len(samples), dtype=np.float64) if along is None else np.asarray(along, float)
    width = 0.25 * (np.diff(place).min() if len(place) > 1 else 1.0)
    for i, (name, row) in enumerate(values.items()):
        here = [j for j, sample in enumerate(samples) if sample in row]
        shift = width * ((i + 0.5) / len(values) - 0.5)
        axes.errorbar(
            place[here] + shift,
            [row[samples[j]].value for j in here],
            [row[samples[j]].error for j in here],
            fmt="o",
            linestyle=LINES[i // len(COLOURS) % len(LINES)],
            color=COLOURS[i % len(COLOURS)],
            linewidth=1.4,
            label=name,
        )
    if along is None:
        axes.set_xticks(place, list(samples))
        axes.set_xlim(-0.5, len(samples) - 0.5)
    else:
        axes.set_xlabel("Mean number of pileup collisions")
    axes.minorticks_off()
    every = [value.value for row in values.values() for value in row.values()]
    if 0 <= min(every, default=1.0) < max(every, default=0.0) / 2:  # responses are seen near 1
        axes.set_ylim(bottom=0)
    axes.set_ylabel(y[0].upper() + y[1:])
    legend(figure, axes)
    return figure


@drawn
def event_display(particles: Mapping[str, ArrayLike], weights: Mapping[str, ArrayLike]) -> Figure:
    """Draw one event in eta and phi, a panel for each of {name: weights (P,)}.

    `particles` has pt [GeV], eta, phi, vertex and truth (P,). The area of a point is the weighted
    pT. Charged particles of the leading vertex, those of others and what is of no known vertex have
    their colours; rings of 0.4 are about the directions of 20 GeV and more of the hard collision.
    """
    columns: dict[str, NDArray[Any]] = {name: np.asarray(x) for name, x in particles.items()}
    figure = Figure(figsize=(16.4, 2.0 + 13.0 / len(weights)))
    panels = figure.subplots(1, len(weights), sharex=True, sharey=True, squeeze=False)[0]
    vertex = columns["vertex"]
    kinds = {
        "charged, leading vertex": (vertex == 0, COLOURS[2]),
        "charged, other vertices": (vertex > 0, COLOURS[3]),
        "neutral and forward": (vertex < 0, COLOURS[0]),
    }
    for axes, (name, weight) in zip(panels, weights.items(), strict=True):
        pt = columns["pt"] * np.asarray(weight)
        # The soft ones first, so that they do not hide the hard ones.
        order = np.argsort(pt)
        for label, (mine, colour) in kinds.items():
            shown = order[mine[order] & (pt[order] > 0.05)]
            axes.scatter(
                columns["eta"][shown],
                columns["phi"][shown],
                s=np.minimum(12 * pt[shown] / SHOWN, 900),
                color=colour,
                alpha=0.55,
                linewidth=0,
                rasterized=True,  # thousands of circles are megabytes
                label=label if axes is panels[0] else None,
            )
        for eta, phi in _hard_cells(columns):
            turn = np.linspace(0, 2 * np.pi, 60)
            axes.plot(eta + 0.4 * np.cos(turn), phi + 0.4 * np.sin(turn), "k-", linewidth=1.0)
        axes.set_title(f"{name}: {pt.sum():.0f} GeV")
        axes.set_xlabel(r"$\eta$")
        axes.set_aspect("equal")
    panels[0].set_xlim(-FARTHEST, FARTHEST)
    panels[0].set_ylim(-np.pi, np.pi)
    panels[0].set_ylabel(r"$\phi$")
    legend(figure, panels[0])
    return figure


def _hard_cells(columns: Mapping[str, NDArray[Any]]) -> list[tuple[float, float]]:
    """Return where the hard collision has 20 GeV and more within 0.4 of its hardest particles."""
    left = columns["pt"] * columns["truth"]
    found: list[tuple[float, float]] = []
    while len(found) < MOST:
        top = int(np.argmax(left))
        eta, phi = float(columns["eta"][top]), float(columns["phi"][top])
        turn = np.remainder(columns["phi"] - phi + np.pi, 2 * np.pi) - np.pi
        near = np.hypot(columns["eta"] - eta, turn) < 0.4
        if left[top] <= 0 or left[near].sum() < HARD:
            break
        found.append((eta, phi))
        left = np.where(near, 0.0, left)
    return found


@drawn
def interactions(
    true: ArrayLike, estimates: Mapping[str, ArrayLike], quantity: str, unit: str = ""
) -> Figure:
    """Draw the median and the central 68% of {estimator: estimate (N,)} - truth over the truth.

    In bins of the `true` number (N,); of a perfect estimate it is 0.
    """
    figure = Figure()
    axes = figure.subplots()
    truth = np.asarray(true, dtype=np.float64)
    edges = np.unique(np.quantile(truth, np.linspace(0, 1, 9)))
    bins = np.clip(np.searchsorted(edges, truth, side="right") - 1, 0, max(len(edges) - 2, 0))
    for i, (name, estimate) in enumerate(estimates.items()):
        away = np.asarray(estimate, dtype=np.float64) - truth
        middle, low, high, place = [], [], [], []
        for number in np.unique(bins):
            mine = bins == number
            quantiles = np.quantile(away[mine], [0.16, 0.5, 0.84])
            low.append(quantiles[0])
            middle.append(quantiles[1])
            high.append(quantiles[2])
            place.append(truth[mine].mean())
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(place, middle, "o-", color=colour, linewidth=1.6, label=name)
        axes.fill_between(place, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.axhline(0, color="k", linewidth=1.2, linestyle="--")
    bracket = f" [{unit}]" if unit else ""
    axes.set_xlabel(f"True {quantity}{bracket}")
    axes.set_ylabel(f"Estimated - true{bracket}")
    legend(figure, axes)
    return figure
