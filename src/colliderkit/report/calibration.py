"""Plots of calibrations: bias, response and resolution along the truth, response along features."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from colliderkit.metrics.response import Closure, Profile
from colliderkit.report.observables import axis_label, unit_of
from colliderkit.report.plots import (
    COLOURS,
    MARKERS,
    WIDTHS,
    arrows,
    drawn,
    legend,
    ratio_label,
    styles,
)

__all__ = ["biases", "closures", "in_bins", "residuals", "resolutions", "responses"]

Floats = NDArray[np.float64]


@drawn
def responses(
    curves: Mapping[str, Mapping[str, Profile]],
    label: str,
    edges: Sequence[float],
    *,
    bar: float = 0.01,
    half_range: float = 0.08,
) -> Figure:
    """Draw the response in bins of the truth, a panel a method, a line a prior.

    curves: {method: {prior: estimate / truth}}; the band is a non-closure of `bar`. Points beyond
    `half_range` from 1 are arrows at the edge. `edges` are those of the bins.
    """
    columns = min(4, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(WIDTHS["wide"] * columns / 4, 3.5 * rows + 1.1), layout=_narrow())
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for panel, (name, lines) in zip(panels.flat, curves.items(), strict=False):
        _band(panel, bar)
        for i, (prior, curve) in enumerate(lines.items()):
            shift = 1 + 0.02 * (i - (len(lines) - 1) / 2)
            _points(panel, curve, i, prior, half_range, shift)
        _decades(panel, edges)
        arrows(panel)
        panel.set_title(name, loc="left")
    for panel in list(panels.flat)[len(curves) :]:
        panel.remove()
    legend(figure, panels.flat[0])
    figure.supxlabel(label, fontsize=18)
    figure.supylabel("Response", fontsize=18)
    return figure


@drawn
def resolutions(
    curves: Mapping[str, Profile], reference: str, label: str, edges: Sequence[float]
) -> Figure:
    """Draw the spread of the response over its location, and the ratio to that of the reference.

    curves: {method: estimate / truth}, in bins of the truth.
    """
    figure = Figure(figsize=(8, 9))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    base = curves[reference].spread / curves[reference].value
    look = styles(list(curves))
    for i, (name, curve) in enumerate(curves.items()):
        options: dict[str, Any] = {"marker": MARKERS[i % len(MARKERS)], "markersize": 5}
        options |= look[name] | {"label": name, "linewidth": 1.8}
        value, error = curve.spread / curve.value, curve.spread_error / curve.value
        above.errorbar(curve.centre, value, error, **options)
        below.errorbar(curve.centre, value / base, error / base, **options)
    _decades(above, edges)
    # What is far off may leave the frame: an arrow stands for it.
    above.set_ylim(0, min(above.get_ylim()[1], 1.9 * base.max()))
    above.set_ylabel("Relative resolution")
    legend(figure, above)
    below.axhline(0.9, color="k", linestyle=":", linewidth=1.2)
    below.set_ylim(0.65, 1.15)
    for axes in (above, below):
        arrows(axes)
    ratio_label(below, reference)
    below.set_xlabel(label)
    return figure


@drawn
def residuals(
    trends: Mapping[str, Mapping[str, Profile]], *, bar: float = 0.01, half_range: float = 0.08
) -> Figure:
    """Draw the response in bins of features, a panel a feature, a line a method.

    trends: {feature: {method: estimate / truth}}; the band is a residual of `bar`.
    """
    columns = min(4, len(trends))
    rows = -(-len(trends) // columns)
    figure = Figure(figsize=(WIDTHS["wide"] * columns / 4, 3.8 * rows + 0.7), layout=_narrow())
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for panel, (feature, lines) in zip(panels.flat, trends.items(), strict=False):
        _band(panel, bar)
        for i, (name, curve) in enumerate(lines.items()):
            _points(panel, curve, i, name, half_range)
        arrows(panel)
        panel.set_xlabel(axis_label(feature))
    for panel in list(panels.flat)[len(trends) :]:
        panel.remove()
    legend(figure, panels.flat[0])
    figure.supylabel("Response", fontsize=18)
    return figure


@drawn
def closures(
    curves: Mapping[str, Closure], label: str, unit: str = "", *, relative: bool = False
) -> Figure:
    """Draw bias and resolution in bins of the truth, a line a method.

    `relative` draws the response, estimate / truth, and its spread instead.
    """
    figure = Figure(figsize=(8, 9))
    above, below = figure.subplots(2, 1, sharex=True)
    look = styles(list(curves))
    unit = unit or unit_of(axis_label(label))
    in_unit = f" [{unit}]" if unit and not relative else ""
    for i, (name, curve) in enumerate(curves.items()):
        options: dict[str, Any] = {"marker": MARKERS[i % len(MARKERS)], "markersize": 5}
        options |= look[name] | {"label": name, "linewidth": 1.8}
        if relative:
            location = curve.response, curve.response_error
            width = curve.relative_resolution, curve.relative_resolution_error
        else:
            location = curve.bias, curve.bias_error
            width = curve.resolution, curve.resolution_error
        above.errorbar(curve.centre, *location, **options)
        below.errorbar(curve.centre, *width, **options)
    above.axhline(1 if relative else 0, color="k", linestyle=":", linewidth=1.2)
    above.set_ylabel("Response" if relative else f"Bias{in_unit}")
    legend(figure, above)
    below.set_ylim(bottom=0)
    below.set_ylabel(("Relative resolution" if relative else "Resolution") + in_unit)
    below.set_xlabel(axis_label(label))
    return figure


@drawn
def biases(
    tables: Mapping[str, Floats],
    truth: Floats,
    exact: Floats,
    looks: Mapping[str, Mapping[str, Any]],
    *,
    bar: float,
) -> Figure:
    """Draw the bias (trainings, T) of each method at truths (T,), and enlarged below.

    Lines are means over trainings and bands their range; dotted are 0 and the `exact` bias (T,) of
    a regression, and grey is -+ `bar`. `looks` are the options of each method's line.
    """
    figure = Figure()
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for name, table in tables.items():
        for axes in (top, bottom):
            axes.plot(truth, table.mean(0), label=name, **looks[name])
            axes.fill_between(
                truth,
                table.min(0),
                table.max(0),
                color=looks[name]["color"],
                alpha=0.2,
                linewidth=0,
            )
    top.plot(truth, exact, "k:", linewidth=1.4, label="exact")
    for axes in (top, bottom):
        axes.plot(truth, 0 * truth, "k:", linewidth=1.4)
    top.set_ylabel("Bias")
    legend(figure, top)
    bottom.axhspan(-bar, bar, color="k", alpha=0.07, linewidth=0)
    bottom.set_ylim(-2 * bar, 2 * bar)
    bottom.set_ylabel("Enlarged", loc="center")
    bottom.set_xlim(truth[0], truth[-1])
    bottom.set_xlabel("Truth z")
    return figure


@drawn
def in_bins(
    middle: Floats,
    tables: Mapping[str, Floats],
    label: str,
    exact: float,
    looks: Mapping[str, Mapping[str, Any]],
) -> Figure:
    """Draw values (trainings, B) of each method at the middles of bins (B,), mean and spread.

    Dotted is the `exact` value; `looks` give the colour of each method.
    """
    figure = Figure()
    axes = figure.subplots()
    for name, table in tables.items():
        spread = table.std(0, ddof=1) if len(table) > 1 else None
        colour = looks[name]["color"]
        axes.errorbar(middle, table.mean(0), spread, fmt="o-", color=colour, label=name, capsize=3)
    axes.axhline(exact, color="k", linestyle=":")
    axes.set_ylim(bottom=min(axes.get_ylim()[0], 0))
    axes.set_xlabel("Truth z")
    axes.set_ylabel(label)
    legend(figure)
    return figure


def _narrow() -> ConstrainedLayoutEngine:
    return ConstrainedLayoutEngine(wspace=0.02, hspace=0.02)


def _band(axes: Axes, bar: float) -> None:
    axes.axhspan(1 - bar, 1 + bar, color=COLOURS[3], alpha=0.3, linewidth=0)
    axes.axhline(1, color="k", linewidth=1)


def _points(
    axes: Axes, curve: Profile, number: int, name: str, half_range: float, shift: float = 1.0
) -> None:
    """Draw a curve within 1 -+ half_range, and an arrow at the edge for each point beyond."""
    order = (0, 2, 4, 1, 5)  # colours that are far apart
    colour = COLOURS[order[number % len(order)]]
    x, y = curve.centre * shift, curve.value
    axes.errorbar(
        x,
        y,
        curve.error,
        fmt=f"{MARKERS[number % len(MARKERS)]}-",
        markersize=6,
        linewidth=1.4,
        elinewidth=1.6,
        color=colour,
        label=name,
    )
    axes.set_ylim(1 - half_range, 1 + half_range)


def _decades(axes: Axes, edges: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
