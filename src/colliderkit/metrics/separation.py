"""Separation power (triangular discriminator) of two spectra, and its counting floor.

    D(p, q) = 1/2 Int (p - q)^2 / (p + q) dx

is 0 for equal densities and 1 for disjoint ones (1911.09107 quotes it times 10^3). In bins it is
a sum over their shares. Two samples of one density have D > 0: the counting floor.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.metrics.value import Value, number

__all__ = ["TriangularDiscriminator", "binned_separation", "separation"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TriangularDiscriminator:
    """Triangular discriminator D with its statistical error, and its counting floor.

    `floor` is the expectation of D, were both samples of one density, with standard deviation
    `floor_spread`; `bins` are those with events. As a string all is given times 10^3.
    """

    value: Value
    floor: float
    floor_spread: float
    bins: int

    @property
    def excess(self) -> float:
        """How many standard deviations of the floor D lies above it."""
        return (self.value.value - self.floor) / self.floor_spread

    def __float__(self) -> float:
        return self.value.value

    def __str__(self) -> str:
        return f"{self.value.times(1e3)} (floor {number(1e3 * self.floor, 2)})"


def separation(
    sample: ArrayLike,
    other: ArrayLike,
    edges: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    other_weight: ArrayLike | None = None,
) -> TriangularDiscriminator:
    """Return D between samples (N,) and (M,) in the bins `edges` (K + 1,).

    Events outside the edges do not count; infinite edges are allowed. Raises `InputError` for a
    NaN, for weights of another length or for samples without events in the bins.
    """
    limits = np.asarray(edges, dtype=np.float64)
    if limits.ndim != 1 or len(limits) < 2 or not (np.diff(limits) > 0).all():
        raise InputError("the edges of the bins must rise; give at least two.")
    first = _histogram(sample, weight, limits, "first sample")
    second = _histogram(other, other_weight, limits, "second sample")
    return binned_separation(first[0], first[1], second[0], second[1])


def binned_separation(
    counts: ArrayLike, variance: ArrayLike, other: ArrayLike, other_variance: ArrayLike
) -> TriangularDiscriminator:
    """Return D between two histograms, (K,) each, of bin contents that need no normalisation.

    `variance` is that of each bin (K,), or a covariance (K, K) as unfolding gives; zeros stand
    for an exact spectrum. With p and q the shares and V the covariance of p - q, normalisation
    included,

        floor = tr(A V),  A = diag(1 / (2 p + 2 q)),  and its variance 2 tr(A V A V),

    which is (K - 1)/4 (1/N + 1/M) for samples of N and M events of weight 1, where D / floor is
    chi^2 / (K - 1). The error of D is first order in V from its gradient, and second order, which
    is all that is left near D = 0:

        var(D) = g_p V_p g_p + g_q V_q g_q - 2 tr(A V A V),  never below 2 tr(A V A V);

    the noise of the estimated gradient itself adds 4 tr(A V A V) to the first-order terms, which
    is what the subtraction takes out.
    """
    p, p_cov = _normalised(counts, variance, "first")
    q, q_cov = _normalised(other, other_variance, "second")
    if p.shape != q.shape:
        raise InputError(f"the histograms have {len(p)} and {len(q)} bins; give equal ones.")
    total = p + q
    if (total < 0).any():
        bad = ", ".join(map(str, np.flatnonzero(total < 0)[:5]))
        raise InputError(f"both histograms add to less than zero in bin {bad}; merge bins.")
    filled = total > 0
    p, q, total = p[filled], q[filled], total[filled]
    p_cov, q_cov = p_cov[np.ix_(filled, filled)], q_cov[np.ix_(filled, filled)]
    value = 0.5 * float(((p - q) ** 2 / total).sum())
    scaled = (p_cov + q_cov) / (2 * total)[:, None]
    floor, second_order = float(np.trace(scaled)), 2 * float((scaled * scaled.T).sum())
    # dD/dp = (p - q)(p + 3 q) / 2 (p + q)^2, and the same with p and q exchanged.
    by_p = 0.5 * (p - q) * (p + 3 * q) / total**2
    by_q = 0.5 * (q - p) * (q + 3 * p) / total**2
    first_order = float(by_p @ p_cov @ by_p + by_q @ q_cov @ by_q)
    variance_of_d = max(first_order - 2 * second_order, 0.0) + second_order
    error = Value(value, math.sqrt(variance_of_d))
    return TriangularDiscriminator(error, floor, math.sqrt(second_order), int(filled.sum()))


def _histogram(
    sample: ArrayLike, weight: ArrayLike | None, edges: Floats, name: str
) -> tuple[Floats, Floats]:
    x = np.asarray(sample, dtype=np.float64)
    w = np.ones(x.shape) if weight is None else np.asarray(weight, dtype=np.float64)
    if x.ndim != 1 or w.shape != x.shape:
        raise InputError(f"the {name} has shape {x.shape}, its weights {w.shape}; give (N,).")
    for column, what in ((x, ""), (w, "weight of the ")):
        if np.isnan(column).any():
            event = int(np.argmax(np.isnan(column)))
            raise InputError(f"the {what}{name} is NaN in event {event} (counted from 0).")
    index = np.searchsorted(edges, x, side="right") - 1
    # As numpy's histograms do, the last bin holds its upper edge.
    index[x == edges[-1]] = len(edges) - 2
    inside = (index >= 0) & (index < len(edges) - 1)
    sums, squares = (np.bincount(index[inside], v[inside], len(edges) - 1) for v in (w, w**2))
    return sums.astype(np.float64), squares.astype(np.float64)


def _normalised(counts: ArrayLike, variance: ArrayLike, which: str) -> tuple[Floats, Floats]:
    """Return shares (K,) and their covariance J C J^T, J = (1 - p 1^T) / sum."""
    n, c = np.asarray(counts, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    if n.ndim != 1 or c.shape not in (n.shape, (len(n), len(n))):
        raise InputError(f"the {which} histogram has shape {n.shape}, its variance {c.shape}.")
    total = n.sum()
    if not total > 0:
        raise InputError(f"the {which} histogram sums to {total:g}; give a positive sum.")
    p = n / total
    jacobian = (np.eye(len(n)) - p[:, None]) / total
    covariance = np.diag(c) if c.ndim == 1 else c
    return p, jacobian @ covariance @ jacobian.T
