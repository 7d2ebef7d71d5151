"""Incidents in time: what a detector found, matched to what happened, and localised."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.events.tables import Floats
from colliderkit.metrics.value import Value

__all__ = ["Incident", "Matching", "incidents_above", "match", "share"]


@dataclass(frozen=True)
class Incident:
    """Something on the link `place` from interval `begin` up to, not with, `end`."""

    begin: int
    end: int
    place: int


@dataclass(frozen=True)
class Matching:
    """What became of F true incidents and of the found ones.

    - `found` (F,) bool: with one that begins from their beginning on to `tolerance` after their end
      or goes on at their beginning;
    - `localised` (F,) bool: the first of these names the right place;
    - `delay` (F,) intervals from the beginning of one to that of the other, NaN if not found;
    - `false` (K,) bool: which of the found ones are of none.
    """

    found: Floats
    localised: Floats
    delay: Floats
    false: Floats


def incidents_above(score: ArrayLike, threshold: float, *, merge: int = 10) -> list[Incident]:
    """Return the incidents of scores (T, L): where the largest of a row lies above a threshold.

    What is not more than `merge` intervals apart is one, and its place that of the largest sum.
    """
    values = np.asarray(score, dtype=np.float64)
    high = np.flatnonzero(values.max(1) > threshold)
    if len(high) == 0:
        return []
    parts = np.split(high, np.flatnonzero(np.diff(high) > merge) + 1)
    return [
        Incident(int(part[0]), int(part[-1]) + 1, int(values[part].sum(0).argmax()))
        for part in parts
    ]


def match(found: Sequence[Incident], true: Sequence[Incident], *, tolerance: int = 5) -> Matching:
    """Match incidents in time, each found one to any that it touches within a tolerance."""
    got, right, delay = np.zeros(len(true)), np.zeros(len(true)), np.full(len(true), np.nan)
    false = np.ones(len(found))
    for i, one in enumerate(true):
        touching = [
            k
            for k, other in enumerate(found)
            if other.begin < one.end + tolerance and other.end > one.begin - tolerance
        ]
        if touching:
            first = found[touching[0]]
            got[i], right[i] = 1.0, float(first.place == one.place)
            delay[i] = max(first.begin - one.begin, 0)
            false[touching] = 0.0
    return Matching(got, right, delay, false)


def share(hits: ArrayLike) -> Value:
    """Return the share of incidents (F,) that are hits, with Wilson's error at 68%; NaN of none.

    Incidents are few and far apart: each is one draw.
    """
    each = np.asarray(hits, dtype=np.float64)
    count = len(each)
    if count == 0:
        return Value(float("nan"), float("nan"))
    p = float(each.mean())
    return Value(p, float(np.sqrt(p * (1 - p) / count + 0.25 / count**2) / (1 + 1 / count)))
