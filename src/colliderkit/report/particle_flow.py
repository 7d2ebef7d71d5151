"""Plots of particle flow: the neutral share of each calorimeter cell of an event."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.report.curves import record
from colliderkit.report.plots import WIDTHS, drawn

__all__ = ["shares_of_an_event"]

AREA = 420.0  # points squared of the cell of most energy
LAYERS = 3  # those of most energy are drawn


@drawn
def shares_of_an_event(
    hits: CalorimeterHits,
    shares: Mapping[str, NDArray[np.float64]],
    event: int,
    track: ArrayLike,
) -> Figure:
    """Draw the shares (H,) of hits of one event by several methods, in its layers of most energy.

    A row a method, a column a layer; colours run from charged (0) to neutral (1), the area of a
    mark is as the root of the energy; `track` (x, y, ...) is a cross.
    """
    rows = slice(*hits.offsets[event : event + 2])
    x, y, z = hits.position[rows].T
    energy = hits.energy[rows]
    depths, layer = np.unique(np.round(z, 1), return_inverse=True)
    sums = np.bincount(layer, energy, len(depths))
    chosen = np.sort(np.argsort(-sums)[:LAYERS])
    place = np.asarray(track, dtype=np.float64)
    figure = Figure(figsize=(WIDTHS["wide"], 4.2 * len(shares) + 0.6), layout="compressed")
    axes: Any = figure.subplots(len(shares), len(chosen), sharex=True, sharey=True, squeeze=False)
    area = AREA * np.sqrt(energy / energy.max(initial=1e-30)) + 3
    marks = None
    for i, (name, values) in enumerate(shares.items()):
        share = values[rows]
        for j, number in enumerate(chosen):
            here = layer == number
            panel = axes[i, j]
            marks = panel.scatter(
                x[here], y[here], area[here], share[here], cmap="coolwarm", vmin=0, vmax=1,
                marker="s", linewidths=0.4, edgecolors="0.4",
            )  # fmt: skip
            record(marks, x=x[here], y=y[here], energy=energy[here], value=share[here])
            panel.plot(*place[:2], marker="x", color="k", markersize=14, markeredgewidth=2.4)
            if i == 0:
                panel.set_title(f"z = {depths[number]:g} mm, {sums[number]:.1f} GeV", loc="left")
            if i == len(shares) - 1:
                panel.set_xlabel("x [mm]")
        axes[i, 0].set_ylabel(f"{name}\ny [mm]")
    if marks is not None:
        figure.colorbar(marks, ax=list(axes.flat), label="Neutral share")
    return figure
