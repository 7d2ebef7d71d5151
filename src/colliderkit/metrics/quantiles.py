"""Statistical amplification: how many events of the truth is a sample worth? (2008.06545)

The squared error of its quantiles answers: with the K quantiles of the true density, each of
probability 1/K, and the share x_j of a sample in each of them,

    error = sum_j (x_j - 1/K)^2,

whose expectation for n independent events of the truth is (1 - 1/K) / n. A sample of the error e
therefore knows the density as well as (1 - 1/K) / e events of the truth do.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.metrics.value import Value, over_seeds

__all__ = ["equivalent_events", "expected_error", "quantile_error", "share_error"]


def quantile_error(sample: ArrayLike, edges: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return sum_j (x_j - 1/K)^2 of a sample (N,) in the quantiles of the truth.

    `edges` (K - 1,) part them, rising; the outer ones are open. Raises `InputError` for an empty
    sample, a NaN or edges that do not rise.
    """
    x, inner = np.asarray(sample, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0 or not np.isfinite(x).all():
        raise InputError("the sample of a quantile error must be finite numbers (N,), one or more.")
    if inner.ndim != 1 or len(inner) == 0 or not (np.diff(inner) > 0).all():
        raise InputError("the edges between quantiles must rise; give at least one.")
    index = np.searchsorted(inner, x, side="right")
    weights = None if weight is None else np.asarray(weight, dtype=np.float64)
    counts = np.bincount(index, weights, minlength=len(inner) + 1)
    return share_error(counts / counts.sum())


def share_error(shares: ArrayLike) -> float:
    """Return sum_j (x_j - 1/K)^2 of the shares (K,) of a density in the quantiles of the truth."""
    x: NDArray[np.float64] = np.asarray(shares, dtype=np.float64)
    return float(((x - 1 / len(x)) ** 2).sum())


def expected_error(events: int, quantiles: int) -> float:
    """Return (1 - 1/K) / n, what n events of the truth have in the mean."""
    return (1 - 1 / quantiles) / events


def equivalent_events(errors: Sequence[float], quantiles: int) -> Value:
    """Return n = (1 - 1/K) / <error> over repetitions, with the error that their spread implies.

    The error is that of the mean, to first order; NaN for a single repetition. Where the mean error
    is less than two of its errors above 0, n is a lower limit at 95% confidence.
    """
    mean, _, error = over_seeds(list(errors))
    ideal = expected_error(1, quantiles)
    if mean < 2 * error:
        return Value(ideal / (mean + 1.645 * error), math.nan, True)
    return Value(ideal / mean, ideal / mean * error / mean)
