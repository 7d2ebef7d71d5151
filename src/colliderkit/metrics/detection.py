"""Object detection: true and found objects matched, average precision, false objects, responses.

Errors are by bootstrap of whole events.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.angles import turned
from colliderkit.events.event_objects import KINDS, EventObjects
from colliderkit.events.tables import Floats, Ints
from colliderkit.metrics.pileup import compared, resampled, spread
from colliderkit.metrics.value import Value

__all__ = [
    "NEAR",
    "Detection",
    "kinds_present",
    "match_objects",
    "precision_gain",
    "resolution_ratio",
]

NEAR = 0.5  # a found object is the true one within, half a radius


@dataclass(frozen=True)
class Detection:
    """True objects (T,) and found ones (F,) of the same events.

    `partner` (F,) int64 is the nearest true object of each found one within `NEAR` in eta and phi,
    -1 of none.
    """

    true: EventObjects
    found: EventObjects
    partner: Ints

    def first(self, score: Floats) -> NDArray[np.bool_]:
        """Which found objects are the one of the largest score (F,) of their true object, (F,)."""
        order = np.lexsort((-score, self.partner))
        partner = self.partner[order]
        leads = np.ones(len(order), dtype=bool)
        leads[1:] = partner[1:] != partner[:-1]
        first = np.zeros(len(order), dtype=bool)
        first[order] = leads & (partner >= 0)
        return first

    @property
    def best(self) -> Ints:
        """The found object of the largest score of each true one, (T,); -1 of none."""
        chosen = np.flatnonzero(self.first(self.found.score.max(1, initial=0.0)))
        best = np.full(len(self.true.pt), -1)
        best[self.partner[chosen]] = chosen
        return best

    def average_precision(self, kind: int) -> Value:
        """The mean, over true objects of a kind, of the precision at their scores; 0 if not found.

        Found objects are ranked by their score of the kind. One is right where it is the first of a
        true object of that kind; the precision is the share of right ones among those of its score
        and more. It depends on how many objects of each kind the events have.
        """
        return resampled(self._precision(kind).of, len(self.true))

    def rates(self, kind: int) -> tuple[Floats, Floats, Floats]:
        """Return the efficiency for a kind, false objects an event, and scores, falling, (F,)."""
        ranked = self._precision(kind)
        right = np.cumsum(ranked.right) / max(ranked.true.sum(), 1)
        false = np.cumsum(~ranked.right) / len(self.true)
        return right, false, self.found.score[ranked.order, kind]

    def efficiency_at(self, kind: int, false: float) -> Value:
        """Return the efficiency for a kind where `false` objects an event are wrong."""
        ranked = self._precision(kind)

        def at(counts: Floats) -> Floats:
            drawn = counts[:, ranked.event]
            wrong = np.cumsum(drawn * ~ranked.right, axis=1)
            kept = wrong <= false * counts.sum(1, keepdims=True)
            total = np.maximum(counts @ ranked.true, 1e-9)
            return np.asarray((drawn * ranked.right * kept).sum(1) / total)

        return resampled(at, len(self.true))

    def confusion(self) -> tuple[Ints, Ints]:
        """Return the kinds of true objects that are found, and as what they are found, (M,) each.

        By the largest score of the found object of the largest score.
        """
        best = self.best
        seen = best >= 0
        return self.true.kind[seen], self.found.kind[best[seen]]

    def response(self, quantity: str, kind: int | None = None) -> tuple[Value, Value]:
        """Return the median of `pt` or `mass` over the true one, half of its central 68% over it.

        Of true objects (of a kind) that are found, as any kind.
        """
        ratio, event = self.ratios(quantity, kind)
        return spread(ratio, event, len(self.true))

    def ratios(self, quantity: str, kind: int | None = None) -> tuple[Floats, Ints]:
        """Return found over true values of a quantity, and the event of each, (M,)."""
        best = self.best
        chosen = best >= 0 if kind is None else (best >= 0) & (self.true.kind == kind)
        truth = np.maximum(getattr(self.true, quantity)[chosen], 1e-9)
        return getattr(self.found, quantity)[best[chosen]] / truth, self.true.event[chosen]

    def found_share(self, some: ArrayLike | None = None) -> Value:
        """Return the share of the true objects, of a mask (T,), that are found as any kind."""
        asked = np.ones(len(self.true.pt), bool) if some is None else np.asarray(some, dtype=bool)
        size = len(self.true)
        total = np.bincount(self.true.event[asked], minlength=size).astype(np.float64)
        part = np.bincount(self.true.event[asked & (self.best >= 0)], minlength=size)
        return resampled(lambda n: (n @ part) / np.maximum(n @ total, 1e-9), size)

    def _precision(self, kind: int) -> "_Ranked":
        score = self.found.score[:, kind]
        of_kind = np.zeros(len(score), dtype=bool)
        near = self.partner >= 0
        of_kind[near] = self.true.kind[self.partner[near]] == kind
        right = self.first(score) & of_kind
        order = np.argsort(-score, kind="stable")
        true = np.bincount(self.true.event[self.true.kind == kind], minlength=len(self.true))
        return _Ranked(order, right[order], self.found.event[order], true.astype(np.float64))


@dataclass(frozen=True)
class _Ranked:
    """Found objects by falling score: which are right, their events; true ones of each event."""

    order: Ints
    right: NDArray[np.bool_]
    event: Ints
    true: Floats

    def of(self, counts: Floats) -> Floats:
        """Return the average precision of events that are there `counts` (R, N) times each."""
        drawn = counts[:, self.event]
        hits = np.cumsum(drawn * self.right, axis=1)
        precision = hits / np.maximum(np.cumsum(drawn, axis=1), 1e-9)
        total = np.maximum(counts @ self.true, 1e-9)
        return np.asarray((drawn * self.right * precision).sum(1) / total)


def match_objects(true: EventObjects, found: EventObjects) -> Detection:
    """Match found objects with the nearest true one of their event, within dR < 0.5.

    Raises `InputError` for different numbers of events.
    """
    if len(true) != len(found):
        raise InputError(f"{len(true)} events of true objects and {len(found)} of found ones.")
    counts = np.diff(true.offsets)
    widest = int(counts.max(initial=0))
    if not widest or not len(found.pt):
        return Detection(true, found, np.full(len(found.pt), -1))
    event = found.event
    slot = np.arange(widest)
    place = np.minimum(true.offsets[event][:, None] + slot, len(true.pt) - 1)
    away = np.hypot(true.eta[place] - found.eta[:, None], turned(true.phi[place] -
                                                                 found.phi[:, None]))  # fmt: skip
    away = np.where(slot < counts[event][:, None], away, np.inf)
    nearest = away.argmin(1)
    rows = np.arange(len(event))
    partner = np.where(away[rows, nearest] < NEAR, place[rows, nearest], -1)
    return Detection(true, found, partner.astype(np.int64))


def precision_gain(one: Detection, other: Detection, kind: int) -> Value:
    """Return the average precision of one less that of another, on the same events.

    The bootstrap draws the events of both together: what they have in common falls out.
    """
    first, second = (each._precision(kind) for each in (one, other))
    return resampled(lambda n: first.of(n) - second.of(n), len(one.true))


def resolution_ratio(one: Detection, other: Detection, quantity: str, kind: int | None) -> Value:
    """Return the resolution of one over that of another, on the same events."""
    first, second = one.ratios(quantity, kind), other.ratios(quantity, kind)
    return compared(*first, *second, len(one.true))


def kinds_present(true: EventObjects) -> list[int]:
    """Return the kinds of which there is a true object."""
    return [i for i in range(len(KINDS)) if (true.kind == i).any()]
