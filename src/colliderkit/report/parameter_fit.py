"""Plots of parameter fits and of what reweighting does to histograms."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray

from colliderkit.methods.inference.estimates import Estimate
from colliderkit.methods.inference.parameter_fit import LikelihoodProfile
from colliderkit.metrics.closure import Agreement
from colliderkit.report.observables import axis_label, symbol_of
from colliderkit.report.plots import COLOURS, WIDTHS, drawn, legend

__all__ = ["corner", "histogram_ratios", "likelihood", "recovered"]

Floats = NDArray[np.float64]


@drawn
def recovered(name: str, truth: Floats, found: Floats, error: Floats) -> Figure:
    """Draw estimates (E,) with their errors against the truth (E,), and their pulls below."""
    order = np.argsort(truth)
    truth, found, error = truth[order], found[order], error[order]
    pulls = (found - truth) / error
    figure = Figure()
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.4))
    ends = np.array([truth.min(), truth.max()])
    margin = 0.05 * np.ptp(ends) + error.max()
    ends += margin * np.array([-1, 1])
    above.plot(ends, ends, color="black", linewidth=1, label="estimate = truth")
    above.errorbar(truth, found, yerr=error, fmt="o", color=COLOURS[0], markersize=4)
    above.set_ylabel(f"{axis_label(name)}, estimate")
    within = [int((np.abs(pulls) < n).sum()) for n in (1, 2)]
    above.set_title(
        f"Of {len(truth)}: {within[0]} within $1\\sigma$, {within[1]} within $2\\sigma$",
        loc="left",
    )
    legend(figure, above)
    below.axhspan(-2, 2, color="k", alpha=0.08, linewidth=0)
    below.axhspan(-1, 1, color="k", alpha=0.12, linewidth=0)
    below.axhline(0, color="black", linewidth=1)
    below.plot(truth, pulls, "o", color=COLOURS[0], markersize=4)
    reach = max(3.5, 1.1 * float(np.abs(pulls).max()))
    below.set_ylim(-reach, reach)
    below.set_xlim(*ends)
    below.set_ylabel("Pull")
    below.set_xlabel(f"{axis_label(name)}, true")
    return figure


@drawn
def likelihood(profile: LikelihoodProfile, truth: float | None = None) -> Figure:
    """Draw -2 Delta ln L along one parameter, its interval, and the truth where it is known."""
    height = 2 * (profile.log_likelihood.max() - profile.log_likelihood)
    figure = Figure(figsize=(8, 6.4))
    axes = figure.subplots()
    axes.plot(profile.values, height, "o-", color=COLOURS[0], markersize=3)
    axes.axhline(1, color=COLOURS[3], linestyle="--", linewidth=1)
    axes.axvspan(
        profile.low,
        profile.high,
        color=COLOURS[0],
        alpha=0.2,
        linewidth=0,
        label=f"{profile.low:.4g} to {profile.high:.4g}",
    )
    if truth is not None:
        axes.axvline(truth, color=COLOURS[2], label=f"truth {truth:.4g}")
    axes.set_ylim(0, None)
    axes.set_xlabel(axis_label(profile.name))
    axes.set_ylabel(r"$-2\,\Delta\ln L$")
    legend(figure)
    return figure


@drawn
def corner(estimate: Estimate, replicas: Floats, truth: Floats | None = None) -> Figure:
    """Draw bootstrap replicas (B, T) of each pair of parameters, with ellipses of 68% and 95%."""
    t = len(estimate.names)
    width = WIDTHS["half" if t < 3 else "wide"]
    figure = Figure(figsize=(width, min(0.8 * width, 11)))
    grid = figure.subplots(t, t, squeeze=False)
    for i in range(t):
        for j in range(t):
            axes = grid[i, j]
            if j > i:
                axes.set_visible(False)
                continue
            if i == j:
                bins = np.linspace(*_reach(estimate, i, truth), 30).tolist()
                axes.hist(replicas[:, i], bins=bins, color=COLOURS[0], alpha=0.6)
                axes.axvline(estimate.theta[i], color=COLOURS[0])
                axes.set_yticks([])
            else:
                axes.plot(replicas[:, j], replicas[:, i], ".", color=COLOURS[3], markersize=2)
                for level in (2.30, 6.18):  # chi^2 of two degrees of freedom, 68.3% and 95.4%
                    axes.add_patch(_ellipse(estimate, j, i, level))
                axes.plot(*estimate.theta[[j, i]], "o", color=COLOURS[0], markersize=4)
            if truth is not None:
                axes.axvline(truth[j], color=COLOURS[2], linewidth=1)
                if i != j:
                    axes.axhline(truth[i], color=COLOURS[2], linewidth=1)
            # Replicas far out, of a likelihood that is no parabola, are left out of sight.
            axes.set_xlim(*_reach(estimate, j, truth))
            if i != j:
                axes.set_ylim(*_reach(estimate, i, truth))
            axes.locator_params(nbins=4)
            if i == t - 1:
                axes.set_xlabel(axis_label(estimate.names[j]))
            if j == 0 and i > 0:
                axes.set_ylabel(axis_label(estimate.names[i]))
    return figure


@drawn
def histogram_ratios(
    found: Mapping[str, Agreement], before: Mapping[str, Agreement], title: str
) -> Figure:
    """Draw target / source of each observable, before and after reweighting, side by side.

    The bars are errors of both samples; where the points lie on 1 the reweighting closes. Above
    each panel stands chi^2 before and after.
    """
    names = list(found)
    columns = min(5, len(names))
    rows = -(-len(names) // columns)
    width = WIDTHS["half" if columns < 3 else "wide"]
    figure = Figure(figsize=(width, 0.95 * width / columns * rows + 0.6))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, name in zip(grid.flat, names, strict=False):
        places = np.arange(len(found[name].source))
        for agreement, colour, text, shift in (
            (before[name], COLOURS[1], "before", -0.15),
            (found[name], COLOURS[0], "reweighted", 0.15),
        ):
            source = np.where(agreement.source > 0, agreement.source, np.nan)
            axes.errorbar(
                places + shift,
                agreement.target / source,
                yerr=agreement.error / source,
                fmt="o",
                color=colour,
                markersize=2.5,
                linewidth=1,
                label=text,
            )
        axes.axhline(1, color="black", linewidth=1)
        axes.set_xlabel(f"{symbol_of(name)}, bin")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_minor_locator(NullLocator())
        a, b = before[name], found[name]
        axes.set_title(rf"$\chi^2$: {a.chi2:.0f} $\to$ {b.chi2:.0f} / {b.ndf}", fontsize=14)
    legend(figure, grid[0, 0], title=title)
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("Target / source")
    return figure


def _reach(estimate: Estimate, i: int, truth: Floats | None) -> tuple[float, float]:
    """Return the ends of an axis: four errors, and further if the truth is."""
    middle, reach = float(estimate.theta[i]), 4 * float(estimate.error[i])
    if truth is not None:
        reach = max(reach, 1.1 * abs(float(truth[i]) - middle))
    return middle - reach, middle + reach


def _ellipse(estimate: Estimate, i: int, j: int, level: float) -> Ellipse:
    """Return the ellipse of two parameters at chi^2 = `level`."""
    pair: Sequence[int] = [i, j]
    values, vectors = np.linalg.eigh(estimate.covariance[np.ix_(pair, pair)])
    return Ellipse(
        tuple(estimate.theta[list(pair)]),
        2 * float(np.sqrt(level * values[1])),
        2 * float(np.sqrt(level * values[0])),
        angle=float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))),
        fill=False,
        color=COLOURS[0],
    )
