"""Plots of a network: congestion and its forecast, precision and recall, lead times, incidents."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from colliderkit.metrics.forecast import Precision
from colliderkit.metrics.value import Value
from colliderkit.report.plots import COLOURS, LINES, drawn, legend

__all__ = ["forecast_in_time", "incidents_in_time", "over_horizons", "precision_recall", "shares"]


@drawn
def precision_recall(curves: Mapping[str, Precision], chance: float) -> Figure:
    """Draw precision over recall of {forecast: curve}, and the share that is true anyway."""
    figure = Figure()
    axes = figure.subplots()
    for i, (name, curve) in enumerate(curves.items()):
        look: dict[str, Any] = {
            "color": COLOURS[i % len(COLOURS)],
            "linestyle": LINES[i // len(COLOURS)],
        }
        if len(curve.recall) < 10:  # few scores: nothing lies between them
            axes.plot(curve.recall, curve.precision, "o", label=name, **look)
        else:
            axes.plot(curve.recall, curve.precision, label=name, **look)
    axes.axhline(chance, color="k", linestyle=":", linewidth=1.4, label="by chance")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("Recall of congested intervals")
    axes.set_ylabel("Precision")
    legend(figure, axes)
    return figure


@drawn
def over_horizons(values: Mapping[str, Sequence[Value]], horizons: Sequence[int], y: str) -> Figure:
    """Draw a figure of merit, named `y`, of {forecast: values} over the intervals ahead."""
    figure = Figure()
    axes = figure.subplots()
    x = np.arange(len(horizons), dtype=np.float64)
    for i, (name, row) in enumerate(values.items()):
        shift = 0.5 * ((i + 0.5) / len(values) - 0.5)
        axes.errorbar(
            x + shift,
            [v.value for v in row],
            [v.error for v in row],
            fmt="o",
            color=COLOURS[i % len(COLOURS)],
            label=name,
        )
    axes.set_xticks(x, [str(h) for h in horizons])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("Intervals ahead")
    axes.set_ylabel(y)
    legend(figure, axes)
    return figure


@drawn
def forecast_in_time(
    interval: ArrayLike,
    counters: Mapping[str, ArrayLike],
    congested: ArrayLike,
    probability: Mapping[str, ArrayLike],
) -> Figure:
    """Draw counters (T,) of one link over time, and below them the forecast probabilities (T,).

    Intervals that are congested are shaded.
    """
    figure = Figure(figsize=(16.4, 7.2))
    top, bottom = figure.subplots(2, 1, sharex=True)
    time = np.asarray(interval, dtype=np.float64)
    for (name, values), colour in zip(counters.items(), COLOURS, strict=False):
        top.plot(time, np.asarray(values), color=colour, label=name)
    for (name, values), colour in zip(probability.items(), COLOURS[4:], strict=False):
        bottom.plot(time, np.asarray(values), color=colour, label=name)
    for axes in (top, bottom):
        axes.fill_between(
            time, 0, 1, where=np.asarray(congested, bool), step="mid", color="k", alpha=0.15,
            linewidth=0, transform=axes.get_xaxis_transform(),
            label="congested" if axes is top else None,
        )  # fmt: skip
        axes.set_ylim(0, 1.05)
    top.set_xlim(time[0], time[-1])
    top.set_ylabel("Share")
    bottom.set_ylabel("Probability")
    bottom.set_xlabel("Interval")
    legend(figure)
    return figure


@drawn
def shares(values: Mapping[str, Mapping[str, Value]], y: str) -> Figure:
    """Draw shares, named `y`, of {detector: {kind of incident: share}} beside each other."""
    figure = Figure(figsize=(16.4, 7.2))
    axes = figure.subplots()
    kinds = list(next(iter(values.values())))
    x = np.arange(len(kinds), dtype=np.float64)
    for i, (name, row) in enumerate(values.items()):
        shift = 0.5 * ((i + 0.5) / len(values) - 0.5)
        axes.errorbar(
            x + shift,
            [row[kind].value for kind in kinds],
            [row[kind].error for kind in kinds],
            fmt="o",
            color=COLOURS[i % len(COLOURS)],
            label=name,
        )
    axes.set_xticks(x, kinds)
    axes.minorticks_off()
    axes.set_ylim(-0.05, 1.05)
    axes.set_ylabel(y)
    legend(figure, axes)
    return figure


@drawn
def incidents_in_time(
    interval: ArrayLike,
    score: Mapping[str, ArrayLike],
    threshold: Mapping[str, float],
    true: Sequence[tuple[int, int]],
) -> Figure:
    """Draw the largest score (T,) of all links of {detector: scores} over its threshold, in time.

    The intervals of `true` incidents, (begin, end) each, are shaded.
    """
    figure = Figure(figsize=(16.4, 2.6 + 2.2 * len(score)))
    panels = figure.subplots(len(score), 1, sharex=True, squeeze=False)[:, 0]
    time = np.asarray(interval, dtype=np.float64)
    for axes, (name, values), colour in zip(panels, score.items(), COLOURS, strict=False):
        axes.plot(time, np.asarray(values) / threshold[name], color=colour, linewidth=1.0)
        axes.axhline(1.0, color="k", linestyle="--", linewidth=1.4)
        for begin, end in true:
            axes.axvspan(begin, end, color="k", alpha=0.15, linewidth=0)
        axes.set_yscale("symlog", linthresh=1.0)
        axes.set_ylim(bottom=0)
        axes.set_ylabel(name, loc="center")
    panels[0].set_xlim(time[0], time[-1])
    panels[-1].set_xlabel("Interval")
    return figure
