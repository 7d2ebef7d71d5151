"""Plots of tau identification: the response of the visible momentum."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from colliderkit.report.plots import COLOURS, drawn, legend

__all__ = ["visible_response"]

EDGES = np.linspace(0.6, 1.4, 41)


@drawn
def visible_response(ratios: Mapping[str, ArrayLike]) -> Figure:
    """Draw the distributions of reconstructed over true visible pT of {method: (T,)}."""
    figure = Figure()
    axes = figure.subplots()
    for (name, ratio), colour in zip(ratios.items(), COLOURS, strict=False):
        values = np.asarray(ratio, dtype=np.float64)
        counts, _ = np.histogram(values, EDGES)
        norm = max(len(values), 1) * np.diff(EDGES)
        axes.stairs(counts / norm, EDGES, color=colour, linewidth=1.8, label=name)
        middle = (EDGES[1:] + EDGES[:-1]) / 2
        error = np.sqrt(counts) / norm
        axes.errorbar(middle, counts / norm, error, fmt="none", color=colour, linewidth=1.0)
    axes.axvline(1, color="k", linestyle="--", linewidth=1.0)
    axes.set_xlim(EDGES[0], EDGES[-1])
    axes.set_ylim(0)
    axes.set_xlabel("Reconstructed / true visible pT")
    axes.set_ylabel("Share of taus per unit")
    legend(figure, axes)
    return figure
