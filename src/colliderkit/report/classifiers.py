"""Plots of classifiers: ROC curves, scores, calibration, confusion matrix and importance."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation
from numpy.typing import ArrayLike

from colliderkit.metrics.calibration import CalibrationCurve
from colliderkit.metrics.classes import Confusion
from colliderkit.metrics.roc import Roc
from colliderkit.metrics.value import Value
from colliderkit.report.distributions import draw_distribution
from colliderkit.report.plots import COLOURS, limit_ratio, style, styles, with_ratio

__all__ = ["calibration", "confusion", "importance", "roc", "scores"]


@style()
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
            bottom.plot(x[common], part / eps[common], **look[name])
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
    top.set_ylim(1, 3 * top.get_ylim()[1])
    top.set_ylabel(r"Background rejection $1/\varepsilon_B$")
    top.legend()
    if len(curves) > 1:
        bottom.set_ylabel(f"Ratio to\n{reference}", loc="center")
        limit_ratio(bottom)
    else:
        bottom.remove()
        top.tick_params(labelbottom=True)
    (bottom if len(curves) > 1 else top).set_xlabel(r"Signal efficiency $\varepsilon_S$")
    return figure


@style()
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
    bottom.set_yscale("log")
    bottom.set_ylim(odds[0] / 2, odds[-1] * 2)
    bottom.yaxis.set_major_formatter(LogFormatterSciNotation())
    bottom.set_ylabel(f"{classes[1]} /\n{classes[0]}", loc="center")
    bottom.legend(loc="upper left", fontsize=15)
    return figure


@style()
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
    top.set_ylim(0, 1 + 0.13 * len(curves) + 0.04)
    top.set_ylabel("Share of signal")
    bottom.set_ylabel("Share $-$\nscore", loc="center")
    bottom.set_xlabel("Score, P(signal)")
    top.legend(loc="upper left", fontsize=15)
    return figure


@style()
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


@style()
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
