"""Significance improvement of a cut, with a floor on the background that is counted.

A cut that keeps the shares e_S and e_B makes S / sqrt(B) of a search larger by

    SIC = e_S / sqrt(e_B)

(2001.04990). At the tightest cuts it is a ratio of a few events: its largest value over all cuts is
then the largest fluctuation. So no cut counts that keeps fewer background events than a floor, and
several trainings are told by their median and the band of 16% to 84%.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.metrics.roc import Roc, roc
from colliderkit.metrics.value import Value

__all__ = ["FLOOR", "Band", "Improvement", "improvement", "max_improvement", "over_trainings"]

Floats = NDArray[np.float64]

FLOOR = 10.0  # background events that a cut has to keep
CENTRAL = (0.16, 0.84)


@dataclass(frozen=True)
class Improvement:
    """Significance improvement at every cut of one score that keeps the floor.

    Float64 (K,): `signal_efficiency` and `background_efficiency`, rising, `value` (SIC) and its
    `error` by counting signal and background,

        (dSIC / SIC)^2 = (1 - e_S) / (N_S e_S) + (1 - e_B) / (4 N_B e_B),

    N the effective numbers of events of each class, (sum w)^2 / sum w^2; `floor` is the number
    of background events that each of these cuts keeps at least.
    """

    signal_efficiency: Floats
    background_efficiency: Floats
    value: Floats
    error: Floats
    floor: float

    @property
    def largest(self) -> Value:
        """The largest value, with its counting error."""
        best = int(self.value.argmax())
        return Value(float(self.value[best]), float(self.error[best]))

    def at(self, signal_efficiency: ArrayLike) -> Floats:
        """Return SIC of the tightest cuts that reach signal efficiencies (...).

        It is NaN below the efficiency of the tightest cut that keeps the floor.
        """
        target = np.asarray(signal_efficiency, dtype=np.float64)
        reached = np.maximum.accumulate(self.signal_efficiency)
        inside = (target >= reached[0]) & (target <= reached[-1])
        rows = np.searchsorted(reached, target - 1e-12).clip(max=len(reached) - 1)
        return np.where(inside, self.value[rows], np.nan)


@dataclass(frozen=True)
class Band:
    """Median of several trainings and the `low` and `high` end of what 68% of them give."""

    median: float
    low: float
    high: float
    trainings: int

    @property
    def value(self) -> Value:
        """The median with the distances to the ends as its errors."""
        up, down = self.high - self.median, self.median - self.low
        if self.trainings < 2:
            return Value(self.median, math.nan)
        return Value(self.median, (up + down) / 2, up=up, down=down)


def improvement(
    score: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None, *, floor: float = FLOOR
) -> Improvement:
    """Return the significance improvement of cuts on `score` (N,), higher for signal (`label` 1).

    Cuts that keep fewer than `floor` background events (effective ones, with weights) are left
    out. Raises `InputError` for what `roc` refuses, and where there are fewer background events
    than the floor.
    """
    curve = roc(score, label, weight)
    kept = _counted(curve)
    if kept[-1] < floor:
        raise InputError(
            f"there are {kept[-1]:g} background events, fewer than the floor of {floor:g} of a"
            " cut; give more events or lower the floor."
        )
    # The tolerance keeps a cut of just as many events, whatever the rounding.
    rows = kept >= floor * (1 - 1e-9)
    signal, background = curve.signal_efficiency[rows], curve.background_efficiency[rows]
    value = signal / np.sqrt(background)
    totals = 1 / curve.signal_squares[-1], 1 / curve.background_squares[-1]
    share = np.maximum(signal, 0.5 / totals[0])
    variance = (1 - signal).clip(0) / (totals[0] * share)
    variance += (1 - background).clip(0) / (4 * totals[1] * background)
    return Improvement(signal, background, value, value * np.sqrt(variance), floor)


def max_improvement(
    score: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None, *, floor: float = FLOOR
) -> Value:
    """Return the largest significance improvement; see `improvement`."""
    return improvement(score, label, weight, floor=floor).largest


def over_trainings(values: Sequence[float] | Floats) -> Band:
    """Return median and 16-84% band of one number of several trainings.

    >>> over_trainings([1.0, 2.0, 3.0]).median
    2.0
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.size == 0:
        raise InputError("there is no training to take the median of; give at least one value.")
    low, high = np.quantile(numbers, CENTRAL)
    return Band(float(np.median(numbers)), float(low), float(high), numbers.size)


def _counted(curve: Roc) -> Floats:
    """Return the effective number of background events behind each cut, (K,)."""
    squares = curve.background_squares
    passed = curve.background_efficiency**2
    return np.divide(passed, squares, out=np.zeros_like(passed), where=squares > 0)
