"""Plots of what is found without labels: topics in the Lund plane, and symmetric angles."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from colliderkit.methods.search.symmetry import Angles
from colliderkit.report.plots import COLOURS, drawn, legend

__all__ = ["finite_rotations", "lund_topics"]

Floats = NDArray[np.float64]


@drawn
def lund_topics(
    topics: Floats,
    bins: tuple[int, int],
    angles: tuple[float, float],
    momenta: tuple[float, float],
) -> Figure:
    """Draw topics (K, V) over the Lund plane of `bins` in ln 1/Delta and ln kt, side by side."""
    figure = Figure(figsize=(5.6 * len(topics) + 1.5, 5.6))
    panels = figure.subplots(1, len(topics), sharey=True, squeeze=False)[0]
    planes = topics.reshape(-1, *bins)
    image = None
    for k, (axes, plane) in enumerate(zip(panels, planes, strict=True)):
        image = axes.pcolormesh(
            np.linspace(*angles, bins[0] + 1),
            np.linspace(*momenta, bins[1] + 1),
            plane.T,
            cmap="viridis",
            vmin=0,
            vmax=float(planes.max()),
        )
        axes.set_title(f"topic {k + 1}", loc="left")
        axes.set_xlabel(r"$\ln 1/\Delta$")
    panels[0].set_ylabel(r"$\ln k_T/\mathrm{GeV}$")
    figure.colorbar(image, ax=list(panels), label="Share of splittings")
    return figure


@drawn
def finite_rotations(angles: Angles) -> Figure:
    """Draw chi^2 over its degrees of freedom against the angle, and the angles that are found."""
    figure = Figure()
    axes = figure.subplots()
    axes.plot(np.degrees(angles.angle), angles.chi2 / angles.ndf, color=COLOURS[0])
    axes.axhline(1, color="k", linestyle=":", label="unchanged")
    for i, angle in enumerate(np.degrees(angles.found)):
        axes.axvline(angle, color=COLOURS[1], label="found" if i == 0 else None)
    axes.set_yscale("log")
    axes.set_xlim(0, 360)
    axes.set_xlabel("Angle of rotation [degrees]")
    axes.set_ylabel(r"$\chi^2$ / degrees of freedom")
    legend(figure, axes)
    return figure
