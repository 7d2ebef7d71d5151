"""Particle flow of pairs: residuals of the neutral energy, in bins, and where it points to."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.tables import Floats
from colliderkit.metrics.response import STATISTICS, Profile, profile
from colliderkit.metrics.value import Value, binomial_variance

__all__ = ["Residuals", "direction_error", "residual_bins", "residuals"]


@dataclass(frozen=True)
class Residuals:
    """Summary of r = (estimate - truth) / truth: median, half of the central 68.3%, |r| > 1."""

    median: Value
    width: Value
    tail: Value


def residuals(estimate: ArrayLike, truth: ArrayLike) -> Residuals:
    """Summarise relative residuals of estimates (N,) of positive truths (N,).

    Raises `InputError` for fewer than three, or a truth that is not positive.
    """
    r = relative(estimate, truth)
    share = np.full(len(r), 1 / len(r))
    middle, error, spread, spread_error = STATISTICS["median"](r, share, len(r))
    beyond = float((np.abs(r) > 1).mean())
    tail = float(binomial_variance(beyond, beyond / len(r), 1 / len(r))) ** 0.5
    return Residuals(Value(middle, error), Value(spread, spread_error),
                     Value(beyond, tail or 1 / (len(r) + 2)))  # fmt: skip


def residual_bins(
    estimate: ArrayLike, truth: ArrayLike, along: ArrayLike, edges: ArrayLike
) -> Profile:
    """Return median and half of the central 68.3% of the residuals in bins of `along` (N,)."""
    return profile(relative(estimate, truth), along, edges, statistic="median")


def relative(estimate: ArrayLike, truth: ArrayLike) -> Floats:
    """Return (estimate - truth) / truth, (N,)."""
    e, t = (np.asarray(values, dtype=np.float64) for values in (estimate, truth))
    if e.shape != t.shape or len(t) < 3:
        raise InputError(f"{len(e)} estimates of {len(t)} truths; give three or more of each.")
    if not (t > 0).all():
        bad = int(np.argmin(t > 0))
        raise InputError(f"the truth of event {bad} (counted from 0) is {t[bad]:g}, not positive.")
    return np.asarray((e - t) / t)


def direction_error(hits: CalorimeterHits, share: ArrayLike, true_share: ArrayLike) -> Floats:
    """Return the distance [mm] across the axis of two means of f E, of estimate and truth, (E,).

    NaN of an event in which one of the two has no energy.
    """
    means = []
    for f in (share, true_share):
        weight = hits.energy * np.asarray(f, dtype=np.float64)
        total = np.bincount(hits.event, weight, len(hits))
        sums = [
            np.bincount(hits.event, weight * hits.position[:, axis], len(hits)) for axis in (0, 1)
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            means.append(np.stack(sums, axis=1) / np.where(total > 0, total, np.nan)[:, None])
    return np.asarray(np.hypot(*(means[0] - means[1]).T))
