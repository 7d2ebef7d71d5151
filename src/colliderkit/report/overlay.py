"""Plots of showers overlaid in one calorimeter: cells of a jet, their spectrum, and jets."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.report.plots import COLOURS, style

__all__ = ["cell_images", "cell_spectrum", "jet_ratios"]

Floats = NDArray[np.float64]


def _colours(names: Any) -> dict[str, str]:
    order = (COLOURS[3], COLOURS[8], COLOURS[1], COLOURS[0])
    return dict(zip(names, order, strict=False))


@style()
def cell_images(
    readings: Mapping[str, Floats], cells: Geometry, layer: int, reach: float, threshold: float
) -> Figure:
    """Draw the cells (C,) [MeV] of one jet in a layer, for each source.

    `reach` is half of the side in eta and phi, `threshold` [MeV] the lowest reading.
    """
    figure = Figure(figsize=(6.2 * len(readings) + 1.5, 6.4), layout="compressed")
    axes = figure.subplots(1, len(readings), sharey=True, squeeze=False)[0]
    shape = cells.layers[layer].shape
    top = max(float(r[cells.layer == layer].max()) for r in readings.values()) / 1e3
    for panel, (name, reading) in zip(axes, readings.items(), strict=True):
        image = reading[cells.layer == layer].reshape(shape) / 1e3
        drawn = panel.imshow(
            np.where(image > 0, image, np.nan),
            origin="lower",
            extent=(-reach, reach, -reach, reach),
            norm=LogNorm(threshold / 1e3, max(top, 1.0)),
            cmap="viridis",
            interpolation="nearest",
        )
        panel.set_title(name, loc="left", fontsize=20)
        panel.set_xlabel(r"$\Delta\eta$")
    axes[0].set_ylabel(r"$\Delta\varphi$ [rad]")
    figure.colorbar(drawn, ax=list(axes), label="Energy [GeV]")
    return figure


@style()
def cell_spectrum(readings: Mapping[str, Floats], threshold: float) -> Figure:
    """Draw cells a jet against energy, and the ratio to the first source."""
    figure = Figure()
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    edges = np.geomspace(threshold, 1e5, 31)
    base = None
    for name, colour in _colours(readings).items():
        cells = readings[name]
        count = np.histogram(cells[cells > 0], edges)[0]
        top.stairs(count / len(cells), edges, color=colour, label=name, linewidth=2.2)
        base = count if base is None else base
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(base > 0, count / base, np.nan)
            error = ratio * np.sqrt(1 / np.maximum(count, 1) + 1 / np.maximum(base, 1))
        middle = np.sqrt(edges[1:] * edges[:-1])
        if name != next(iter(readings)):
            bottom.errorbar(middle, ratio, error, fmt="o", markersize=4, color=colour)
    bottom.axhline(1, color="k", linewidth=1)
    top.set_xscale("log")
    top.set_yscale("log")
    top.set_ylabel("Cells a jet")
    top.legend(fontsize=15)
    bottom.set_ylim(0, 2)
    bottom.set_xlabel("Energy of a cell [MeV]")
    bottom.set_ylabel("Ratio", loc="center")
    return figure


@style()
def jet_ratios(quantities: Mapping[str, Mapping[str, Floats]], quantity: str) -> Figure:
    """Draw the distribution of a quantity over that of the first source, of the same jets."""
    figure = Figure()
    axes = figure.subplots()
    colours = _colours(quantities)
    first = next(iter(quantities))
    reference = quantities[first][quantity]
    ratios = {
        name: values[quantity] / np.maximum(reference, 1e-9)
        for name, values in quantities.items()
        if name != first
    }
    pool = np.concatenate(list(ratios.values()))
    low, high = np.quantile(pool, [0.01, 0.99])
    room = 0.15 * (high - low) + 1e-3
    edges = np.linspace(low - room, high + room, 31)
    for name, values in ratios.items():
        label = f"{name}: {values.mean():.3f} ± {values.std():.3f}"
        count = np.histogram(values, edges)[0]
        axes.stairs(count, edges, color=colours[name], linewidth=2.4, label=label)
    axes.axvline(1, color="k", linestyle=":", linewidth=1.4)
    axes.set_ylim(0, 1.5 * axes.get_ylim()[1])
    axes.set_xlim(edges[0], edges[-1])
    label = quantity.replace(" [GeV]", "")
    axes.set_xlabel(f"Jet {label} / that of {first}")
    axes.set_ylabel("Jets")
    axes.legend(fontsize=15, title="mean ± spread", title_fontsize=14)
    return figure
