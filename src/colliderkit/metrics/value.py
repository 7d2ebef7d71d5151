"""Value with its uncertainty: from counting, from a bootstrap, from seeds; and how it is written.

All numbers that people read are written here: two digits of the error, digits in groups of three,
powers of ten where a number is very large or small.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError

__all__ = [
    "Seeds",
    "Value",
    "binomial_variance",
    "bootstrap",
    "number",
    "over_seeds",
    "rounded",
    "with_errors",
]

Floats = NDArray[np.float64]


ROUNDING = 1e-12  # of a value: an error below this is one of arithmetic, and none of physics
PLAIN = (1e-3, 1e8)  # what is written without a power of ten
GROUP = "\u202f"  # narrow space between groups of three digits
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Value:
    """A `value` ± `error` (one standard deviation).

    With `lower_limit` the value is a lower limit at 95% confidence and the error is NaN. An error
    of NaN is not known, of 0 there is none. `up` is the error upwards where it is not `error`
    (1 / eps of few events), and `down` that downwards. As a string the value is rounded to two
    digits of the error: ``1298 ± 46``, ``> 334``, ``2500 +12000 -1700``.
    """

    value: float
    error: float
    lower_limit: bool = False
    up: float | None = None
    down: float | None = None

    @property
    def percent(self) -> "Value":
        """The same in percent."""
        return self.times(100)

    def times(self, unit: float) -> "Value":
        """Return the same in another unit: all times a positive number."""
        up, down = (None if e is None else unit * e for e in (self.up, self.down))
        return Value(unit * self.value, unit * self.error, self.lower_limit, up, down)

    def __float__(self) -> float:
        return float(self.value)

    def __str__(self) -> str:
        if self.lower_limit:
            return f"> {rounded(self.value, 0.05 * abs(self.value))}"
        if self.up is not None and self.down is not None:
            least = min(self.up, self.down)
            ends = rounded(self.up, least), rounded(self.down, least)
            return f"{rounded(self.value, least)} +{ends[0]} -{ends[1]}"
        return with_errors(self.value, self.error)


def with_errors(value: float, *errors: float) -> str:
    """Write ``value ± error``, of several errors ``value ± one ± another``.

    All are rounded to two digits of the largest error. An error of 0, NaN or of the size of
    rounding is left out; without any the value has four digits.

    >>> with_errors(0.98123, 0.00041), with_errors(10.286460318, 1e-16)
    ('0.98123 ± 0.00041', '10.29')
    """
    known = [e for e in errors if math.isfinite(e) and e > ROUNDING * abs(value)]
    if not known or not math.isfinite(value):
        return number(value)
    largest = max(known)
    size = max(abs(value), largest)
    if not PLAIN[0] <= size < PLAIN[1]:
        power = math.floor(math.log10(size))
        parts = [part / 10.0**power for part in (value, *known)]
        texts = [rounded(part, largest / 10.0**power) for part in parts]
        return f"({' ± '.join(texts)}) × {_ten(power)}"
    return " ± ".join([rounded(value, largest), *(rounded(e, largest) for e in known)])


def rounded(value: float, error: float) -> str:
    """Write `value` to two significant digits of `error`: (1298.3, 46.2) gives ``1298``."""
    if not math.isfinite(value) or not math.isfinite(error) or error <= ROUNDING * abs(value):
        return number(value)
    digits = 1 - math.floor(math.log10(error))
    return _grouped(f"{round(value, digits):.{max(digits, 0)}f}")


def number(value: float, digits: int = 4) -> str:
    """Write a number without an error to some significant digits; whole ones are not rounded.

    >>> number(0.123456), number(170.0, 2), number(3e-7), number(123456)
    ('0.1235', '170', '3 × 10⁻⁷', '123\u202f456')
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(value)))
    if not PLAIN[0] / 10 <= abs(value) < PLAIN[1]:
        return f"{value / 10.0**power:.{digits}g} × {_ten(power)}"
    after = max(digits - 1 - power, 0)
    text = f"{value:.{after}f}"
    return _grouped(text.rstrip("0").rstrip(".") if after else text)


def _ten(power: int) -> str:
    return "10" + str(power).translate(SUPERSCRIPTS)


def _grouped(text: str) -> str:
    """Part the digits before the point in groups of three, from 10,000 on."""
    whole, point, rest = text.partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    if len(digits) > 4:
        digits = f"{int(digits):,}".replace(",", GROUP)
    return sign + digits + point + rest


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
