"""Plots of regressions: resolution, linearity, and whether intervals cover."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from colliderkit.metrics.coverage import Coverage
from colliderkit.metrics.value import Value
from colliderkit.report.html import Report
from colliderkit.report.observables import axis_label
from colliderkit.report.plots import LINES, MARKERS, drawn, legend, styles

__all__ = ["add_pull_ranks", "against_energy", "coverage_against", "coverage_curves", "ranks"]

Floats = NDArray[np.float64]


@drawn
def against_energy(
    energies: ArrayLike,
    points: Mapping[str, Sequence[Value]],
    label: str,
    *,
    curves: Mapping[str, tuple[float, float]] | None = None,
    zero: bool = False,
) -> Figure:
    """Draw values in percent, one a bin of energy (K,) [GeV], of each method.

    `curves` gives a and b [GeV^1/2, 1] of sqrt(a^2 / E + b^2), drawn through the points; `zero`
    draws a line at zero.
    """
    energy = np.asarray(energies, dtype=np.float64)
    figure = Figure()
    axes = figure.subplots()
    looks = styles(list(points))
    for i, (name, values) in enumerate(points.items()):
        colour = looks[name]["color"]
        # Points of different methods stand beside each other.
        shifted = energy * 1.02 ** (i - (len(points) - 1) / 2)
        axes.errorbar(
            shifted,
            [100 * value.value for value in values],
            [100 * value.error for value in values],
            fmt=MARKERS[i % len(MARKERS)],
            color=colour,
            label=name,
            capsize=0,
        )
        if curves is not None:
            x = np.geomspace(energy[0] * 0.9, energy[-1] * 1.1, 100)
            a, b = curves[name]
            axes.plot(x, 100 * np.sqrt(a**2 / x + b**2), color=colour, linewidth=1.4)
    if zero:
        axes.axhline(0, color="0.5", linewidth=1.2)
    _energy_axis(axes)
    axes.set_ylabel(label)
    legend(figure)
    return figure


@drawn
def coverage_curves(
    levels: Sequence[float],
    curves: Mapping[str, Sequence[Coverage]],
    calibration: int | None = None,
) -> Figure:
    """Draw the coverage minus the level, in percent, of each method's intervals.

    The band is the binomial error of the N test events; of conformal intervals the `calibration`
    events M add theirs, sqrt(level (1 - level) (1/N + 1/M)).
    """
    figure = Figure()
    axes = figure.subplots()
    looks = styles(list(curves))
    asked = 100 * np.asarray(levels)
    count = next(iter(curves.values()))[0].experiments
    inverse = 1 / count + (1 / calibration if calibration else 0)
    band = np.sqrt(asked * (100 - asked) * inverse)
    axes.fill_between(asked, -band, band, color="0.85", linewidth=0, label="expected error")
    axes.axhline(0, color="0.5", linewidth=1.2)
    for i, (name, coverages_of) in enumerate(curves.items()):
        off = [100 * c.share - level for c, level in zip(coverages_of, asked, strict=True)]
        axes.plot(
            asked,
            off,
            marker=MARKERS[i % len(MARKERS)],
            linestyle=LINES[i % len(LINES)],
            color=looks[name]["color"],
            label=name,
        )
    axes.set_xlim(0, 100)
    axes.set_xlabel("Level of the interval [%]")
    axes.set_ylabel("Coverage $-$ level [%]")
    legend(figure)
    return figure


@drawn
def coverage_against(
    edges: ArrayLike,
    coverages: Mapping[str, Sequence[Coverage]],
    level: float,
    *,
    label: str | None = None,
) -> Figure:
    """Draw the coverage of each method's intervals in bins of energy [GeV], with its error.

    With a `label` the bins are of that variable, on a linear axis.
    """
    ends = np.asarray(edges, dtype=np.float64)
    middle = np.sqrt(ends[1:] * ends[:-1]) if label is None else (ends[1:] + ends[:-1]) / 2
    figure = Figure()
    axes = figure.subplots()
    looks = styles(list(coverages))
    axes.axhline(100 * level, color="0.5", linewidth=1.2)
    for i, (name, coverages_of) in enumerate(coverages.items()):
        share = np.array([c.share for c in coverages_of])
        limits = np.array([[c.low, c.high] for c in coverages_of])
        beside = i - (len(coverages) - 1) / 2
        axes.errorbar(
            middle * 1.02**beside if label is None else middle + 0.1 * beside * np.diff(ends),
            100 * share,
            100 * np.abs(limits.T - share),
            fmt=MARKERS[i % len(MARKERS)],
            color=looks[name]["color"],
            label=name,
        )
    if label is None:
        _energy_axis(axes)
    else:
        axes.set_xlabel(axis_label(label))
    axes.set_ylabel(f"Coverage of {100 * level:g}% intervals [%]")
    axes.set_ylim(top=min(100.0, axes.get_ylim()[1]))
    legend(figure)
    return figure


@drawn
def ranks(places: Mapping[str, ArrayLike], bins: int = 20) -> Figure:
    """Draw where the truth lies in what each method foretells, (N,) in [0, 1]: flat if calibrated.

    A place is the share of the predicted distribution below the truth (1804.06788). The band is
    the binomial error of N events: a hill says that the predictions are too wide, a valley that
    they are too narrow, a slope that they are biased.
    """
    figure = Figure()
    axes = figure.subplots()
    edges = np.linspace(0, 1, bins + 1)
    looks = styles(list(places))
    count = min(np.size(each) for each in places.values())
    error = ((1 - 1 / bins) * bins / count) ** 0.5
    band = axes.fill_between([0, 1], 1 - error, 1 + error, color="0.85", linewidth=0)
    band.set_label("expected error")
    axes.axhline(1, color="0.5", linewidth=1.2)
    for name, each in places.items():
        share = bins * np.histogram(np.asarray(each), edges)[0] / np.size(each)
        axes.stairs(share, edges, baseline=None, linewidth=2.2, label=name, **looks[name])
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("Share of the prediction below the truth")
    axes.set_ylabel("Density of events")
    legend(figure)
    return figure


def add_pull_ranks(report: Report, pulls: Mapping[str, ArrayLike]) -> None:
    """Add the `ranks` of pulls (estimate - truth) / error, (N,), by what made the estimates."""
    count = min(np.size(each) for each in pulls.values())
    places = {name: ndtr(-np.asarray(each)) for name, each in pulls.items()}
    report.add_figure(
        ranks(places, min(20, max(4, count // 10))),
        "Where the truth lies in the Gaussian of estimate and error: flat where both are right, a"
        " valley where errors are too small, a hill where they are too large, a slope where"
        " estimates are biased.",
    )


def _energy_axis(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_xlabel("Energy of the particle [GeV]")
