"""Response and closure of an estimate: location and resolution in bins, with their errors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d

from colliderkit.errors import InputError
from colliderkit.metrics.value import Value, bootstrap

__all__ = [
    "STATISTICS",
    "Closure",
    "Profile",
    "Statistic",
    "closure",
    "equal_bins",
    "profile",
    "resolution_ratio",
    "response_trends",
]

Floats = NDArray[np.float64]
Statistic = Literal["mean", "median", "mode"]
# A location and a spread, each with its error.
Four = tuple[float, float, float, float]

LOW, HIGH = 0.15865525393145707, 0.8413447460685429  # of the normal distribution at -1 and 1
CELLS = 1024  # of the histogram that a mode is found in
REPLICAS = 40  # of that histogram, for the error of the mode


@dataclass(frozen=True)
class Profile:
    """Profile: location and spread of one quantity in B bins of another, float64 (B,).

    `centre` is the mean of the other, `count` the effective number of events.
    """

    centre: Floats
    count: Floats
    value: Floats
    error: Floats
    spread: Floats
    spread_error: Floats

    def largest(self, target: float = 1.0) -> Value:
        """Return the largest |value - target| of all bins, with the error of that bin.

        Of B bins whose values are right it is not 0 but some 1.5 errors.
        """
        worst = int(np.argmax(np.abs(self.value - target)))
        return Value(float(abs(self.value[worst] - target)), float(self.error[worst]))


def equal_bins(values: ArrayLike, bins: int) -> Floats:
    """Return the edges (B + 1,) of bins of equally many values (N,); of repeated edges one."""
    return np.unique(np.quantile(np.asarray(values, dtype=np.float64), np.linspace(0, 1, bins + 1)))


def profile(
    values: ArrayLike,
    along: ArrayLike,
    edges: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    statistic: Statistic = "mean",
) -> Profile:
    """Return location and spread of `values` (N,) in bins of `along` (N,) with `edges` (B + 1,).

    The spread of a mean is the standard deviation, that of a median or a mode half of the central
    68.3%. The mode is that of a density smoothed by 0.9 s n^(-1/7), s the spread: the rate at which
    a mode is known best. Events outside the edges are left out; the weights are not negative.
    Raises `InputError` for fewer than three (effective) events in a bin, or no spread in it.
    """
    v, a, limits = (np.asarray(table, dtype=np.float64) for table in (values, along, edges))
    w = np.ones(len(v)) if weight is None else np.asarray(weight, dtype=np.float64)
    if limits.ndim != 1 or len(limits) < 2 or not (np.diff(limits) > 0).all():
        raise InputError(f"the bins {limits} do not rise; give at least two edges that do.")
    if statistic not in STATISTICS:
        raise InputError(f"statistic '{statistic}' is unknown; choose {', '.join(STATISTICS)}.")
    index = np.searchsorted(limits, a, side="right") - 1
    index[a == limits[-1]] = len(limits) - 2
    order = np.argsort(index, kind="stable")
    ends = np.searchsorted(index[order], np.arange(len(limits)))
    rows = []
    for low, high, start, stop in zip(limits, limits[1:], ends, ends[1:], strict=False):
        rows_of_bin = order[start:stop][w[order[start:stop]] > 0]
        u = w[rows_of_bin]
        count = float(u.sum() ** 2 / (u * u).sum()) if len(rows_of_bin) else 0.0
        if count < 3:
            raise InputError(
                f"the bin from {low:.6g} to {high:.6g} has {count:.3g} events, too few for a"
                " resolution; choose wider bins."
            )
        four = STATISTICS[statistic](v[rows_of_bin], u / u.sum(), count)
        if not four[2] > 0:
            raise InputError(
                f"the resolution in the bin from {low:.6g} to {high:.6g} cannot be defined: all"
                f" events there have the value {v[rows_of_bin[0]]:.6g}."
            )
        rows.append((float((a[rows_of_bin] * u).sum() / u.sum()), count, *four))
    return Profile(*np.array(rows).T)


def _mean(v: Floats, share: Floats, count: float) -> Four:
    mean = float((v * share).sum())
    square = float((share * (v - mean) ** 2).sum()) * count / (count - 1)
    fourth = float((share * (v - mean) ** 4).sum())
    spread = square**0.5
    if spread <= 1e-12 * abs(mean):  # what is constant but for rounding
        return mean, 0.0, 0.0, 0.0
    # var(s^2) = (m4 - s^4) / n, and d(s) = d(s^2) / 2s.
    error = max((fourth - square**2) / count, 0.0) ** 0.5 / (2 * spread)
    return mean, spread / count**0.5, spread, error


def _median(v: Floats, share: Floats, count: float) -> Four:
    quantile = _quantiles(v, share)
    low, middle, high = (float(quantile(p)) for p in (LOW, 0.5, HIGH))
    errors = []
    for p in (LOW, 0.5, HIGH):
        # The share below the true quantile scatters by this much.
        step = (p * (1 - p) / count) ** 0.5
        up, down = quantile(min(p + step, 1.0)), quantile(max(p - step, 0.0))
        errors.append(float(up - down) / 2)
    below, error, above = errors
    # Two quantiles of one sample have the correlation sqrt(p (1 - q) / q (1 - p)) = p / q here.
    both = below**2 + above**2 - 2 * LOW / HIGH * below * above
    return middle, error, (high - low) / 2, max(both, 0.0) ** 0.5 / 2


def _mode(v: Floats, share: Floats, count: float) -> Four:
    _, _, spread, spread_error = _median(v, share, count)
    if not spread > 0:
        return float(v[0]), 0.0, 0.0, 0.0
    quantile = _quantiles(v, share)
    ends = float(quantile(0.5)) + 5 * spread * np.array([-1.0, 1.0])
    width = (ends[1] - ends[0]) / CELLS
    counts = np.histogram(v, CELLS, range=tuple(ends), weights=share * count)[0]
    smoothing = 0.9 * spread * count ** (-1 / 7) / width
    random = np.random.default_rng(0)
    peaks = [_peak(gaussian_filter1d(counts, smoothing, mode="constant"))]
    for _ in range(REPLICAS):
        replica = random.poisson(counts).astype(np.float64)
        peaks.append(_peak(gaussian_filter1d(replica, smoothing, mode="constant")))
    modes = ends[0] + width * (np.array(peaks) + 0.5)
    return float(modes[0]), float(modes[1:].std(ddof=1)), spread, spread_error


def _peak(height: Floats) -> float:
    """Return the place of the highest cell, by the parabola through it and its neighbours."""
    i = int(np.clip(np.argmax(height), 1, len(height) - 2))
    left, top, right = height[i - 1 : i + 2]
    curve = left - 2 * top + right
    return i + (0.5 * float((left - right) / curve) if curve < 0 else 0.0)


def _quantiles(v: Floats, share: Floats) -> Callable[[float], float]:
    order = np.argsort(v)
    below = np.cumsum(share[order]) - share[order] / 2
    return lambda p: float(np.interp(p, below, v[order]))


STATISTICS: dict[str, Callable[[Floats, Floats, float], Four]] = {
    "mean": _mean,
    "median": _median,
    "mode": _mode,
}


@dataclass(frozen=True)
class Closure:
    """Closure of estimates against the truth in B bins, float64 (B,), with errors.

    - `edges` (B + 1,), `centre` the mean of what is binned, `count` the effective events;
    - `bias`: location of estimate - truth, `resolution`: its spread;
    - `response`: location of estimate / truth, `relative_resolution`: its spread; NaN where a
      bin's truths are not of one sign.
    """

    edges: Floats
    centre: Floats
    count: Floats
    bias: Floats
    bias_error: Floats
    resolution: Floats
    resolution_error: Floats
    response: Floats
    response_error: Floats
    relative_resolution: Floats
    relative_resolution_error: Floats


def closure(
    estimate: ArrayLike,
    truth: ArrayLike,
    edges: ArrayLike,
    *,
    along: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    statistic: Statistic = "mean",
) -> Closure:
    """Compare estimates (N,) with the truth (N,) in bins of it, or of `along` (N,), a feature.

    See `profile` for the statistics, their errors and what is raised.
    """
    e, z = (np.asarray(a, dtype=np.float64) for a in (estimate, truth))
    limits = np.asarray(edges, dtype=np.float64)
    axis = z if along is None else np.asarray(along, dtype=np.float64)
    options = {"weight": weight, "statistic": statistic}
    bias = profile(e - z, axis, limits, **options)  # type: ignore[arg-type]
    inside = (axis >= limits[0]) & (axis <= limits[-1])
    if (z[inside] > 0).all() or (z[inside] < 0).all():
        ratio = profile(e / np.where(z == 0, 1, z), axis, limits, **options)  # type: ignore[arg-type]
        relative = ratio.value, ratio.error, ratio.spread, ratio.spread_error
    else:
        nothing = np.full(len(limits) - 1, np.nan)
        relative = nothing, nothing, nothing, nothing
    return Closure(
        limits,
        bias.centre,
        bias.count,
        bias.value,
        bias.error,
        bias.spread,
        bias.spread_error,
        *relative,
    )


def response_trends(
    response: ArrayLike, features: Mapping[str, ArrayLike], *, bins: int = 8
) -> dict[str, Profile]:
    """Return the median of a response (N,) over that of all events, in bins of each feature (N,).

    A calibration that uses a feature leaves no trend along it. Bins hold equally many events.
    """
    ratio = np.asarray(response, dtype=np.float64)
    ratio = ratio / np.median(ratio)
    return {
        name: profile(ratio, column, equal_bins(column, bins), statistic="median")
        for name, column in features.items()
    }


def resolution_ratio(
    response: ArrayLike,
    reference: ArrayLike,
    along: ArrayLike,
    edges: ArrayLike,
    *,
    replicas: int = 50,
) -> Value:
    """Return the relative resolution of a response (N,) over that of a reference, (N,).

    It is half of the central 68.3% over the median, and its ratio is averaged over the bins of
    `along` (N,) with `edges` (B + 1,). The error is that of resampled events, the same for both.
    """
    limits = np.asarray(edges, dtype=np.float64)
    bin_number = np.digitize(np.asarray(along, dtype=np.float64), limits)

    def width(values: Floats) -> float:
        low, middle, high = np.quantile(values, [LOW, 0.5, HIGH])
        return float((high - low) / middle)

    def mean_ratio(ours: Floats, theirs: Floats, numbers: NDArray[np.int64]) -> float:
        inside = [numbers == number for number in range(1, len(limits))]
        return float(np.mean([width(ours[part]) / width(theirs[part]) for part in inside]))

    columns = (np.asarray(values, dtype=np.float64) for values in (response, reference))
    return bootstrap(mean_ratio, *columns, bin_number, replicas=replicas)
