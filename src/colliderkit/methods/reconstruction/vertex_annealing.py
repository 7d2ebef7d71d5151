"""Primary vertices by deterministic annealing: clusters of tracks that split as they cool."""

from pathlib import Path
from typing import ClassVar, Self

import awkward as ak
import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Ints
from colliderkit.events.vertices import Tracks, Vertices
from colliderkit.methods.reconstruction.vertexing import VertexFinding

__all__ = ["AnnealedVertices"]


class AnnealedVertices(VertexFinding):
    """Cluster tracks along the beams by deterministic annealing (Rose 1998; CMS, 1405.6569).

    A track i is of a vertex k with the probability

        p_ik = rho_k exp(-E_ik / T) / (sum_l rho_l exp(-E_il / T) + e),
        E_ik = (z_i - z_k)^2 / sigma_i^2,

    places z_k are means of weight p_ik / sigma_i^2 and rho_k the shares of tracks. From a high
    temperature T, at which one vertex has all, T falls by `cooling`; a vertex whose critical
    temperature 2 sum p_ik (z_i - z_k)^2 / sigma_i^4 / sum p_ik / sigma_i^2 is above T is split. At
    the last temperature e lets tracks far from all, beyond `outlier` errors, go. The strength of a
    vertex is the number of tracks that it has, sum_i p_ik.

    Args:
        coldest: the last temperature.
        cooling: by which the temperature is multiplied in each step.
        outlier: errors beyond which a track is of no vertex.
        false: wrong vertices an event that the threshold leaves.
    """

    name: ClassVar[str] = "annealed-vertices"

    def __init__(
        self,
        *,
        coldest: float = 2.0,
        cooling: float = 0.6,
        outlier: float = 4.0,
        false: float = 0.03,
    ) -> None:
        self.coldest = coldest
        self.cooling = cooling
        self.outlier = outlier
        self.false = false

    def fit(
        self,
        events: ak.Array,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Set the threshold by events with true vertices; return self.

        Raises `InputError` for weights, and as `Tracks.of` and `true_vertices` do.
        """
        self._begin(seed=seed, folder=folder, resume=resume, events=events)
        if weight is not None:
            raise InputError("a threshold counts events alike; leave weight out.")
        self._set_threshold(events)
        return self

    def candidates(self, tracks: Tracks) -> Vertices:
        """Return the clusters at the last temperature, with their numbers of tracks."""
        first = np.concatenate([[0], np.cumsum(tracks.counts)])
        place = np.zeros(len(tracks.z))  # no event has more vertices than tracks
        strength, counts = np.zeros(len(tracks.z)), np.zeros(len(tracks), dtype=np.int64)
        _anneal(
            *(tracks.z, tracks.error, first, self.coldest, self.cooling, self.outlier),
            *(place, strength, counts),
        )
        slot = np.arange(len(tracks.z)) - np.repeat(first[:-1], tracks.counts)
        there = slot < np.repeat(counts, tracks.counts)
        return Vertices(place[there], strength[there], np.full(int(there.sum()), 0.1), counts)


@njit(cache=True)
def _anneal(
    z: Floats,
    error: Floats,
    first: Ints,
    coldest: float,
    cooling: float,
    outlier: float,
    place: Floats,
    strength: Floats,
    counts: Ints,
) -> None:
    for event in range(len(first) - 1):
        begin, end = first[event], first[event + 1]
        if begin == end:
            continue
        x, precision = z[begin:end], error[begin:end] ** -2.0
        size = end - begin
        zk, rho = np.zeros(size + 1), np.zeros(size + 1)
        number = 1
        zk[0], rho[0] = (x * precision).sum() / precision.sum(), 1.0
        temperature = 2.0 * (precision**2 * (x - zk[0]) ** 2).sum() / precision.sum()
        temperature = max(temperature, coldest)
        while True:
            number = _settle(x, precision, temperature, 0.0, zk, rho, number)
            if temperature <= coldest:
                break
            number = _split(x, precision, temperature, zk, rho, number)
            temperature = max(temperature * cooling, coldest)
        # A last round in which far tracks may be nobody's.
        lost = np.exp(-(outlier**2) / coldest)
        number = _settle(x, precision, coldest, lost, zk, rho, number)
        order = np.argsort(zk[:number])
        for k in range(number):
            place[begin + k] = zk[order[k]]
            strength[begin + k] = rho[order[k]] * size
        counts[event] = number


@njit(cache=True)
def _settle(
    x: Floats,
    precision: Floats,
    temperature: float,
    lost: float,
    zk: Floats,
    rho: Floats,
    number: int,
) -> int:
    """Move the vertices until they stay; join those that have become one; return how many."""
    for _ in range(60):
        total, moment, weight = np.zeros(number), np.zeros(number), np.zeros(number)
        p = np.zeros(number)
        for i in range(len(x)):
            # Relative to the nearest, so that not all underflow.
            least = np.inf
            for k in range(number):
                p[k] = (x[i] - zk[k]) ** 2 * precision[i] / temperature
                least = min(least, p[k])
            shift = 0.0 if lost > 0 else least
            norm = lost / len(x)
            for k in range(number):
                p[k] = rho[k] * np.exp(-(p[k] - shift)) if p[k] - shift < 50 else 0.0
                norm += p[k]
            if norm <= 0:
                continue
            for k in range(number):
                share = p[k] / norm
                total[k] += share
                weight[k] += share * precision[i]
                moment[k] += share * precision[i] * x[i]
        moved = 0.0
        kept = 0
        for k in range(number):
            if total[k] < 1e-3:
                continue
            new = moment[k] / weight[k]
            moved = max(moved, abs(new - zk[k]) * np.sqrt(weight[k] / max(total[k], 1.0)))
            zk[kept], rho[kept] = new, total[k] / len(x)
            kept += 1
        number = kept
        if moved < 1e-3:
            break
    # Two that stand on one place are one.
    order = np.argsort(zk[:number])
    place, share = zk[order], rho[order]
    kept = 0
    for k in range(number):
        if kept and place[k] - zk[kept - 1] < 2e-3:
            both = rho[kept - 1] + share[k]
            zk[kept - 1] = (rho[kept - 1] * zk[kept - 1] + share[k] * place[k]) / both
            rho[kept - 1] = both
        else:
            zk[kept], rho[kept] = place[k], share[k]
            kept += 1
    return kept


@njit(cache=True)
def _split(
    x: Floats, precision: Floats, temperature: float, zk: Floats, rho: Floats, number: int
) -> int:
    """Split each vertex whose critical temperature is above the present one; return how many."""
    spread, weight = np.zeros(number), np.zeros(number)
    p = np.zeros(number)
    for i in range(len(x)):
        least = np.inf
        for k in range(number):
            p[k] = (x[i] - zk[k]) ** 2 * precision[i] / temperature
            least = min(least, p[k])
        norm = 0.0
        for k in range(number):
            p[k] = rho[k] * np.exp(-(p[k] - least)) if p[k] - least < 50 else 0.0
            norm += p[k]
        for k in range(number):
            share = p[k] / norm
            spread[k] += share * (x[i] - zk[k]) ** 2 * precision[i] ** 2
            weight[k] += share * precision[i]
    more = number
    for k in range(number):
        if weight[k] <= 0 or 2 * spread[k] / weight[k] < temperature or more >= len(zk) - 1:
            continue
        # A part of what the temperature lets a track be away; they part by themselves.
        step = 0.3 * np.sqrt(temperature * max(rho[k] * len(x), 1.0) / weight[k])
        zk[more], rho[more] = zk[k] + step, rho[k] / 2
        zk[k], rho[k] = zk[k] - step, rho[k] / 2
        more += 1
    return more
