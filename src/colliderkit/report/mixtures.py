"""Plots of mixed samples: efficiencies over fractions, and the classes behind two spectra."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from colliderkit.methods.search.mixtures.templates import MixtureEfficiencies
from colliderkit.methods.search.mixtures.topics import Topics
from colliderkit.metrics.value import Value
from colliderkit.report.observables import axis_label
from colliderkit.report.plots import COLOURS, LINES, MARKERS, drawn, legend, styles

__all__ = ["efficiencies_over_fractions", "maps", "parted", "quality_curves", "sample_share"]


SHOWN = 5  # events in a bin whose share is drawn
LEAST = 1e-4  # on a logarithmic axis


@drawn
def efficiencies_over_fractions(method: MixtureEfficiencies) -> Figure:
    """Draw the share of each mixed sample that passes over its fraction of signal, at each cut.

    The line runs from the background's efficiency, at 0, to the signal's, at 1; both have bars.
    """
    figure = Figure()
    axes = figure.subplots()
    fractions = np.array(list(method.fractions.values()))
    errors = np.array([(method.errors or {}).get(name, 0.0) for name in method.fractions])
    ends = np.array([0.0, 1.0])
    for w, cut in enumerate(method.cuts):
        colour = COLOURS[w % len(COLOURS)]
        axes.errorbar(
            fractions,
            method.passing_[w],
            method.passing_error_[w],
            errors,
            fmt="o",
            color=colour,
            label=f"score $\\geq$ {cut:.3g}",
        )
        both = method.efficiency_[w]
        axes.plot(ends, both, color=colour)
        spread = np.sqrt(np.diagonal(method.covariance_[w]))
        axes.errorbar(ends, both, spread, fmt="s", mfc="white", color=colour, clip_on=False)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("Fraction of signal")
    axes.set_ylabel("Share that passes")
    legend(figure, axes)
    return figure


@drawn
def parted(
    topics: Topics, names: Sequence[str], label: str, truth: Mapping[str, ArrayLike] | None = None
) -> Figure:
    """Draw the spectra of two mixed samples and the two classes behind them, with their errors.

    `truth` has spectra (B,) to compare with, by their names.
    """
    figure = Figure()
    axes = figure.subplots()
    edges, widths = topics.edges_, np.diff(topics.edges_)
    middle = (edges[1:] + edges[:-1]) / 2
    shares = topics.counts_ / topics.counts_.sum(1, keepdims=True)
    for k, name in enumerate(names):
        axes.stairs(shares[k] / widths, edges, color=COLOURS[k], linestyle="--", label=name)
        axes.errorbar(
            middle,
            topics.topics_[k] / widths,
            topics.topic_error_[k] / widths,
            fmt="os"[k],
            markersize=4,
            color=COLOURS[k],
            label=("background topic", "signal topic")[k],
        )
    for k, (name, spectrum) in enumerate((truth or {}).items()):
        axes.stairs(np.asarray(spectrum) / widths, edges, color=COLOURS[k], label=name)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(axis_label(label))
    axes.set_ylabel("Density")
    legend(figure, axes)
    return figure


@drawn
def sample_share(topics: Topics, name: str, label: str) -> Figure:
    """Draw the share of the sample `name` in each bin, the fitted curve, and its two ends."""
    figure = Figure()
    axes = figure.subplots()
    middle = (topics.edges_[1:] + topics.edges_[:-1]) / 2
    total = topics.counts_.sum(0)
    used = total >= SHOWN
    share = topics.counts_[1, used] / total[used]
    error = np.sqrt((share * (1 - share)).clip(1 / total[used]) / total[used])
    axes.errorbar(middle[used], share, error, fmt="ko", markersize=4, label="events")
    if len(topics.fitted_):
        axes.plot(middle, topics.fitted_, color=COLOURS[0], label="fit")
    odds = topics.counts_[1].sum() / topics.counts_[0].sum()
    background, signal = topics.kappa_[0] * odds, odds / topics.kappa_[1]
    for k, (end, what) in enumerate(((background, "background"), (signal, "signal"))):
        line = end / (1 + end)
        axes.axhline(line, color=COLOURS[k + 1], linestyle="--", label=f"{what} alone")
    axes.set_ylim(0, 1)
    axes.set_xlabel(axis_label(label))
    axes.set_ylabel(f"Share of {name}")
    legend(figure, axes)
    return figure


@drawn
def maps(
    surfaces: Mapping[str, ArrayLike], edges: Sequence[ArrayLike], labels: Sequence[str]
) -> Figure:
    """Draw probabilities (X, Y) in cells of two observables side by side, and their difference.

    The difference is that of the second surface to the first.
    """
    (first, one), (second, other) = ((n, np.asarray(s)) for n, s in surfaces.items())
    figure = Figure(figsize=(16.4, 5.6))
    axes = figure.subplots(1, 3, sharey=True)
    panels = {first: one, second: other, f"{second} $-$ {first}": other - one}
    x, y = (np.asarray(e) for e in edges)
    for panel, (name, surface) in zip(axes, panels.items(), strict=True):
        difference = panel is axes[-1]
        reach = {"vmin": -0.3, "vmax": 0.3} if difference else {"vmin": 0.0, "vmax": 1.0}
        drawn_ = panel.pcolormesh(x, y, surface.T, cmap="RdBu_r", **reach)
        figure.colorbar(drawn_, ax=panel)
        panel.set_title(name, loc="left", fontsize=14)
        panel.set_xlabel(axis_label(labels[0]))
    axes[0].set_ylabel(axis_label(labels[1]))
    return figure


@drawn
def quality_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[Value]]], label: str, quantity: str
) -> Figure:
    """Draw a quantity with its errors over a number of events, for each name of `curves`.

    Curves of one method, "method, of what", have one colour, and lines of their own.
    """
    figure = Figure()
    axes = figure.subplots()
    methods = [name.partition(", ")[0] for name in curves]
    looks = styles(list(dict.fromkeys(methods)))
    for i, (name, (x, values)) in enumerate(curves.items()):
        number = methods[:i].count(methods[i])
        look = {"color": looks[methods[i]]["color"], "marker": MARKERS[number % len(MARKERS)]}
        look["linestyle"] = LINES[number % len(LINES)]
        y = np.maximum([value.value for value in values], LEAST)
        error = np.nan_to_num([value.error for value in values])
        axes.errorbar(x, y, error, **look, label=name, markersize=6)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(label)
    axes.set_ylabel(quantity)
    legend(figure, axes)
    return figure
