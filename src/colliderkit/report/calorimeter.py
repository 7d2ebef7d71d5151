"""Drawings of a calorimeter and of what showers leave in it."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from numpy.typing import NDArray

from colliderkit.events.calorimeter.geometry import Geometry, Grid, Layer
from colliderkit.metrics.separation import TriangularDiscriminator, binned_separation
from colliderkit.metrics.showers import RESPONSE, VOXELS, ShowerHistograms
from colliderkit.report.curves import record
from colliderkit.report.layers import layer_names, layer_title
from colliderkit.report.plots import (
    COLOURS,
    MARKERS,
    WIDTHS,
    draw_ratio,
    drawn,
    legend,
    limit_ratio,
    merged,
    ratio_label,
    styles,
)

__all__ = ["histograms", "images", "irregular", "profiles", "separation_by_layer", "view"]

Floats = NDArray[np.float64]
Look = dict[str, dict[str, Any]]
FLOOR = COLOURS[3]
ARC = np.pi / 48  # a wedge's arc is drawn by straight lines of at most this angle
DECADES = 5
LABELS = {
    RESPONSE: r"$E_\mathrm{tot} / E_\mathrm{inc}$",
    VOXELS: "Energy of a voxel [MeV]",
    "E": "Energy [MeV]",
    "centre eta": r"Centre in $\eta$ [mm]",
    "centre phi": r"Centre in $\varphi$ [mm]",
    "centre r": "Centre in r [mm]",
    "width eta": r"Width in $\eta$ [mm]",
    "width phi": r"Width in $\varphi$ [mm]",
    "width r": "Width in r [mm]",
    "sparsity": "Share of empty voxels",
}


def looks(names: Sequence[str], floor: str | None) -> Look:
    """Return colour and line of each sample: the first is black, the `floor` grey."""
    first = names[0]
    look = styles([name for name in names if name not in (first, floor)])
    look[first] = {"color": "black", "linestyle": "-"}
    if floor is not None:
        look[floor] = {"color": FLOOR, "linestyle": "-"}
    return look


@drawn
def histograms(
    samples: Mapping[str, ShowerHistograms],
    edges: Mapping[str, Floats],
    names: Sequence[str],
    *,
    floor: str | None = None,
) -> Figure:
    """Draw histograms side by side as shares, and over the first sample, with counting bands.

    `names` are those of `ShowerHistograms.counts`; `floor` names a second sample of the first one's
    density. Bars and bands are of one standard deviation; in the ratio bins are merged until
    the first sample has 10 entries. Above each panel stands the separation power D of a
    model.
    """
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    figure, axes = _pairs(rows, columns)
    look = looks([*samples], floor)
    layered = [int(name.partition(" layer ")[2]) for name in edges if " layer " in name]
    for i, name in enumerate(names):
        row, column = divmod(i, columns)
        top, bottom = axes[2 * row, column], axes[2 * row + 1, column]
        _histogram(top, bottom, samples, name, edges[name], look)
        kind, _, layer = name.partition(" layer ")
        if layer:
            top.set_title(layer_title(int(layer), layered), loc="left")
        bottom.set_xlabel(LABELS[kind])
        if column == 0:
            top.set_ylabel("Share of " + ("voxels" if name == VOXELS else "showers"))
            ratio_label(bottom, next(iter(samples)))
    legend(figure)
    for spare in axes[-2:, columns - (rows * columns - len(names)) :].flat:
        spare.set_visible(False)
    return figure


def _pairs(rows: int, columns: int) -> tuple[Figure, NDArray[Any]]:
    """Return axes (2 rows, columns), each with one for its ratio below, and their figure.

    The places are given: finding them takes as long as drawing.
    """
    width = WIDTHS["half" if columns == 1 else "wide"]
    height = (6.4 if columns < 3 else 5.2) * rows + 0.7
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("none")
    outer = figure.add_gridspec(
        rows,
        1,
        left=1.25 / width,
        right=1 - 0.25 / width,
        bottom=0.85 / height,
        top=1 - 1.15 / height,
        hspace=0.3,
    )
    axes = [
        outer[row].subgridspec(2, columns, height_ratios=(3, 1.1), hspace=0.06, wspace=0.2)
        for row in range(rows)
    ]
    return figure, np.concatenate([grid.subplots(squeeze=False) for grid in axes])


def _histogram(
    top: Axes,
    bottom: Axes,
    samples: Mapping[str, ShowerHistograms],
    name: str,
    edges: Floats,
    look: Look,
) -> None:
    logarithmic = name == VOXELS or name.startswith("E layer")
    first = next(iter(samples))
    base = samples[first].counts[name]
    every, edges = _shown(samples, name, edges)
    if logarithmic:
        for axes in (top, bottom):
            axes.set_xscale("log")
    base = every[first][0]
    share, error = base / max(base.sum(), 1), every[first][1] / max(base.sum(), 1)
    starts = merged(base)
    others = [other for other in samples if other != first]
    for sample, (counts, spread) in every.items():
        total = max(counts.sum(), 1)
        width = 2.4 if sample == first else 2
        top.stairs(counts / total, edges, label=sample, linewidth=width, **look[sample])
        if sample == first:
            top.stairs(counts / total, edges, fill=True, color="black", alpha=0.08)
            with np.errstate(divide="ignore", invalid="ignore"):
                band = np.where(base > 0, error / share, 0)
            bottom.stairs(1 + band, edges, baseline=1 - band, fill=True, color="black", alpha=0.18)
            bottom.axhline(1, color="black", linewidth=1.4)
            continue
        marks: dict[str, Any] = {"fmt": MARKERS[others.index(sample) % len(MARKERS)]}
        marks |= {"label": sample, "color": look[sample]["color"]}
        draw_ratio(bottom, edges, (counts / total, spread / total), share, starts, **marks)
    top.set_yscale("log")
    low = min(0.5 / max(c.sum(), 1) for c, _ in every.values())
    high = max((c / max(c.sum(), 1)).max() for c, _ in every.values())
    top.set_ylim(max(low, 1e-6 * high), 2 * high)
    for axes in (top, bottom):
        axes.set_xlim(edges[0], edges[-1])
    top.tick_params(which="both", labelbottom=False)
    full = samples[first].counts[name]
    apart = {s: samples[s].counts[name] for s in others if samples[s].counts[name].any()}
    if apart and full.any():
        found = {s: binned_separation(c, c, full, full).value.value for s, c in apart.items()}
        # Beside the name of a layer there is room for one: a model, not the floor.
        models = [s for s in found if look[s]["color"] != FLOOR] or list(found)
        named = models[:1] if name.partition(" layer ")[2] else list(found)[-2:]
        written = ", ".join(f"{s} {1e3 * found[s]:.3g}" for s in named)
        top.set_title(rf"$D \times 10^3$: {written}", loc="right", fontsize=12.5)
    missing = [s for s in others if not every[s][0].any()]
    if missing:
        text = ", ".join(missing) + ": 100% outside"
        top.text(0.97, 0.94, text, transform=top.transAxes, ha="right", va="top", fontsize=12.5)
    limit_ratio(bottom)


def _shown(
    samples: Mapping[str, ShowerHistograms], name: str, edges: Floats
) -> tuple[dict[str, tuple[Floats, Floats]], Floats]:
    """Return counts and errors by sample and the edges, cut to where there are entries."""
    counts = {sample: spectra.counts[name] for sample, spectra in samples.items()}
    errors = {
        sample: np.sqrt(np.diag(samples[sample].voxel_covariance) if name == VOXELS else each)
        for sample, each in counts.items()
    }
    filled = np.flatnonzero(np.sum([*counts.values()], 0))
    if len(filled) == 0:
        filled = np.arange(len(edges) - 1)
    low, high = max(filled[0] - 1, 0), min(filled[-1] + 2, len(edges) - 1)
    merged = max(1, (high - low) // 50)  # bins of which one is drawn
    high = min(low + -(-(high - low) // merged) * merged, len(edges) - 1)
    high = low + (high - low) // merged * merged
    starts = np.arange(low, high, merged)
    shown = {
        sample: (
            np.add.reduceat(each[:high], starts),
            np.sqrt(np.add.reduceat(errors[sample][:high] ** 2, starts)),
        )
        for sample, each in counts.items()
    }
    return shown, edges[np.append(starts, high)]


@drawn
def profiles(
    samples: Mapping[str, ShowerHistograms], geometry: Geometry, *, floor: str | None = None
) -> Figure:
    """Draw mean energy by layer and energy density by radius, and both over the first sample.

    Bands and bars are the errors of the means; the rings of layers with other edges enter by the
    area that they share.
    """
    figure = Figure(figsize=(16.4, 6.8), layout=ConstrainedLayoutEngine(wspace=0.05))
    axes = figure.subplots(2, 2, sharex="col", height_ratios=(3, 1.1))
    look = looks([*samples], floor)
    numbers = np.array([layer.number for layer in geometry.layers], dtype=np.float64)
    place = np.arange(len(numbers)) if np.diff(numbers).max(initial=1) > 1 else numbers
    area = np.pi * np.diff(geometry.r_edges**2)
    uneven = irregular(geometry)
    for column, edges, scale in (
        (0, np.append(place - 0.5, place[-1] + 0.5), np.ones(len(place))),
        (1, geometry.r_edges, 1 / area),
    ):
        top, bottom = axes[0, column], axes[1, column]
        first = next(iter(samples))
        base, base_error = _profile(samples[first], column)
        for i, (sample, spectra) in enumerate(samples.items()):
            mean, error = _profile(spectra, column)
            top.stairs(mean * scale, edges, label=sample, linewidth=2.2, **look[sample])
            with np.errstate(divide="ignore", invalid="ignore"):
                if sample == first:
                    band = np.nan_to_num(base_error / base)
                    bottom.stairs(
                        1 + band, edges, baseline=1 - band, fill=True, color="black", alpha=0.18
                    )
                    bottom.axhline(1, color="black", linewidth=1.4)
                    continue
                bottom.errorbar(
                    (edges[1:] + edges[:-1]) / 2,
                    mean / base,
                    error / base,
                    fmt=MARKERS[(i - 1) % len(MARKERS)],
                    markersize=5,
                    elinewidth=1.4,
                    color=look[sample]["color"],
                )
        top.set_yscale("log")
        bottom.set_xlim(edges[0], edges[-1])
        limit_ratio(bottom)
        ratio_label(bottom, first)
    axes[0, 0].set_ylabel("Mean energy of a layer [MeV]")
    axes[0, 1].set_ylabel(r"Energy density [MeV / mm$^2$]")
    axes[1, 0].set_xlabel("Layer")
    axes[1, 1].set_xlabel("Radius [mm]")
    if len(place) <= 12:
        axes[1, 0].set_xticks(place, layer_names(geometry))
        axes[1, 0].tick_params(axis="x", which="minor", length=0)
    if uneven:
        axes[1, 1].set_xscale("symlog", linthresh=float(geometry.r_edges[1]))
    legend(figure, axes[0, 0])
    return figure


def _profile(spectra: ShowerHistograms, column: int) -> tuple[Floats, Floats]:
    mean, error = (spectra.layer, spectra.radial)[column]
    return mean, error


@drawn
def images(
    samples: Mapping[str, Floats], geometry: Geometry, *, layers: Sequence[int] | None = None
) -> Figure:
    """Draw the energy in each voxel (V,) [MeV], a row a sample and a column a layer.

    The colour is the energy per area, on one logarithmic scale. `layers` are places in
    `geometry.layers`; if not given, up to five, evenly. Where rings are of unequal width the
    radius is drawn as ln(1 + r / r_1), r_1 the end of the layer's first ring.
    """
    shown = _some_layers(geometry, 5) if layers is None else list(layers)
    numbers = [layer.number for layer in geometry.layers]
    uneven = irregular(geometry)
    width = WIDTHS["wide"] if len(shown) > 2 else WIDTHS["half"]
    height = min((width - 1.6) / len(shown), 3.4) * len(samples) + 0.7
    figure = Figure(figsize=(width, height), layout="compressed")
    axes = figure.subplots(len(samples), len(shown), squeeze=False)
    density = {name: np.asarray(e, dtype=np.float64) / geometry.area for name, e in samples.items()}
    norm = _norm([each for each in density.values()])
    colours = matplotlib.colormaps["viridis"].with_extremes(bad="white")
    for row, (name, each) in enumerate(density.items()):
        for column, place in enumerate(shown):
            panel, layer = axes[row, column], geometry.layers[place]
            values = each[geometry.starts[place] : geometry.starts[place + 1]]
            wedges = _outlines(layer, uneven)
            panel.add_collection(
                PolyCollection(
                    wedges,
                    array=np.ma.masked_less_equal(values, 0),
                    norm=norm,
                    cmap=colours,
                    # A ring that is not cut has a seam, which no line should show.
                    edgecolors="0.75" if layer.cut else "face",
                    linewidths=0.3,
                    rasterized=True,
                )
            )
            reach = 1.04 * max(np.abs(wedge).max() for wedge in wedges)
            panel.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
            panel.set_xticks([])
            panel.set_yticks([])
            panel.tick_params(which="both", length=0)
            for spine in panel.spines.values():
                spine.set_visible(False)
            if row == 0:
                panel.set_title(layer_title(layer.number, numbers))
            panel.text(
                *(0.5, -0.02),
                _size(layer),
                transform=panel.transAxes,
                ha="center",
                va="top",
                fontsize=14,
                color="0.3",
            )
            if column == 0:
                panel.set_ylabel(name, loc="center")
    mappable = matplotlib.cm.ScalarMappable(norm, colours)
    figure.colorbar(mappable, ax=list(axes.flat), label=r"Energy per area [MeV / mm$^2$]")
    return figure


@drawn
def view(showers: Mapping[str, Floats], geometry: Geometry) -> Figure:
    """Draw single showers (V,) [MeV] in three dimensions, hit voxels as wedges in their layers."""
    figure = Figure(figsize=(WIDTHS["half" if len(showers) == 1 else "wide"], 6.2))
    colours = matplotlib.colormaps["inferno_r"]
    norm = _norm([np.asarray(e, dtype=np.float64) for e in showers.values()], decades=4)
    uneven = irregular(geometry)
    every = [_outlines(layer, uneven) for layer in geometry.layers]
    reach = max(np.abs(wedge).max() for wedges in every for wedge in wedges)
    for i, (name, energies) in enumerate(showers.items()):
        axes: Any = figure.add_subplot(1, len(showers), i + 1, projection="3d")
        faces, shades, hit = [], [], []
        for voxel in np.flatnonzero(np.asarray(energies) >= float(norm.vmin or 0)):
            place = int(geometry.layer[voxel])
            wedge = every[place][voxel - geometry.starts[place]]
            faces.append(np.column_stack([np.full(len(wedge), place), wedge]))
            # The faint ones are clear, so that the core is seen through them.
            strength = float(norm(energies[voxel]))
            hit.append(float(energies[voxel]))
            shades.append((*colours(0.15 + 0.85 * strength)[:3], 0.12 + 0.75 * strength))
        axes.set(
            xlim=(-0.5, len(geometry.layers) - 0.5), ylim=(-reach, reach), zlim=(-reach, reach)
        )
        # After the limits, which it would look for itself.
        drawing = Poly3DCollection(faces, facecolors=shades, rasterized=True)
        record(drawing, x=[face[:, 0].mean() for face in faces], value=hit)
        axes.add_collection3d(drawing)
        axes.set_box_aspect((1.9, 1, 1), zoom=1.35)
        axes.view_init(elev=18, azim=-62)
        axes.set_title(name, y=0.99)
        if len(geometry.layers) <= 12:
            axes.set_xticks(range(len(geometry.layers)), layer_names(geometry))
        else:
            axes.set_xlabel("Layer", labelpad=22, loc="center")
        if uneven:
            axes.set_yticklabels([])
            axes.set_zticklabels([])
        else:
            axes.set_ylabel(r"$\eta$ [mm]", labelpad=10, loc="center")
            axes.set_zlabel(r"$\varphi$ [mm]", labelpad=6)
        axes.tick_params(labelsize=13)
        for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
            axis.set_pane_color((0.97, 0.97, 0.97, 1))
            axis._axinfo["grid"].update({"color": (0.88, 0.88, 0.88, 1), "linewidth": 0.6})
    mappable = matplotlib.cm.ScalarMappable(norm, colours)
    figure.colorbar(mappable, ax=figure.axes, label="Energy of a voxel [MeV]", shrink=0.8, pad=0.03)
    return figure


@drawn
def separation_by_layer(
    found: Mapping[str, Mapping[str, TriangularDiscriminator]],
    geometry: Geometry,
    *,
    floor: str | None = None,
) -> Figure:
    """Draw the separation power of each layer's histograms, a panel a kind, a line a sample.

    The dotted line is what counting alone makes of the first sample's, the grey one the floor.
    """
    kinds = [kind for kind in LABELS if kind not in (RESPONSE, VOXELS)]
    kinds = [
        k for k in kinds if any(f"{k} layer" in name for each in found.values() for name in each)
    ]
    columns = 3
    rows = -(-len(kinds) // columns)
    height = 4.6 * rows + 0.7
    figure = Figure(figsize=(WIDTHS["wide"], height))
    figure.set_layout_engine("none")
    axes = figure.subplots(
        rows,
        columns,
        squeeze=False,
        sharey=True,
        gridspec_kw={
            "left": 1.25 / WIDTHS["wide"],
            "right": 1 - 0.25 / WIDTHS["wide"],
            "bottom": 0.85 / height,
            "top": 1 - 1.15 / height,
            "wspace": 0.12,
            "hspace": 0.3,
        },
    )
    look = styles([name for name in found if name != floor])
    if floor is not None:
        look[floor] = {"color": FLOOR, "linestyle": "-"}
    spread = np.diff([layer.number for layer in geometry.layers]).max(initial=1) > 1
    for panel, kind in zip(axes.flat, kinds, strict=False):
        for i, (sample, each) in enumerate(found.items()):
            pairs = [
                (place if spread else layer.number, each[f"{kind} layer {layer.number}"])
                for place, layer in enumerate(geometry.layers)
                if f"{kind} layer {layer.number}" in each
            ]
            x = [place for place, _ in pairs]
            y = np.array([d.value.value for _, d in pairs])
            error = np.array([d.value.error for _, d in pairs])
            panel.errorbar(x, y, error, marker="o", markersize=4, label=sample, **look[sample])
            if i == 0:
                by_chance = [d.floor for _, d in pairs]
                panel.plot(x, by_chance, ":", color="black", label="counting alone")
        if spread:
            # Names at the ends stay within their panel.
            panel.set_xticks(range(len(geometry.layers)), layer_names(geometry), fontsize=13)
            panel.set_xlim(-0.6, len(geometry.layers) - 0.4)
            panel.tick_params(axis="x", which="minor", length=0)
        panel.set_yscale("log")
        panel.set_title(LABELS[kind].split(" [")[0], loc="left")
        panel.set_xlabel("Layer")
    for panel in axes.flat[len(kinds) :]:
        panel.set_visible(False)
    for panel in axes[:, 0]:
        panel.set_ylabel("Separation power")
    legend(figure, axes.flat[0])
    return figure


def _some_layers(geometry: Geometry, count: int) -> list[int]:
    """Return the places of up to `count` layers, evenly along the shower."""
    places = np.linspace(0, len(geometry.layers) - 1, min(count, len(geometry.layers)))
    return [int(place) for place in np.round(places)]


def irregular(geometry: Geometry) -> bool:
    """Return whether some layer has a ring more than three times as wide as another."""
    widths = [np.diff(layer.r_edges) for layer in geometry.layers if isinstance(layer, Layer)]
    return any(bool(each.max() / each.min() > 3) for each in widths)


def _outlines(layer: Layer | Grid, uneven: bool) -> list[Floats]:
    """Return the outline of each voxel of a layer in its order, (P, 2) each."""
    if isinstance(layer, Grid):
        half = np.array([layer.width / layer.columns, layer.height / layer.rows]) / 2
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
        return [corners + middle for middle in np.stack([layer.x, layer.y], 1)]
    edges = np.asarray(layer.r_edges, dtype=np.float64)
    if uneven:
        edges = np.log1p(edges / edges[1])
    cuts = np.linspace(-np.pi, np.pi, layer.angles + 1)
    outlines = []
    for low, high in zip(cuts[:-1], cuts[1:], strict=True):
        alpha = np.linspace(low, high, 2 + int((high - low) / ARC))
        rim = np.stack([np.cos(alpha), np.sin(alpha)], 1)
        for inner, outer in zip(edges[:-1], edges[1:], strict=True):
            inside = rim[::-1] * inner if inner > 0 else np.zeros((1, 2))
            outlines.append(np.concatenate([rim * outer, inside]))
    return outlines


def _size(layer: Layer | Grid) -> str:
    if isinstance(layer, Grid):
        return f"{layer.width:g} mm × {layer.height:g} mm"
    return f"to r = {layer.radius:g} mm"


def _norm(values: Sequence[Floats], decades: int = DECADES) -> LogNorm:
    """Return a logarithmic scale of some decades below the largest value."""
    highest = max(float(each.max()) for each in values)
    highest = highest if highest > 0 else 1.0
    positive = min((float(v[v > 0].min()) for v in values if (v > 0).any()), default=highest / 10)
    return LogNorm(min(max(positive, highest * 10.0**-decades), highest / 10), highest, clip=True)
