"""Plots of a detector that is optimised: resolution over a parameter, and the ways downhill."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from colliderkit.metrics.value import Value
from colliderkit.report.plots import COLOURS, drawn, legend

__all__ = ["resolution_over", "ways_down"]


@drawn
def resolution_over(
    curve: tuple[ArrayLike, Sequence[Value]],
    points: Mapping[str, tuple[ArrayLike, Sequence[Value]]],
    best: Value,
    x: str,
    exact: tuple[ArrayLike, ArrayLike] | None = None,
) -> Figure:
    """Draw the resolution by a surrogate over a parameter, with a band of its error.

    `points` {name: (parameters, values)} are simulations with error bars, `exact` a known curve,
    and `best` the optimum, a vertical band.
    """
    figure = Figure()
    axes = figure.subplots()
    at = np.asarray(curve[0], dtype=np.float64)
    middle, error = (np.array([getattr(v, name) for v in curve[1]]) for name in ("value", "error"))
    axes.plot(at, middle, color=COLOURS[0], label="surrogate")
    axes.fill_between(at, middle - error, middle + error, color=COLOURS[0], alpha=0.25, linewidth=0)
    if exact is not None:
        axes.plot(*map(np.asarray, exact), color="k", linestyle="--", label="exact")
    for (name, (place, values)), colour in zip(points.items(), COLOURS[2:], strict=False):
        axes.errorbar(
            np.asarray(place),
            [v.value for v in values],
            [v.error for v in values],
            fmt="o",
            color=colour,
            label=name,
        )
    axes.axvline(best.value, color=COLOURS[4], linewidth=1.4, label=f"optimum, {best}")
    axes.axvspan(
        best.value - best.error, best.value + best.error, color=COLOURS[4], alpha=0.15, linewidth=0
    )
    axes.set_xlabel(x)
    axes.set_ylabel("Relative energy resolution")
    legend(figure, axes)
    return figure


@drawn
def ways_down(ways: Sequence[ArrayLike], y: str, truth: tuple[str, Value]) -> Figure:
    """Draw a parameter, named `y`, over the steps of descents (S,), and what they should find.

    `truth` is its name ("scan") and value.
    """
    figure = Figure()
    axes = figure.subplots()
    for i, way in enumerate(ways):
        label = "descents of the members" if i == 0 else None
        axes.plot(np.asarray(way), color=COLOURS[0], linewidth=1.2, label=label)
    name, best = truth
    axes.axhline(best.value, color="k", linestyle="--", label=f"{name}, {best}")
    axes.axhspan(
        best.value - best.error, best.value + best.error, color="k", alpha=0.12, linewidth=0
    )
    axes.set_xlabel("Step")
    axes.set_ylabel(y)
    legend(figure, axes)
    return figure
