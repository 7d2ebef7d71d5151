"""Plots of classifiers: ROC curves, scores, calibration, confusion matrix and importance."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation, LogLocator, NullFormatter
from numpy.typing import ArrayLike
from scipy.stats import ks_2samp

from colliderkit.metrics.calibration import CalibrationCurve
from colliderkit.metrics.classes import Confusion
from colliderkit.metrics.roc import Roc
from colliderkit.metrics.value import Value
from colliderkit.report.distributions import draw_distribution
from colliderkit.report.plots import (
    CLASSES,
    COLOURS,
    MARKERS,
    arrows,
    draw_ratio,
    drawn,
    legend,
    limit_ratio,
    merged,
    ratio_label,
    styles,
    with_ratio,
)

__all__ = [
    "calibration",
    "confusion",
    "importance",
    "overtraining",
    "quality_by_time",
    "roc",
    "scores",
]


@drawn
def roc(
    curves: Mapping[str, Roc],
    *,
    reference: str | None = None,
    published: Mapping[str, tuple[float, Value]] | None = None,
) -> Figure:
    """Draw rejection against signal efficiency with counting bands, and the ratio to one curve.

    `reference` names that curve, the first if not given. `published` gives points
    {model: (signal efficiency, rejection)}, drawn open in the model's colour. A curve begins
    where eps_B is known to better than 50%: about four background events.
    """
    reference = reference if reference is not None else next(iter(curves))
    published = published or {}
    look = styles([*curves, *(name for name in published if name not in curves)])
    figure, (top, bottom) = with_ratio()
    efficiency = np.linspace(0.02, 1.0, 393)
    base, _ = curves[reference].background_at(efficiency)
    for name, curve in curves.items():
        background, error = curve.background_at(efficiency)
        seen = background > 2 * error
        x, eps, sigma = efficiency[seen], background[seen], error[seen]
        low, high = 1 / (eps + sigma), 1 / (eps - sigma)
        top.plot(x, 1 / eps, label=name, **look[name])
        top.fill_between(x, low, high, color=look[name]["color"], alpha=0.22, linewidth=0)
        if len(curves) > 1:
            common = base[seen] > 0
            part = base[seen][common]
            bottom.plot(x[common], part / eps[common], label=name, **look[name])
            bottom.fill_between(
                x[common],
                part * low[common],
                part * high[common],
                color=look[name]["color"],
                alpha=0.22,
                linewidth=0,
            )
    for name, (place, value) in published.items():
        top.errorbar(
            place,
            value.value,
            np.nan_to_num(value.error),
            fmt="o",
            markersize=9,
            markerfacecolor="white",
            markeredgewidth=2,
            capsize=4,
            color=look[name]["color"],
        )
    if published:
        top.plot([], [], "ko", mfc="white", mew=2, markersize=9, label="published")
    top.set_yscale("log")
    top.set_xlim(0, 1)
    top.set_ylim(bottom=1)
    top.set_ylabel(r"Background rejection $1/\varepsilon_B$")
    legend(figure, top)
    if len(curves) > 1:
        ratio_label(bottom, reference)
        limit_ratio(bottom)
    else:
        bottom.remove()
        top.tick_params(labelbottom=True)
    (bottom if len(curves) > 1 else top).set_xlabel(r"Signal efficiency $\varepsilon_S$")
    return figure


@drawn
def scores(
    score: ArrayLike,
    label: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    classes: Sequence[str] = ("background", "signal"),
    bins: int = 40,
) -> Figure:
    """Draw the distribution of P(signal) scores (N,) by class, and signal over background.

    The dashed line is the ratio that a calibrated score has, p / (1 - p) * N_B / N_S.
    """
    score, label = np.asarray(score), np.asarray(label)
    weight = np.ones(len(score)) if weight is None else np.asarray(weight)
    samples = {name: score[label == k] for k, name in enumerate(classes)}
    weights = {name: weight[label == k] for k, name in enumerate(classes)}
    edges = np.linspace(0, 1, bins + 1)
    figure, (top, bottom) = with_ratio()
    draw_distribution(top, bottom, samples, edges, f"Score, P({classes[1]})", "", weights, log=True)
    p = np.linspace(0.004, 0.996, 300)
    odds = p / (1 - p) * float(weight[label == 0].sum() / weight[label == 1].sum())
    bottom.lines[0].remove()
    bottom.patches[0].remove()
    bottom.plot(p, odds, "k--", linewidth=1.4, label="calibrated")
    legend(figure)
    bottom.set_yscale("log")
    bottom.set_ylim(odds[0] / 2, odds[-1] * 2)
    bottom.yaxis.set_major_locator(LogLocator(numticks=4))
    bottom.yaxis.set_major_formatter(LogFormatterSciNotation())
    bottom.yaxis.set_minor_formatter(NullFormatter())
    bottom.set_ylabel(f"{classes[1]} /\n{classes[0]}", loc="center")
    arrows(bottom)
    return figure


@drawn
def calibration(curves: Mapping[str, CalibrationCurve]) -> Figure:
    """Draw the share of signal against the score, and their difference, with counting errors."""
    figure, (top, bottom) = with_ratio()
    look = styles(list(curves))
    top.plot([0, 1], [0, 1], "k--", linewidth=1.4)
    bottom.axhline(0, color="k", linestyle="--", linewidth=1.4)
    for name, curve in curves.items():
        options = {"color": look[name]["color"], "fmt": "o-", "markersize": 5, "linewidth": 1.4}
        top.errorbar(
            curve.predicted,
            curve.observed,
            curve.error,
            label=f"{name}: ECE {curve.expected_error} (floor {curve.floor.value:.2g})",
            **options,
        )
        bottom.errorbar(curve.predicted, curve.observed - curve.predicted, curve.error, **options)
    top.set_xlim(0, 1)
    top.set_ylim(0, 1)
    top.set_ylabel("Share of signal")
    bottom.set_ylabel("Observed $-$\npredicted", loc="center", fontsize=15)
    bottom.set_xlabel("Score, P(signal)")
    legend(figure, top)
    return figure


@drawn
def confusion(matrix: Confusion, classes: Sequence[str]) -> Figure:
    """Draw the share of each true class (row) that is taken for each class (column), in %."""
    figure = Figure(layout="compressed")
    axes = figure.subplots()
    size = len(classes)
    image = axes.imshow(100 * matrix.fraction, cmap="Blues", vmin=0, vmax=100)
    font = 18 if size <= 5 else max(8, 90 / size)
    for row in range(size):
        for column in range(size):
            share, error = 100 * matrix.fraction[row, column], 100 * matrix.error[row, column]
            text = f"{share:.1f}" + (f"\n± {error:.1f}" if size <= 5 else "")
            axes.text(
                column,
                row,
                text if np.isfinite(share) else "-",
                ha="center",
                va="center",
                fontsize=font,
                color="white" if share > 55 else "black",
            )
    axes.set_xticks(range(size), classes, rotation=0 if size <= 4 else 45)
    axes.set_yticks(range(size), classes)
    axes.tick_params(which="both", length=0)
    axes.minorticks_off()
    axes.set_xlabel("Predicted class")
    axes.set_ylabel("True class")
    figure.colorbar(image, ax=axes, label="Share of the true class [%]")
    return figure


@drawn
def importance(values: Mapping[str, Value], label: str = "Drop in AUC when permuted") -> Figure:
    """Draw one bar a feature with its error, the largest on top."""
    ranked = sorted(values.items(), key=lambda item: item[1].value)
    figure = Figure(figsize=(8.0, 1.8 + 0.5 * max(len(ranked), 3)))
    axes = figure.subplots()
    names = [name for name, _ in ranked]
    axes.barh(
        names,
        [value.value for _, value in ranked],
        xerr=[value.error for _, value in ranked],
        color=COLOURS[0],
        height=0.65,
        error_kw={"capsize": 4, "elinewidth": 1.6},
    )
    axes.axvline(0, color="k", linewidth=1.2)
    axes.tick_params(axis="y", which="both", length=0)
    axes.yaxis.minorticks_off()
    axes.set_xlabel(label)
    return figure


@drawn
def overtraining(
    train: tuple[ArrayLike, ArrayLike],
    test: tuple[ArrayLike, ArrayLike],
    classes: Sequence[str],
    *,
    bins: int = 30,
) -> Figure:
    """Draw scores (N,) of training events as lines over those of test events as points, by class.

    `train` and `test` are scores and labels. The legend has the p-value of the test of
    Kolmogorov and Smirnov that both are of one density.
    """
    figure, (top, bottom) = with_ratio()
    edges = np.linspace(0, 1, bins + 1)
    middle, width = (edges[1:] + edges[:-1]) / 2, 1 / bins
    sets = [(np.asarray(score), np.asarray(label)) for score, label in (train, test)]
    for k, (name, colour) in enumerate(zip(classes, CLASSES, strict=False)):
        seen, unseen = (score[label == k] for score, label in sets)
        if len(seen) == 0 or len(unseen) == 0:
            continue
        counts = [np.histogram(part, edges)[0] for part in (seen, unseen)]
        height, point = counts[0] / len(seen) / width, counts[1] / len(unseen) / width
        bar = np.sqrt(counts[1]) / len(unseen) / width
        p = float(ks_2samp(seen, unseen).pvalue)
        top.stairs(height, edges, color=colour, linewidth=2, label=f"{name}, training")
        look: dict[str, Any] = {"fmt": "o", "markersize": 4, "color": colour}
        top.errorbar(middle, point, bar, label=f"{name}, test (p = {p:.2g})", **look)
        starts = merged(counts[0])
        draw_ratio(bottom, edges, (point, bar), height, starts, shift=0.1 * k, label=name, **look)
    top.set_yscale("log")
    top.set_xlim(0, 1)
    top.set_ylabel("Density of events")
    bottom.axhline(1, color="k", linewidth=1.2)
    bottom.set_ylabel("Test /\ntraining", loc="center", fontsize=15)
    bottom.set_xlabel(f"Score, P({classes[1]})")
    legend(figure, top)
    limit_ratio(bottom)
    return figure


@drawn
def quality_by_time(
    points: Mapping[str, tuple[float, Value]], time: str = "Time to score a jet [µs]"
) -> Figure:
    """Draw the AUC of each model against its time: {model: (time, AUC)}."""
    figure = Figure()
    axes = figure.subplots()
    look = styles(list(points))
    for i, (name, (seconds, area)) in enumerate(points.items()):
        marker: dict[str, Any] = {"fmt": MARKERS[i % len(MARKERS)], "markersize": 10, "capsize": 4}
        marker |= {"color": look[name]["color"], "label": name}
        axes.errorbar(seconds, area.value, area.error, **marker)
    axes.set_xscale("log")
    low, high = min(s for s, _ in points.values()), max(s for s, _ in points.values())
    axes.set_xlim(low / 2, high * 2)
    axes.set_ylim(top=min(1.0, axes.get_ylim()[1]))
    axes.set_xlabel(time)
    axes.set_ylabel("AUC")
    legend(figure)
    return figure
