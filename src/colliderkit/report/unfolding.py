"""Plots of unfolded spectra, of the choice of an iteration and of covariances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from colliderkit.methods.unfolding.binned import IterationCurve
from colliderkit.report.plots import COLOURS, MARKERS, style
from colliderkit.report.spectra import correlation_matrix

__all__ = ["Spectrum", "correlations", "iteration_choice", "unfolded"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Spectrum:
    """Hold a spectrum as shares of its sum: `values` (K,), `error` (K,), and `counts` (K,)."""

    values: Floats
    error: Floats
    counts: Floats

    @classmethod
    def of(cls, counts: Floats, covariance: Floats) -> "Spectrum":
        """Normalise contents (K,) with variances (K,) or a covariance (K, K) to sum 1."""
        total = counts.sum()
        share = counts / total
        jacobian = (np.eye(len(share)) - share[:, None]) / total
        given = np.diag(covariance) if covariance.ndim == 1 else covariance
        error = np.sqrt(np.maximum(np.diag(jacobian @ given @ jacobian.T), 0))
        return cls(share, error, counts)


@style()
def unfolded(
    edges: Floats,
    spectra: Mapping[str, Spectrum],
    *,
    truth: Spectrum,
    prior: Floats,
    data: Floats | None = None,
    label: str = "",
) -> Figure:
    """Draw spectra in the bins `edges` (K + 1,) as densities of area 1, and over the truth.

    The first spectrum is a band, the others are points with bars, beside each other in a bin.
    `truth` is what should come out, its counting a grey band in the ratio; `prior` (K,) the
    simulation before, `data` (K,) what the detector saw. The ratio is left out where the truth
    has fewer than 20 events.
    """
    widths, centres = np.diff(edges), (edges[1:] + edges[:-1]) / 2
    enough = truth.counts >= 20

    def over(values: Floats) -> Floats:
        nothing = np.full_like(truth.values, np.nan)
        return np.divide(values, truth.values, out=nothing, where=enough)

    figure = Figure(figsize=(8, 8.4))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.5))
    below.axhline(1, color="black", linewidth=1)
    grey = np.nan_to_num(over(truth.error))
    below.stairs(1 + grey, edges, baseline=1 - grey, fill=True, color="black", alpha=0.15)
    lines = [("truth", truth.counts, "black", "-"), ("simulation", prior, COLOURS[3], "--")]
    if data is not None:
        lines.append(("data", data, COLOURS[8], ":"))
    for name, counts, colour, dashes in lines:
        share = counts / counts.sum()
        look = {"color": colour, "linestyle": dashes, "linewidth": 2}
        above.stairs(share / widths, edges, label=name, **look)
        if name == "simulation":
            below.stairs(over(share), edges, **look)
    names = list(spectra)
    for i, (name, spectrum) in enumerate(spectra.items()):
        colour = COLOURS[(0, 2, 1, 4, 5, 6)[i % 6]]
        offset = widths * 0.22 * (i - len(names) / 2)
        for axes, value, error in (
            (above, spectrum.values / widths, spectrum.error / widths),
            (below, over(spectrum.values), over(spectrum.error)),
        ):
            if i == 0:
                axes.stairs(value, edges, color=colour, linewidth=2, label=name)
                low, high = (np.nan_to_num(value + sign * error) for sign in (-1, 1))
                axes.stairs(high, edges, baseline=low, fill=True, color=colour, alpha=0.35)
                continue
            axes.errorbar(
                centres + offset,
                value,
                yerr=error,
                fmt=MARKERS[i % len(MARKERS)],
                markersize=4,
                linewidth=1.2,
                color=colour,
                label=name,
            )
    above.set_ylim(0, 1.5 * above.get_ylim()[1])
    above.set_ylabel("normalised to 1")
    above.legend(ncols=2, fontsize=15, columnspacing=1.0)
    below.set_ylim(0.7, 1.3)
    below.set_ylabel("over truth")
    below.set_xlabel(label)
    below.set_xlim(edges[0], edges[-1])
    return figure


@style()
def iteration_choice(curves: Mapping[str, IterationCurve], bins: int) -> Figure:
    """Draw, for each method, bias^2, variance and their sum by iteration, and the fit to data.

    Bias and variance are in units of the spectrum, averaged over the bins: a variance of 1 is that
    of counting the bin. chi^2 is divided by the number of `bins` at detector level.
    """
    figure = Figure(figsize=(8, 8.4))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.2))
    for i, (name, curve) in enumerate(curves.items()):
        iterations = np.arange(1, len(curve.chi2) + 1)
        colour = COLOURS[(0, 2, 1)[i % 3]]
        scale = np.maximum(np.abs(curve.spectrum[-1]), 1e-12 * np.abs(curve.spectrum[-1]).max())
        parts = (
            (curve.squared_error, "-", "sum"),
            ((curve.bias**2 / scale).mean(1), "--", r"bias$^2$"),
            ((curve.variance / scale).mean(1), ":", "variance"),
        )
        for values, line, what in parts:
            above.plot(iterations, values, line, color=colour, linewidth=2, label=f"{name}, {what}")
        above.plot(
            curve.best, curve.squared_error[curve.best - 1], "*", color=colour, markersize=18
        )
        below.plot(iterations, curve.chi2 / bins, "o-", color=colour, markersize=5)
    above.set_yscale("log")
    low, high = above.get_ylim()
    above.set_ylim(max(low, 1e-4 * high), 30 * high)
    above.set_ylabel("squared error / spectrum")
    above.legend(ncols=2, fontsize=14)
    below.axhline(1, color="black", linewidth=1)
    below.set_ylim(bottom=0)
    below.set_ylabel(r"$\chi^2$ / bins")
    below.set_xlabel("iteration")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


@style()
def correlations(covariance: Floats, edges: Sequence[Floats], labels: Sequence[str]) -> Figure:
    """Draw the correlation matrix of all bins of several observables, (K, K).

    `edges` are those of each observable, whose bins stand one after the other.
    """
    matrix = correlation_matrix(covariance)
    figure = Figure(figsize=(9, 7.6))
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1, origin="lower")
    sizes = np.array([len(limits) - 1 for limits in edges])
    stops = np.concatenate([[0], np.cumsum(sizes)]) - 0.5
    for stop in stops[1:-1]:
        axes.axhline(stop, color="black", linewidth=0.8)
        axes.axvline(stop, color="black", linewidth=0.8)
    centres = (stops[1:] + stops[:-1]) / 2
    axes.set_xticks(centres, labels)
    axes.set_yticks(centres, labels, rotation=90, va="center")
    axes.tick_params(which="both", length=0)
    axes.minorticks_off()
    figure.colorbar(image, ax=axes, label="correlation")
    return figure
