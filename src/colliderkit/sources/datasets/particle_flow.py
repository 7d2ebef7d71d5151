"""Events for particle flow: Pythia's particles, thrown into a library of Geant4 showers.

Deposits factorise: every particle takes a shower of its kind and energy from the library, moved to
where it meets the calorimeter, and all are summed in cells before these are read out. So the share
of each particle in each cell is known, and events cost milliseconds.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.coarse import coarser, layers_of
from colliderkit.events.calorimeter.density import clue
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.calorimeter.library import ShowerLibrary, calibration, overlay
from colliderkit.events.calorimeter.overlay import Digitiser
from colliderkit.events.particle_flow import (
    CHARGED,
    ELECTRON,
    MUON,
    NEUTRAL,
    PHOTON,
    Clusters,
    FlowEvents,
    FlowParticles,
    Incidence,
    Towers,
    Tracks,
    event_of,
    offsets_of,
    turned,
)
from colliderkit.events.tables import Floats, Ints
from colliderkit.seeds import derive
from colliderkit.sources.detector.response import Detector, efficiency

__all__ = ["KINDS", "RADIUS", "REACH", "READOUT", "WIDTHS", "flow_events", "reconstructed"]

PERIOD = 60  # of the widest cells, around the beams
# Of cells that are read out [mm]: 20 mm are .013 of eta and phi, 160 mm are .105.
WIDTHS = (20.0, 40.0, 40.0, 80.0, 160.0, 160.0)
RADIUS = PERIOD * WIDTHS[-1] / (2 * np.pi)  # mm, so that whole cells go around
READOUT = Digitiser(noise=8.0, threshold=20.0)  # MeV of a calibrated cell
REACH = 2.5  # |eta| of tracks and of the calorimeter
SHARD = 250  # events: a start of Pythia costs a second
NEAREST = 12  # showers in energy, of which one is taken
# Which showers of the library stand for which particles, and their order there.
KINDS = ("gamma", "e-", "pi+", "kaon0L", "neutron", "mu-")
SECTIONS = (3, 3)  # layers of the electromagnetic and of the hadronic section
# How cells are gathered: CLUE's distance [mm], least density [GeV] and what noise is beyond.
GATHERING = ((50.0, 0.2, 1.5), (250.0, 0.3, 1.5))
MASSES = {13: 0.1057, 211: 0.1396, 321: 0.4937, 130: 0.4976, 310: 0.4976}  # GeV, by |PDG code|
NUCLEON = 0.9383


def flow_events(
    library: ShowerLibrary,
    count: int,
    *,
    process: str = "flow-dijets",
    factors: ArrayLike | None = None,
    seed: int = 0,
    shard: int = SHARD,
) -> FlowEvents:
    """Generate `count` events of a Pythia process, as tracks, clusters and towers with their truth.

    Events come in shards of `shard`, each with seeds of its own; `factors` (L,) multiply the layers
    (`calibration` of the library, if not given). Raises `InputError` for a library that lacks one
    of `KINDS`, a count below 1, and without the generate extra.
    """
    from colliderkit.sources.pythia.jets import events

    if count < 1 or shard < 1:
        raise InputError(f"{count} events in shards of {shard}: both must be at least 1.")
    _check(library)
    scale = calibration(library) if factors is None else np.asarray(factors, dtype=np.float64)
    parts = []
    for number, first in enumerate(range(0, count, shard)):
        size = min(shard, count - first)
        particles = events(process, size, seed=seed, shard=number)
        parts.append(
            reconstructed(library, particles, factors=scale, seed=derive(seed, "flow", number))
        )
    return FlowEvents.joined(parts)


def reconstructed(
    library: ShowerLibrary,
    particles: ak.Array,
    *,
    factors: ArrayLike | None = None,
    seed: int = 0,
) -> FlowEvents:
    """Return what a detector sees of events ``var * {px, py, pz, E, pid, charge}`` [GeV].

    Tracks are found and smeared, and charged particles bent, as `Detector` does. The calorimeter is
    a barrel of radius 1.53 m, unrolled: each particle comes at right angles with all its energy,
    whatever its eta. It is moved by up to half of a cell of 40 mm, to where a shower of the library
    fits, and the moved one is the truth. Charged hadrons shower as pi+, neutral kaons as K0L,
    baryons as neutrons of the same kinetic energy; of the showers nearest in energy one is drawn,
    and scaled.
    """
    _check(library)
    scale = calibration(library) if factors is None else np.asarray(factors, dtype=np.float64)
    random = np.random.default_rng(derive(seed, "particles"))
    counts = np.asarray(ak.num(particles), dtype=np.int64)
    columns: dict[str, NDArray[Any]] = {
        name: np.asarray(ak.to_numpy(ak.flatten(particles[name])))
        for name in ("px", "py", "pz", "E", "pid", "charge")
    }
    columns["event"] = event_of(offsets_of(counts))
    detector = Detector(radius=RADIUS / 1e3)
    pt = np.hypot(columns["px"], columns["py"])
    eta = np.arcsinh(columns["pz"] / np.maximum(pt, 1e-9))
    inside = (np.abs(eta) < REACH) & (pt > 0.05)
    columns = {name: values[inside] for name, values in columns.items()}
    pt, eta = pt[inside], eta[inside]
    face_eta, face_phi = detector.face(columns, pt, eta)
    kind = kinds_of(columns["pid"])
    shower, stretch = _showers(library, columns, kind, random)
    place = [RADIUS * face_phi, RADIUS * face_eta]
    steps = library.step
    moves = [
        np.round((p - at[shower]) / steps) * steps
        for p, at in zip(place, (library.x, library.y), strict=True)
    ]
    shift = [
        (at[shower] + move - p) / RADIUS
        for p, at, move in zip(place, (library.x, library.y), moves, strict=True)
    ]
    eta, face_eta = eta + shift[1], face_eta + shift[1]
    phi = turned(np.arctan2(columns["py"], columns["px"]) + shift[0])
    face_phi = turned(face_phi + shift[0])
    reached = np.abs(face_eta) < REACH
    hits = _cells(
        library,
        np.where(reached, shower, -1),
        moves,
        columns["event"],
        len(counts),
        scale,
        stretch,
        derive(seed, "cells"),
    )
    # Momenta as they are after the move.
    moved = {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(eta)}
    columns |= moved | {"E": columns["E"] * np.cosh(eta) / np.cosh(eta - shift[1])}
    tracks, owner = _tracks(detector, columns, (face_eta, face_phi), len(counts), random)
    true = FlowParticles(
        offsets_of(np.bincount(columns["event"], minlength=len(counts))), pt, eta, phi, kind
    )
    clusters, shares = _clusters(hits, library.z)
    incidence = Incidence(owner, *shares)
    return FlowEvents(tracks, clusters, _towers(hits, library.z), true, incidence)


def _check(library: ShowerLibrary) -> None:
    """Raise `InputError` for a library of another calorimeter, or that lacks a kind."""
    if len(library.z) != len(WIDTHS) or any(
        width % (grid.width / grid.columns)
        for width, grid in zip(WIDTHS, library.grids, strict=False)
    ):
        raise InputError(
            f"the library is of '{library.geometry.name}', and cells of"
            f" {', '.join(f'{w:g}' for w in WIDTHS)} mm in six layers are read out; generate one of"
            " ecal-hcal."
        )
    for number, name in enumerate(library.kinds):
        if name in KINDS and not (library.kind == number).any():
            raise InputError(f"the library holds no showers of {name}; generate some.")
    for name in KINDS:
        if name not in library.kinds:
            raise InputError(
                f"the library holds no showers of {name}; generate {', '.join(KINDS)}."
            )


def kinds_of(pid: ArrayLike) -> Ints:
    """Return the place among `events.particle_flow.KINDS` of particles by their PDG codes (P,)."""
    size = np.abs(np.asarray(pid, dtype=np.int64))
    neutral = np.isin(size, (130, 310, 2112, 3122, 3322))
    kind = np.where(neutral, NEUTRAL, CHARGED)
    for code, place in ((22, PHOTON), (11, ELECTRON), (13, MUON)):
        kind = np.where(size == code, place, kind)
    return kind


def _showers(
    library: ShowerLibrary,
    columns: dict[str, NDArray[Any]],
    kind: Ints,
    random: np.random.Generator,
) -> tuple[Ints, Floats]:
    """Return the shower of each particle, (P,), and what its deposits are multiplied by, (P,)."""
    size = np.abs(columns["pid"]).astype(np.int64)
    baryon = size > 1000
    mass = np.where(baryon, NUCLEON, 0.0)
    for code, value in MASSES.items():
        mass = np.where(size == code, value, mass)
    kinetic = np.maximum(columns["E"] - mass, 1e-3) * 1e3  # MeV
    name = np.select(
        [kind == PHOTON, kind == ELECTRON, kind == MUON, kind == CHARGED, baryon],
        [0, 1, 5, 2, 4],
        3,
    )
    shower = np.zeros(len(size), dtype=np.int64)
    for number, each in enumerate(KINDS):
        mine = np.flatnonzero(name == number)
        rows = np.flatnonzero(library.kind == library.kinds.index(each))
        rows = rows[np.argsort(library.incident[rows], kind="stable")]
        near = np.searchsorted(library.incident[rows], kinetic[mine])
        take = min(NEAREST, len(rows))
        first = np.clip(near - take // 2, 0, len(rows) - take)
        shower[mine] = rows[first + random.integers(take, size=len(mine))]
    # A muon leaves the same whatever its energy.
    stretch = np.where(name == 5, 1.0, kinetic / library.incident[shower])
    return shower, np.asarray(stretch)


def _cells(
    library: ShowerLibrary,
    shower: Ints,
    moves: Sequence[Floats],
    event: Ints,
    events: int,
    factors: Floats,
    stretch: Floats,
    seed: int,
) -> CalorimeterHits:
    """Return the cells that are read out; particles of shower -1 leave nothing."""
    there = np.flatnonzero(shower >= 0)
    fine = overlay(
        library,
        shower[there],
        moves[0][there],
        moves[1][there],
        event[there],
        events=events,
        factors=factors,
    )
    left = fine.share_energy * stretch[there][fine.share_particle]
    energy = np.asarray(np.bincount(fine.share_hit, left, len(fine.energy)), dtype=np.float64)
    around = 2 * np.pi * RADIUS
    position = fine.position.copy()
    position[:, 0] = np.remainder(position[:, 0] + around / 2, around) - around / 2
    # The particles again with those that leave nothing among them.
    every = replace(
        fine,
        position=position,
        energy=energy,
        particle_offsets=offsets_of(np.bincount(event, minlength=events)),
        particle_energy=np.ones(len(event)),
        pdg=np.zeros(len(event), dtype=np.int64),
        share_particle=there[fine.share_particle],
        share_energy=left,
    )
    return coarser(every, library.z, WIDTHS, readout=READOUT, seed=seed)


def _tracks(
    detector: Detector,
    columns: dict[str, NDArray[Any]],
    face: tuple[Floats, Floats],
    events: int,
    random: np.random.Generator,
) -> tuple[Tracks, Ints]:
    """Return the tracks that are found, and the particle of each."""
    pt = np.hypot(columns["px"], columns["py"])
    eta = np.arcsinh(columns["pz"] / np.maximum(pt, 1e-9))
    charged = columns["charge"] != 0
    found = charged & (random.random(len(pt)) < efficiency(pt, eta, columns["pid"]))
    owner = np.flatnonzero(found)
    seen = detector.tracks({name: values[found] for name, values in columns.items()}, random)
    track_pt = np.hypot(seen["px"], seen["py"])
    tracks = Tracks(
        offsets_of(np.bincount(columns["event"][found], minlength=events)),
        track_pt,
        eta[found],
        np.arctan2(seen["py"], seen["px"]),
        np.asarray(seen["error"] / seen["E"]),
        face[0][found],
        face[1][found],
        np.where(np.abs(columns["pid"][found]) == 13, MUON, CHARGED),
    )
    return tracks, owner


def _clusters(hits: CalorimeterHits, depths: Floats) -> tuple[Clusters, tuple[Ints, Ints, Floats]]:
    """Gather the cells of each section by CLUE, in (eta, phi) alone; return shares as well."""
    layer = layers_of(hits.position[:, 2], depths)
    section = (layer >= SECTIONS[0]).astype(np.int64)
    angle = hits.position[:, 0] / RADIUS
    place = np.stack([RADIUS * np.cos(angle), RADIUS * np.sin(angle), hits.position[:, 1]], axis=1)
    label = np.full(len(hits.energy), -1)
    total = 0
    for number, (distance, density, outlier) in enumerate(GATHERING):
        rows = np.flatnonzero(section == number)
        found = clue(
            place[rows],
            hits.energy[rows],
            hits.event[rows],
            distance=distance,
            density=density,
            outlier=outlier,
        )
        # Numbered in each event; here through all of them.
        key = hits.event[rows] * (found.max(initial=0) + 1) + found
        _, same = np.unique(key[found >= 0], return_inverse=True)
        label[rows[found >= 0]] = total + same
        total += int(same.max(initial=-1)) + 1
    used = label >= 0
    owner = np.zeros(total, dtype=np.int64)
    owner[label[used]] = hits.event[used]
    # By event, and the hardest first.
    energy = np.asarray(np.bincount(label[used], hits.energy[used], total), dtype=np.float64)
    order = np.lexsort((-energy, owner))
    rank = np.empty(total, dtype=np.int64)
    rank[order] = np.arange(total)
    label[used] = rank[label[used]]
    energy, owner = energy[order], owner[order]

    def mean(values: Floats) -> Floats:
        sums = np.bincount(label[used], hits.energy[used] * values[used], total)
        return np.asarray(sums / np.maximum(energy, 1e-30))

    x, y, z = (mean(place[:, axis]) for axis in range(3))
    phi, eta = np.arctan2(y, x), z / RADIUS
    away = np.where(used, turned(angle - phi[label]), 0.0) ** 2
    away += np.where(used, hits.position[:, 1] / RADIUS - eta[label], 0.0) ** 2
    local = np.where(section == 1, layer - SECTIONS[0], layer)
    hadronic = np.zeros(total, dtype=np.int64)
    hadronic[label[used]] = section[used]
    clusters = Clusters(
        offsets_of(np.bincount(owner, minlength=len(hits))),
        energy,
        eta,
        phi,
        hadronic,
        np.stack([mean((local == i).astype(np.float64)) for i in range(3)], axis=1),
        np.sqrt(np.maximum(mean(away), 0.0)),
        np.bincount(label[used], minlength=total),
    )
    inside = label[hits.share_hit] >= 0
    most = max(len(hits.pdg), 1)
    key = label[hits.share_hit[inside]] * most + hits.share_particle[inside]
    pairs, same = np.unique(key, return_inverse=True)
    left = np.asarray(np.bincount(same, hits.share_energy[inside], len(pairs)), dtype=np.float64)
    return clusters, (pairs // most, pairs % most, left)


def _towers(hits: CalorimeterHits, depths: Floats) -> Towers:
    """Sum cells in squares of 160 mm, each section apart."""
    width = WIDTHS[-1]
    hadronic = layers_of(hits.position[:, 2], depths) >= SECTIONS[0]
    column, row = (np.floor(hits.position[:, axis] / width).astype(np.int64) for axis in (0, 1))
    key = (hits.event * 1000 + row + 500) * 1000 + column + 500
    towers, which = np.unique(key, return_inverse=True)
    event, row, column = towers // 1_000_000, towers // 1000 % 1000 - 500, towers % 1000 - 500
    sums = [
        np.asarray(np.bincount(which, hits.energy * part, len(towers)), dtype=np.float64)
        for part in (~hadronic, hadronic)
    ]
    return Towers(
        offsets_of(np.bincount(event, minlength=len(hits))),
        (row + 0.5) * width / RADIUS,
        (column + 0.5) * width / RADIUS,
        *sums,
    )
