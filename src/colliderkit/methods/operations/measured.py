"""What a test of monitors measures in runs, and corrections in space and time that tests share."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.monitors import MonitorRuns
from colliderkit.events.tables import Floats, Ints

__all__ = ["FAR", "Measured", "products", "robust_total", "shape_of", "spread_by_bin"]

FAR = 5.0  # Poisson errors, from which on a bin does not say how many entries there should be
LEAST_SPREAD = 0.3  # of that of all bins: a spread below is one of too few runs


@dataclass(frozen=True)
class Measured:
    """Hold what one test measured in R runs.

    - `statistics` (R, m): higher is worse;
    - `bins` (R, bins): how far off each bin is, 0 or more, comparable between bins;
    - `signed` (R, bins): the same with a sign, where it has one;
    - `sections` (T,): the worst bin of the stretch of sections that ends with each, where the test
      looks at stretches, of `window` sections.
    """

    statistics: Floats
    bins: Floats
    signed: Floats | None = None
    sections: Floats | None = None
    window: int = 0


def shape_of(runs: MonitorRuns, monitor: str) -> Floats:
    """Return the mean share of the entries in each bin of a monitor, (bins,)."""
    sums = runs.sums(monitor).reshape(len(runs), -1)
    shape: Floats = (sums / np.maximum(sums.sum(1, keepdims=True), 1)).mean(0)
    return shape


def robust_total(entries: Floats, shape: Floats) -> Floats:
    """Return how many entries (N, 1) there would be without bins that are far off, of (N, bins).

    D' = sum n_i / sum s_i over the bins with |n_i - D s_i| < 5 sqrt(max(D s_i, 1)), D the sum of
    all: a module that is dead must not make all others look hot. `shape` s (bins,) sums to 1.
    """
    total = entries.sum(1, keepdims=True)
    expected = total * shape
    near = np.abs(entries - expected) < FAR * np.sqrt(np.maximum(expected, 1))
    kept = np.where(near, shape, 0.0).sum(1, keepdims=True)
    robust: Floats = np.where(
        kept > 0.5,
        np.where(near, entries, 0.0).sum(1, keepdims=True) / np.maximum(kept, 0.5),
        total,
    )
    return robust


def spread_by_bin(values: NDArray[np.floating]) -> Floats:
    """Return the root mean square (bins,) of values (N, bins), 1 for bins that are always 0."""
    square = np.sqrt(np.mean(np.square(values), axis=0, dtype=np.float64))
    usual = float(np.median(square[square > 0])) if (square > 0).any() else 1.0
    spread: Floats = np.where(square > 0, np.maximum(square, LEAST_SPREAD * usual), 1.0)
    return spread


def products(loss: Floats, offsets: Ints, window: int) -> tuple[Floats, Floats]:
    """Return the geometric mean of losses (T, bins) over stretches of sections of a run.

    The first array (R, bins) is the largest in each run, the second (T,) the largest of all bins
    in the stretch of `window` sections that ends with each, 0 where none ends. A run of fewer
    sections is one stretch. A loss that is large once is a fluctuation; one that stays is a fault
    (2309.10157).
    """
    count = len(offsets) - 1
    product = loss.copy()
    for back in range(1, window):
        product[back:] *= loss[:-back]
    ends = np.arange(len(loss)) - np.repeat(offsets[:-1], np.diff(offsets)) >= window - 1
    product[~ends] = 0.0
    power = np.full(len(loss), 1.0 / window)
    for r in np.flatnonzero(np.diff(offsets) < window):
        mine = slice(offsets[r], offsets[r + 1])
        last, length = offsets[r + 1] - 1, offsets[r + 1] - offsets[r]
        product[last], power[last] = loss[mine].prod(0), 1.0 / length
    worst = product.max(1, initial=0.0) ** power
    most = np.maximum.reduceat(product, offsets[:-1], axis=0)
    short = np.where(np.diff(offsets) < window, np.maximum(np.diff(offsets), 1), window)
    largest: Floats = most ** (1.0 / short[:, None])
    assert len(largest) == count
    return largest, worst
