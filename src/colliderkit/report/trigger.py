"""Plots of a trigger: scores with the threshold, and the rate from update to update."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from colliderkit.metrics.value import Value
from colliderkit.report.plots import COLOURS, drawn, legend

__all__ = ["rates", "scores_and_threshold"]


@drawn
def scores_and_threshold(
    samples: Mapping[str, ArrayLike],
    threshold: float,
    edges: ArrayLike,
    weights: Mapping[str, ArrayLike] | None = None,
) -> Figure:
    """Draw normalised histograms of {sample: scores (N,)}, and a line at the threshold.

    `weights` (N,) of the samples count one if not given.
    """
    figure = Figure()
    axes = figure.subplots()
    borders = np.asarray(edges, dtype=np.float64)
    for (name, scores), colour in zip(samples.items(), COLOURS, strict=False):
        values = np.asarray(scores)
        weight = np.ones(len(values)) if weights is None else np.asarray(weights[name])
        kept = float(weight[values > threshold].sum() / weight.sum())
        height = np.histogram(values, borders, weights=weight)[0] / weight.sum()
        shown = f"{name}: {kept:.2g} kept"
        axes.stairs(height, borders, color=colour, linewidth=2.0, label=shown)
    axes.axvline(threshold, color="k", linestyle="--", linewidth=1.4)
    axes.set_yscale("log")
    axes.set_xlim(borders[0], borders[-1])
    axes.set_xlabel("Anomaly score")
    axes.set_ylabel("Share of events")
    legend(figure, axes)
    return figure


@drawn
def rates(
    series: Mapping[str, Sequence[Value]], target: float, expected: float, along: str, unit: str
) -> Figure:
    """Draw the rates of several series over the number of the update, with the target.

    The band is twice the error that counting leaves of a threshold, `expected` relative.
    """
    figure = Figure()
    axes = figure.subplots()
    for (name, values), colour in zip(series.items(), COLOURS, strict=False):
        number = np.arange(1, len(values) + 1)
        rate, error = (np.array([getattr(v, part) for v in values]) for part in ("value", "error"))
        axes.errorbar(number, rate, error, fmt="o-", color=colour, linewidth=1.6, label=name)
    axes.axhspan(
        *(target * (1 + sign * 2 * expected) for sign in (-1, 1)),
        color="k", alpha=0.12, linewidth=0,
        label="target, twice the counting error of a threshold",
    )  # fmt: skip
    axes.axhline(target, color="k", linestyle="--", linewidth=1.4)
    axes.set_xlabel(along)
    axes.set_ylabel(f"Rate [{unit}]")
    legend(figure, axes)
    return figure
