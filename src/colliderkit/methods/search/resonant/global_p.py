"""From local to global p-values: searches repeated on data without a signal, and what they say.

A search that is trained in each window has no known look-elsewhere effect: it is repeated, training
included, on data sets that have no bump. They are made of the data themselves (`without_bump`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from colliderkit.errors import InputError
from colliderkit.methods.search.spectrum import (
    Excess,
    columns_of,
    fitted,
    significance,
    smooth,
)
from colliderkit.metrics.value import Value
from colliderkit.seeds import derive

__all__ = ["GlobalP", "global_p", "pseudo_experiments", "without_bump"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NEARLY = 1 - 1e-12  # a p-value of 1 has no logarithm
FINE = 20  # points in a bin between which masses are drawn


@dataclass(frozen=True)
class GlobalP:
    """Global p-value of the least local one among the windows of a search.

    - `counted`: (1 + searches without a signal that have one as small) / (1 + their number K), with
      its binomial error; never below 1 / (1 + K);
    - `trials`: the number n of independent windows for which the least p-values of these searches
      are 1 - (1 - p)^n distributed, by its maximum likelihood, K / sum -ln(1 - p);
    - `value`: 1 - (1 - p)^n, the extrapolation to p-values too small to be counted;
    - `searches`: K.
    """

    counted: Value
    trials: Value
    value: Value
    searches: int


def global_p(least: float, null: ArrayLike) -> GlobalP:
    """Return the global p-value of the local one `least`, from the least (K,) of null searches.

    Raises `InputError` for no null search or p-values outside of [0, 1].
    """
    p = np.asarray(null, dtype=np.float64)
    if p.ndim != 1 or len(p) == 0 or not ((p >= 0) & (p <= 1)).all() or not 0 <= least <= 1:
        raise InputError("global_p takes p-values from 0 to 1, and one or more of null searches.")
    count = len(p)
    share = (1 + int((p <= least).sum())) / (1 + count)
    counted = Value(share, float(np.sqrt(share * (1 - share) / count)))
    # A search whose least p-value is 1 would have no window at all.
    trials = count / float(-np.log1p(-np.minimum(p, NEARLY)).sum())
    error = float(trials / np.sqrt(count))
    value = of_windows(least, trials)
    slope = (1 - value) * -np.log1p(-min(least, NEARLY))
    return GlobalP(counted, Value(trials, error), Value(value, float(slope * error)), count)


def of_windows(least: float, count: float) -> float:
    """Return 1 - (1 - p)^n, the probability of a p-value as small in one of n windows."""
    return float(-np.expm1(count * np.log1p(-min(least, NEARLY))))


def without_bump(
    mass: ArrayLike,
    *,
    edges: ArrayLike,
    reach: float,
    family: str = "dijet",
    orders: tuple[int, int] = (1, 5),
    seed: int = 0,
) -> tuple[Ints, Floats]:
    """Return rows (N,) and new masses (N,) of a data set without a bump, made of the data.

    The new masses within `edges` are drawn from the smooth function fitted to the spectrum; those
    outside stay. Each event is used once, and its features go to a mass about as large as its own:
    masses are moved by up to `reach` at random, and the events in the new order take the new masses
    in theirs. What the features have in common with the mass over more than `reach` stays, and what
    is in excess within less is spread. A signal of the data is left among the features: that makes
    the p-values that are compared with these larger, not smaller.

    Raises `InputError` for a spectrum that the function cannot be fitted to.
    """
    column = np.asarray(mass, dtype=np.float64)
    random = np.random.default_rng(derive(seed, "without-bump"))
    limits = np.asarray(edges, dtype=np.float64)
    inside = np.flatnonzero((column >= limits[0]) & (column < limits[-1]))
    density = smooth(np.histogram(column, limits)[0], limits, family=family, orders=orders)
    drawn = np.sort(_drawn(random, density, limits, len(inside)))
    moved = column[inside] + reach * random.uniform(-1, 1, len(inside))
    rows, masses = np.arange(len(column)), column.copy()
    rows[inside] = inside[np.argsort(moved)]
    masses[inside] = drawn
    return rows, masses


def pseudo_experiments(
    excess: Excess,
    windows: Sequence[tuple[float, float]] | Floats,
    *,
    family: str,
    toys: int = 999,
    seed: int = 0,
) -> Floats:
    """Return the least local p-value (toys,) of spectra drawn from the fit behind a cut.

    A cross-check: in each of the `windows` (W, 2), whose ends are edges of the excess, the function
    of its order is fitted beside. The classifiers are not trained again, and the same cut stands
    behind all windows: what training does to the p-values it does not know.
    """
    random = np.random.default_rng(derive(seed, "pseudo-experiments"))
    counts = random.poisson(excess.background, (toys, len(excess.counts))).astype(np.float64)
    columns = columns_of(family, excess.edges, excess.order)
    strongest = np.full(toys, -np.inf)
    for low, high in np.asarray(windows):
        inside = (excess.edges[:-1] >= low) & (excess.edges[1:] <= high)
        fit = fitted(columns, np.log(np.diff(excess.edges)), counts, ~inside)
        slope = fit.expected[:, inside] @ columns[inside]
        spread = np.sqrt(np.einsum("ei,eij,ej->e", slope, fit.covariance, slope))
        z = significance(counts[:, inside].sum(1), fit.expected[:, inside].sum(1), spread)
        strongest = np.maximum(strongest, z)
    return np.asarray(ndtr(-strongest))


def _drawn(random: np.random.Generator, counts: Floats, edges: Floats, events: int) -> Floats:
    """Draw masses from the expected counts (B,) in bins, ln density linear between middles."""
    middle, density = (edges[1:] + edges[:-1]) / 2, np.log(counts / np.diff(edges))
    fine = np.interp(np.arange(FINE * len(counts) + 1), FINE * np.arange(len(edges)), edges)
    centre = (fine[1:] + fine[:-1]) / 2
    # Beyond the outer middles on in the same slope.
    ends = [centre < middle[0], centre > middle[-1]]
    logarithm = np.interp(centre, middle, density)
    for beyond, (i, j) in zip(ends, ((0, 1), (-1, -2)), strict=True):
        slope = (density[i] - density[j]) / (middle[i] - middle[j])
        logarithm[beyond] = density[i] + slope * (centre[beyond] - middle[i])
    # The contents of the bins stay those of the fit.
    share = np.exp(logarithm) * np.diff(fine)
    share *= np.repeat(counts / share.reshape(len(counts), FINE).sum(1), FINE)
    cumulated = np.append(0.0, np.cumsum(share)) / share.sum()
    return np.interp(random.random(events), cumulated, fine)
