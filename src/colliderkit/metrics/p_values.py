"""p-values: ranks among good events or runs, Sidak's share, Fisher's sum, Benjamini-Hochberg."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError

__all__ = ["benjamini_hochberg", "fisher", "ranked", "sidak_share"]

Floats = NDArray[np.float64]


def ranked(statistic: ArrayLike, calibration: ArrayLike) -> Floats:
    """Return p-values (N,) of statistics by their rank among those of n good ones.

    p = (k + 1) / (n + 1), with k of the n at least as large. For a good one, exchangeable with the
    n, P(p <= a) <= a for every n, whatever the distribution, and = a where a (n + 1) is whole
    and none are equal.
    """
    known = np.sort(np.asarray(calibration, dtype=np.float64))
    above = len(known) - np.searchsorted(known, np.asarray(statistic, dtype=np.float64), "left")
    p: Floats = (above + 1) / (len(known) + 1)
    return p


def sidak_share(rate: float, tests: int) -> float:
    """Return the level of each of independent tests of which one in `rate` of the good has any.

    a_1 = 1 - (1 - a)^(1 / m)
    """
    return float(-np.expm1(np.log1p(-rate) / tests))


def fisher(p: ArrayLike) -> Floats:
    """Return Fisher's sum -2 sum_j ln p_j of p-values (..., m); of independent ones chi2 of 2m."""
    total: Floats = -2 * np.log(np.asarray(p, dtype=np.float64)).sum(-1)
    return total


def benjamini_hochberg(p: ArrayLike, rate: float) -> NDArray[np.bool_]:
    """Return which of m hypotheses are rejected so that a share `rate` of them is false at most.

    The k smallest, with the largest k for which p_(k) <= rate k / m; the false discovery rate is
    at most `rate` where the p-values are independent (Benjamini and Hochberg, 1995). `p` (..., m)
    is judged along the last axis. Raises `InputError` for values outside of [0, 1].
    """
    values = np.asarray(p, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise InputError("a p-value is not within 0 and 1; give probabilities.")
    m = values.shape[-1]
    order = np.sort(values, axis=-1)
    below = order <= rate * np.arange(1, m + 1) / m
    last = np.where(below.any(-1), m - 1 - np.argmax(below[..., ::-1], axis=-1), -1)
    cut = np.take_along_axis(order, np.maximum(last, 0)[..., None], -1)
    rejected: NDArray[np.bool_] = (values <= cut) & (last >= 0)[..., None]
    return rejected
