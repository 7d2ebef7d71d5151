"""Plots of measurements with nuisance parameters: templates, profile likelihoods, training."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray

from colliderkit.losses.inference import fisher_information
from colliderkit.methods.inference.templates import Templates
from colliderkit.report import plots
from colliderkit.report.html import Report
from colliderkit.training.settings import Epoch

__all__ = [
    "add_impacts",
    "error_training",
    "impacts",
    "prefit_postfit",
    "signal_profiles",
    "template_variations",
]

Floats = NDArray[np.float64]


def _order(templates: Templates) -> NDArray[np.int64]:
    """Return the bins with background in the order of their share of signal."""
    background, signal = templates.counts
    filled = np.flatnonzero(background > 0)
    return filled[np.argsort(signal[filled] / background[filled])]


@plots.drawn
def template_variations(templates: Templates) -> Figure:
    """Draw counts by bin, and the relative change of the background with each nuisance.

    Bins stand in the order of their share of signal; those without background are left out.
    """
    background, signal = templates.counts
    order = _order(templates)
    edges = np.arange(len(order) + 1) + 0.5
    figure = Figure()
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    top.stairs(background[order], edges, label="background", linewidth=2, color=plots.COLOURS[0])
    top.stairs(signal[order], edges, label="signal", linewidth=2, color=plots.COLOURS[2])
    top.set_yscale("log")
    top.set_ylabel("Expected events")
    for i, nuisance in enumerate(templates.nuisances):
        colour = plots.COLOURS[(4, 1, 9, 5, 7, 8)[i % 6]]
        for side, line in ((templates.up, "-"), (templates.down, ":")):
            change = side[i, 0][order] / background[order] - 1
            bottom.stairs(
                change, edges, color=colour, linestyle=line, linewidth=2, label=nuisance.name
            )
    bottom.axhline(0, color="k", linewidth=1)
    plots.legend(figure)
    bottom.set_ylabel("Relative change")
    bottom.set_xlabel("Bin")
    return figure


def _covariance(templates: Templates) -> tuple[Floats, Floats]:
    """Return the covariance of s and theta (1 + R, 1 + R) at the expectation, and dn/d of them."""
    signal = templates.nominal_signal
    both, slopes = templates.processes(templates.nominal)
    change = np.concatenate([both[1:] / signal, slopes.sum(1)])
    widths = [None, *(nuisance.width for nuisance in templates.nuisances)]
    information = fisher_information(
        torch.from_numpy(templates.expected(signal)), torch.from_numpy(change), widths
    )
    return np.linalg.pinv(information.numpy()), change


@plots.drawn
def impacts(templates: Templates) -> Figure:
    """Draw how far data constrain each nuisance parameter, and what it does to the signal.

    To the left is the error of theta after the fit over that of its constraint (or its step, where
    it is free), to the right the shift of the signal's yield when theta is moved by that error,
    cov(s, theta) / sigma_theta; the largest on top. Both are of the Fisher information of the
    expected counts: the pulls are 0.
    """
    covariance, _ = _covariance(templates)
    error = np.sqrt(np.diag(covariance))
    sizes = np.array([nuisance.size for nuisance in templates.nuisances])
    shift = covariance[0, 1:] / error[1:]
    order = np.argsort(np.abs(shift))
    names = [templates.nuisances[i].name for i in order]
    figure = Figure(figsize=(8, 2.2 + 0.5 * max(len(order), 3)))
    left, right = figure.subplots(1, 2, sharey=True)
    place = np.arange(len(order))
    look = {"color": "black", "capsize": 4, "fmt": "o", "label": "after the fit"}
    left.errorbar(0 * place, place, xerr=(error[1:] / sizes)[order], **look)
    left.axvspan(-1, 1, color="k", alpha=0.1, linewidth=0)
    left.set_xlim(-1.4, 1.4)
    left.set_xlabel(r"Pull, $\theta / \sigma_\theta$")
    colour = plots.COLOURS[0]
    right.barh(place, shift[order], height=0.55, color=colour, label=r"$\theta$ up")
    right.barh(
        place, -shift[order], height=0.55, fill=False, edgecolor=colour, label=r"$\theta$ down"
    )
    right.axvline(0, color="k", linewidth=1.2)
    right.set_xlabel(r"Impact $\Delta s$ [events]")
    left.set_yticks(place, names)
    for axes in (left, right):
        axes.tick_params(axis="y", which="both", length=0)
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylim(-0.7, len(order) - 0.3)
        axes.xaxis.set_major_locator(MaxNLocator(3))
    plots.legend(figure)
    return figure


@plots.drawn
def prefit_postfit(templates: Templates) -> Figure:
    """Draw expected counts, and their relative error by nuisances before and after the fit.

    Before, the errors of the constraints count each for itself; after, their covariance from the
    expected counts, the signal's yield among them. A free parameter counts with its step before.
    Bins stand as in `template_variations`.
    """
    covariance, change = _covariance(templates)
    order = _order(templates)
    change = change[:, order]
    expected = templates.expected(templates.nominal_signal)[order]
    background = templates.counts[0][order]
    sizes = np.array([nuisance.size for nuisance in templates.nuisances])
    before = np.sqrt(((change[1:] * sizes[:, None]) ** 2).sum(0)) / expected
    after = np.sqrt(np.einsum("ik,ij,jk->k", change, covariance, change)) / expected
    edges = np.arange(len(expected) + 1) + 0.5
    figure, (top, bottom) = plots.with_ratio()
    top.stairs(expected, edges, color=plots.COLOURS[2], linewidth=2, label="signal + background")
    top.stairs(background, edges, color=plots.COLOURS[0], alpha=0.15, fill=True)
    top.stairs(background, edges, color=plots.COLOURS[0], linewidth=2, label="background")
    for name, error, shade in (("before the fit", before, 0.15), ("after the fit", after, 0.45)):
        bottom.stairs(
            1 + error,
            edges,
            baseline=1 - error,
            fill=True,
            color="black",
            alpha=shade,
            label=name,
        )
    bottom.axhline(1, color="k", linewidth=1)
    top.set_yscale("log")
    top.set_ylabel("Expected events")
    bottom.set_ylabel("Relative\nerror", loc="center", fontsize=15)
    bottom.set_xlabel("Bin")
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
    plots.legend(figure)
    return figure


def add_impacts(report: Report, templates: Templates) -> None:
    """Add pre- and post-fit errors, pulls and impacts, if there are nuisance parameters."""
    if not templates.nuisances:
        return
    report.add_figure(
        prefit_postfit(templates),
        "Expected counts, and their relative error by the nuisance parameters before the fit and"
        " after it.",
    )
    report.add_figure(
        impacts(templates),
        "Expected pulls: how far the counts constrain each nuisance parameter (grey: its own"
        " constraint), and its impact on the signal's yield, the largest on top.",
    )


@plots.drawn
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
    plots.legend(figure)
    return figure


@plots.drawn
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
    axes.set_ylabel(r"$\sigma(s)$ [events]")
    plots.legend(figure)
    return figure
