"""Plots of unfolded data: a spectrum with its uncertainty, and its correlations."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from colliderkit.methods.unfolding.result import BinnedSpectrum
from colliderkit.report.plots import COLOURS, style

__all__ = ["correlation", "correlation_matrix", "spectrum"]

Floats = NDArray[np.float64]


@style()
def spectrum(found: BinnedSpectrum, prior: Floats) -> Figure:
    """Draw an unfolded spectrum over the simulation's own, `prior` (K,), and their ratio.

    Bars are the total uncertainty, and the bands in the ratio its parts, each added in quadrature
    to those before.
    """
    edges, widths = found.edges, np.diff(found.edges)
    centres = (edges[1:] + edges[:-1]) / 2
    figure = Figure(figsize=(8, 8.4))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.5))
    above.stairs(prior / widths, edges, color=COLOURS[3], linestyle="--", label="simulation")
    look = {"fmt": "o", "color": "black", "markersize": 5}
    above.errorbar(centres, found.values / widths, found.error / widths, label="unfolded", **look)

    def over(values: Floats) -> Floats:
        return np.divide(values, prior, out=np.full_like(prior, np.nan), where=prior > 0)

    variance = np.zeros_like(prior)
    for i, (name, part) in enumerate(found.covariances.items()):
        variance = variance + np.diag(part)
        band = np.nan_to_num(over(np.sqrt(variance)))
        middle = np.nan_to_num(over(found.values))
        below.stairs(
            middle + band,
            edges,
            baseline=middle - band,
            fill=True,
            color=COLOURS[i % len(COLOURS)],
            alpha=0.5,
            zorder=-i,
            label=name,
        )
    below.errorbar(centres, over(found.values), over(found.error), **look)
    below.axhline(1, color=COLOURS[3], linestyle="--")
    unit = f" [{found.unit}]" if found.unit else ""
    above.set_ylabel(f"{found.kind} / width")
    above.set_ylim(0, 1.25 * above.get_ylim()[1])
    above.legend()
    below.set_ylabel("over simulation")
    below.set_xlabel(found.observable + unit)
    below.set_xlim(edges[0], edges[-1])
    if found.covariances:
        below.legend(fontsize=13, ncols=len(found.covariances))
    return figure


@style()
def correlation(found: BinnedSpectrum) -> Figure:
    """Draw the correlation matrix of the bins of an unfolded spectrum."""
    matrix = correlation_matrix(found.covariance)
    figure = Figure(figsize=(8.4, 7.2))
    axes = figure.subplots()
    mesh = axes.pcolormesh(found.edges, found.edges, matrix, cmap="RdBu_r", vmin=-1, vmax=1)
    unit = f" [{found.unit}]" if found.unit else ""
    axes.set_xlabel(found.observable + unit)
    axes.set_ylabel(found.observable + unit)
    axes.set_aspect("equal")
    figure.colorbar(mesh, ax=axes, label="correlation")
    return figure


def correlation_matrix(covariance: Floats) -> Floats:
    """Return cov_ij / (sigma_i sigma_j), (K, K), NaN where a variance is zero."""
    spread = np.sqrt(np.diag(covariance))
    outer = np.outer(spread, spread)
    return np.divide(covariance, outer, out=np.full_like(outer, np.nan), where=outer > 0)
