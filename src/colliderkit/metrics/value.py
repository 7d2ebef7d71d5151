"""Value with its uncertainty: from counting, from a bootstrap, from seeds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError

__all__ = ["Seeds", "Value", "binomial_variance", "bootstrap", "over_seeds"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Value:
    """A `value` ± `error` (one standard deviation).

    With `lower_limit` the value is a lower limit at 95% confidence and the error is NaN. As a
    string both are rounded to two digits of the error: ``1298 ± 46``, ``> 334``.
    """

    value: float
    error: float
    lower_limit: bool = False

    @property
    def percent(self) -> "Value":
        """The same in percent."""
        return Value(100 * self.value, 100 * self.error, self.lower_limit)

    def __float__(self) -> float:
        return float(self.value)

    def __str__(self) -> str:
        if self.lower_limit:
            return f"> {rounded(self.value, 0.05 * abs(self.value))}"
        if not math.isfinite(self.error):
            return f"{self.value:.4g}"
        return f"{rounded(self.value, self.error)} ± {rounded(self.error, self.error)}"


def rounded(value: float, error: float) -> str:
    """Write `value` to two significant digits of `error`: (1298.3, 46.2) gives ``1298``."""
    if not math.isfinite(value) or not math.isfinite(error) or error <= 0:
        return f"{value:.4g}"
    digits = 1 - math.floor(math.log10(error))
    return f"{round(value, digits):.{max(digits, 0)}f}"


def binomial_variance(
    share: float | Floats, passing: float | Floats, total: float | Floats
) -> Floats:
    """Return the variance of the share p of weighted events that pass, of any shape.

        var(p) = [(1 - p)^2 sum_pass w^2 + p^2 sum_fail w^2] / (sum w)^2

    `passing` and `total` are the sums of squared weights, of those that pass and of all, over the
    squared sum of weights; for N events of weight 1 it is p (1 - p) / N.
    """
    return np.asarray((1 - share) ** 2 * passing + share**2 * (total - passing))


class Seeds(NamedTuple):
    """Summary of repeated trainings: `mean`, `std` of one, `error` of the mean, std / sqrt(n)."""

    mean: float
    std: float
    error: float


def over_seeds(values: Sequence[float | Value]) -> Seeds:
    """Return mean, standard deviation (n - 1) and error of the mean of one figure over seeds.

    The standard deviation is what one training scatters by, as the top-tagging landscape
    (1902.09914) quotes it; for a single value it and the error are NaN. Lower limits have no
    mean: they raise `InputError`.
    """
    if any(isinstance(v, Value) and v.lower_limit for v in values):
        raise InputError("a lower limit cannot be averaged over seeds; evaluate on more events.")
    numbers = np.array([float(v) for v in values])
    if len(numbers) == 0:
        raise InputError("no values to average over seeds; give at least one.")
    std = float(numbers.std(ddof=1)) if len(numbers) > 1 else math.nan
    return Seeds(float(numbers.mean()), std, std / math.sqrt(len(numbers)))


def bootstrap(
    metric: Callable[..., float | Value | Any],
    *columns: NDArray[Any],
    replicas: int = 200,
    seed: int = 0,
) -> Value:
    """Return ``metric(*columns)`` with its standard deviation over resampled events.

    Each replica draws as many events with replacement as there are, the same rows of every
    column (N, ...). `metric` returns a number or a `Value`. The result depends on `seed` alone.
    """
    if replicas < 2:
        raise InputError(f"{replicas} bootstrap replicas; at least 2 are needed for an error.")
    random = np.random.default_rng(seed)
    count = len(columns[0])
    results = np.empty(replicas)
    for i in range(replicas):
        rows = random.integers(count, size=count)
        results[i] = float(metric(*(column[rows] for column in columns)))
    return Value(float(metric(*columns)), float(results.std(ddof=1)))
