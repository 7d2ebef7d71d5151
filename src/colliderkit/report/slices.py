"""Plots of showers against eta, as networks of slices in eta make them, put together."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from colliderkit.report.plots import COLOURS, drawn, legend

__all__ = ["against_eta", "means_by_slice"]

Floats = NDArray[np.float64]


def look(names: Sequence[str], name: str) -> dict[str, Any]:
    """Return marker and colour of a sample; the first, the reference, is black."""
    first = name == names[0]
    return {
        "fmt": "s" if first else "o",
        "color": "black" if first else COLOURS[2],
        "label": name,
    }


@drawn
def against_eta(samples: Mapping[str, tuple[Floats, Floats]], edges: Floats, label: str) -> Figure:
    """Draw mean and standard deviation of a quantity at each value of eta, with their errors.

    `samples` by name are eta (N,), of few values, and the quantity (N,), called `label`; the first
    is the reference. Dotted lines are the inner `edges` of the slices.
    """
    figure = Figure(figsize=(16.4, 6.4))
    axes = figure.subplots(1, 2)
    names = list(samples)
    for name, (eta, quantity) in samples.items():
        values = np.unique(eta)
        groups = [quantity[eta == value] for value in values]
        count = np.array([len(group) for group in groups])
        width = np.array([group.std() for group in groups])
        mean = np.array([group.mean() for group in groups])
        line = "none" if name == names[0] else "-"
        axes[0].errorbar(values, mean, width / count**0.5, **look(names, name), linestyle=line)
        axes[1].errorbar(
            values, width, width / (2 * count) ** 0.5, **look(names, name), linestyle=line
        )
    for panel, what in zip(axes, ("Mean", "Standard deviation"), strict=True):
        for edge in edges[1:-1]:
            panel.axvline(edge, color="0.6", linestyle=":")
        panel.set_xlabel(r"$\eta$")
        panel.set_ylabel(f"{what} of {label}")
    legend(figure, axes[0])
    return figure


@drawn
def means_by_slice(
    samples: Mapping[str, tuple[Floats, Floats]], edges: Floats, label: str
) -> Figure:
    """Draw the mean of a quantity in each slice of eta, with its error; `against_eta` explains."""
    figure = Figure()
    axes = figure.subplots()
    middle = (edges[1:] + edges[:-1]) / 2
    for name, (eta, quantity) in samples.items():
        slices = np.digitize(eta, edges) - 1
        groups = [quantity[slices == k] for k in range(len(middle))]
        means = [group.mean() for group in groups]
        errors = [group.std() / len(group) ** 0.5 for group in groups]
        axes.errorbar(middle, means, errors, **look(list(samples), name))
    axes.set_xlabel(r"$\eta$")
    axes.set_ylabel(label)
    legend(figure)
    return figure
