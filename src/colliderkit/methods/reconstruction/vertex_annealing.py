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

NEAR = 2e-3  # mm, at which two vertices are one


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
        coldest: float = 4.0,
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
        there = np.flatnonzero(slot < np.repeat(counts, tracks.counts))
        there = there[np.lexsort((place[there], tracks.event[there]))]
        return Vertices(place[there], strength[there], np.full(len(there), 0.1), counts)


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
    # Loops throughout: they compile in a fraction of the time that whole arrays take.
    for event in range(len(first) - 1):
        begin, size = first[event], first[event + 1] - first[event]
        if size == 0:
            continue
        x, precision = np.empty(size), np.empty(size)
        zk, rho = np.zeros(size + 1), np.zeros(size + 1)
        total = moment = 0.0
        for i in range(size):
            x[i], precision[i] = z[begin + i], error[begin + i] ** -2.0
            total += precision[i]
            moment += precision[i] * x[i]
        number = 1
        zk[0], rho[0] = moment / total, 1.0
        spread = 0.0
        for i in range(size):
            spread += precision[i] ** 2 * (x[i] - zk[0]) ** 2
        temperature = max(2.0 * spread / total, coldest)
        while True:
            number = _settle(x, precision, temperature, 0.0, zk, rho, number)
            if temperature <= coldest:
                break
            number = _split(x, precision, temperature, zk, rho, number)
            temperature = max(temperature * cooling, coldest)
        # A last round in which far tracks may be nobody's.
        lost = np.exp(-(outlier**2) / coldest)
        number = _settle(x, precision, coldest, lost, zk, rho, number)
        for k in range(number):
            place[begin + k] = zk[k]
            strength[begin + k] = rho[k] * size
        counts[event] = number


@njit(cache=True)
def _shares(
    x: float,
    precision: float,
    temperature: float,
    lost: float,
    zk: Floats,
    rho: Floats,
    number: int,
    share: Floats,
) -> None:
    """Write the probability that a track is of each vertex."""
    least = np.inf
    for k in range(number):
        share[k] = (x - zk[k]) ** 2 * precision / temperature
        least = min(least, share[k])
    # Relative to the nearest, so that not all underflow.
    norm = lost * np.exp(min(least, 50.0))
    for k in range(number):
        away = share[k] - least
        share[k] = rho[k] * np.exp(-away) if away < 50 else 0.0
        norm += share[k]
    for k in range(number):
        share[k] /= norm


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
    size = len(x)
    share, total, moment, weight = (
        np.zeros(number),
        np.zeros(number),
        np.zeros(number),
        np.zeros(number),
    )
    for _ in range(60):
        for k in range(number):
            total[k] = moment[k] = weight[k] = 0.0
        for i in range(size):
            _shares(x[i], precision[i], temperature, lost / size, zk, rho, number, share)
            for k in range(number):
                total[k] += share[k]
                weight[k] += share[k] * precision[i]
                moment[k] += share[k] * precision[i] * x[i]
        moved, kept = 0.0, 0
        for k in range(number):
            if total[k] < 1e-3:
                continue
            new = moment[k] / weight[k]
            moved = max(moved, abs(new - zk[k]) * np.sqrt(weight[k] / total[k]))
            zk[kept], rho[kept] = new, total[k] / size
            kept += 1
        number = kept
        if moved < 1e-3:
            break
    # Two that stand on one place are one.
    kept = 0
    for k in range(number):
        if kept > 0 and abs(zk[k] - zk[kept - 1]) < NEAR:
            both = rho[kept - 1] + rho[k]
            zk[kept - 1] = (rho[kept - 1] * zk[kept - 1] + rho[k] * zk[k]) / both
            rho[kept - 1] = both
        else:
            zk[kept], rho[kept] = zk[k], rho[k]
            kept += 1
    return kept


@njit(cache=True)
def _split(
    x: Floats, precision: Floats, temperature: float, zk: Floats, rho: Floats, number: int
) -> int:
    """Split each vertex whose critical temperature is above the present one; return how many."""
    size = len(x)
    share, spread, weight = np.zeros(number), np.zeros(number), np.zeros(number)
    for i in range(size):
        _shares(x[i], precision[i], temperature, 0.0, zk, rho, number, share)
        for k in range(number):
            spread[k] += share[k] * (x[i] - zk[k]) ** 2 * precision[i] ** 2
            weight[k] += share[k] * precision[i]
    more = 0
    for k in range(number):
        if 2 * spread[k] > temperature * weight[k]:
            more += 1
    if number + more > len(zk):
        return number
    # From the last on, so that all stay in order and none is written over.
    put = number + more
    for k in range(number - 1, -1, -1):
        if 2 * spread[k] > temperature * weight[k]:
            # A part of what the temperature lets a track be away; they part by themselves.
            step = 0.3 * np.sqrt(temperature * max(rho[k] * size, 1.0) / weight[k])
            put -= 2
            zk[put + 1], rho[put + 1] = zk[k] + step, rho[k] / 2
            zk[put], rho[put] = zk[k] - step, rho[k] / 2
        else:
            put -= 1
            zk[put], rho[put] = zk[k], rho[k]
    return number + more
