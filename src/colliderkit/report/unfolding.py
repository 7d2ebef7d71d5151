"""Plots of unfolded spectra, covariances, responses, and the choice of an iteration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray

from colliderkit.methods.unfolding.binned import IterationCurve
from colliderkit.methods.unfolding.closure import ClosureTest, Spectra
from colliderkit.methods.unfolding.result import BinnedSpectrum
from colliderkit.metrics.value import Value, rounded
from colliderkit.report.html import Report
from colliderkit.report.observables import axis_label, symbol_of, unit_of
from colliderkit.report.plots import (
    COLOURS,
    MARKERS,
    WIDTHS,
    arrows,
    draw_ratio,
    drawn,
    legend,
    limit_ratio,
    merged,
    ratio_label,
    styles,
)
from colliderkit.report.verdict import Claim

__all__ = [
    "Spectrum",
    "add_spectrum",
    "by_bin",
    "closure_spectra",
    "correlation",
    "correlation_matrix",
    "correlations",
    "iteration_choice",
    "responses",
    "spectrum",
    "unfolded",
]

Floats = NDArray[np.float64]
# Places in the palette of what no method has made.
SIMULATION, DATA = 3, 9
# Neighbours in the legend are far apart in colour.
ORDER = tuple(COLOURS[i] for i in (3, 1, 9, 5, 0, 4, 2, 6))


@dataclass(frozen=True)
class Spectrum:
    """Spectrum as shares of its sum: `values` (K,), `error` (K,), and `counts` (K,)."""

    values: Floats
    error: Floats
    counts: Floats

    @classmethod
    def of(cls, counts: Floats, covariance: Floats) -> "Spectrum":
        """Normalise contents (K,) with variances (K,) or a covariance (K, K) to sum 1."""
        total = counts.sum()
        share = counts / total
        jacobian = (np.eye(len(share)) - share[:, None]) / total
        matrix = np.diag(covariance) if covariance.ndim == 1 else covariance
        error = np.sqrt(np.maximum(np.diag(jacobian @ matrix @ jacobian.T), 0))
        return cls(share, error, counts)


@drawn
def spectrum(unfolding: BinnedSpectrum, prior: Floats) -> Figure:
    """Draw an unfolded spectrum over the simulation's own, `prior` (K,), and their ratio.

    Bars are the total uncertainty, and the bands in the ratio its parts, each added in quadrature
    to those before.
    """
    edges, widths = unfolding.edges, np.diff(unfolding.edges)
    centres = (edges[1:] + edges[:-1]) / 2
    figure = Figure(figsize=(8, 8.4))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.5))
    above.stairs(
        prior / widths, edges, color=COLOURS[SIMULATION], linestyle="--", label="simulation"
    )
    look = {"fmt": "o", "color": "black", "markersize": 5}
    above.errorbar(
        centres, unfolding.values / widths, unfolding.error / widths, label="unfolded", **look
    )

    def over(values: Floats) -> Floats:
        return np.divide(values, prior, out=np.full_like(prior, np.nan), where=prior > 0)

    variance = np.zeros_like(prior)
    for i, (name, part) in enumerate(unfolding.covariances.items()):
        variance = variance + np.diag(part)
        band = np.nan_to_num(over(np.sqrt(variance)))
        middle = np.nan_to_num(over(unfolding.values))
        below.stairs(
            middle + band,
            edges,
            baseline=middle - band,
            fill=True,
            color=COLOURS[i % len(COLOURS)],
            alpha=0.5,
            zorder=-i,
            label=name,
        )
    below.errorbar(centres, over(unfolding.values), over(unfolding.error), **look)
    below.axhline(1, color=COLOURS[SIMULATION], linestyle="--")
    label = _label(unfolding)
    per = f" / {unit_of(label)}" if unit_of(label) else " / width"
    above.set_ylabel(unfolding.kind.capitalize() + per)
    above.set_ylim(bottom=0)
    legend(figure)
    ratio_label(below, "simulation")
    below.set_xlabel(label)
    below.set_xlim(edges[0], edges[-1])
    low, high = below.get_ylim()
    below.set_ylim(max(low, 0), min(high, 2))
    arrows(below)
    return figure


def _label(unfolding: BinnedSpectrum) -> str:
    """Return the label of the axis of an unfolded observable."""
    known = axis_label(unfolding.observable)
    if not unfolding.unit or unit_of(known):
        return known
    return f"{known} [{unfolding.unit}]"


@drawn
def correlation(unfolding: BinnedSpectrum) -> Figure:
    """Draw the correlation matrix of the bins of an unfolded spectrum."""
    matrix = correlation_matrix(unfolding.covariance)
    figure = Figure(figsize=(8, 6.8))
    axes = figure.subplots()
    mesh = axes.pcolormesh(unfolding.edges, unfolding.edges, matrix, cmap="RdBu_r", vmin=-1, vmax=1)
    mesh.set_rasterized(True)
    axes.set_xlabel(_label(unfolding))
    axes.set_ylabel(_label(unfolding))
    figure.colorbar(mesh, ax=axes, label="Correlation")
    return figure


def correlation_matrix(covariance: Floats) -> Floats:
    """Return cov_ij / (sigma_i sigma_j), (K, K), NaN where a variance is zero."""
    spread = np.sqrt(np.diag(covariance))
    outer = np.outer(spread, spread)
    return np.divide(covariance, outer, out=np.full_like(outer, np.nan), where=outer > 0)


@drawn
def unfolded(
    edges: Floats,
    spectra: Mapping[str, Spectrum],
    *,
    truth: Spectrum,
    prior: Floats,
    data: Floats | None = None,
    label: str = "",
) -> Figure:
    """Draw spectra in the bins `edges` (K + 1,) as densities of area 1, and over the truth.

    The first spectrum is a band, the others are points with bars, beside each other in a bin.
    `truth` is what should come out, its counting a grey band in the ratio; `prior` (K,) the
    simulation before, `data` (K,) what the detector saw. In the ratio bins are merged until the
    truth has 10 events; an arrow is a point outside of it.
    """
    widths, centres = np.diff(edges), (edges[1:] + edges[:-1]) / 2
    starts = merged(truth.counts)

    def over(values: Floats) -> Floats:
        nothing = np.full_like(truth.values, np.nan)
        return np.divide(values, truth.values, out=nothing, where=truth.values > 0)

    figure = Figure(figsize=(8, 8.4))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.5))
    below.axhline(1, color="black", linewidth=1)
    grey = np.nan_to_num(over(truth.error))
    below.stairs(1 + grey, edges, baseline=1 - grey, fill=True, color="black", alpha=0.15)
    lines = [
        ("truth", truth.counts, "black", "-"),
        ("simulation", prior, COLOURS[SIMULATION], "--"),
    ]
    if data is not None:
        lines.append(("data", data, COLOURS[DATA], ":"))
    for name, counts, colour, dashes in lines:
        share = counts / counts.sum()
        look = {"color": colour, "linestyle": dashes, "linewidth": 2}
        above.stairs(share / widths, edges, label=name, **look)
        if name == "simulation":
            below.stairs(over(share), edges, **look)
    names = list(spectra)
    looks = styles(names, taken=(SIMULATION, DATA))
    for i, (name, each) in enumerate(spectra.items()):
        colour = looks[name]["color"]
        offset = widths * 0.22 * (i - len(names) / 2)
        if i == 0:
            for axes, value, error in (
                (above, each.values / widths, each.error / widths),
                (below, over(each.values), over(each.error)),
            ):
                axes.stairs(value, edges, color=colour, linewidth=2, label=name)
                low, high = (np.nan_to_num(value + sign * error) for sign in (-1, 1))
                axes.stairs(high, edges, baseline=low, fill=True, color=colour, alpha=0.35)
            continue
        marker = {"fmt": MARKERS[i % len(MARKERS)], "markersize": 4, "linewidth": 1.2}
        marker |= {"color": colour, "label": name}
        above.errorbar(centres + offset, each.values / widths, each.error / widths, **marker)
        shift = 0.22 * (i - len(names) / 2)
        contents = (each.values, each.error)
        draw_ratio(below, edges, contents, truth.values, starts, shift=shift, **marker)
    above.set_ylim(bottom=0)
    unit = unit_of(label)
    above.set_ylabel("Density" + (f" [1 / {unit}]" if unit else ""))
    legend(figure, above)
    limit_ratio(below, 0.3)
    ratio_label(below, "truth")
    below.set_xlabel(axis_label(label))
    below.set_xlim(edges[0], edges[-1])
    return figure


def closure_spectra(
    test: ClosureTest, i: int, answers: Mapping[str, Spectra], label: str = ""
) -> Figure:
    """Draw the spectra of observable i by several methods over its known truth; see `unfolded`."""
    edges, truth = test.truth_edges[i], test.expected(i)
    counts = {name: answer.spectra[i] for name, answer in answers.items()}
    return unfolded(
        edges,
        {name: Spectrum.of(*each) for name, each in counts.items() if each is not None},
        truth=Spectrum.of(truth, truth),
        prior=test.spectrum(i)[0],
        data=np.histogram(test.sample.data[:, i], edges, weights=test.sample.data_weight)[0],
        label=label,
    )


@drawn
def iteration_choice(curves: Mapping[str, IterationCurve], bins: int) -> Figure:
    """Draw, for each method, bias^2, variance and their sum by iteration, and the fit to data.

    Bias and variance are in units of the spectrum, averaged over the bins: a variance of 1 is that
    of counting the bin. chi^2 is divided by the number of `bins` at detector level.
    """
    figure = Figure(figsize=(8, 8.4))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.2))
    looks = styles(list(curves), taken=(SIMULATION, DATA))
    for name, curve in curves.items():
        iterations = np.arange(1, len(curve.chi2) + 1)
        colour = looks[name]["color"]
        scale = np.maximum(np.abs(curve.spectrum[-1]), 1e-12 * np.abs(curve.spectrum[-1]).max())
        parts = (
            (curve.squared_error, "-", "sum"),
            ((curve.bias**2 / scale).mean(1), "--", r"bias$^2$"),
            ((curve.variance / scale).mean(1), ":", "variance"),
        )
        for values, line, what in parts:
            above.plot(iterations, values, line, color=colour, linewidth=2, label=f"{name}, {what}")
        above.plot(
            curve.best, curve.squared_error[curve.best - 1], "*", color=colour, markersize=18
        )
        below.plot(iterations, curve.chi2 / bins, "o-", color=colour, markersize=5)
    above.set_yscale("log")
    low, high = above.get_ylim()
    above.set_ylim(max(low, 1e-4 * high), high)
    above.set_ylabel("Squared error / spectrum")
    legend(figure, above)
    below.axhline(1, color="black", linewidth=1)
    below.set_ylim(bottom=0)
    below.set_ylabel(r"$\chi^2$ / bins")
    below.set_xlabel("Iteration")
    below.xaxis.set_minor_locator(NullLocator())
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


@drawn
def correlations(covariance: Floats, edges: Sequence[Floats], labels: Sequence[str]) -> Figure:
    """Draw the correlation matrix of all bins of several observables, (K, K).

    `edges` are those of each observable, whose bins stand one after the other.
    """
    matrix = correlation_matrix(covariance)
    figure = Figure(figsize=(8, 6.8))
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1, origin="lower")
    sizes = np.array([len(limits) - 1 for limits in edges])
    stops = np.concatenate([[0], np.cumsum(sizes)]) - 0.5
    for stop in stops[1:-1]:
        axes.axhline(stop, color="black", linewidth=0.8)
        axes.axvline(stop, color="black", linewidth=0.8)
    centres = (stops[1:] + stops[:-1]) / 2
    symbols = [symbol_of(label) for label in labels]
    axes.set_xticks(centres, symbols)
    axes.set_yticks(centres, symbols)
    axes.tick_params(which="both", length=0)
    axes.minorticks_off()
    figure.colorbar(image, ax=axes, label="Correlation")
    return figure


@drawn
def by_bin(
    curves: Mapping[str, Floats],
    edges: Floats,
    label: str,
    quantity: str,
    *,
    line: float | None = None,
    log: bool = False,
    limits: tuple[float, float] | None = None,
    powers: bool = False,
) -> Figure:
    """Draw one number a bin, {observable: (K,)}, as steps over `edges` (K + 1,).

    Names that begin with "learned" have full lines, the others dashes. `line` marks the value of a
    perfect observable; `powers`: the edges are log10 of the quantity.
    """
    figure = Figure()
    axes = figure.subplots()
    where = 10**edges if powers else edges
    for (name, values), colour in zip(curves.items(), ORDER, strict=False):
        full = name.startswith("learned")
        look: dict[str, Any] = {"color": colour, "linestyle": "-" if full else (0, (4, 1.5))}
        axes.stairs(values, where, baseline=None, label=name, linewidth=2.8, **look)
    if line is not None:
        axes.axhline(line, color="k", linestyle=":", linewidth=1.4)
    if powers:
        axes.set_xscale("log")
    if log:
        axes.set_yscale("log")
    axes.set_xlim(where[0], where[-1])
    if limits is not None:
        axes.set_ylim(*limits)
    axes.set_xlabel(axis_label(label))
    axes.set_ylabel(quantity)
    legend(figure)
    return figure


@drawn
def responses(matrices: Mapping[str, Floats], label: str) -> Figure:
    """Draw p(detector bin | truth bin) of {observable: (T, R)} side by side, bins by number."""
    figure = Figure(figsize=(WIDTHS["half" if len(matrices) == 1 else "wide"], 6.2))
    panels = figure.subplots(1, len(matrices), sharey=True, squeeze=False)[0]
    top = max(float(matrix.max()) for matrix in matrices.values())
    for axes, (name, matrix) in zip(panels, matrices.items(), strict=True):
        axes.imshow(
            matrix,
            origin="lower",
            aspect="auto",
            cmap="Blues",
            vmin=0,
            vmax=top,
            extent=(0.5, matrix.shape[1] + 0.5, 0.5, len(matrix) + 0.5),
        )
        axes.set_title(name, loc="left")
        axes.set_xlabel("Detector bin")
        axes.minorticks_off()
        axes.tick_params(which="both", direction="out", top=False, right=False)
    panels[0].set_ylabel(f"Truth bin of {axis_label(label).partition(' [')[0]}")
    mappable = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(0, top), "Blues")
    figure.colorbar(mappable, ax=list(panels), label="p(detector bin | truth bin)")
    return figure


def add_spectrum(
    page: Report,
    binned: BinnedSpectrum,
    prior: Floats,
    outside: str,
    beside: Mapping[str, Callable[[Path], Any]],
) -> None:
    """Draw a spectrum beside the simulation's and its correlations, list its bins, judge it.

    `outside` ends the caption; `beside` is what `Report.add_figure` takes of files.
    """
    name = binned.observable
    page.add_heading(name)
    caption = f"{name} at the level of particles: unfolded, and in the simulation.{outside}"
    if binned.covariances:
        page.claims.append(_moved(binned, prior))
    page.add_figure(spectrum(binned, prior), caption, beside=beside)
    if binned.covariances:
        page.add_figure(
            correlation(binned),
            f"Correlations between the bins of {name}; a fit to the spectrum needs them.",
        )
    # The parts of a single one are the total.
    named = binned.covariances if len(binned.covariances) > 1 else {}
    parts = [np.sqrt(np.diag(part)) for part in named.values()]
    edges = binned.edges
    page.add_table(
        [f"{name}{f' [{binned.unit}]' if binned.unit else ''}", "unfolded", *named],
        [
            [f"{low:.4g} to {high:.4g}", Value(v, e), *(rounded(p[k], p[k]) for p in parts)]
            for k, (low, high, v, e) in enumerate(
                zip(edges, edges[1:], binned.values, binned.error, strict=False)
            )
        ],
        "Events in the bins with the total uncertainty"
        + (", and its parts." if named else f" ({', '.join(binned.covariances) or 'none'})."),
    )


def _moved(binned: BinnedSpectrum, prior: Floats) -> Claim:
    """Judge whether the data moved the simulation's spectrum: χ² with the covariance of all bins.

    Bins without events in both, and directions that the replicas do not span, count nothing.
    """
    covariance = np.sum([*binned.covariances.values()], axis=0)
    values, vectors = np.linalg.eigh(covariance)
    spanned = values > 1e-9 * values.max(initial=0.0)
    away = (binned.values - prior) @ vectors[:, spanned]
    ndf = int(spanned.sum())
    return Claim(
        f"The data differ from the simulation in {binned.observable}: χ² above its"
        f" {ndf} degrees of freedom",
        Value(float((away**2 / values[spanned]).sum()), (2 * ndf) ** 0.5),
        "above",
        Value(float(ndf), 0.0),
    )
