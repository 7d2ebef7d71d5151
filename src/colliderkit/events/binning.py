"""Bin edges of histograms: checked, merged, of equal shares; and the bin of each event."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import as_column, as_weight

__all__ = [
    "balanced_edges",
    "bins_of",
    "coarse_edges",
    "inside",
    "merged_edges",
    "quantile_edges",
    "rising",
    "with_overflow",
]

Floats = NDArray[np.float64]


def rising(edges: ArrayLike, name: str) -> Floats:
    """Check the edges of bins; raise `InputError` naming those that do not rise."""
    values = np.asarray(edges, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not (np.diff(values) > 0).all():
        raise InputError(f"{name} must rise; give at least two.")
    return values


def inside(values: ArrayLike, region: Sequence[float]) -> NDArray[np.bool_]:
    """Return which values (N,) are in a region, low <= value < high."""
    x = np.asarray(values)
    return np.asarray((x >= region[0]) & (x < region[1]))


def bins_of(x: Floats, edges: Floats) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the bin of each event and whether it is in one; the last bin holds its upper edge."""
    numbers = np.searchsorted(edges, x, side="right") - 1
    numbers[x == edges[-1]] = len(edges) - 2
    return numbers, (numbers >= 0) & (numbers < len(edges) - 1)


def merged_edges(edges: ArrayLike, values: ArrayLike, what: str, *, fewest: int = 20) -> Floats:
    """Merge bins upwards until each holds `fewest` of the `values` (N,); return the edges left.

    What is left at the upper end joins the last bin. Raises `InputError` where less than two bins
    of `what` are filled.
    """
    limits = rising(edges, f"the edges of {what}")
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    merged = [limits[0]]
    for edge in limits[1:]:
        low, high = np.searchsorted(ordered, [merged[-1], edge])
        if high - low >= fewest:
            merged.append(edge)
    if len(merged) < 3:
        raise InputError(
            f"{what}: {len(ordered)} events fill less than two bins; give more events."
        )
    merged[-1] = limits[-1]
    return np.array(merged)


def coarse_edges(edges: Floats, bins: int = 10) -> Floats:
    """Return some of the edges, for `bins` bins or fewer, the outer ones among them."""
    rows = np.unique(np.round(np.linspace(0, len(edges) - 1, bins + 1)).astype(int))
    return np.asarray(edges[rows])


def with_overflow(edges: ArrayLike) -> Floats:
    """Add bins of under- and overflow to edges (B + 1,), (B + 3,)."""
    return np.concatenate([[-np.inf], np.asarray(edges, dtype=np.float64), [np.inf]])


def quantile_edges(values: ArrayLike, bins: int, weight: ArrayLike | None = None) -> Floats:
    """Return edges (bins + 1,) with equal shares of the events (N,), the outer ones infinite.

    Such bins do not change under a rising function of the values: observables of different scale
    are compared on equal terms. Values that many events share make fewer bins.
    """
    if bins < 2:
        raise InputError(f"bins is {bins}; it must be at least 2.")
    x = as_column(values, np.size(values), "the values that are binned")
    w = as_weight(weight, len(x), "the values that are binned")
    order = np.argsort(x, kind="stable")
    share = np.cumsum(w[order]) / w.sum()
    cuts = np.searchsorted(share, np.arange(1, bins) / bins)
    return np.concatenate([[-np.inf], np.unique(x[order[cuts]]), [np.inf]])


def balanced_edges(values: ArrayLike, bins: int, truth: Floats, truth_edges: Floats) -> Floats:
    """Return edges (bins + 1,) with equal shares of all truth bins together, each of weight 1.

    `values` (N,) are those of events with `truth` (N,); see `quantile_edges`.
    """
    numbers, inside = bins_of(truth, truth_edges)
    share = 1 / np.bincount(numbers[inside], minlength=len(truth_edges) - 1)
    return quantile_edges(values, bins, np.where(inside, share[np.where(inside, numbers, 0)], 0.0))
