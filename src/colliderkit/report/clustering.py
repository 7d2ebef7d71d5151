"""Plots of clusters of calorimeter hits: event displays, efficiencies, responses, times."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from colliderkit.events.calorimeter.hits import CalorimeterHits, Clusters
from colliderkit.metrics.clustering import match_clusters
from colliderkit.metrics.value import Value
from colliderkit.report.curves import record
from colliderkit.report.plots import COLOURS, WIDTHS, drawn, legend, styles

__all__ = ["against_hits", "in_bins", "responses", "showers_and_clusters"]

Floats = NDArray[np.float64]
NONE = "#b9bec4"  # of a hit of no cluster
AREA = 260.0  # points squared of the hit of most energy


@drawn
def showers_and_clusters(
    hits: CalorimeterHits, clusters: Mapping[str, Clusters], event: int = 0
) -> Figure:
    """Draw the hits of an event by true shower, and by what each method makes of them.

    Above across the axis, below from the side; the area of a mark is as the root of its energy. A
    cluster has the colour of the shower that it matches, else one of its own; hits of none are
    grey.
    """
    one = hits.at([event])
    panels: dict[str, NDArray[np.int64]] = {}
    if one.known:
        panels["true showers"] = one.majority()
    showers = len(one.pdg)
    for name, found in clusters.items():
        rows = slice(*hits.offsets[event : event + 2])
        low, high = found.offsets[event : event + 2]
        own = Clusters(
            found.label[rows],
            np.array([0, high - low]),
            found.energy[low:high],
            found.collected[low:high],
            found.position[low:high],
        )
        colour = showers + np.arange(high - low)
        if one.known:
            matching = match_clusters(one, own, threshold=0.1)
            colour[matching.cluster] = matching.particle
        panels[name] = np.where(own.label >= 0, np.append(colour, 0)[own.label], -1)
    figure = Figure(figsize=(WIDTHS["wide"], 11.0))
    axes: Any = figure.subplots(2, len(panels), sharex="row", sharey="row", squeeze=False)
    x, y, z = one.position.T
    area = AREA * np.sqrt(one.energy / one.energy.max(initial=1e-30)) + 4
    palette = np.array([*COLOURS, NONE])
    for i, (name, group) in enumerate(panels.items()):
        shade = palette[np.where(group >= 0, group % len(COLOURS), len(COLOURS))]
        # Grey lies below, and large marks below small ones.
        order = np.lexsort((-area, group >= 0))
        for row, (along, up) in enumerate(((x, y), (z, y))):
            marks = axes[row, i].scatter(
                along[order], up[order], area[order], shade[order], alpha=0.75, linewidths=0.3,
                edgecolors="white",
            )  # fmt: skip
            record(marks, x=along, y=up, energy=one.energy, group=group)
        count = len(np.unique(group[group >= 0]))
        axes[0, i].set_title(f"{name}: {count}", loc="left")
        axes[0, i].set_xlabel("x [mm]")
        axes[1, i].set_xlabel("z [mm]")
    for row in axes:
        row[0].set_ylabel("y [mm]")
    return figure


@drawn
def in_bins(
    series: Mapping[str, Sequence[Value]],
    edges: ArrayLike,
    label: str,
    quantity: str,
    *,
    target: float | None = None,
    log: bool = True,
) -> Figure:
    """Draw a quantity of several methods in bins of another, with its errors.

    `target` is a dashed line; bins without a value are left out.
    """
    figure = Figure()
    axes = figure.subplots()
    ends = np.asarray(edges, dtype=np.float64)
    middle = np.sqrt(ends[1:] * ends[:-1]) if log else (ends[1:] + ends[:-1]) / 2
    for name, look in styles(list(series)).items():
        value, error = (np.array([getattr(v, part) for v in series[name]])
                        for part in ("value", "error"))  # fmt: skip
        axes.errorbar(middle, value, error, fmt="o", label=name, linewidth=2.0, **look)
    if target is not None:
        axes.axhline(target, color="k", linestyle="--", linewidth=1.4)
    if log:
        axes.set_xscale("log")
    axes.set_xlim(ends[0], ends[-1])
    axes.set_xlabel(label)
    axes.set_ylabel(quantity)
    legend(figure, axes)
    return figure


@drawn
def responses(samples: Mapping[str, ArrayLike], edges: ArrayLike, label: str) -> Figure:
    """Draw normalised histograms of responses (N,) by name; what is beyond is in the outer bins."""
    figure = Figure()
    axes = figure.subplots()
    ends = np.asarray(edges, dtype=np.float64)
    for name, look in styles(list(samples)).items():
        values = np.clip(np.asarray(samples[name]), ends[0], np.nextafter(ends[-1], -np.inf))
        height = np.histogram(values, ends)[0] / max(len(values), 1)
        middle = float(np.median(values)) if len(values) else float("nan")
        axes.stairs(height, ends, label=f"{name}: median {middle:.3f}", linewidth=2.2, **look)
    axes.axvline(1, color="k", linestyle=":", linewidth=1.4)
    axes.set_xlim(ends[0], ends[-1])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(label)
    axes.set_ylabel("Share")
    legend(figure, axes)
    return figure


@drawn
def against_hits(series: Mapping[str, tuple[ArrayLike, ArrayLike]], quantity: str) -> Figure:
    """Draw a cost of several methods over the hits of an event: {name: (hits, cost)}."""
    figure = Figure()
    axes = figure.subplots()
    for name, look in styles(list(series)).items():
        axes.plot(*series[name], marker="o", label=name, linewidth=2.0, **look)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("Hits of an event")
    axes.set_ylabel(quantity)
    legend(figure, axes)
    return figure
