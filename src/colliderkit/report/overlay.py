"""Plots of events in one calorimeter, as several sources of showers make them."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from colliderkit.events.calorimeter.geometry import Geometry, Grid
from colliderkit.report.plots import WIDTHS, draw_ratio, drawn, legend, limit_ratio, merged, styles

__all__ = ["cell_spectrum", "layer_images", "ratio_histogram"]

Floats = NDArray[np.float64]
GEV = 1e3  # MeV
REFERENCE = "#000000"


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return the colour of each source; the first, the reference, is black."""
    others = {name: look["color"] for name, look in styles(list(names[1:])).items()}
    return dict.fromkeys(names[:1], REFERENCE) | others


@drawn
def layer_images(
    readings: Mapping[str, Floats], cells: Geometry, layer: int, *, reach: float, threshold: float
) -> Figure:
    """Draw a layer of one event, for each source of its readings (C,) [MeV].

    `layer` is the index of a grid of `cells`, which ends at +-`reach` in eta and phi; the colours
    begin at `threshold` [MeV].
    """
    width = WIDTHS["half" if len(readings) == 1 else "wide"]
    height = (width - 2.2) / max(len(readings), 2) + 1.3
    figure = Figure(figsize=(width, height), layout="compressed")
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
        panel.set_title(name, loc="left")
        panel.set_xlabel(r"$\Delta\eta$")
    axes[0].set_ylabel(r"$\Delta\varphi$ [rad]")
    figure.colorbar(drawn, ax=list(axes), label="Energy [GeV]")
    return figure


@drawn
def cell_spectrum(readings: Mapping[str, Floats], *, threshold: float) -> Figure:
    """Draw cells an event against energy, readings (N, C) [MeV], and the ratio to the first."""
    figure = Figure()
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    edges = np.geomspace(threshold, 1e5, 31)
    reference = next(iter(readings))
    counts = {name: np.histogram(cells[cells > 0], edges)[0] for name, cells in readings.items()}
    base = counts[reference]
    starts = merged(base)
    top.set_xscale("log")
    with np.errstate(divide="ignore", invalid="ignore"):
        band = np.nan_to_num(1 / np.sqrt(base), posinf=0)
    bottom.stairs(1 + band, edges, baseline=1 - band, color="k", alpha=0.15, fill=True)
    for name, colour in colours(list(readings)).items():
        count = counts[name]
        top.stairs(count / len(readings[name]), edges, color=colour, label=name, linewidth=2.2)
        if name == reference:
            continue
        jets, others = len(readings[name]), len(readings[reference])
        contents = (count * others / jets, np.sqrt(count) * others / jets)
        draw_ratio(bottom, edges, contents, base, starts, color=colour, label=name)
    bottom.axhline(1, color="k", linewidth=1)
    top.set_yscale("log")
    top.set_ylabel("Cells a jet")
    top.set_xlim(edges[0], edges[-1])
    legend(figure, top)
    limit_ratio(bottom)
    bottom.set_xlabel("Energy of a cell [MeV]")
    bottom.set_ylabel("Ratio", loc="center")
    return figure


@drawn
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
        text = f"{name}: {values.mean():.3f} ± {values.std():.3f}"
        count = np.histogram(values, edges)[0]
        axes.stairs(count, edges, color=colour[name], linewidth=2.4, label=text)
    axes.axvline(1, color="k", linestyle=":", linewidth=1.4)
    axes.set_ylim(bottom=0)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel(f"Jet {label} / that of {reference}")
    axes.set_ylabel("Jets")
    legend(figure, title="mean ± spread")
    return figure
