"""Coverage: the share of intervals that hold the truth, and its binomial error."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from colliderkit.errors import InputError
from colliderkit.metrics.value import Value

__all__ = ["Coverage", "coverage"]


@dataclass(frozen=True)
class Coverage:
    """Hold how many of `experiments` intervals held the truth, and an interval of the share.

    `low` and `high` are the limits of Clopper and Pearson at `confidence`: they hold the true
    coverage at least that often, also for a share near 0 or 1.
    """

    inside: int
    experiments: int
    low: float
    high: float
    confidence: float

    @property
    def share(self) -> float:
        """The share of intervals that hold the truth."""
        return self.inside / self.experiments

    @property
    def value(self) -> Value:
        """The share with half the width of its interval as error."""
        return Value(self.share, (self.high - self.low) / 2)

    def holds(self, nominal: float) -> bool:
        """Say whether the interval of the share holds the coverage that was asked for."""
        return self.low <= nominal <= self.high


def coverage(
    low: ArrayLike, high: ArrayLike, truth: ArrayLike, *, confidence: float = 0.6827
) -> Coverage:
    """Count the intervals [low, high] (E,) that hold the truth, (E,) or one number.

    An open end is -inf or inf; an empty interval (NaN) holds nothing. `confidence` is that of the
    error of the share, k of n, by Clopper and Pearson: the quantiles of Beta(k, n - k + 1) at
    (1 - confidence) / 2 and of Beta(k + 1, n - k) at (1 + confidence) / 2.
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence}; give a number between 0 and 1.")
    left, right, true = np.broadcast_arrays(*(np.asarray(a, float) for a in (low, high, truth)))
    n = left.size
    if n == 0:
        raise InputError("no intervals to count; run at least one pseudo-experiment.")
    k = int(((left <= true) & (true <= right)).sum())
    tail = (1 - confidence) / 2
    bottom = float(betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
    top = float(betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return Coverage(k, n, bottom, top, confidence)
