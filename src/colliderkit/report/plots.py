"""Plots in the field's style. Each function returns a matplotlib `Figure` and keeps no state.

Colours are those of Petroff (2107.02270), made for readers with any colour vision; a model has
the same colour and line in every plot (`styles`).
"""

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import awkward as ak
import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import (
    FuncFormatter,
    LogFormatterSciNotation,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)
from numpy.typing import ArrayLike, NDArray

from colliderkit.events.schema import CONSTITUENTS, labels_of, weights_of
from colliderkit.metrics.calibration import CalibrationCurve
from colliderkit.metrics.classes import Confusion
from colliderkit.metrics.roc import Roc
from colliderkit.metrics.value import Value

if TYPE_CHECKING:  # Lightning takes seconds to import
    from colliderkit.training.settings import Epoch

__all__ = [
    "calibration",
    "confusion",
    "distribution",
    "filters",
    "importance",
    "jet_images",
    "limit_ratio",
    "roc",
    "round_edges",
    "scores",
    "spectra",
    "style",
    "styles",
    "training",
]

COLOURS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "v", "D", "P")

# The place of a model in the palette: ten colours, then the same with the next line. Relatives
# share a colour.
PLACES = {
    "pfn": 0,
    "dips": 10,
    "efn": 1,
    "particlenet": 2,
    "particlenetlite": 12,
    "boostedtrees": 8,
    "particletransformer": 4,
    "part": 4,
    "cnn": 5,
    "resnext": 15,
    "nsubjettiness6": 7,
    "nsubjettiness8": 17,
    "mlp": 27,
    "lstm": 6,
    "gru": 16,
    "efp": 9,
    "linear": 19,
}
CLASSES = (COLOURS[0], COLOURS[2], COLOURS[1], COLOURS[4], *COLOURS[5:], COLOURS[3])

SMALL = {
    "figure.figsize": (8.0, 7.2),
    "font.size": 20,
    "axes.linewidth": 1.4,
    "legend.fontsize": 17,
    "xtick.major.size": 9,
    "ytick.major.size": 9,
    "xtick.minor.size": 4.5,
    "ytick.minor.size": 4.5,
    "lines.linewidth": 2.0,
    "figure.constrained_layout.use": True,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw and save in the style of this module: ``with style(): figure.savefig(...)``.

    matplotlib makes ticks when it draws, so that saving belongs inside too. Also a decorator.
    """
    import mplhep

    with matplotlib.style.context([mplhep.style.CMS, SMALL]):
        yield


def styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the colour and line of each model: the same in every plot.

    Networks of the package have fixed places in the palette; any other name has the place
    that its checksum gives, or the next that is free among `names`.
    """
    keys = {name: re.sub(r"[^a-z0-9]", "", name.lower()) for name in names}
    places: dict[str, int] = {}
    for name in sorted(names, key=lambda name: keys[name] not in PLACES):
        place = PLACES.get(keys[name], zlib.crc32(name.encode()) % len(COLOURS))
        while place in places.values():
            place = (place + 1) % (len(COLOURS) * len(LINES))
        places[name] = place
    return {
        name: {
            "color": COLOURS[places[name] % len(COLOURS)],
            "linestyle": LINES[places[name] // len(COLOURS)],
        }
        for name in names
    }


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
    figure, (top, bottom) = _with_ratio()
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
def distribution(
    samples: Mapping[str, ArrayLike],
    edges: ArrayLike,
    label: str,
    unit: str = "",
    *,
    weights: Mapping[str, ArrayLike] | None = None,
    log: bool = False,
) -> Figure:
    """Draw normalised histograms of {class: values (N,)} and their ratio to the first class.

    Bars are counting errors, sqrt(sum w^2); events outside `edges` count in the normalisation.
    """
    figure, (top, bottom) = _with_ratio()
    _distribution(top, bottom, samples, np.asarray(edges), label, unit, weights, log)
    return figure


@style()
def spectra(jets: ak.Array, classes: Sequence[str]) -> Figure:
    """Draw jet pt, jet mass and the number of constituents of each class, with ratios."""
    label, weight = labels_of(jets, len(classes)), weights_of(jets)
    columns = {
        "Jet $p_T$": ("GeV", jets["jet_pt"]),
        "Jet mass": ("GeV", jets["jet_mass"]),
        "Constituents": ("", ak.num(jets[CONSTITUENTS], axis=1)),
    }
    figure = Figure(figsize=(20, 7.2), layout=ConstrainedLayoutEngine(wspace=0.04))
    axes = figure.subplots(2, 3, sharex="col", height_ratios=(3, 1))
    for i, (name, (unit, column)) in enumerate(columns.items()):
        values = np.asarray(ak.to_numpy(column), dtype=np.float64)
        low, high = np.quantile(values, [0.002, 0.998])
        if unit:
            edges = round_edges(low, high)
        else:
            step = max(1, round((high - low) / 40))
            edges = np.arange(low, high + step + 1, step) - 0.5
        present = [k for k in range(len(classes)) if (label == k).any()]
        samples = {classes[k]: values[label == k] for k in present}
        weights = {classes[k]: weight[label == k] for k in present}
        _distribution(axes[0, i], axes[1, i], samples, edges, name, unit, weights, log=False)
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
    figure, (top, bottom) = _with_ratio()
    _distribution(top, bottom, samples, edges, f"Score, P({classes[1]})", "", weights, log=True)
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
def training(histories: Mapping[str, "Sequence[Epoch]"]) -> Figure:
    """Draw training (dotted) and validation (full) loss by epoch; a star marks the one chosen."""
    figure = Figure()
    axes = figure.subplots()
    look = styles(list(histories))
    for name, history in histories.items():
        colour = look[name]["color"]
        epochs = [row.epoch + 1 for row in history]
        validation = [row.validation_loss for row in history]
        axes.plot(epochs, validation, linewidth=2.6, label=name, **look[name])
        axes.plot(epochs, [row.training_loss for row in history], ":", color=colour, linewidth=1.8)
        for row in history:
            if row.best:
                axes.plot(
                    row.epoch + 1,
                    row.validation_loss,
                    "*",
                    color=colour,
                    markersize=20,
                    markeredgecolor="white",
                )
    axes.plot([], [], "k-", linewidth=2.6, label="validation")
    axes.plot([], [], "k:", linewidth=1.8, label="training")
    axes.plot([], [], "k*", markersize=14, linestyle="none", label="chosen epoch")
    low, high = axes.get_ylim()
    # The first epoch often is many times higher than what the reader wants to compare.
    later = [
        loss
        for history in histories.values()
        for row in history[1:]
        for loss in (row.training_loss, row.validation_loss)
    ]
    high = min(high, 1.1 * max(later, default=high))
    axes.set_ylim(low, high + 0.07 * len(histories) * (high - low))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.minorticks_off()
    axes.set_xlabel("Epoch")
    axes.set_ylabel("Loss")
    axes.legend(ncols=2 if len(histories) > 3 else 1)
    return figure


@style()
def calibration(curves: Mapping[str, CalibrationCurve]) -> Figure:
    """Draw the share of signal against the score, and their difference, with counting errors."""
    figure, (top, bottom) = _with_ratio()
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
def filters(responses: NDArray[np.floating[Any]], reach: float) -> Figure:
    """Draw an energy-flow network's learned filters (F, n, n) in the (eta, phi) plane.

    Element [f, i, j] is Phi_f at pseudorapidity number i and azimuth number j of an even grid over
    [-reach, reach], relative to the jet. A line encloses where the filter exceeds half of its
    largest value; its colour is the distance of that region's centre from the jet axis, as in
    1810.05165. Filters that are zero everywhere are left out.
    """
    figure = Figure(figsize=(9.0, 7.4), layout="compressed")
    axes = figure.subplots()
    grid = np.linspace(-reach, reach, responses.shape[1])
    y, phi = np.meshgrid(grid, grid, indexing="ij")
    shade = matplotlib.colormaps["viridis"]
    scale = Normalize(0, reach)
    for response in responses:
        peak = response.max()
        if not peak > 0:
            continue
        inside = response >= peak / 2
        distance = float(np.hypot(y[inside].mean(), phi[inside].mean()))
        colour = shade(scale(distance))
        axes.contour(y, phi, response, [peak / 2], colors=[colour], linewidths=1.2)
    axes.set_aspect("equal")
    axes.set_xlabel(r"$\eta - \eta_{jet}$")
    axes.set_ylabel(r"$\varphi - \varphi_{jet}$ [rad]")
    mappable = matplotlib.cm.ScalarMappable(scale, shade)
    figure.colorbar(mappable, ax=axes, label="Distance of the filter from the axis")
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


@style()
def jet_images(images: Mapping[str, NDArray[np.floating[Any]]], reach: float) -> Figure:
    """Draw mean jet images {class: (H, W)} on one logarithmic scale.

    Rows count azimuth and columns pseudorapidity upwards, as `events.images.JetImage` has them,
    over [-reach, reach] from the centre of the image.
    """
    figure = Figure(figsize=(7.0 * len(images) + 1.5, 6.6), layout="compressed")
    axes = figure.subplots(1, len(images), sharey=True, squeeze=False)[0]
    top = max(float(image.max()) for image in images.values())
    for panel, (name, image) in zip(axes, images.items(), strict=True):
        drawn = panel.imshow(
            np.where(image > 0, image, np.nan),
            origin="lower",
            extent=(-reach, reach, -reach, reach),
            norm=LogNorm(top * 1e-5, top),
            cmap="viridis",
            interpolation="nearest",
        )
        panel.set_title(name, loc="left")
        panel.set_xlabel(r"$\Delta\eta$")
        panel.tick_params(which="both", direction="out", top=False, right=False)
        panel.xaxis.set_major_locator(MaxNLocator(5, prune="upper"))
    axes[0].set_ylabel(r"$\Delta\varphi$ [rad]")
    figure.colorbar(drawn, ax=list(axes), label="Mean share of $p_T$ in a pixel")
    return figure


def _with_ratio() -> tuple[Figure, tuple[Axes, Axes]]:
    figure = Figure()
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    return figure, (top, bottom)


def _distribution(
    top: Axes,
    bottom: Axes,
    samples: Mapping[str, ArrayLike],
    edges: NDArray[np.float64],
    label: str,
    unit: str,
    weights: Mapping[str, ArrayLike] | None,
    log: bool,
) -> None:
    middle = (edges[1:] + edges[:-1]) / 2
    base: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    for (name, sample), colour in zip(samples.items(), CLASSES, strict=False):
        values = np.asarray(sample)
        weight = np.ones(len(values)) if weights is None else np.asarray(weights[name])
        total = weight.sum()
        height = np.histogram(values, edges, weights=weight)[0] / total
        error = np.sqrt(np.histogram(values, edges, weights=weight**2)[0]) / abs(total)
        top.stairs(height, edges, color=colour, linewidth=2, label=name)
        top.stairs(height, edges, color=colour, alpha=0.10, fill=True)
        top.errorbar(middle, height, error, fmt="none", ecolor=colour, elinewidth=1.4)
        if base is None:
            base = height, error
            bottom.axhline(1, color=colour, linewidth=1.4)
            with np.errstate(divide="ignore", invalid="ignore"):
                band = np.nan_to_num(error / height)
            bottom.stairs(1 + band, edges, baseline=1 - band, color=colour, alpha=0.25, fill=True)
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(base[0] > 0, height / base[0], np.nan)
            bottom.errorbar(
                middle,
                ratio,
                error / base[0],
                fmt="o",
                markersize=4,
                color=colour,
                elinewidth=1.4,
            )
    width = edges[1] - edges[0]
    per = f" / {width:.3g} {unit}".rstrip() if unit or width != 1 else ""
    top.set_ylabel(f"Fraction of jets{per}")
    if log:
        top.set_yscale("log")
    else:
        top.set_ylim(0, 1.3 * top.get_ylim()[1])
    top.set_xlim(edges[0], edges[-1])
    top.legend()
    bottom.set_xlabel(f"{label} [{unit}]" if unit else label)
    bottom.set_ylabel(f"Ratio to\n{next(iter(samples))}", loc="center")
    limit_ratio(bottom)


def limit_ratio(axes: Axes) -> None:
    """Show a ratio linearly within [0, 2] if that holds it, else on a logarithm up to 20."""
    found = [np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines]
    ratio = np.concatenate([y[np.isfinite(y) & (y > 0)] for y in found])
    if len(ratio) == 0 or (ratio.max() < 2 and ratio.min() > 0.2):
        reach = min(1.0, 1.3 * np.abs(ratio - 1).max(initial=0.1))
        axes.set_ylim(1 - reach, 1 + reach)
        return
    axes.set_yscale("log")
    low, high = max(1 / 20, 0.7 * min(ratio.min(), 1)), min(20, 1.4 * max(ratio.max(), 1))
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 15 * low else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def round_edges(low: float, high: float, bins: int = 40) -> NDArray[np.float64]:
    """Return edges over about [low, high] whose width is 1, 2, 2.5 or 5 times a power of ten."""
    width = max(high - low, 1e-9) / bins
    power = 10.0 ** np.floor(np.log10(width))
    width = power * min((1, 2, 2.5, 5, 10), key=lambda step: abs(step - width / power))
    return np.arange(np.floor(low / width), np.ceil(high / width) + 1) * width
