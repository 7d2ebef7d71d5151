"""Confidence intervals of a parameter from log-likelihoods over a scan.

Throughout, `scan` (T,) holds increasing values of the parameter and a log-likelihood is given as
(E, T): a row for each experiment, up to a constant of that experiment.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import chdtri

from colliderkit.errors import InputError

__all__ = [
    "Intervals",
    "check_confidence",
    "expected_significance",
    "maximum",
    "profile",
    "profile_intervals",
    "profile_path",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Intervals:
    """Confidence intervals [low, high] (E,) of E experiments with the best value of each.

    An end is -inf or inf where the interval leaves the scan. For a log-likelihood with several
    maxima, these are the outermost ends.
    """

    best: Floats
    low: Floats
    high: Floats
    confidence: float


def profile_intervals(
    scan: ArrayLike,
    log_likelihood: ArrayLike,
    confidence: float = 0.6827,
    *,
    bounded: bool = False,
) -> Intervals:
    """Return where 2 (max ln L - ln L) is below the chi^2_1 quantile of `confidence` (Wilks).

    `log_likelihood` (E, T) or (T,) has its nuisance parameters profiled already (`profile`). The
    maximum is that of the parabola through the highest point and its neighbours, and the ends
    are interpolated in sqrt(2 (max ln L - ln L)): both are exact for a Gaussian. With `bounded`
    the scan ends where the parameter does: an interval that reaches an end stops there, and does
    not become infinite.
    """
    check_confidence(confidence)
    threshold = np.sqrt(chdtri(1, 1 - confidence))
    values, rows, best, top = maximum(scan, log_likelihood)
    depth = np.sqrt(np.maximum(2 * (top[:, None] - rows), 0))
    # Left of the maximum the root is taken negative: a straight line for a Gaussian.
    signed = np.where(values < best[:, None], -depth, depth)
    low = _crossing(values, signed, -threshold, first=True)
    high = _crossing(values, signed, threshold, first=False)
    if bounded:
        low, high = np.maximum(low, values[0]), np.minimum(high, values[-1])
    return Intervals(best, low, high, confidence)


def profile(
    log_likelihood: Callable[[float, Floats], float], scan: ArrayLike, start: ArrayLike
) -> Floats:
    """Return max over nuisance parameters of ln L(theta, nu) at each theta of `scan`, (T,).

    `start` (R,) begins the first search; each later one begins where the last ended. Without
    gradients (finite differences): scale the nuisance parameters to about one.
    """

    def minus(nu: Floats, theta: float) -> float:
        return -float(log_likelihood(theta, nu))

    values = np.asarray(scan, dtype=np.float64)
    return profile_path(minus, values, start, begin=values[0], gradient=False)[0]


def profile_path(
    minus: Callable[[Floats, float], Any],
    scan: ArrayLike,
    start: ArrayLike,
    *,
    begin: float,
    gradient: bool = True,
    bounds: ArrayLike | None = None,
    tolerance: float = 1e-11,
) -> tuple[Floats, Floats]:
    """Return max over nu of ln L(theta, nu) at each theta of `scan`, (T,), and the nu, (T, R).

    ``minus(nu, theta)`` gives -ln L, with `gradient` also its derivatives by nu (R,). The search
    at the theta closest to `begin` starts at `start` (R,); from there the scan goes outwards to
    both sides, each search from where the last ended. `bounds` (R, 2) are those of nu; a search
    ends where a step changes ln L by less than `tolerance` of itself. Raises `InputError` where
    there is no finite maximum.
    """
    values = np.asarray(scan, dtype=np.float64)
    first = np.atleast_1d(np.asarray(start, dtype=np.float64))
    limits = None if bounds is None else [tuple(pair) for pair in np.asarray(bounds)]
    heights, nuisances = np.empty(len(values)), np.empty((len(values), len(first)))
    middle = int(np.abs(values - begin).argmin())
    for side in (range(middle, len(values)), range(middle - 1, -1, -1)):
        nuisance = first if side.step > 0 else nuisances[middle]
        for i in side:
            fit = minimize(
                minus,
                nuisance,
                args=(values[i],),
                jac=gradient,
                method="L-BFGS-B",
                bounds=limits,
                options={"ftol": tolerance, "gtol": 1e-6},
            )
            if not np.isfinite(fit.fun):
                raise InputError(
                    f"the log-likelihood at {values[i]:g} has no finite maximum over the nuisance"
                    " parameters; constrain them or choose another start."
                )
            nuisance, nuisances[i], heights[i] = fit.x, fit.x, -fit.fun
    return heights, nuisances


def check_confidence(confidence: float) -> None:
    """Raise `InputError` unless `confidence` is a probability between 0 and 1."""
    if not 0 < confidence < 1:
        raise InputError(f"confidence is {confidence}; give a number between 0 and 1.")


def _checked(scan: ArrayLike, log_likelihood: ArrayLike) -> tuple[Floats, Floats]:
    values = np.asarray(scan, dtype=np.float64)
    rows = np.atleast_2d(np.asarray(log_likelihood, dtype=np.float64))
    if len(values) < 3 or not (np.diff(values) > 0).all():
        raise InputError("a scan needs three values or more that increase.")
    if rows.shape[1] != len(values):
        raise InputError(f"{rows.shape[1]} log-likelihoods for a scan of {len(values)} values.")
    if not np.isfinite(rows).all():
        bad = np.argwhere(~np.isfinite(rows))[0]
        raise InputError(
            f"the log-likelihood of experiment {bad[0]} at {values[bad[1]]:g} is not finite; look"
            " at its events, or narrow the scan."
        )
    return values, rows


def maximum(scan: ArrayLike, log_likelihood: ArrayLike) -> tuple[Floats, Floats, Floats, Floats]:
    """Find the maximum of log-likelihoods (E, T) or (T,), by a parabola where it is in the scan.

    Returns the scan (T,), the log-likelihoods (E, T), and place and height of each maximum (E,).
    Raises `InputError` for a scan that does not increase and a value that is not finite.
    """
    values, rows = _checked(scan, log_likelihood)
    peak = rows.argmax(1)
    each = np.arange(len(rows))
    middle = np.clip(peak, 1, len(values) - 2)
    x0, x1, x2 = (values[middle + step] for step in (-1, 0, 1))
    y0, y1, y2 = (rows[each, middle + step] for step in (-1, 0, 1))
    # Newton's divided differences: y1 + slope (x - x1) + bend (x - x1)^2.
    left, right = (y1 - y0) / (x1 - x0), (y2 - y1) / (x2 - x1)
    bend = (right - left) / (x2 - x0)
    slope = left + bend * (x1 - x0)
    move = -slope / np.where(bend < 0, 2 * bend, -np.inf)
    # A maximum at an end of the scan stays there unless the parabola peaks before it.
    place = np.clip(
        x1 + move, values[np.maximum(peak - 1, 0)], values[np.minimum(peak + 1, len(values) - 1)]
    )
    move = place - x1
    height = y1 + slope * move + bend * move**2
    lower = height < rows[each, peak]
    best, top = np.where(lower, values[peak], place), np.where(lower, rows[each, peak], height)
    return values, rows, best, top


def _crossing(scan: Floats, signed: Floats, level: float, first: bool) -> Floats:
    """Return where each row crosses `level` upwards, its first or last time; inf if never."""
    above = signed >= level
    if first:
        # The first point inside: above -threshold.
        index = above.argmax(1)
        outside = index == 0
        index = np.maximum(index, 1)
    else:
        # The last point inside: below threshold.
        below = ~above
        index = len(scan) - below[:, ::-1].argmax(1)
        outside = index >= len(scan)
        index = np.minimum(index, len(scan) - 1)
    each = np.arange(len(signed))
    before, after = signed[each, index - 1], signed[each, index]
    gap = after - before
    share = (level - before) / np.where(gap == 0, 1.0, gap)
    crossing = scan[index - 1] + share * (scan[index] - scan[index - 1])
    return np.where(outside, -np.inf if first else np.inf, crossing)


def expected_significance(log_likelihood: Floats) -> float:
    """Return sqrt(2 [ln L(s) - ln L(0)]) of the two ln L (2,) of expected events (1007.1727).

    0 where the events like no signal better.
    """
    return float(np.sqrt(2 * max(log_likelihood[1] - log_likelihood[0], 0.0)))
