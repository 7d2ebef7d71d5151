"""Histograms of samples side by side, with their ratio: any column, or the spectra of jets."""

from collections.abc import Mapping, Sequence

import awkward as ak
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import ArrayLike, NDArray

from colliderkit.events.schema import CONSTITUENTS, labels_of, weights_of
from colliderkit.report.observables import axis_label, unit_of
from colliderkit.report.plots import (
    CLASSES,
    draw_ratio,
    drawn,
    legend,
    limit_ratio,
    merged,
    ratio_label,
    round_edges,
    with_ratio,
)

__all__ = ["distribution", "draw_distribution", "spectra"]


@drawn
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
    In the ratio bins are merged until the first class has 10 entries; an arrow is a point outside
    of the panel. `label` is a column's name, or a label that may end in its unit, in brackets.
    """
    figure, (top, bottom) = with_ratio()
    draw_distribution(top, bottom, samples, np.asarray(edges), label, unit, weights, log)
    legend(figure, top)
    return figure


@drawn
def spectra(jets: ak.Array, classes: Sequence[str]) -> Figure:
    """Draw jet pt, jet mass and the number of constituents of each class, with ratios."""
    label, weight = labels_of(jets, len(classes)), weights_of(jets)
    columns = {
        "Jet $p_T$": ("GeV", jets["jet_pt"]),
        "Jet mass": ("GeV", jets["jet_mass"]),
        "Constituents": ("", ak.num(jets[CONSTITUENTS], axis=1)),
    }
    figure = Figure(figsize=(16.4, 6.6), layout=ConstrainedLayoutEngine(wspace=0.04))
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
        draw_distribution(axes[0, i], axes[1, i], samples, edges, name, unit, weights, log=False)
    legend(figure, axes[0, 0])
    return figure


def draw_distribution(
    top: Axes,
    bottom: Axes,
    samples: Mapping[str, ArrayLike],
    edges: NDArray[np.float64],
    label: str,
    unit: str,
    weights: Mapping[str, ArrayLike] | None,
    log: bool,
) -> None:
    """Draw histograms on `top` and their ratio to the first on `bottom` (see `distribution`)."""
    middle = (edges[1:] + edges[:-1]) / 2
    base: NDArray[np.float64] | None = None
    starts = np.zeros(0, dtype=np.int64)
    for i, ((name, sample), colour) in enumerate(zip(samples.items(), CLASSES, strict=False)):
        values = np.asarray(sample)
        weight = np.ones(len(values)) if weights is None else np.asarray(weights[name])
        total = weight.sum()
        height = np.histogram(values, edges, weights=weight)[0] / total
        error = np.sqrt(np.histogram(values, edges, weights=weight**2)[0]) / abs(total)
        shown = name if height.any() else f"{name} (100% outside)"
        top.stairs(height, edges, color=colour, linewidth=2, label=shown)
        top.errorbar(middle, height, error, fmt="none", ecolor=colour, elinewidth=1.4)
        if base is None:
            top.stairs(height, edges, color=colour, alpha=0.12, fill=True)
            base, starts = height, merged(np.histogram(values, edges)[0])
            bottom.axhline(1, color=colour, linewidth=1.4)
            with np.errstate(divide="ignore", invalid="ignore"):
                band = np.nan_to_num(error / height)
            bottom.stairs(1 + band, edges, baseline=1 - band, color=colour, alpha=0.25, fill=True)
            continue
        shift = 0.12 * (i - len(samples) / 2)
        contents = height, error
        draw_ratio(bottom, edges, contents, base, starts, shift=shift, color=colour, label=name)
    label = axis_label(label)
    width, unit = edges[1] - edges[0], unit or unit_of(label)
    label = label.removesuffix(f"[{unit}]").strip()
    per = f" / {width:.3g} {unit}".rstrip() if unit or width != 1 else ""
    top.set_ylabel(f"Fraction of jets{per}")
    if log:
        top.set_yscale("log")
    else:
        top.set_ylim(bottom=0)
    top.set_xlim(edges[0], edges[-1])
    bottom.set_xlabel(f"{label} [{unit}]" if unit else label)
    ratio_label(bottom, next(iter(samples)))
    limit_ratio(bottom)
