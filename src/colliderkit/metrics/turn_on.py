"""Turn-on: the size of an effect at which it is found with a given efficiency."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.metrics.value import Value, binomial_variance

__all__ = ["efficiency_of", "size_at"]

DRAWS = 400


def efficiency_of(found: float, count: float) -> Value:
    """Return a share with its binomial error; of none or all that of half an event more."""
    share = found / count
    floor = 0.5 / count
    bounded = min(max(share, floor), 1 - floor)
    error = float(binomial_variance(bounded, bounded / count, 1 / count)) ** 0.5
    return Value(share, error)


def size_at(
    sizes: ArrayLike, found: Sequence[int], count: int, level: float, *, seed: int = 0
) -> Value:
    """Return the size at which a share `level` is found, of `count` tried at each of S `sizes`.

    The efficiency is made to rise (isotonic regression) and interpolated linearly in the size; the
    error is the spread of what binomial fluctuations of each point give. A size that is not
    reached is a lower limit, and NaN without an error if no fluctuation reaches it either way.
    Raises `InputError` for sizes that do not rise.
    """
    axis = np.asarray(sizes, dtype=np.float64)
    if (np.diff(axis) <= 0).any() or len(axis) < 2:
        raise InputError("sizes do not rise; give two or more, in order.")
    share = np.asarray(found, dtype=np.float64) / count
    value = _crossing(axis, share, level)
    random = np.random.default_rng(seed)
    # As if half an event more had been seen each way: a share of 0 or 1 fluctuates too.
    drawn = random.binomial(count, (share * count + 0.5) / (count + 1), (DRAWS, len(axis))) / count
    spread = np.array([_crossing(axis, each, level) for each in drawn])
    reached = np.isfinite(spread)
    if not np.isfinite(value):
        return Value(float(axis[-1]), float("nan"), lower_limit=True)
    return Value(value, float(spread[reached].std()) if reached.sum() > 1 else float("nan"))


def _crossing(axis: NDArray[np.float64], share: NDArray[np.float64], level: float) -> float:
    from sklearn.isotonic import isotonic_regression

    # What is found of nothing is no more than the first.
    rising = isotonic_regression(share)
    if rising[-1] < level:
        return float("nan")
    above = int(np.argmax(rising >= level))
    if above == 0:
        return float(axis[0])
    low, high = rising[above - 1], rising[above]
    part = (level - low) / (high - low)
    return float(axis[above - 1] + part * (axis[above] - axis[above - 1]))
