"""Plots of measurements with nuisance parameters: templates, profile likelihoods, training."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from colliderkit.methods.inference.templates import Templates
from colliderkit.report import plots
from colliderkit.training.settings import Epoch

__all__ = ["error_training", "signal_profiles", "template_variations"]

Floats = NDArray[np.float64]


@plots.style()
def template_variations(templates: Templates) -> Figure:
    """Draw counts by bin, and the relative change of the background with each nuisance.

    Bins stand in the order of their share of signal; those without background are left out.
    """
    background, signal = templates.counts
    filled = np.flatnonzero(background > 0)
    order = filled[np.argsort(signal[filled] / background[filled])]
    edges = np.arange(len(order) + 1) + 0.5
    figure = Figure()
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    top.stairs(background[order], edges, label="background", linewidth=2, color=plots.COLOURS[0])
    top.stairs(signal[order], edges, label="signal", linewidth=2, color=plots.COLOURS[2])
    top.set_yscale("log")
    top.set_ylabel("Expected events")
    top.set_ylim(top=30 * background.max())
    top.legend()
    for i, nuisance in enumerate(templates.nuisances):
        colour = plots.COLOURS[3 + i]
        for side, line in ((templates.up, "-"), (templates.down, ":")):
            change = side[i, 0][order] / background[order] - 1
            bottom.stairs(
                change, edges, color=colour, linestyle=line, linewidth=2, label=nuisance.name
            )
    bottom.axhline(0, color="k", linewidth=1)
    handles, names = bottom.get_legend_handles_labels()
    if names:
        bottom.legend(handles[::2], names[::2], ncols=3, fontsize=14)
    bottom.set_ylabel("Relative change")
    bottom.set_xlabel("Bin")
    return figure


@plots.style()
def signal_profiles(
    templates: Mapping[str, Templates],
    scan: Floats,
    others: Mapping[str, tuple[Floats, Floats]] | None = None,
) -> Figure:
    """Draw -2 Delta ln L of the signal's yield: nuisances profiled (full) and known (dotted).

    `others` are further profiles by name, ln L (T,) at yields (T,), drawn as points.
    """
    figure = Figure()
    axes = figure.subplots()
    looks = plots.styles([*templates, *(others or {})])
    for name, counted in templates.items():
        colour = looks[name]["color"]
        full = counted.profile(scan)
        axes.plot(scan, 2 * (full.max() - full), color=colour, label=name)
        known = counted.profile(scan, floating=False)
        axes.plot(scan, 2 * (known.max() - known), color=colour, linestyle=":")
    for name, (points, curve) in (others or {}).items():
        height = 2 * (curve.max() - curve)
        axes.plot(points, height, "o--", color=looks[name]["color"], label=name)
    for level in (1, 4):
        axes.axhline(level, color="k", linewidth=1, alpha=0.5)
    axes.set_ylim(0, 9)
    axes.set_xlim(scan[0], scan[-1])
    axes.set_xlabel("Signal events s")
    axes.set_ylabel(r"$-2\,\Delta\,\ln L$")
    axes.legend(fontsize=15)
    return figure


@plots.style()
def error_training(
    histories: Mapping[str, Sequence[Epoch]], limits: Mapping[str, float] | None = None
) -> Figure:
    """Draw the expected error of soft bins by epoch, and what the exact likelihood allows.

    `limits` are the errors of the latter, by the names of the histories.
    """
    figure = Figure()
    axes = figure.subplots()
    for (name, history), colour in zip(histories.items(), plots.COLOURS, strict=False):
        epochs = [epoch.epoch + 1 for epoch in history]
        axes.plot(epochs, [e.validation_loss for e in history], color=colour, label=name)
        if name in (limits or {}):
            end = epochs[-1] * np.array([0.85, 1.0])
            axes.plot(end, 2 * [(limits or {})[name]], color=colour, linestyle="--")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("Epoch")
    axes.set_ylabel("sigma(s) [events]")
    axes.legend(ncols=2)
    return figure
