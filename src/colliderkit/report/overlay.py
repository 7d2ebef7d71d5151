"""Plots of events in one calorimeter, as several sources of showers make them."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from colliderkit.events.calorimeter.geometry import Geometry, Grid
from colliderkit.report.plots import COLOURS, style

__all__ = ["cell_spectrum", "layer_images", "ratio_histogram"]

Floats = NDArray[np.float64]
GEV = 1e3  # MeV
PALETTE = tuple(COLOURS[i] for i in (3, 8, 1, 0, 2, 4))


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return the colour of each source; the first, the reference, is grey."""
    return dict(zip(names, PALETTE, strict=False))


@style()
def layer_images(
    readings: Mapping[str, Floats], cells: Geometry, layer: int, *, reach: float, threshold: float
) -> Figure:
    """Draw a layer of one event, for each source of its readings (C,) [MeV].

    `layer` is the index of a grid of `cells`, which ends at +-`reach` in eta and phi; the colours
    begin at `threshold` [MeV].
    """
    figure = Figure(figsize=(6.2 * len(readings) + 1.5, 6.4), layout="compressed")
    axes = figure.subplots(1, len(readings), sharey=True, squeeze=False)[0]
    grid = cells.layers[layer]
    assert isinstance(grid, Grid)
    here = cells.layer == layer
    top = max(float(reading[here].max()) for reading in readings.values()) / GEV
    for panel, (name, reading) in zip(axes, readings.items(), strict=True):
        image = reading[here].reshape(grid.shape) / GEV
        drawn = panel.imshow(
            np.where(image > 0, image, np.nan),
            origin="lower",
            extent=(-reach, reach, -reach, reach),
            norm=LogNorm(threshold / GEV, max(top, 1.0)),
            cmap="viridis",
            interpolation="nearest",
        )
        panel.set_title(name, loc="left", fontsize=20)
        panel.set_xlabel(r"$\Delta\eta$")
    axes[0].set_ylabel(r"$\Delta\varphi$ [rad]")
    figure.colorbar(drawn, ax=list(axes), label="Energy [GeV]")
    return figure


@style()
def cell_spectrum(readings: Mapping[str, Floats], *, threshold: float) -> Figure:
    """Draw cells an event against energy, readings (N, C) [MeV], and the ratio to the first."""
    figure = Figure()
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    edges = np.geomspace(threshold, 1e5, 31)
    middle = np.sqrt(edges[1:] * edges[:-1])
    reference = next(iter(readings))
    counts = {name: np.histogram(cells[cells > 0], edges)[0] for name, cells in readings.items()}
    base = counts[reference]
    for name, colour in colours(list(readings)).items():
        count = counts[name]
        top.stairs(count / len(readings[name]), edges, color=colour, label=name, linewidth=2.2)
        if name == reference:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(base > 0, count / base, np.nan)
            error = ratio * np.sqrt(1 / np.maximum(count, 1) + 1 / np.maximum(base, 1))
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
def ratio_histogram(quantity: Mapping[str, Floats], label: str) -> Figure:
    """Draw the distribution of a jet's quantity (N,) over the first source's, of the same jets."""
    figure = Figure()
    axes = figure.subplots()
    reference = next(iter(quantity))
    ratios = {
        name: values / np.maximum(quantity[reference], 1e-9)
        for name, values in quantity.items()
        if name != reference
    }
    low, high = np.quantile(np.concatenate(list(ratios.values())), [0.01, 0.99])
    room = 0.15 * (high - low) + 1e-3
    edges = np.linspace(low - room, high + room, 31)
    colour = colours(list(quantity))
    for name, values in ratios.items():
        legend = f"{name}: {values.mean():.3f} ± {values.std():.3f}"
        count = np.histogram(values, edges)[0]
        axes.stairs(count, edges, color=colour[name], linewidth=2.4, label=legend)
    axes.axvline(1, color="k", linestyle=":", linewidth=1.4)
    axes.set_ylim(0, 1.5 * axes.get_ylim()[1])
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel(f"Jet {label} / that of {reference}")
    axes.set_ylabel("Jets")
    axes.legend(fontsize=15, title="mean ± spread", title_fontsize=14)
    return figure
