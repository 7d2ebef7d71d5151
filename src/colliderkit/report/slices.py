"""Plots of showers by slices of eta: their response, and shares of their energy."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from colliderkit.report.plots import style

__all__ = ["response_against_eta", "share_by_slice"]

Floats = NDArray[np.float64]
COLOUR = "#bd1f01"


@style()
def response_against_eta(
    samples: Mapping[str, tuple[Floats, Floats]], edges: Floats, generated: str
) -> Figure:
    """Draw mean and standard deviation of E_tot/E_inc against eta.

    `samples` are eta (N,), of few values, and responses (N,) by name; the one called `generated`
    is drawn as a line. `edges` are the ends of the slices.
    """
    figure = Figure(figsize=(17, 6.5), layout="constrained")
    axes = figure.subplots(1, 2)
    for name, (eta, response) in samples.items():
        values = np.unique(eta)
        groups = [response[eta == value] for value in values]
        count = np.array([len(group) for group in groups])
        width = np.array([group.std() for group in groups])
        mean = np.array([group.mean() for group in groups])
        look = {
            "fmt": "o-" if name == generated else "s",
            "color": COLOUR if name == generated else "black",
            "label": name,
        }
        axes[0].errorbar(values, mean, width / count**0.5, **look)
        axes[1].errorbar(values, width, width / (2 * count) ** 0.5, **look)
    for panel, what in zip(axes, ("Mean", "Standard deviation"), strict=True):
        for edge in edges[1:-1]:
            panel.axvline(edge, color="0.6", linestyle=":")
        panel.set_xlabel(r"$\eta$")
        panel.set_ylabel(rf"{what} of $E_\mathrm{{tot}} / E_\mathrm{{inc}}$")
    axes[0].legend()
    return figure


@style()
def share_by_slice(
    samples: Mapping[str, tuple[Floats, Floats]], edges: Floats, generated: str, label: str
) -> Figure:
    """Draw the mean of a share (N,) in each slice of eta (N,), with its error."""
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    for name, (eta, share) in samples.items():
        place = np.digitize(eta, edges) - 1
        means = np.array([share[place == k].mean() for k in range(len(edges) - 1)])
        errors = np.array(
            [share[place == k].std() / (place == k).sum() ** 0.5 for k in range(len(edges) - 1)]
        )
        axes.errorbar(
            (edges[1:] + edges[:-1]) / 2,
            means,
            errors,
            fmt="o" if name == generated else "s",
            color=COLOUR if name == generated else "black",
            label=name,
        )
    axes.set_xlabel(r"$\eta$")
    axes.set_ylabel(label)
    axes.legend()
    return figure
