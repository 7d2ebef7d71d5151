"""Clusters of calorimeter hits against true particles: energy IoU, efficiency, purity, response.

With E_h the energy of hit h, e_ht what particle t left in it, E_c = sum_{h of c} E_h that of
cluster c and E_t = sum_h e_ht that of the particle,

    IoU(c, t) = I / (E_c + E_t - I),   I = sum_{h of c} e_ht

(2106.01832, 2204.01681, here with fractional truth: a hit of two particles counts for both by what
each left). A cluster and a particle match where it is above a threshold; of several ways the one
with the largest sum of IoU is taken (Hungarian). Above one half no cluster can match two particles,
and no particle two clusters.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import CalorimeterHits, Clusters
from colliderkit.events.tables import Floats, Ints
from colliderkit.metrics.response import STATISTICS
from colliderkit.metrics.value import Value

__all__ = [
    "LEAST",
    "Matching",
    "Overlaps",
    "f1",
    "match_clusters",
    "nearest_other",
    "overlaps",
    "ratio_over_events",
]

LEAST = 0.1  # GeV that a particle has left, and a cluster has, to be counted
APART = 1e7  # mm between events, where all are searched together


@dataclass(frozen=True)
class Overlaps:
    """Pairs of a cluster and a particle, (M,) each, that have energy in common.

    Their places in all events, the energy `shared` [GeV] and the `iou`.
    """

    cluster: Ints
    particle: Ints
    shared: Floats
    iou: Floats


@dataclass(frozen=True)
class Matching:
    """Clusters and particles of E events that match, and of how many.

    - `cluster`, `particle` (M,): places of each pair in all events, with its `iou`;
    - `estimate` and `truth` (M,) [GeV]: the energy of the cluster, and what its particle left;
    - `of_interest` (P,) bool, `counted` (C,) bool: particles and clusters of the least energy;
    - `found` (P,) bool, `pure` (C,) bool: those that match;
    - `particle_event` (P,) and `cluster_event` (C,): whose they are, of `events` events.
    """

    cluster: Ints
    particle: Ints
    iou: Floats
    estimate: Floats
    truth: Floats
    of_interest: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    found: NDArray[np.bool_]
    pure: NDArray[np.bool_]
    particle_event: Ints
    cluster_event: Ints
    events: int

    def efficiency(self, which: ArrayLike | None = None) -> Value:
        """Return the share of particles of interest that are found, of those in `which` (P,)."""
        chosen = self.of_interest if which is None else self.of_interest & np.asarray(which)
        return self._share(self.found, chosen, self.particle_event)

    def purity(self, which: ArrayLike | None = None) -> Value:
        """Return the share of counted clusters that match a particle, of those in `which` (C,)."""
        chosen = self.counted if which is None else self.counted & np.asarray(which)
        return self._share(self.pure, chosen, self.cluster_event)

    def response(self, which: ArrayLike | None = None) -> tuple[Value, Value]:
        """Return median and half of the central 68.3% of estimate / truth of matched particles.

        Of those of interest, and in `which` (P,). NaN of fewer than three.
        """
        chosen = self.of_interest[self.particle]
        chosen = chosen if which is None else chosen & np.asarray(which)[self.particle]
        ratio = self.estimate[chosen] / self.truth[chosen]
        if len(ratio) < 3:
            nothing = Value(float("nan"), float("nan"))
            return nothing, nothing
        middle, error, spread, spread_error = STATISTICS["median"](
            ratio, np.full(len(ratio), 1 / len(ratio)), len(ratio)
        )
        return Value(middle, error), Value(spread, spread_error)

    def _share(self, hit: NDArray[np.bool_], chosen: NDArray[np.bool_], event: Ints) -> Value:
        counts, hits = (
            np.bincount(event[rows], minlength=self.events) for rows in (chosen, chosen & hit)
        )
        return ratio_over_events(hits, counts)


def overlaps(hits: CalorimeterHits, clusters: Clusters) -> Overlaps:
    """Return all pairs of a cluster and a particle with energy in common.

    Raises `InputError` for hits without truth.
    """
    if not hits.known:
        raise InputError("the hits have no true particles, to which clusters could be compared.")
    cluster = clusters.cluster(hits)[hits.share_hit]
    inside = cluster >= 0
    key = cluster[inside] * len(hits.pdg) + hits.share_particle[inside]
    pairs, which = np.unique(key, return_inverse=True)
    shared = np.bincount(which, hits.share_energy[inside], len(pairs))
    one, other = pairs // len(hits.pdg), pairs % len(hits.pdg)
    union = clusters.collected[one] + hits.deposit[other] - shared
    return Overlaps(one, other, shared, shared / union)


def match_clusters(
    hits: CalorimeterHits, clusters: Clusters, *, threshold: float = 0.5, least: float = LEAST
) -> Matching:
    """Match clusters to true particles with an IoU above a threshold.

    Particles that left less than `least` [GeV] are not of interest, and clusters of less are not
    counted; both may match. Raises `InputError` for hits without truth.
    """
    pairs = overlaps(hits, clusters)
    above = np.flatnonzero(pairs.iou > threshold)
    one, other, iou = pairs.cluster[above], pairs.particle[above], pairs.iou[above]
    # Only where there is a choice is one to be made.
    several = (np.bincount(one)[one] > 1) | (np.bincount(other)[other] > 1)
    event = hits.particle_event[other]
    kept = ~np.isin(event, event[several])
    for number in np.unique(event[several]):
        rows = np.flatnonzero(event == number)
        a, first = np.unique(one[rows], return_inverse=True)
        b, second = np.unique(other[rows], return_inverse=True)
        table = np.zeros((len(a), len(b)))
        table[first, second] = iou[rows]
        chosen = linear_sum_assignment(table, maximize=True)
        taken = np.zeros_like(table, dtype=bool)
        taken[chosen] = True
        kept[rows[taken[first, second]]] = True
    cluster, particle = one[kept], other[kept]
    deposit = hits.deposit
    found, pure = np.zeros(len(hits.pdg), bool), np.zeros(len(clusters.collected), bool)
    found[particle], pure[cluster] = True, True
    return Matching(
        cluster,
        particle,
        iou[kept],
        clusters.energy[cluster],
        deposit[particle],
        deposit >= least,
        clusters.collected >= least,
        found,
        pure,
        hits.particle_event,
        np.repeat(np.arange(len(hits)), np.diff(clusters.offsets)),
        len(hits),
    )


def f1(matching: Matching) -> float:
    """Return 2 m / (particles + clusters): the harmonic mean of efficiency and purity.

    One number to choose settings by; 0 where there is neither.
    """
    found = int((matching.found & matching.of_interest).sum())
    pure = int((matching.pure & matching.counted).sum())
    total = int(matching.of_interest.sum() + matching.counted.sum())
    return (found + pure) / total if total else 0.0


def nearest_other(hits: CalorimeterHits) -> Floats:
    """Return the distance [mm] across the axis of each particle to the nearest of its event, (P,).

    Between the means of what they left, by energy; infinite for one that is alone.
    """
    weight = np.maximum(hits.deposit, 1e-30)
    middle = np.stack(
        [
            np.bincount(
                hits.share_particle,
                hits.share_energy * hits.position[hits.share_hit, axis],
                len(weight),
            )
            / weight
            for axis in range(2)
        ]
        + [APART * hits.particle_event.astype(np.float64)],
        axis=1,
    )
    there = np.flatnonzero(hits.deposit > 0)
    distance = np.full(len(weight), np.inf)
    if len(there) > 1:
        near = cKDTree(middle[there]).query(middle[there], k=2)[0][:, 1]
        distance[there] = np.where(near < APART / 2, near, np.inf)
    return distance


def ratio_over_events(hits: ArrayLike, counts: ArrayLike) -> Value:
    """Return sum(hits) / sum(counts) of events (E,), with the error of drawing whole events.

    What is of one event is not independent: var = sum (m - r n)^2 E / (E - 1) / (sum n)^2. Where
    all or none are hits, the error is what one more would make of it, 1 / (sum n + 2). NaN of none.
    """
    m, n = np.asarray(hits, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    total = float(n.sum())
    if total == 0:
        return Value(float("nan"), float("nan"))
    r = float(m.sum()) / total
    spread = float(((m - r * n) ** 2).sum()) * len(m) / max(len(m) - 1, 1)
    return Value(r, spread**0.5 / total or 1 / (total + 2))
