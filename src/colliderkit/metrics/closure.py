"""Closure of a reweighting: chi2 per column and effective sample size.

Does a reweighted sample agree with its target, how much of it is left, and where do the two not
overlap?
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Agreement", "Gap", "agreement", "effective_size", "gaps"]

Floats = NDArray[np.float64]


def effective_size(weight: ArrayLike) -> float:
    """Return (sum w)^2 / sum w^2: how many events of weight 1 are as precise."""
    w = np.asarray(weight, dtype=np.float64)
    squares = float((w * w).sum())
    return float(w.sum()) ** 2 / squares if squares > 0 else 0.0


@dataclass(frozen=True)
class Agreement:
    """Agreement of two weighted samples of one observable, in bins.

    `pulls` (bins,) are (source - target) / error of the difference, both normalised to 1; `chi2`
    is their sum of squares, `ndf` the bins with events less one for the normalisation.
    """

    edges: Floats
    source: Floats
    target: Floats
    error: Floats
    pulls: Floats
    chi2: float
    ndf: int


def agreement(
    source: ArrayLike,
    target: ArrayLike,
    *,
    source_weight: ArrayLike | None = None,
    target_weight: ArrayLike | None = None,
    edges: ArrayLike | None = None,
    bins: int = 20,
) -> Agreement:
    """Compare samples (N,) and (M,); without `edges` in bins of equal counts of the target.

    The error of a bin is that of the sums of weights, with the (small) effect of the
    normalisation: var(p) = (1 - 2 p) S2 + p^2 sum S2, S2 the sums of squared weights.
    """
    x, y = (np.asarray(a, dtype=np.float64) for a in (source, target))
    wx = np.ones(len(x)) if source_weight is None else np.asarray(source_weight, dtype=np.float64)
    wy = np.ones(len(y)) if target_weight is None else np.asarray(target_weight, dtype=np.float64)
    if edges is None:
        inner = np.unique(np.quantile(y, np.linspace(0, 1, bins + 1)[1:-1]))
        limits = np.array([-np.inf, *inner, np.inf])
    else:
        limits = np.asarray(edges, dtype=np.float64)
    p, var_p = _shares(x, wx, limits)
    q, var_q = _shares(y, wy, limits)
    error = np.sqrt(var_p + var_q)
    pulls = np.divide(p - q, error, out=np.zeros_like(p), where=error > 0)
    filled = int((error > 0).sum())
    return Agreement(limits, p, q, error, pulls, float((pulls**2).sum()), max(filled - 1, 1))


def _shares(x: Floats, weight: Floats, edges: Floats) -> tuple[Floats, Floats]:
    index = np.searchsorted(edges, x, side="right") - 1
    inside = (index >= 0) & (index < len(edges) - 1)
    count = np.bincount(index[inside], weight[inside], len(edges) - 1)
    square = np.bincount(index[inside], weight[inside] ** 2, len(edges) - 1)
    total = count.sum()
    p = count / total
    return p, ((1 - 2 * p) * square + p**2 * square.sum()) / total**2


@dataclass(frozen=True)
class Gap:
    """A region of one column where the numerator has events and the denominator none."""

    column: str
    low: float
    high: float
    share: float

    def __str__(self) -> str:
        return f"{self.column} in [{self.low:.4g}, {self.high:.4g}] ({self.share:.2%} of events)"


def gaps(
    numerator: Floats,
    denominator: Floats,
    columns: Sequence[str],
    *,
    fewest: float = 1e-4,
) -> list[Gap]:
    """Find where tables (N, C) and (M, C) do not overlap, one column at a time.

    Bins hold equal shares of the numerator, 0.5% or 100 events; one is a gap if fewer than
    `fewest` times its share of the denominator's events fall in. Neighbouring gaps are one. What
    is disjoint in no single column but only in their combination is not found.
    """
    regions = []
    bins = int(np.clip(len(numerator) // 100, 2, 200))
    for name, x, y in zip(columns, numerator.T, denominator.T, strict=True):
        edges = np.unique(np.quantile(x, np.linspace(0, 1, bins + 1)))
        if len(edges) < 2:
            edges = np.array([edges[0], np.nextafter(edges[0], np.inf)])
        inside = np.histogram(x, edges)[0] / len(x)
        other = np.histogram(y, edges)[0] / len(y)
        empty = other < fewest * inside
        # Where the denominator is so small that no event was to be expected, nothing is wrong.
        empty &= inside * len(y) >= 20
        for start, stop in _runs(empty):
            share = float(inside[start:stop].sum())
            regions.append(Gap(name, float(edges[start]), float(edges[stop]), share))
    return regions


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    change = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(change[::2], change[1::2], strict=True)]
