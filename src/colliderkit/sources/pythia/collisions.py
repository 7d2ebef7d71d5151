"""Events with pileup from Pythia 8: all particles, with the collision that each is known to be of.

At particle level momenta are exact, and a charged particle within the tracker is known to be of the
collision that made it. With the detector the tracks that it finds are, and a tower knows which
share of its energy the hard collision made. Times of particles are measured where it is asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.pileup import TRACKER, UNKNOWN, medians
from colliderkit.seeds import derive
from colliderkit.sources.detector.response import Detector, track_parameters
from colliderkit.sources.detector.timing import Timing, arrivals
from colliderkit.sources.pythia.jets import (
    Numbers,
    collected,
    final_state,
    flat,
    grouped,
    reconstruction,
)
from colliderkit.sources.pythia.processes import process_named
from colliderkit.sources.pythia.tunes import Tune

__all__ = ["collisions", "vertices_of"]

LEAST, REACH = 0.1, 4.0  # pT [GeV] and |eta| of what is kept
TRACK = 0.5  # pT [GeV] of the tracks that a vertex is made of
TRACKS = 2  # of a vertex, at least
APART = 0.7  # mm along the beams below which two vertices are one


def collisions(
    process: str,
    count: int,
    *,
    seed: int = 0,
    shard: int = 0,
    detector: bool | Detector = False,
    pileup: float = 0.0,
    timing: Timing | None = None,
    settings: str | Sequence[str] = (),
    parameters: Mapping[str, Sequence[float]] | None = None,
    progress: Callable[[int], None] | None = None,
) -> ak.Array:
    """Generate `count` events of a hard process, each with n ~ Poisson(`pileup`) other collisions.

    Returns events as `colliderkit.events.pileup` describes them: particles of pT > 0.1 GeV within
    |eta| < 4, by falling pT, with ``charge``, ``vertex``, ``truth``, and for those of known
    vertices the measured ``z0`` and ``z0_error`` [mm]; ``vertices``, the number that would be
    reconstructed (those of two tracks or more, nearer than 0.7 mm as one), ``interactions``, the
    collisions beside the hard one of which any particle is seen, ``vertex_z`` [mm], their places
    with the hard one's first, and ``event``. With `timing` particles have a measured ``time`` [ps],
    NaN of what has none, and events the times ``vertex_time`` [ps] of their collisions; all else is
    as it is without. Arguments and errors are those of `colliderkit.sources.pythia.jets.jets`.
    """
    definition = process_named(process)
    if not definition.collisions:
        raise InputError(f"process '{process}' is not of whole events; take its jets.")
    overlaid = reconstruction(process, seed, False, pileup)
    response = Detector() if detector is True else detector
    time_seed = derive(seed, "timing", process)

    def events_of(batch: ak.Array, number: Numbers, random: np.random.Generator) -> ak.Array:
        hard = final_state(batch.prt, vertices=True)
        hard["collision"] = ak.zeros_like(hard["pid"])
        particles = overlaid(hard, number, random)
        places, order = places_of(particles)
        if timing:
            # By the events' numbers and not by `random`: the rest is as it is without times.
            places["vertex_time"] = times_of(places["vertex_z"], number, timing, time_seed)
            particles["time"] = timed(particles, places, order)
        if response:
            seen = response.reconstruct(particles, random)
        else:
            seen = track_parameters(particles, random)
            seen["truth"] = ak.values_astype(seen["collision"] == 0, np.float64)
        found = labelled(seen, order)
        if timing:
            noise = np.random.default_rng([time_seed, *number[:1].tolist()])
            time, pt, eta, charge = (flat(found[n]) for n in ("time", "pt", "eta", "charge"))
            measured = timing.measured(time, pt, eta, charge, noise).astype(np.float32)
            found["time"] = ak.unflatten(measured, ak.num(found))
        columns = {"particles": found, **places, "event": number}
        return ak.zip(columns, depth_limit=1)

    tune = Tune.of(settings, parameters)
    return collected(
        process, count, events_of, seed=seed, shard=shard, tune=tune, progress=progress
    )


def labelled(seen: ak.Array, order_of: Numbers) -> ak.Array:
    """Return what is kept of particles, by falling pT, in the columns of `events.pileup`.

    `order_of` (N, V) is the place of each collision among those of which a particle is seen.
    """
    counts = np.asarray(ak.num(seen))
    event = np.repeat(np.arange(len(counts)), counts)
    four = {name: flat(seen[name]).astype(np.float64) for name in ("px", "py", "pz", "E")}
    pt = np.hypot(four["px"], four["py"])
    eta = np.arcsinh(four["pz"] / np.maximum(pt, 1e-9))
    keep = (pt > LEAST) & (np.abs(eta) < REACH)
    order = np.flatnonzero(keep)[np.lexsort((-pt[keep], event[keep]))]
    collision = flat(seen["collision"])
    known = (flat(seen["charge"]) != 0) & (np.abs(eta) < TRACKER) & (collision >= 0)
    mass2 = four["E"] ** 2 - (pt * np.cosh(eta)) ** 2
    columns: dict[str, NDArray[Any]] = {
        "pt": pt,
        "eta": eta,
        "phi": np.arctan2(four["py"], four["px"]),
        "mass": np.sqrt(np.maximum(mass2, 0.0)),
        "charge": flat(seen["charge"]).astype(np.int8),
        "vertex": np.where(known, order_of[event, collision], UNKNOWN).astype(np.int32),
        "truth": flat(seen["truth"]),
        "z0": np.where(known, flat(seen["z0"]), 0.0),
        "z0_error": np.where(known, flat(seen["z0_error"]), 0.0),
    }
    if "time" in seen.fields:
        columns["time"] = flat(seen["time"])
    made = {
        name: (values.astype(np.float32) if values.dtype == np.float64 else values)[order]
        for name, values in columns.items()
    }
    return grouped(made, np.bincount(event[order], minlength=len(counts)))


def times_of(vertex_z: ak.Array, number: Numbers, timing: Timing, seed: int) -> ak.Array:
    """Return the times [ps] of the collisions of events by their numbers, as of `vertex_z`."""
    many = np.asarray(ak.num(vertex_z))
    rank = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    key = np.repeat(number, many) * 4096 + rank
    return ak.unflatten(timing.collisions(key, seed).astype(np.float32), many)


def timed(particles: ak.Array, places: Mapping[str, Any], order_of: Numbers) -> ak.Array:
    """Return the time [ps] of each particle as from the hard vertex, without noise."""
    counts = np.asarray(ak.num(particles))
    event = np.repeat(np.arange(len(counts)), counts)
    many = np.asarray(ak.num(places["vertex_z"]))
    first = np.cumsum(many) - many
    mine = first[event] + order_of[event, flat(particles["collision"])]
    z, time = (flat(places[name]).astype(np.float64) for name in ("vertex_z", "vertex_time"))
    four = {name: flat(particles[name]).astype(np.float64) for name in ("px", "py", "pz", "E")}
    pt = np.hypot(four["px"], four["py"])
    p = np.hypot(pt, four["pz"])
    mass = np.sqrt(np.maximum(four["E"] ** 2 - p**2, 0.0))
    eta = np.arcsinh(four["pz"] / np.maximum(pt, 1e-9))
    charge = flat(particles["charge"])
    found = arrivals(time[mine], z[mine], z[first[event]], p, eta, mass, charge)
    return ak.unflatten(found, counts)


def places_of(particles: ak.Array) -> tuple[dict[str, Any], Numbers]:
    """Return ``vertices``, ``interactions``, ``vertex_z`` of events, from all their particles.

    Behind them the place (N, V) of each of the V collisions in ``vertex_z``, from which those are
    left out of which nothing is seen.
    """
    counts = np.asarray(ak.num(particles))
    event = np.repeat(np.arange(len(counts)), counts)
    collision = flat(particles["collision"])
    most = int(collision.max(initial=0)) + 1
    key = event * most + collision
    # What a collision makes at once has its place; the median leaves decays in flight out.
    place, size = medians(flat(particles["z"]), key, len(counts) * most)
    pt = np.hypot(flat(particles["px"]), flat(particles["py"]))
    central = np.abs(flat(particles["pz"])) < np.sinh(TRACKER) * pt
    tracker = (flat(particles["charge"]) != 0) & central & (pt > TRACK)
    tracks = np.bincount(key[tracker], minlength=len(place)).reshape(len(counts), most)
    place, there = place.reshape(len(counts), most), size.reshape(len(counts), most) > 0
    found = vertices_of(place, tracks)
    there[:, 0] = True  # the hard one, whatever of it is seen
    z = np.where(np.isfinite(place), place, 0.0)[there].astype(np.float32)
    columns = {
        "vertices": found,
        "interactions": there[:, 1:].sum(1),
        "vertex_z": ak.unflatten(z, there.sum(1)),
    }
    return columns, there.cumsum(1) - 1


def vertices_of(place: NDArray[np.float64], tracks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many vertices are reconstructed of collisions (N, V) at `place` [mm].

    Those of two tracks or more are found; of neighbours nearer than 0.7 mm one is.
    """
    z = np.sort(np.where(tracks >= TRACKS, place, np.inf), axis=1)
    found = np.isfinite(z)
    gap = np.diff(np.where(found, z, 0.0), axis=1) >= APART
    apart: NDArray[np.int64] = found[:, 0] + (gap & found[:, 1:]).sum(1)
    return apart
