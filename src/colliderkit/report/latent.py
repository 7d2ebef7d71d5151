"""Plots of what is found without labels: topics in the Lund plane, and symmetric angles."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from colliderkit.methods.search.symmetry import Angles
from colliderkit.report.plots import COLOURS, drawn, legend, styles

__all__ = ["against", "finite_rotations", "lund_topics"]

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
    borders = np.linspace(*angles, bins[0] + 1), np.linspace(*momenta, bins[1] + 1)
    look: dict[str, Any] = {"cmap": "viridis", "vmin": 0, "vmax": float(planes.max())}
    images = []
    for k, (axes, plane) in enumerate(zip(panels, planes, strict=True)):
        images.append(axes.pcolormesh(*borders, plane.T, **look))
        axes.set_title(f"topic {k + 1}", loc="left")
        axes.set_xlabel(r"$\ln 1/\Delta$")
    panels[0].set_ylabel(r"$\ln k_T/\mathrm{GeV}$")
    figure.colorbar(images[0], ax=list(panels), label="Share of splittings")
    return figure


@drawn
def finite_rotations(angles: Angles) -> Figure:
    """Draw chi^2 over its degrees of freedom against the angle, and the angles that are found."""
    figure = Figure()
    axes = figure.subplots()
    axes.plot(np.degrees(angles.angle), angles.chi2 / angles.ndf, color=COLOURS[0])
    axes.axhline(1, color="k", linestyle=":", label="unchanged")
    for i, angle in enumerate(np.degrees(angles.found)):
        look: dict[str, Any] = {"color": COLOURS[1], "linestyle": "--", "zorder": 0}
        axes.axvline(angle, label="found" if i == 0 else None, **look)
    axes.set_yscale("log")
    axes.set_xlim(0, 360)
    axes.set_xlabel("Angle of rotation [degrees]")
    axes.set_ylabel(r"$\chi^2$ / degrees of freedom")
    legend(figure, axes)
    return figure


@drawn
def against(
    curves: Mapping[str, Sequence[tuple[float, float, float]]],
    along: str,
    quantity: str,
    *,
    line: float | None = None,
    log: bool = True,
) -> Figure:
    """Draw points (x, value, error) of each name against x, a label `along`."""
    figure = Figure()
    axes = figure.subplots()
    look = styles(list(curves))
    for name, points in curves.items():
        x, value, error = np.array(sorted(points)).T
        axes.errorbar(x, value, error, label=name, capsize=4, **look[name])
    if line is not None:
        axes.axhline(line, color="k", linestyle=":")
    if log:
        axes.set_xscale("log")
    axes.set_xlabel(along)
    axes.set_ylabel(quantity)
    legend(figure, axes)
    return figure
