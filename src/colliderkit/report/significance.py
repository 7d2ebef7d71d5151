"""Plots of significance improvement: curves with the band of several trainings, and scans."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from colliderkit.metrics.significance import CENTRAL, Improvement, over_trainings
from colliderkit.report.plots import LINES, MARKERS, drawn, legend, styles

__all__ = ["improvement_curves", "strength_scan"]

Floats = NDArray[np.float64]
GRID = np.linspace(0.005, 1, 200)  # of signal efficiencies


@drawn
def improvement_curves(
    curves: Mapping[str, Sequence[Improvement]], *, bounds: Sequence[str] = ()
) -> Figure:
    """Draw SIC over signal efficiency of several trainings each: the median and the 16-84% band.

    The band of a single training is its counting error. Those named in `bounds` are drawn dashed,
    without their bands. A curve begins where the cuts
    keep the floor of background events.
    """
    figure = Figure()
    axes = figure.subplots()
    looks = styles(list(curves))
    for name, trainings in curves.items():
        values = np.array([one.at(GRID) for one in trainings])
        known = ~np.isnan(values).any(0)
        colour, bound = looks[name]["color"], name in bounds
        middle = np.median(values[:, known], axis=0)
        line = LINES[1] if bound else LINES[0]
        axes.plot(GRID[known], middle, line, color=colour, label=name)
        if not bound:
            if len(trainings) > 1:
                low, high = np.quantile(values[:, known], CENTRAL, axis=0)
            else:
                (one,) = trainings
                error = replace(one, value=one.error).at(GRID)[known]
                low, high = middle - error, middle + error
            axes.fill_between(GRID[known], low, high, color=colour, alpha=0.25, linewidth=0)
    axes.plot(GRID, np.sqrt(GRID), color="k", linewidth=1.0, linestyle=":", label="by chance")
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(r"Signal efficiency $\varepsilon_S$")
    axes.set_ylabel(r"$\varepsilon_S$ / √$\varepsilon_B$")
    legend(figure, axes)
    return figure


@drawn
def strength_scan(
    strengths: Sequence[float],
    values: Mapping[str, Sequence[Sequence[float]]],
    *,
    label: str = "Injected S / √B",
    quantity: str = r"Largest $\varepsilon_S$ / √$\varepsilon_B$",
    bounds: Sequence[str] = (),
) -> Figure:
    """Draw one number of several trainings at each strength of a signal: median and 16-84% band.

    `values` has by name, for each of the `strengths` (K,), the numbers of the trainings.
    """
    figure = Figure()
    axes = figure.subplots()
    looks = styles(list(values))
    for i, (name, each) in enumerate(values.items()):
        bands = [over_trainings(one) for one in each]
        colour, bound = looks[name]["color"], name in bounds
        line = LINES[1] if bound else LINES[0]
        marker = MARKERS[i % len(MARKERS)]
        middle = [band.median for band in bands]
        axes.plot(strengths, middle, line, color=colour, marker=marker, label=name)
        if any(band.trainings > 1 for band in bands):
            low, high = [band.low for band in bands], [band.high for band in bands]
            axes.fill_between(strengths, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(label)
    axes.set_ylabel(quantity)
    legend(figure, axes)
    return figure
