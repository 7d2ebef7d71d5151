"""Events with pileup from Pythia 8: all particles, with the collision that each is known to be of.

At particle level: momenta are exact, and a charged particle within the tracker is known to be of
the collision that made it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.pileup import TRACKER, UNKNOWN, medians
from colliderkit.sources.detector.response import Detector, track_parameters
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
    with the hard one's first, and ``event``. Arguments and errors are those of
    `colliderkit.sources.pythia.jets.jets`.
    """
    definition = process_named(process)
    if not definition.collisions:
        raise InputError(f"process '{process}' is not of whole events; take its jets.")
    if detector:
        raise InputError(f"process '{process}' makes particles; leave the detector out.")
    reconstruct = reconstruction(process, seed, False, pileup)

    def events_of(batch: ak.Array, number: Numbers, random: np.random.Generator) -> ak.Array:
        hard = final_state(batch.prt, vertices=True)
        hard["collision"] = ak.zeros_like(hard["pid"])
        return _event(reconstruct(hard, number, random), number, random)

    tune = Tune.of(settings, parameters)
    return collected(
        process, count, events_of, seed=seed, shard=shard, tune=tune, progress=progress
    )


def _event(particles: ak.Array, number: Numbers, random: np.random.Generator) -> ak.Array:
    """Return events of particles that know their collision."""
    particles = track_parameters(particles, random)
    counts = np.asarray(ak.num(particles))
    event = np.repeat(np.arange(len(counts)), counts)
    columns: dict[str, NDArray[Any]] = {
        name: flat(particles[name])
        for name in ("px", "py", "pz", "E", "charge", "collision", "z", "z0", "z0_error")
    }
    pt = np.hypot(columns["px"], columns["py"])
    eta = np.arcsinh(columns["pz"] / np.maximum(pt, 1e-9))
    charged = columns["charge"] != 0
    tracker = charged & (np.abs(eta) < TRACKER)
    most = int(columns["collision"].max(initial=0)) + 1
    key = event * most + columns["collision"]
    # What a collision makes at once has its place; the median leaves decays in flight out.
    place, size = medians(columns["z"], key, len(counts) * most)
    tracks = np.bincount(key[tracker & (pt > TRACK)], minlength=len(place))
    place, size, tracks = (x.reshape(len(counts), most) for x in (place, size, tracks))
    keep = (pt > LEAST) & (np.abs(eta) < REACH)
    order = np.flatnonzero(keep)[np.lexsort((-pt[keep], event[keep]))]
    momentum2 = (pt * np.cosh(eta)) ** 2
    known = tracker[order]
    made = {
        "pt": pt[order],
        "eta": eta[order],
        "phi": np.arctan2(columns["py"], columns["px"])[order],
        "mass": np.sqrt(np.maximum(columns["E"] ** 2 - momentum2, 0.0))[order],
        "charge": columns["charge"][order].astype(np.int8),
        "vertex": np.where(known, columns["collision"][order], UNKNOWN).astype(np.int32),
        "truth": (columns["collision"][order] == 0).astype(np.float32),
        "z0": np.where(known, columns["z0"][order], 0.0),
        "z0_error": np.where(known, columns["z0_error"][order], 0.0),
    }
    made = {n: v.astype(np.float32) if v.dtype == np.float64 else v for n, v in made.items()}
    there = size > 0
    there[:, 0] = True  # the hard one, whatever of it is seen
    z = ak.unflatten(np.where(size > 0, place, 0.0)[there].astype(np.float32), there.sum(1))
    return ak.zip(
        {
            "particles": grouped(made, np.bincount(event[order], minlength=len(counts))),
            "vertices": vertices_of(place, tracks),
            "interactions": there[:, 1:].sum(1),
            "vertex_z": z,
            "event": number,
        },
        depth_limit=1,
    )


def vertices_of(place: NDArray[np.float64], tracks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many vertices are reconstructed of collisions (N, V) at `place` [mm].

    Those of two tracks or more are found; of neighbours nearer than 0.7 mm one is.
    """
    z = np.sort(np.where(tracks >= TRACKS, place, np.inf), axis=1)
    found = np.isfinite(z)
    gap = np.diff(np.where(found, z, 0.0), axis=1) >= APART
    apart: NDArray[np.int64] = found[:, 0] + (gap & found[:, 1:]).sum(1)
    return apart
