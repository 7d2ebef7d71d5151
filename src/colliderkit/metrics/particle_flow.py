"""Particle flow: residuals of the neutral energy of pairs, and particles of events, matched.

Of a pair: residuals in bins, and where its neutral energy points to. Of events: true particles and
those that are found, matched one to one, so that both what is missed and what is made up counts;
errors by bootstrap of whole events. Jets are compared by `metrics.pileup`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.particle_flow import NEUTRAL, PHOTON, FlowParticles, turned
from colliderkit.events.tables import Floats, Ints
from colliderkit.metrics.pileup import resampled, spread
from colliderkit.metrics.response import STATISTICS, Profile, profile
from colliderkit.metrics.value import Value, binomial_variance

__all__ = [
    "ParticleMatching",
    "Residuals",
    "direction_error",
    "match_particles",
    "patch_response",
    "residual_bins",
    "residuals",
    "sum_shift",
]

NEAR, FACTOR = 0.1, 2.0  # a match is within this dR, and its pT within this factor
LEAST, REACH = 1.0, 2.0  # pT [GeV] and |eta| of particles that are counted
SOFTEST = 0.2  # GeV of particles that may match
PATCH = 8  # patches around the beams


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


@dataclass(frozen=True)
class ParticleMatching:
    """True and found particles, matched one to one within a charge class.

    - `true`, `found`: the particles; `partner` (P,) int64, the place of the found one of each true
      one, and `back` (F,) that of the true one of each found one, -1 of none.
    """

    true: FlowParticles
    found: FlowParticles
    partner: Ints
    back: Ints

    def counted(self, particles: FlowParticles) -> NDArray[np.bool_]:
        """Which particles have pT > 1 GeV and |eta| < 2, (P,)."""
        return (particles.pt > LEAST) & (np.abs(particles.eta) < REACH)

    def efficiency(self, some: ArrayLike | None = None) -> Value:
        """The share of the counted true particles, of a mask (P,), that are found."""
        return self._share(self.true, self.partner >= 0, some)

    def fake_rate(self, some: ArrayLike | None = None) -> Value:
        """The share of the counted found particles, of a mask (F,), that no true one matches."""
        return self._share(self.found, self.back < 0, some)

    def confused(self, some: ArrayLike | None = None) -> Value:
        """The share of the counted true particles with a match, of a mask (P,), of another kind."""
        matched = self.partner >= 0
        wrong = np.zeros(len(matched), dtype=bool)
        wrong[matched] = self.found.kind[self.partner[matched]] != self.true.kind[matched]
        asked = matched if some is None else matched & np.asarray(some, dtype=bool)
        return self._share(self.true, wrong, asked)

    def response(self, some: ArrayLike | None = None) -> tuple[Value, Value]:
        """Median of pT over the true pT of counted matches, and half of the central 68% over it."""
        chosen = self.counted(self.true) & (self.partner >= 0)
        chosen = chosen if some is None else chosen & np.asarray(some)
        ratio = self.found.pt[self.partner[chosen]] / self.true.pt[chosen]
        return spread(ratio, self.true.event[chosen], len(self.true))

    def _share(
        self, particles: FlowParticles, asked: NDArray[np.bool_], some: ArrayLike | None
    ) -> Value:
        counted = self.counted(particles)
        counted = counted if some is None else counted & np.asarray(some)
        size = len(particles)
        event = particles.event
        total = np.bincount(event[counted], minlength=size).astype(np.float64)
        part = np.bincount(event[counted & asked], minlength=size).astype(np.float64)
        if not total.any():
            return Value(float("nan"), float("nan"))
        return resampled(lambda n: (n @ part) / np.maximum(n @ total, 1e-9), size)


def match_particles(true: FlowParticles, found: FlowParticles) -> ParticleMatching:
    """Match true and found particles of the same events one to one (the Hungarian algorithm).

    Charged ones are matched with charged ones and neutrals with neutrals. The sum over matches of
    (dR / 0.1)^2 + (ln pT ratio / ln 2)^2 is least among those with the most matches that have both
    dR < 0.1 and pT within a factor of 2. Raises `InputError` for different numbers of events.
    """
    if len(true) != len(found):
        raise InputError(f"{len(true)} events of true particles and {len(found)} of found ones.")
    partner = np.full(len(true.pt), -1)
    back = np.full(len(found.pt), -1)
    neutral = [np.isin(each.kind, (PHOTON, NEUTRAL)) for each in (true, found)]
    for wanted in (False, True):
        rows = [
            np.flatnonzero((part == wanted) & (each.pt > SOFTEST))
            for part, each in zip(neutral, (true, found), strict=True)
        ]
        ends = [
            np.searchsorted(each.event[r], np.arange(len(true) + 1))
            for r, each in zip(rows, (true, found), strict=True)
        ]
        for event in range(len(true)):
            one, other = (r[e[event] : e[event + 1]] for r, e in zip(rows, ends, strict=True))
            if not len(one) or not len(other):
                continue
            cost = _distance(true, one, found, other)
            fine = cost < np.inf
            # None is nearer to the others than two limits: more matches always win.
            i, j = linear_sum_assignment(np.where(fine, cost, 1e3))
            good = fine[i, j]
            partner[one[i[good]]], back[other[j[good]]] = other[j[good]], one[i[good]]
    return ParticleMatching(true, found, partner, back)


def _distance(true: FlowParticles, one: Ints, found: FlowParticles, other: Ints) -> Floats:
    away = np.hypot(
        true.eta[one][:, None] - found.eta[other],
        turned(true.phi[one][:, None] - found.phi[other]),
    )
    ratio = np.abs(np.log(true.pt[one][:, None] / found.pt[other]))
    fine = (away < NEAR) & (ratio < np.log(FACTOR))
    return np.where(fine, (away / NEAR) ** 2 + (ratio / np.log(FACTOR)) ** 2, np.inf)


def patch_response(
    true: FlowParticles, found: FlowParticles, *, least: float = 15.0
) -> tuple[Floats, Ints]:
    """Return found over true sums of pT in patches of eta and phi, (M,), and the event of each.

    Patches are squares of side 2 pi / 8 within |eta| < 2 that truly hold `least` GeV or more: what
    jets see, without an algorithm of jets.
    """
    sums = [_patches(each) for each in (true, found)]
    asked = sums[0] > least
    rows = np.nonzero(asked)[0]
    return sums[1][asked] / sums[0][asked], rows


def _patches(particles: FlowParticles) -> Floats:
    side = 2 * np.pi / PATCH
    along = int(2 * REACH // side)
    eta = np.floor(particles.eta / side + along / 2).astype(np.int64)
    phi = np.floor((particles.phi + np.pi) / side).astype(np.int64) % PATCH
    inside = (eta >= 0) & (eta < along)
    place = (particles.event * along + eta) * PATCH + phi
    size = len(particles) * along * PATCH
    sums = np.bincount(place[inside], particles.pt[inside], size)
    return np.asarray(sums, dtype=np.float64).reshape(len(particles), along * PATCH)


def sum_shift(true: FlowParticles, found: FlowParticles) -> Floats:
    """Return found less true sums of momenta, (E, 2) [GeV], x and y: the error of the missing one.

    Of particles with |eta| < 2.5 both.
    """
    sums = []
    for each in (found, true):
        inside = np.abs(each.eta) < 2.5
        columns = [each.pt * np.cos(each.phi), each.pt * np.sin(each.phi)]
        sums.append(
            np.stack(
                [np.bincount(each.event[inside], c[inside], len(each)) for c in columns], axis=1
            )
        )
    return np.asarray(sums[0] - sums[1])
