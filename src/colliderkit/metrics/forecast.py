"""Figures of a forecast in time: AUPRC, Brier score, lead time of alarms; errors by blocks."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.metrics.value import Value

__all__ = [
    "Alarms",
    "Precision",
    "alarms_at",
    "average_precision",
    "brier",
    "by_blocks",
    "lead",
    "precision_recall",
]

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Precision:
    """Precision and recall (K,) of all cuts on a score, from the highest on."""

    recall: Floats
    precision: Floats


def precision_recall(score: ArrayLike, truth: ArrayLike) -> Precision:
    """Return the precision and the recall of each cut on scores (N,) of truths (N,) bool."""
    values, hits = np.asarray(score, np.float64).reshape(-1), np.asarray(truth, bool).reshape(-1)
    _need_both(hits)
    order = np.argsort(-values, kind="stable")
    last = np.append(values[order][1:] != values[order][:-1], True)  # equal scores are one cut
    passing = np.cumsum(hits[order])[last]
    return Precision(passing / hits.sum(), passing / (1 + np.flatnonzero(last)))


def average_precision(
    score: ArrayLike, truth: ArrayLike, *, block: int, replicas: int = 200, seed: int = 0
) -> Value:
    """Return the area under precision over recall, sum_k (R_k - R_k-1) P_k, with its error.

    Scores and truths are (T, ...), in the order of time; blocks of `block` rows are drawn with
    replacement, for what is near in time is not independent (Künsch, 1989). By chance it is the
    share of the truths. Raises `InputError` where none or all are true.
    """
    values, hits = np.asarray(score, np.float64), np.asarray(truth, bool)
    _need_both(hits)
    order = np.argsort(-values.reshape(-1), kind="stable")
    ranked = values.reshape(-1)[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    flags = hits.reshape(-1)[order]
    number = np.arange(len(values)) // block
    blocks = np.broadcast_to(number.reshape(-1, *[1] * (values.ndim - 1)), values.shape)
    place = blocks.reshape(-1)[order]

    def area(counts: Floats) -> float:
        weight = counts[place]
        passing = np.cumsum(weight * flags)[last]
        seen = np.cumsum(weight)[last]
        if passing[-1] == 0:
            return np.nan
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(seen > 0, passing / seen, 0.0)
        return float((np.diff(passing, prepend=0.0) * precision).sum() / passing[-1])

    return _resampled(area, int(number[-1]) + 1, replicas, seed)


def brier(
    probability: ArrayLike, truth: ArrayLike, *, block: int, replicas: int = 200, seed: int = 0
) -> Value:
    """Return the mean of (p - truth)^2, of (T, ...) in the order of time, with its error."""
    each = (np.asarray(probability, np.float64) - np.asarray(truth, bool)) ** 2
    one = each.reshape(len(each), -1)
    return by_blocks(one.sum(1), np.full(len(one), one.shape[1]), block, replicas, seed)


def by_blocks(
    above: ArrayLike, below: ArrayLike, block: int, replicas: int = 200, seed: int = 0
) -> Value:
    """Return sum(above) / sum(below) of rows in time (T,), with its error by a block bootstrap."""
    starts = np.arange(0, len(np.asarray(above)), block)
    tops, bottoms = (np.add.reduceat(np.asarray(x, np.float64), starts) for x in (above, below))

    def ratio(counts: Floats) -> float:
        total = float(counts @ bottoms)
        return float(counts @ tops) / total if total else np.nan

    return _resampled(ratio, len(starts), replicas, seed)


@dataclass(frozen=True)
class Alarms:
    """What a threshold on a forecast gives, by interval (T,).

    - `threshold`; `false`: alarms that no congestion follows; `alarms`: all;
    - `onsets` of congestion, `warned`: those with an alarm before, and `leads`: their intervals
      between the alarm and the onset, summed.
    """

    threshold: float
    alarms: Floats
    false: Floats
    onsets: Floats
    warned: Floats
    leads: Floats


def alarms_at(score: ArrayLike, congested: ArrayLike, threshold: float, window: int) -> Alarms:
    """Follow an alarm that is raised where a score (T, L) comes to lie above a threshold.

    Of a link that is not congested (T, L) it is true if congestion begins in the `window` intervals
    after it, else false; one that stays is raised anew each `window` intervals, so that an alarm
    that is always on is often false. The lead of an onset is the time since the first alarm of the
    window before it, 0 without one.
    """
    on = np.asarray(congested, bool)
    high = (np.asarray(score, np.float64) > threshold) & ~on
    times = np.arange(len(on))[:, None]
    begin = np.maximum.accumulate(np.where(high, -1, times), axis=0) + 1
    raised = high & ((times - begin) % window == 0)
    onset = on & ~np.vstack([np.ones_like(on[:1]), on[:-1]])
    # The next onset at or after each interval, and the first alarm not more than a window before.
    far = len(on) + window + 1
    following = np.minimum.accumulate(np.where(onset, times, far)[::-1], axis=0)[::-1]
    true = raised & (following - times <= window)
    lead = np.zeros(on.shape)
    for back in range(1, window + 1):
        earlier = np.vstack([np.zeros_like(high[:back]), high[:-back]])
        lead = np.where(onset & earlier, back, lead)
    summed = {
        "alarms": raised, "false": raised & ~true, "onsets": onset, "warned": onset & (lead > 0),
        "leads": lead,
    }  # fmt: skip
    return Alarms(threshold, **{n: x.sum(1).astype(np.float64) for n, x in summed.items()})


def lead(
    score: ArrayLike,
    congested: ArrayLike,
    *,
    rate: float,
    window: int = 15,
    block: int,
    replicas: int = 200,
    seed: int = 0,
) -> tuple[Value, Value, Alarms]:
    """Return the mean lead time of onsets [intervals], the share warned of, and the alarms.

    The threshold is the lowest at which false alarms are at most `rate` an interval and link: one a
    day and link of 1440 intervals is 1 / 1440. An onset without alarm counts with a lead of 0. The
    errors are of the onsets at this threshold, by blocks of `block` intervals.
    """
    values, on = np.asarray(score, np.float64), np.asarray(congested, bool)
    allowed = rate * on.size
    cuts = np.unique(np.quantile(values[~on], 1 - np.geomspace(0.5, 0.5 / on.size, 60)))
    low, high = -1, len(cuts) - 1  # false alarms at `high` are few enough: bisect
    if alarms_at(values, on, float(cuts[high]), window).false.sum() > allowed:
        high, cuts = len(cuts), np.append(cuts, np.inf)
    while high - low > 1:
        middle = (low + high) // 2
        few = alarms_at(values, on, float(cuts[middle]), window).false.sum() <= allowed
        low, high = (low, middle) if few else (middle, high)
    found = alarms_at(values, on, float(cuts[high]), window)
    errors = {"block": block, "replicas": replicas, "seed": seed}
    return (
        by_blocks(found.leads, found.onsets, **errors),
        by_blocks(found.warned, found.onsets, **errors),
        found,
    )


def _resampled(figure: Callable[[Floats], float], blocks: int, replicas: int, seed: int) -> Value:
    """Return a figure of how often each block counts, and its spread over draws of blocks."""
    if blocks < 2:
        raise InputError(f"{blocks} block of time has no spread; take shorter ones, or more time.")
    random = np.random.default_rng(seed)
    draws = random.multinomial(blocks, np.full(blocks, 1 / blocks), size=replicas)
    found = np.array([figure(counts.astype(np.float64)) for counts in draws])
    return Value(figure(np.ones(blocks)), float(np.nanstd(found, ddof=1)))


def _need_both(hits: Bools) -> None:
    if not hits.any() or hits.all():
        raise InputError(
            f"{int(hits.sum())} of {hits.size} intervals and links are congested; a forecast is"
            " judged where some are and some are not."
        )
