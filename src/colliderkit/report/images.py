"""Mean jet images, and the filters that an energy-flow network learned."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from colliderkit.report.plots import WIDTHS, drawn

__all__ = ["filters", "jet_images"]


@drawn
def filters(responses: NDArray[np.floating[Any]], reach: float) -> Figure:
    """Draw an energy-flow network's learned filters (F, n, n) in the (eta, phi) plane.

    Element [f, i, j] is Phi_f at pseudorapidity number i and azimuth number j of an even grid over
    [-reach, reach], relative to the jet. A line encloses where the filter exceeds half of its
    largest value; its colour is the distance of that region's centre from the jet axis, as in
    1810.05165. Filters that are zero everywhere are left out.
    """
    figure = Figure(figsize=(8.0, 6.6), layout="compressed")
    axes = figure.subplots()
    grid = np.linspace(-reach, reach, responses.shape[1])
    y, phi = np.meshgrid(grid, grid, indexing="ij")
    shade = matplotlib.colormaps["viridis"]
    scale = Normalize(0, reach)
    for response in responses:
        peak = response.max()
        if not peak > 0:
            continue
        inside = response >= peak / 2
        distance = float(np.hypot(y[inside].mean(), phi[inside].mean()))
        colour = shade(scale(distance))
        lines = axes.contour(y, phi, response, [peak / 2], colors=[colour], linewidths=1.2)
        lines.set_rasterized(True)
    axes.set_aspect("equal")
    axes.set_xlabel(r"$\eta - \eta_\mathrm{jet}$")
    axes.set_ylabel(r"$\varphi - \varphi_\mathrm{jet}$ [rad]")
    mappable = matplotlib.cm.ScalarMappable(scale, shade)
    figure.colorbar(mappable, ax=axes, label="Distance of the filter from the axis")
    return figure


@drawn
def jet_images(images: Mapping[str, NDArray[np.floating[Any]]], reach: float) -> Figure:
    """Draw mean jet images {class: (H, W)} on one logarithmic scale.

    Rows count azimuth and columns pseudorapidity upwards, as `events.images.JetImage` has them,
    over [-reach, reach] from the centre of the image.
    """
    width = WIDTHS["half" if len(images) == 1 else "wide"]
    figure = Figure(figsize=(width, (width - 2.2) / max(len(images), 2) + 0.6), layout="compressed")
    axes = figure.subplots(1, len(images), sharey=True, squeeze=False)[0]
    top = max(float(image.max()) for image in images.values())
    for panel, (name, image) in zip(axes, images.items(), strict=True):
        drawn = panel.imshow(
            np.where(image > 0, image, np.nan),
            origin="lower",
            extent=(-reach, reach, -reach, reach),
            norm=LogNorm(top * 1e-5, top),
            cmap="viridis",
            interpolation="nearest",
        )
        panel.set_title(name, loc="left")
        panel.set_xlabel(r"$\Delta\eta$")
        panel.tick_params(which="both", direction="out", top=False, right=False)
        panel.xaxis.set_major_locator(MaxNLocator(5, prune="upper"))
    axes[0].set_ylabel(r"$\Delta\varphi$ [rad]")
    figure.colorbar(drawn, ax=list(axes), label="Mean share of $p_T$ in a pixel")
    return figure
