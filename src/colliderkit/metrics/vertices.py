"""Metrics of vertices: along the beams efficiency, false ones and resolution; partitions of tracks.

How well the tracks of a jet are parted by their vertices is said by the adjusted Rand index, and by
the share of jets that are parted without a fault.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.tables import Floats, Ints
from colliderkit.events.vertices import Vertices
from colliderkit.metrics.pileup import resampled
from colliderkit.metrics.response import HIGH, LOW
from colliderkit.metrics.value import Value

__all__ = [
    "MatchedVertices",
    "adjusted_rand",
    "efficiency",
    "false_rate",
    "match_vertices",
    "mean_over_jets",
    "perfect",
    "resolution",
    "strength_at",
]

SIGMAS, FARTHEST, NEAREST = 5.0, 1.0, 0.1  # of a match: errors, and mm at most and at least


@dataclass(frozen=True)
class MatchedVertices:
    """True vertices (T,) and found ones (F,) that are each other's nearest and near enough.

    `partner` (T,) is the place of the found one, -1 of none; `false` (F,) says which are nobody's.
    """

    partner: Ints
    false: NDArray[np.bool_]


def match_vertices(true: Vertices, found: Vertices) -> MatchedVertices:
    """Match vertices of the same event, one to one: each the nearest of the other.

    A found one is near enough within 5 errors of the true one, at most 1 mm and at least 0.1 mm.
    """
    partner = np.full(len(true.z), -1)
    if not len(found.z) or not len(true.z):
        return MatchedVertices(partner, np.ones(len(found.z), dtype=np.bool_))
    forth, away = _nearest(true, found)
    back, _ = _nearest(found, true)
    near = away <= np.clip(SIGMAS * true.error, NEAREST, FARTHEST)
    mutual = near & (back[forth] == np.arange(len(true.z)))
    partner[mutual] = forth[mutual]
    false = np.ones(len(found.z), dtype=np.bool_)
    false[forth[mutual]] = False
    return MatchedVertices(partner, false)


def efficiency(true: Vertices, found: Vertices) -> Value:
    """Return the share of the true vertices that are found."""
    matched = match_vertices(true, found).partner >= 0
    size = len(true.counts)
    hits = np.bincount(true.event, matched, minlength=size)
    return resampled(lambda n: n @ hits / np.maximum(n @ true.counts, 1e-9), size)


def false_rate(true: Vertices, found: Vertices) -> Value:
    """Return the number of false vertices an event."""
    matched = match_vertices(true, found)
    size = len(true.counts)
    wrong = np.bincount(found.event, matched.false, minlength=size)
    return resampled(lambda n: n @ wrong / n.sum(1), size)


def resolution(true: Vertices, found: Vertices) -> Value:
    """Return half of the central 68.3% of z found less z true [mm]."""
    matched = match_vertices(true, found)
    mine = matched.partner >= 0
    if not mine.any():
        return Value(float("nan"), float("nan"))
    away = found.z[matched.partner[mine]] - true.z[mine]
    event = true.event[mine]

    def half(counts: Floats) -> Floats:
        widths = []
        for row in counts:
            drawn = np.repeat(away, row[event].astype(np.int64))
            low, high = np.quantile(drawn, [LOW, HIGH]) if len(drawn) else (np.nan, np.nan)
            widths.append((high - low) / 2)
        return np.array(widths)

    return resampled(half, len(true.counts))


def strength_at(true: Vertices, found: Vertices, false: float) -> float:
    """Return the strength above which found vertices have `false` wrong ones an event.

    The false ones are those that match none while all are kept: what another takes the place of
    when it goes is not looked for anew.
    """
    wrong = np.sort(found.strength[match_vertices(true, found).false])[::-1]
    allowed = int(false * len(true.counts))
    if allowed >= len(wrong):
        return float(min(found.strength.min(initial=0.0) - 1e-9, 0.0))
    return float(wrong[allowed])


def adjusted_rand(true: Ints, found: Ints, counts: Ints) -> Floats:
    """Return the adjusted Rand index of the partition of each jet, (N,).

    With pairs that are together in both (a), in the truth alone (b), in what is found alone (c) and
    in neither (d),

        ARI = 2 (a d - b c) / ((a + b) (b + d) + (a + c) (c + d)),

    1 where both are alike and 0 in the mean of random ones (Hubert and Arabie 1985). `true` and
    `found` (P,) are numbers from 0 on of the parts within each jet, of which `counts` (N,) has the
    tracks; a jet of fewer than two tracks has 1.
    """
    both, of_true, of_found, every = _pairs(true, found, counts)
    b, c = of_true - both, of_found - both
    d = every - both - b - c
    alike = (b == 0) & (c == 0)
    below = (both + b) * (b + d) + (both + c) * (c + d)
    index: Floats = np.where(alike, 1.0, 2 * (both * d - b * c) / np.where(alike, 1.0, below))
    return index


def perfect(true: Ints, found: Ints, counts: Ints) -> NDArray[np.bool_]:
    """Return of which jets the partition is the true one, (N,); arguments as `adjusted_rand`."""
    both, of_true, of_found, _ = _pairs(true, found, counts)
    alike: NDArray[np.bool_] = (both == of_true) & (both == of_found)
    return alike


def mean_over_jets(values: NDArray[np.floating | np.bool_]) -> Value:
    """Return the mean of a figure of jets (N,) and its error, the spread over sqrt(N)."""
    each = np.asarray(values, dtype=np.float64)
    if len(each) < 2:
        return Value(float(each.mean()) if len(each) else float("nan"), float("nan"))
    return Value(float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each))))


def _pairs(true: Ints, found: Ints, counts: Ints) -> tuple[Floats, Floats, Floats, Floats]:
    """Count the pairs of each jet: together in both, in the truth, in what is found, and all."""
    jet = np.repeat(np.arange(len(counts)), counts)
    first = int(true.max(initial=0)) + 1
    second = int(found.max(initial=0)) + 1

    def together(*keys: tuple[Ints, int]) -> Floats:
        key = jet
        for label, size in keys:
            key = key * size + label
        _, index, size_of = np.unique(key, return_index=True, return_counts=True)
        return np.bincount(jet[index], size_of * (size_of - 1) / 2, len(counts)).astype(np.float64)

    one, other = (true, first), (found, second)
    return together(one, other), together(one), together(other), together()


def _nearest(one: Vertices, other: Vertices) -> tuple[Ints, Floats]:
    """Return the nearest of `other` in the event of each of `one`, and how far; inf of none."""
    # Events side by side on one line: those of another are farther than any of the same.
    span = 10 * max(np.abs(one.z).max(), np.abs(other.z).max(), 1.0)
    here, there = one.z + span * one.event, other.z + span * other.event
    right = np.clip(np.searchsorted(there, here), 1, len(there) - 1) if len(there) > 1 else 0
    right = np.broadcast_to(np.asarray(right), here.shape)
    left = np.maximum(right - 1, 0)
    closer = np.abs(there[left] - here) <= np.abs(there[right] - here)
    best = np.where(closer, left, right).astype(np.int64)
    away = np.abs(there[best] - here)
    return best, np.where(other.event[best] == one.event, away, np.inf)
