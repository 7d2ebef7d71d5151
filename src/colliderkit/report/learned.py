"""Plots of learned observables: what each bin costs to unfold, resolutions and responses."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from colliderkit.report.plots import COLOURS, style

__all__ = ["by_bin", "responses"]

Floats = NDArray[np.float64]
# Neighbours in the legend are far apart in colour.
ORDER = tuple(COLOURS[i] for i in (3, 1, 9, 5, 0, 4, 2, 6))


@style()
def by_bin(
    curves: Mapping[str, Floats],
    edges: Floats,
    label: str,
    quantity: str,
    *,
    line: float | None = None,
    log: bool = False,
    limits: tuple[float, float] | None = None,
    powers: bool = False,
) -> Figure:
    """Draw one number a bin, {observable: (K,)}, as steps over `edges` (K + 1,).

    Names that begin with "learned" have full lines, the others dashes. `line` marks the value of a
    perfect observable; `powers`: the edges are log10 of the quantity.
    """
    figure = Figure()
    axes = figure.subplots()
    where = 10**edges if powers else edges
    for (name, values), colour in zip(curves.items(), ORDER, strict=False):
        full = name.startswith("learned")
        look: dict[str, Any] = {"color": colour, "linestyle": "-" if full else (0, (4, 1.5))}
        axes.stairs(values, where, baseline=None, label=name, linewidth=2.8, **look)
    if line is not None:
        axes.axhline(line, color="k", linestyle=":", linewidth=1.4)
    if powers:
        axes.set_xscale("log")
    if log:
        axes.set_yscale("log")
    axes.set_xlim(where[0], where[-1])
    if limits is not None:
        axes.set_ylim(*limits)
    low, high = axes.get_ylim()
    room = 0.09 * (len(curves) + 1) / 2
    axes.set_ylim(low, high * (high / low) ** room if log else high + room * (high - low))
    for axis, logarithmic in ((axes.xaxis, powers), (axes.yaxis, log)):
        if logarithmic:
            low, high = axis.get_view_interval()
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)
    axes.set_ylabel(quantity)
    axes.legend(ncols=2, loc="upper center", fontsize=15)
    return figure


@style()
def responses(matrices: Mapping[str, Floats], label: str) -> Figure:
    """Draw p(detector bin | truth bin) of {observable: (T, R)} side by side, bins by number."""
    figure = Figure(figsize=(6.2 * len(matrices) + 1.4, 6.4), layout="compressed")
    panels = figure.subplots(1, len(matrices), sharey=True, squeeze=False)[0]
    top = max(float(matrix.max()) for matrix in matrices.values())
    for axes, (name, matrix) in zip(panels, matrices.items(), strict=True):
        axes.imshow(
            matrix,
            origin="lower",
            aspect="auto",
            cmap="Blues",
            vmin=0,
            vmax=top,
            extent=(0.5, matrix.shape[1] + 0.5, 0.5, len(matrix) + 0.5),
        )
        axes.set_title(name, loc="left")
        axes.set_xlabel("Detector bin")
        axes.minorticks_off()
        axes.tick_params(which="both", direction="out", top=False, right=False)
    panels[0].set_ylabel(f"Truth bin of {label}")
    mappable = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(0, top), "Blues")
    figure.colorbar(mappable, ax=list(panels), label="p(detector bin | truth bin)")
    return figure
