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
    random = np.random.default_rng(seed)
    # As if half an event more had been seen each way: a share of 0 or 1 fluctuates too.
    drawn = random.binomial(count, (share * count + 0.5) / (count + 1), (DRAWS, len(axis))) / count
    value, *spread = _crossings(axis, np.vstack([share, drawn]), level)
    if not np.isfinite(value):
        return Value(float(axis[-1]), float("nan"), lower_limit=True)
    reached = np.array(spread)[np.isfinite(spread)]
    return Value(float(value), float(reached.std()) if len(reached) > 1 else float("nan"))


def _crossings(
    axis: NDArray[np.float64], share: NDArray[np.float64], level: float
) -> NDArray[np.float64]:
    """Return where shares (N, S), made to rise, cross a level, (N,); NaN where they do not."""
    rising = _isotonic(share)
    above = np.argmax(rising >= level, axis=1)
    rows, below = np.arange(len(share)), np.maximum(above - 1, 0)
    low, high = rising[rows, below], rising[rows, above]
    part = np.where(high > low, (level - low) / np.where(high > low, high - low, 1.0), 0.0)
    crossing = axis[below] + part * (axis[above] - axis[below])
    return np.where(rising[:, -1] < level, np.nan, np.where(above == 0, axis[0], crossing))


def _isotonic(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rising values nearest to each row: max over j <= i of min over k >= i of means."""
    count = share.shape[1]
    sums = np.concatenate([np.zeros((len(share), 1)), share.cumsum(1)], axis=1)
    begin, end = np.meshgrid(np.arange(count), np.arange(count), indexing="ij")
    mean = (sums[:, end + 1] - sums[:, begin]) / np.maximum(end - begin + 1, 1)
    mean = np.where(end >= begin, mean, np.inf)
    least = np.minimum.accumulate(mean[:, :, ::-1], axis=2)[:, :, ::-1]
    rising: NDArray[np.float64] = np.where(begin <= end, least, -np.inf).max(1)
    return rising
