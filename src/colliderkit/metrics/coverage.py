"""Coverage of intervals that should hold the truth, its binomial error, and pulls."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betaincinv

from colliderkit.errors import InputError
from colliderkit.metrics.value import Value

__all__ = [
    "Coverage",
    "Pulls",
    "Uncertainties",
    "coverage",
    "coverage_curve",
    "coverage_in_bins",
    "pulls",
    "uncertainties",
]


@dataclass(frozen=True)
class Coverage:
    """Coverage: how many of `experiments` intervals hold the truth, and an interval of the share.

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
        """Return whether the interval of the share holds the coverage that was asked for."""
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


def coverage_curve(
    interval: Callable[[float], tuple[ArrayLike, ArrayLike]],
    truth: ArrayLike,
    levels: Sequence[float],
) -> list[Coverage]:
    """Return the coverage of the intervals (E,) that `interval` gives for each level."""
    return [coverage(*interval(level), truth) for level in levels]


def coverage_in_bins(
    low: ArrayLike, high: ArrayLike, truth: ArrayLike, variable: ArrayLike, edges: ArrayLike
) -> list[Coverage]:
    """Return the coverage of intervals [low, high] (E,) in each bin of a variable (E,).

    Intervals may cover on average and be too wide here and too narrow there. The last bin holds
    its upper edge; values beyond the edges are left out. Raises `InputError` for an empty bin.
    """
    values, ends = np.asarray(variable, float), np.asarray(edges, float)
    index = np.where(values == ends[-1], len(ends) - 2, np.digitize(values, ends) - 1)
    columns = [np.asarray(column, float) for column in (low, high, truth)]
    in_bins = []
    for i in range(len(ends) - 1):
        if not (index == i).any():
            raise InputError(f"no events between {ends[i]:g} and {ends[i + 1]:g}; widen the bins.")
        in_bins.append(coverage(*(column[index == i] for column in columns)))
    return in_bins


@dataclass(frozen=True)
class Pulls:
    """Mean and width of pulls (estimate - truth) / std: 0 and 1 where the errors are right."""

    mean: Value
    width: Value


def pulls(estimate: ArrayLike, std: ArrayLike, truth: ArrayLike) -> Pulls:
    """Return mean and standard deviation of the pulls of N estimates, each (N,).

    Their errors are s / sqrt(N) and sqrt((m4 - s^4) / N) / (2 s), with m4 the fourth moment about
    the mean: it need not be that of a normal density. Raises `InputError` for a std that is not
    positive, or fewer than two estimates.
    """
    value, width, true = (np.asarray(column, float) for column in (estimate, std, truth))
    if not (width > 0).all():
        bad = int(np.argmin(width > 0))
        raise InputError(f"the standard deviation of estimate {bad} is {width[bad]:g}; no pull.")
    pull = (value - true) / width
    n = len(pull)
    if n < 2:
        raise InputError("the width of pulls needs two estimates at least.")
    centred = pull - pull.mean()
    variance = float((centred**2).mean())
    rest = max(float((centred**4).mean()) - variance**2, 0.0)
    spread = math.sqrt(variance)
    return Pulls(
        Value(float(pull.mean()), spread / math.sqrt(n)),
        Value(spread, math.sqrt(rest / n) / (2 * spread) if spread > 0 else math.nan),
    )


@dataclass(frozen=True)
class Uncertainties:
    """What the uncertainties of N estimates are worth.

    - `levels` and `curve`: the coverage of the interval of each level;
    - `bins`: the coverage of the first level in bins of the truth;
    - `width`: the mean width of the intervals of that level, as a share of the truth;
    - `pulls`: mean and width of (estimate - truth) / std.
    """

    levels: Sequence[float]
    curve: Sequence[Coverage]
    bins: Sequence[Coverage]
    width: Value
    pulls: Pulls

    def at(self, level: float) -> Value:
        """Return the coverage of one of the levels."""
        return self.curve[list(self.levels).index(level)].value


def uncertainties(
    estimate: ArrayLike,
    std: ArrayLike,
    interval: Callable[[float], tuple[ArrayLike, ArrayLike]],
    truth: ArrayLike,
    *,
    levels: Sequence[float],
    edges: ArrayLike,
) -> Uncertainties:
    """Measure coverage, pulls and width of estimates (N,) with their standard deviations (N,).

    `interval` gives the ends (N,) of each of the `levels`; `edges` are those of bins of the truth
    (N,), and truths beyond them do not count there. Raises `InputError` for an empty bin.
    """
    true, ends = np.asarray(truth, float), np.asarray(edges, float)
    low, high = (np.asarray(end, float) for end in interval(levels[0]))
    width = (high - low) / np.abs(true)
    return Uncertainties(
        levels,
        coverage_curve(interval, true, levels),
        coverage_in_bins(low, high, true, true, ends),
        Value(float(width.mean()), float(width.std() / math.sqrt(len(width)))),
        pulls(estimate, std, true),
    )
