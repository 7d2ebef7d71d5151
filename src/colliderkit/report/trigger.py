"""Plots of a trigger: scores and threshold, rates, tails, overlaps, bits, records, seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from colliderkit.events.trigger_seeds import TriggerSeeds, triplets
from colliderkit.metrics.value import Value
from colliderkit.report.curves import record
from colliderkit.report.plots import COLOURS, MARKERS, WIDTHS, drawn, legend

__all__ = [
    "against_bits",
    "item_rates",
    "overlaps",
    "rates",
    "record_spectra",
    "scores_and_threshold",
    "seeds_of_an_event",
    "tails",
]


@drawn
def scores_and_threshold(
    samples: Mapping[str, ArrayLike],
    threshold: float,
    edges: ArrayLike,
    weights: Mapping[str, ArrayLike] | None = None,
) -> Figure:
    """Draw normalised histograms of {sample: scores (N,)}, and a line at the threshold.

    `weights` (N,) of the samples count one if not given.
    """
    figure = Figure()
    axes = figure.subplots()
    borders = np.asarray(edges, dtype=np.float64)
    for (name, scores), colour in zip(samples.items(), COLOURS, strict=False):
        values = np.asarray(scores)
        weight = np.ones(len(values)) if weights is None else np.asarray(weights[name])
        kept = float(weight[values > threshold].sum() / weight.sum())
        height = np.histogram(values, borders, weights=weight)[0] / weight.sum()
        shown = f"{name}: {kept:.2g} kept"
        axes.stairs(height, borders, color=colour, linewidth=2.0, label=shown)
    axes.axvline(threshold, color="k", linestyle="--", linewidth=1.4)
    axes.set_yscale("log")
    axes.set_xlim(borders[0], borders[-1])
    axes.set_xlabel("Anomaly score")
    axes.set_ylabel("Share of events")
    legend(figure, axes)
    return figure


@drawn
def rates(
    series: Mapping[str, Sequence[Value]], target: float, expected: float, along: str, unit: str
) -> Figure:
    """Draw the rates of several series over the number of the update, with the target.

    The band is twice the error that counting leaves of a threshold, `expected` relative.
    """
    figure = Figure()
    axes = figure.subplots()
    for (name, values), colour in zip(series.items(), COLOURS, strict=False):
        number = np.arange(1, len(values) + 1)
        rate, error = (np.array([getattr(v, part) for v in values]) for part in ("value", "error"))
        axes.errorbar(number, rate, error, fmt="o-", color=colour, linewidth=1.6, label=name)
    axes.axhspan(
        *(target * (1 + sign * 2 * expected) for sign in (-1, 1)),
        color="k", alpha=0.12, linewidth=0,
        label="target, twice the counting error of a threshold",
    )  # fmt: skip
    axes.axhline(target, color="k", linestyle="--", linewidth=1.4)
    axes.set_xlabel(along)
    axes.set_ylabel(f"Rate [{unit}]")
    legend(figure, axes)
    return figure


@drawn
def tails(probabilities: Mapping[str, ArrayLike], bins: int = 10) -> Figure:
    """Draw {topology: tail probabilities (N,) of the stream} over what even ones would be.

    Bars are the errors of counting.
    """
    figure = Figure(figsize=(8.0, 6.4))
    axes = figure.subplots()
    edges = np.linspace(0, 1, bins + 1)
    shown = list(probabilities.items())
    for i, (name, values) in enumerate(shown):
        counts = np.histogram(np.asarray(values), edges)[0]
        even = max(counts.sum() / bins, 1e-9)
        middle = edges[:-1] + (i + 1) / (len(shown) + 1) / bins
        axes.errorbar(
            middle, counts / even, np.sqrt(np.maximum(counts, 1)) / even,
            fmt=MARKERS[i % len(MARKERS)], color=COLOURS[i % len(COLOURS)], markersize=4,
            elinewidth=1.2, label=name,
        )  # fmt: skip
    axes.axhline(1, color="k", linestyle="--", linewidth=1.2)
    axes.set_xlim(0, 1)
    axes.set_xlabel("Tail probability in the own topology")
    axes.set_ylabel("Events over even ones")
    legend(figure, axes)
    return figure


@drawn
def item_rates(
    names: Sequence[str], rate: Sequence[Value], pure: Sequence[Value], unit: str
) -> Figure:
    """Draw the rate of each item of a menu and the part that no other item keeps (pure)."""
    figure = Figure(figsize=(8.0, 1.8 + 0.42 * len(names)))
    axes = figure.subplots()
    place = np.arange(len(names))[::-1]
    for (label, values), colour, shift in zip(
        {"rate": rate, "pure rate": pure}.items(), COLOURS[:2], (0.12, -0.12), strict=True
    ):
        height, error = (
            np.array([getattr(v, part) for v in values]) for part in ("value", "error")
        )
        there = height > 0
        axes.errorbar(
            height[there], place[there] + shift, xerr=error[there], fmt="o", color=colour,
            markersize=6, label=label,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yticks(place, list(names))
    axes.tick_params(axis="y", which="minor", left=False, right=False)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.set_xlabel(f"Rate [{unit}]")
    legend(figure, axes)
    return figure


@drawn
def overlaps(names: Sequence[str], shared: NDArray[np.float64]) -> Figure:
    """Draw the share of each item's events (row) that each other one (column) keeps as well."""
    figure = Figure(figsize=(9.8, 9.2))  # below 10: half of the page
    axes = figure.subplots()
    percent = 100 * shared
    image = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    for (i, j), value in np.ndenumerate(percent):
        if i != j and value >= 0.5:
            axes.text(
                j, i, f"{value:.0f}", ha="center", va="center", size=10,
                color="white" if value > 60 else "black",
            )  # fmt: skip
    places = np.arange(len(names))
    axes.set_xticks(places, list(names), rotation=90, size=12)
    axes.set_yticks(places, list(names), size=12)
    axes.tick_params(which="both", length=0)
    axes.minorticks_off()
    axes.set_xlabel("... that this one keeps too")
    axes.set_ylabel("Of the events of this item ...")
    figure.colorbar(image, ax=axes, label="Share [%]")
    return figure


@drawn
def against_bits(
    series: Mapping[str, Mapping[int, Value]], quantity: str, level: float | None = None
) -> Figure:
    """Draw {how: {bits: a quantity}} over the bits of weights and activations.

    `level` is a line that it is compared with.
    """
    figure = Figure(figsize=(8.0, 6.0))
    axes = figure.subplots()
    bits = sorted({b for values in series.values() for b in values})
    for i, (name, values) in enumerate(series.items()):
        place = np.array([bits.index(b) for b in values]) + 0.06 * (i - (len(series) - 1) / 2)
        number, error = (
            np.array([getattr(v, part) for v in values.values()]) for part in ("value", "error")
        )
        axes.errorbar(
            place, number, error, fmt=f"{MARKERS[i % len(MARKERS)]}-", color=COLOURS[i],
            linewidth=1.6, label=name,
        )  # fmt: skip
    if level is not None:
        axes.axhline(level, color="k", linestyle="--", linewidth=1.2)
    axes.set_xticks(range(len(bits)), [str(b) for b in bits])
    axes.minorticks_off()
    axes.set_xlabel("Bits of weights and activations")
    axes.set_ylabel(quantity)
    legend(figure, axes)
    return figure


@drawn
def record_spectra(
    edges: ArrayLike, counts: Mapping[str, tuple[ArrayLike, ArrayLike]], time: str
) -> Figure:
    """Draw spectra {what is kept: events (B,) and their errors (B,)} of the dijet mass [GeV].

    `time` says in what time they are kept ("one hour").
    """
    figure = Figure(figsize=(8.0, 6.4))
    axes = figure.subplots()
    borders = np.asarray(edges, dtype=np.float64)
    width, middle = np.diff(borders), (borders[1:] + borders[:-1]) / 2
    for (name, (number, error)), colour in zip(counts.items(), COLOURS, strict=False):
        height, bars = (np.asarray(x) / width for x in (number, error))
        axes.stairs(height, borders, color=colour, linewidth=1.8, label=name)
        axes.errorbar(middle, height, bars, fmt="none", color=colour, elinewidth=1.2)
    axes.set_yscale("log")
    axes.set_xlim(borders[0], borders[-1])
    axes.set_xlabel("Mass of the two hardest jets [GeV]")
    axes.set_ylabel(f"Events in {time} [1/GeV]")
    legend(figure, axes)
    return figure


@drawn
def seeds_of_an_event(seeds: TriggerSeeds, event: int) -> Figure:
    """Draw the seeds of an event, one a row: towers around the axis, and hits with their triplets.

    The area of a tower is as its transverse energy, its colour the electromagnetic share; hits are
    in azimuth from the axis against their radius.
    """
    one = seeds.at([event])
    offsets, places = triplets(one)
    count = max(len(one.pt), 1)
    figure = Figure(figsize=(WIDTHS["wide"], 4.6 * count + 0.4), layout="compressed")
    axes: Any = figure.subplots(count, 2, squeeze=False)
    for i in range(len(one.pt)):
        left, right = axes[i]
        rows = slice(*one.tower_offsets[i : i + 2])
        em, total = one.tower_em[rows], one.tower_em[rows] + one.tower_had[rows]
        marks = left.scatter(
            one.tower_deta[rows], one.tower_dphi[rows], 12 * total + 4, em / total,
            cmap="coolwarm", vmin=0, vmax=1, marker="s", linewidths=0.4, edgecolors="0.4",
        )  # fmt: skip
        record(marks, deta=one.tower_deta[rows], dphi=one.tower_dphi[rows], energy=total)
        left.set_title(f"seed of {one.pt[i]:.0f} GeV", loc="left")
        left.set_xlabel(r"$\Delta\eta$")
        left.set_ylabel(r"$\Delta\phi$ [rad]")
        figure.colorbar(marks, ax=left, label="Electromagnetic share")
        rows = slice(*one.hit_offsets[i : i + 2])
        right.plot(one.hit_r[rows], one.hit_dphi[rows], "o", color="0.6", markersize=4)
        radii = [
            float(np.median(one.hit_r[rows][one.hit_layer[rows] == layer]))
            for layer in range(3)
            if (one.hit_layer[rows] == layer).any()
        ]
        if len(radii) == 3:
            for line in places[offsets[i] : offsets[i + 1], :3]:
                right.plot(radii, line, color=COLOURS[0], linewidth=0.8, alpha=0.6)
        right.set_title(f"{offsets[i + 1] - offsets[i]} triplets", loc="left")
        right.set_xlabel("r [mm]")
        right.set_ylabel(r"$\Delta\phi$ [rad]")
    return figure
