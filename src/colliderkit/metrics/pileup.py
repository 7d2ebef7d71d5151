"""Metrics of pileup mitigation: jets beside the true ones, fake jets, missing momentum, AUC.

Jets are matched with the true ones of the same event; errors are by bootstrap of whole events.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.jets import Jets
from colliderkit.events.pileup import Particles
from colliderkit.events.tables import Floats, Ints
from colliderkit.metrics.response import HIGH, LOW
from colliderkit.metrics.roc import auc
from colliderkit.metrics.value import Value

__all__ = [
    "Matched",
    "bias_and_width",
    "compared",
    "fake_jets",
    "match",
    "missing_momentum",
    "momentum_shift",
    "neutral_auc",
    "resampled",
    "spread",
]

REPLICAS = 100
LEAST, REACH = 40.0, 2.0  # pT [GeV] and |eta| of the true jets that are asked for
NEAR = 0.2  # a jet is that of a true one within
FAKE, HARD, AWAY = 20.0, 8.0, 0.4  # of fake jets: pT from, without a true jet of this pT, within


@dataclass(frozen=True)
class Matched:
    """True jets and the reconstructed ones that are theirs.

    - `pt`, `mass` (M,): over those of the true jet, of the M that were found; `event` (M,) of each;
    - `found` (T,), which of the true jets were found, and `of` (T,) the event of each;
    - `events`: how many there are.
    """

    pt: Floats
    mass: Floats
    event: Ints
    found: NDArray[np.bool_]
    of: Ints
    events: int

    @property
    def efficiency(self) -> Value:
        """The share of the true jets that were found."""
        counts = np.bincount(self.of, minlength=self.events).astype(np.float64)
        found = np.bincount(self.of, self.found, minlength=self.events)
        return resampled(lambda n: (n @ found) / np.maximum(n @ counts, 1e-9), self.events)


def match(true: Jets, jets: Jets, *, least: float = LEAST, reach: float = REACH) -> Matched:
    """Match jets with the true ones of pT above `least` [GeV] and |eta| below `reach`.

    The jet that is nearest, within dR < 0.2, is that of a true one. Masses are compared of true
    jets of 1 GeV and more.
    """
    asked = true.where((true.pt > least) & (np.abs(true.eta) < reach))
    nearest, distance = _nearest(asked, jets)
    found = distance < NEAR
    mine = nearest[found]
    mass = asked.mass[found]
    return Matched(
        jets.pt[mine] / asked.pt[found],
        np.where(mass >= 1.0, jets.mass[mine] / np.maximum(mass, 1.0), np.nan),
        asked.event[found],
        found,
        asked.event,
        len(true.counts),
    )


def spread(ratio: Floats, event: Ints, events: int) -> tuple[Value, Value]:
    """Return the median of a response (M,), and half of its central 68.3% over the median.

    NaN is left out. Errors are by bootstrap of the `events` that jets (M,) belong to.
    """
    quantiles = _quantiles(ratio, event)
    if quantiles is None:
        none = Value(math.nan, math.nan)
        return none, none
    return (
        resampled(lambda counts: quantiles(counts)[:, 1], events),
        resampled(lambda counts: _half(quantiles(counts)), events),
    )


def compared(
    ratio: Floats, event: Ints, other_ratio: Floats, other_event: Ints, events: int
) -> Value:
    """Return the resolution of one response over that of another, on the same `events`.

    The bootstrap resamples the events of both together: what they have in common falls out.
    """
    one, other = _quantiles(ratio, event), _quantiles(other_ratio, other_event)
    if one is None or other is None:
        return Value(math.nan, math.nan)
    return resampled(lambda counts: _half(one(counts)) / _half(other(counts)), events)


def _quantiles(ratio: Floats, event: Ints) -> Callable[[Floats], Floats] | None:
    """Return what gives quantiles (R, 3) of jets, each as often as its event is (R, events)."""
    good = np.isfinite(ratio)
    if not good.any():
        return None
    order = np.argsort(ratio[good], kind="stable")
    values, of = ratio[good][order], event[good][order]

    def quantiles(counts: Floats) -> Floats:
        drawn = counts[:, of]
        reached = np.cumsum(drawn, axis=1)
        # The middle of each jet's share, as of numpy's usual quantiles of many.
        middle = reached - 0.5 * drawn
        levels = np.array([LOW, 0.5, HIGH])
        rows = [
            np.interp(levels * total[-1], place, values) if total[-1] > 0 else [np.nan] * 3
            for total, place in zip(reached, middle, strict=True)
        ]
        return np.array(rows)

    return quantiles


def _half(quantiles: Floats) -> Floats:
    half: Floats = (quantiles[:, 2] - quantiles[:, 0]) / 2 / quantiles[:, 1]
    return half


def fake_jets(true: Jets, jets: Jets) -> Value:
    """Return how many jets above 20 GeV, |eta| < 2, an event has without a true jet near.

    That is one of 8 GeV or more within dR < 0.4.
    """
    asked = jets.where((jets.pt > FAKE) & (np.abs(jets.eta) < REACH))
    _, distance = _nearest(asked, true.where(true.pt > HARD))
    fakes = np.bincount(asked.event, distance > AWAY, minlength=len(jets.counts))
    return resampled(lambda n: n @ fakes / n.sum(1), len(fakes))


def momentum_shift(particles: Particles, weight: Floats) -> Floats:
    """Return what the mitigation leaves wrong of the sum of momenta, (N, 2) [GeV], x and y.

    sum_i (w_i - truth_i) pT_i (cos phi_i, sin phi_i): the shift of the missing momentum.
    """
    away = (weight - particles.needed_truth()) * particles.pt
    sums = [particles.sums(away * wave(particles.phi)) for wave in (np.cos, np.sin)]
    return np.stack(sums, axis=1)


def missing_momentum(shift: Floats) -> Value:
    """Return the root mean square of |shift| of events (N, 2) [GeV]."""
    squares = (shift**2).sum(1)
    return resampled(lambda n: np.sqrt(n @ squares / n.sum(1)), len(squares))


def neutral_auc(particles: Particles, weight: Floats, *, reach: float = 2.5) -> Value:
    """Return the AUC of weights (P,) of particles of no known vertex with |eta| < `reach`.

    Signal is what the hard collision made more than half of.
    """
    asked = ~particles.known & (np.abs(particles.eta) < reach)
    label = (particles.needed_truth()[asked] > 0.5).astype(np.int64)
    if label.all() or not label.any():
        return Value(math.nan, math.nan)
    return auc(weight[asked], label)


def bias_and_width(answer: Floats, truth: Floats) -> tuple[Value, Value]:
    """Return mean and standard deviation of `answer` - `truth` (N,), over the mean truth."""
    away, mean = answer - truth, truth.mean()

    def width(counts: Floats) -> Floats:
        total = counts.sum(1)
        variance = counts @ away**2 / total - (counts @ away / total) ** 2
        spread: Floats = np.sqrt(np.maximum(variance, 0)) / mean
        return spread

    return (
        resampled(lambda counts: counts @ away / counts.sum(1) / mean, len(away)),
        resampled(width, len(away)),
    )


def resampled(metric: Callable[[Floats], Floats], events: int, seed: int = 0) -> Value:
    """Return ``metric(counts)`` with its standard deviation over bootstraps of `events` events.

    `metric` takes how often each event is there, (R, events), and returns (R,).
    """
    random = np.random.default_rng(seed)
    counts = random.multinomial(events, np.full(events, 1 / events), REPLICAS)
    value = float(metric(np.ones((1, events)))[0])
    return Value(value, float(np.nanstd(metric(counts.astype(np.float64)), ddof=1)))


def _nearest(one: Jets, other: Jets) -> tuple[Ints, Floats]:
    """Return the place of the nearest jet of `other` in the same event, and dR; inf of none."""
    widest = int(other.counts.max(initial=0))
    if not widest:
        return np.zeros(len(one.pt), dtype=np.int64), np.full(len(one.pt), np.inf)
    first = np.cumsum(other.counts) - other.counts
    slot = np.arange(widest)
    place = first[one.event][:, None] + slot
    real = slot < other.counts[one.event][:, None]
    place = np.minimum(place, len(other.pt) - 1)
    turn = other.phi[place] - one.phi[:, None]
    turn = np.remainder(turn + np.pi, 2 * np.pi) - np.pi
    away = np.where(real, np.hypot(other.eta[place] - one.eta[:, None], turn), np.inf)
    best = away.argmin(1)
    rows: Any = np.arange(len(one.pt))
    return place[rows, best], away[rows, best]
