"""Jets from Pythia 8 and FastJet, columnar from the generator to the jet array."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.secondary_vertices import numbered_origins
from colliderkit.seeds import derive
from colliderkit.sources.detector.pileup import check_pileup, overlay
from colliderkit.sources.detector.response import Detector, track_parameters
from colliderkit.sources.pythia.matching import Directions, matched, outgoing
from colliderkit.sources.pythia.processes import Process, process_named
from colliderkit.sources.pythia.tau_decays import hadronic_taus, of_jets
from colliderkit.sources.pythia.tunes import (
    BLOCK,
    BLOCKS,
    Tune,
    generator_seed,
    imported,
    lines_of,
    start,
)

__all__ = ["events", "jets"]

Numbers = NDArray[np.int64]

FARTHEST = 5.0  # |eta| up to which particles are clustered
LONGEST = 200  # constituents kept of a jet
BATCH = 100  # events of one nextBatch; larger ones fall out of the processor's cache
POOL = 2000  # minimum-bias collisions to overlay from
NEUTRINOS = (12, 14, 16)
COLUMNS = ("px", "py", "pz", "E", "pid", "charge")
TRACK_COLUMNS = ("d0", "z0", "d0_error", "z0_error")
# Charge of the particles that live long enough to reach a detector, by PDG code.
CHARGES = {11: -1, 13: -1, 15: -1, 211: 1, 321: 1, 2212: 1, 3112: -1, 3222: 1, 3312: -1, 3334: -1}
# Tracks that a flavour tagger reads, as in DIPS (ATL-PHYS-PUB-2020-014): pt [GeV], |d0| and
# |z0 sin(theta)| [mm].
TRACK_PT, TRACK_ETA, TRACK_D0, TRACK_Z0 = 0.5, 2.5, 3.5, 5.0


def events(process: str, count: int, *, seed: int = 0, shard: int = 0) -> ak.Array:
    """Generate the final state of `count` collisions.

    Returns ``count * var * {px, py, pz, E, pid, charge, x, y, z}`` in GeV and mm: all particles
    that live longer than any detector, neutrinos left out, with their production vertices.
    `shard` is another stream of events under the same seed.
    Raises `InputError` for an unknown process, a count below 1, or without the generate extra.
    """
    definition = process_named(process)
    check_count(count)
    generator = start(definition, generator_seed(process, seed, shard))
    parts = []
    count_made = 0
    while count_made < count:
        batch = generator.nextBatch(min(BATCH, count - count_made)).prt
        count_made += len(batch)
        parts.append(final_state(batch, vertices=True))
    return ak.concatenate(parts)


def jets(
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
    """Generate exactly `count` jets of one process, in memory.

    Returns a jet array (see `colliderkit.events.schema`) without labels: constituents
    ``{px, py, pz, E}`` float32, ``charge`` int8, ``pid`` int32, by falling pt and at most 200;
    for the flavour processes tracks with ``d0``, ``z0``, ``d0_error``, ``z0_error`` [mm], signed
    by the jet's axis (positive where the track passes in front of the collision), and without a
    detector ``vertex``, the number of the true vertex in the jet, 0 the collision's; for taus what
    `colliderkit.sources.pythia.tau_decays.of_jets` says; ``jet_pt``,
    ``jet_eta``, ``jet_phi``, ``jet_mass``; the ``parameters`` by their names, float32; ``event``,
    unique in process, tune, seed and shard.

    - `shard`: another stream of events under the same seed; `seed` and `shard` fix every bit;
    - `detector`: True, or a `Detector`, to reconstruct the particles before clustering;
    - `pileup`: mean number of minimum-bias collisions overlaid on each event;
    - `settings`: Pythia's lines, such as ``["TimeShower:alphaSvalue = 0.16"]`` (or one text with
      semicolons between), applied after the process's own; other settings make other events
      under the same seed;
    - `parameters`: ranges such as ``{"alphaS": (0.10, 0.18)}`` in which parameters are drawn
      uniformly, anew for every 250 jets (`colliderkit.sources.pythia.tunes.PARAMETERS`);
    - `progress`: called with the number of jets made after each batch.

    Raises `InputError` for an unknown process, one without jets, a count below 1, a negative
    seed or pileup, a setting that Pythia refuses, or without the generate extra.
    """
    definition = process_named(process)
    reconstruct = reconstruction(process, seed, detector, pileup)
    vertices = definition.tracks or pileup > 0 or bool(detector)

    def jets_of(batch: ak.Array, number: Numbers, random: np.random.Generator) -> ak.Array:
        particles = reconstruct(final_state(batch.prt, vertices), number, random)
        if definition.tracks and not detector:
            particles = track_parameters(particles, random)
        return clustered(particles, batch.prt, definition, number)

    tune = Tune.of(settings, parameters)
    return collected(process, count, jets_of, seed=seed, shard=shard, tune=tune, progress=progress)


def collected(
    process: str,
    count: int,
    records_of: Callable[[ak.Array, Numbers, np.random.Generator], ak.Array],
    *,
    seed: int,
    shard: int,
    tune: Tune,
    progress: Callable[[int], None] | None = None,
) -> ak.Array:
    """Generate batch after batch until `records_of` has given exactly `count` records.

    `records_of` takes a batch of events, their numbers and a source of random numbers. Of a batch,
    `prt` are the event records and `info` what Pythia says of each event, such as its weights.
    The parameters of the tune stand beside what it returns.
    """
    definition = process_named(process)
    check_count(count)
    if definition.radius is None:
        raise InputError(f"process '{process}' has no jets; take its particles with events().")
    stream = tune.stream(process)
    random = np.random.default_rng(derive(seed, "detector", stream, shard))
    block_size = BLOCK if tune.parameters else count
    generator: Any = None
    parts: list[ak.Array] = []
    generated = total = 0
    for block, first in enumerate(range(0, count, block_size)):
        drawn = tune.drawn(process, seed, shard, block)
        pythia_seed = generator_seed(stream, seed, shard * BLOCKS + block if drawn else shard)
        generator = start(definition, pythia_seed, (*tune.settings, *lines_of(drawn)), generator)
        end, tried = min(first + block_size, count), 0
        while total < end:
            if tried >= 100 * BATCH and total == first:
                raise InputError(f"process '{process}': none of {tried} events has a jet to keep.")
            # Towards the end make no more events than the missing jets need.
            rate = max(total - first, 1) / tried if tried else 1.0
            size = int(np.clip(np.ceil((end - total) / rate), 10, BATCH))
            batch = generator.nextBatch(size)
            number = event_numbers(seed, shard, generated, len(batch))
            generated, tried = generated + len(batch), tried + len(batch)
            if definition.z_pt:
                # Before the detector and the clustering, which are half of the work.
                strong = z_momentum(batch.prt) > definition.z_pt
                batch, number = batch[strong], number[strong]
                if not strong.any():
                    continue
            part = records_of(batch, number, random)[: end - total]
            for name, value in drawn.items():
                part[name] = np.full(len(part), value, dtype=np.float32)
            parts.append(part)
            total += len(part)
            if progress:
                progress(total)
    return ak.concatenate(parts)


def reconstruction(
    process: str, seed: int, detector: bool | Detector, pileup: float
) -> Callable[[ak.Array, Numbers, np.random.Generator], ak.Array]:
    """Return what turns the particles of events into those that are seen: pileup, detector."""
    check_pileup(pileup)
    pool = minimum_bias(seed) if pileup > 0 else None
    response = Detector() if detector is True else detector
    # Events of equal number in two processes get other collisions.
    pileup_seed = derive(seed, "pileup", process)

    def reconstruct(particles: ak.Array, number: Numbers, random: np.random.Generator) -> ak.Array:
        if pool is not None:
            particles = overlay(particles, pool, pileup, event=number, seed=pileup_seed)
        return response.reconstruct(particles, random) if response else particles

    return reconstruct


def check_count(count: int) -> None:
    """Raise `InputError` if fewer than one is asked for."""
    if count < 1:
        raise InputError(f"count is {count}; it must be at least 1.")


def event_numbers(seed: int, shard: int, first: int, count: int) -> NDArray[np.int64]:
    """Number the events of a shard apart from those of other shards (and of 2^16 seeds)."""
    return (((seed & 0xFFFF) << 40) | (shard << 20)) + np.arange(first, first + count)


@cache
def minimum_bias(seed: int) -> ak.Array:
    """Return the pool of minimum-bias collisions, made once a process and seed."""
    return events("minimum-bias", POOL, seed=seed)


def charge_of(pid: NDArray[np.integer[Any]]) -> NDArray[np.int8]:
    """Return the charges [e] of long-lived particles by their PDG codes."""
    codes = np.sort(np.array(list(CHARGES)))
    charges = np.array([CHARGES[code] for code in codes], dtype=np.int8)
    index = np.minimum(np.searchsorted(codes, np.abs(pid)), len(codes) - 1)
    known = codes[index] == np.abs(pid)
    return (charges[index] * np.sign(pid) * known).astype(np.int8)


def final_state(record: ak.Array, vertices: bool) -> ak.Array:
    """Return the visible final-state particles within |eta| < 5 of Pythia's event records."""
    counts = np.asarray(ak.num(record))
    pid, status = flat(record.id), flat(record.status)
    px, py, pz = (flat(record.p[name]) for name in ("px", "py", "pz"))
    forward = np.abs(pz) > np.sinh(FARTHEST) * np.hypot(px, py)
    keep = (status > 0) & ~np.isin(np.abs(pid), NEUTRINOS) & ~forward
    pid = pid[keep]
    columns = {"px": px[keep], "py": py[keep], "pz": pz[keep], "E": flat(record.p.e)[keep]}
    columns |= {"pid": pid, "charge": charge_of(pid)}
    if vertices:
        vertex = ak.flatten(record.vProd)[keep]
        for name, field in (("x", "px"), ("y", "py"), ("z", "pz")):
            columns[name] = np.asarray(ak.fill_none(vertex[field], 0.0))
    return grouped(columns, np.add.reduceat(keep, np.cumsum(counts) - counts, dtype=np.int64))


def clustered(
    particles: ak.Array, record: ak.Array, process: Process, number: NDArray[np.int64]
) -> ak.Array:
    """Cluster the particles of each event and return the jets that the process keeps."""
    fastjet = imported("fastjet")
    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, process.radius)
    sequence = fastjet.ClusterSequence(particles[["px", "py", "pz", "E"]], definition)
    clusters = sequence.inclusive_jets(process.pt[0])
    event = np.repeat(np.arange(len(clusters)), np.asarray(ak.num(clusters)))
    px, py, pz, energy = (flat(clusters[name]) for name in ("px", "py", "pz", "E"))
    pt = np.hypot(px, py)
    order = np.lexsort((-pt, event))
    rank = np.arange(len(order)) - np.searchsorted(event, event)
    order = order[rank < process.leading]
    order = order[(pt[order] < process.pt[1]) & (np.abs(pz / pt)[order] < np.sinh(process.eta))]
    event, pt, pz = event[order], pt[order], pz[order]
    eta, phi = np.arcsinh(pz / pt), np.arctan2(py[order], px[order])
    mass = np.sqrt(np.maximum(energy[order] ** 2 - pz**2 - pt**2, 0.0))
    truth: dict[str, NDArray[Any]] = {}
    if process.match:
        where = Directions(event, eta, phi)
        if process.match == "tau":
            keep, truth = of_jets(where, hadronic_taus(record))
        else:
            keep = matched(where, record, process)
        order, event = order[keep], event[keep]
        pt, eta, phi, mass = pt[keep], eta[keep], phi[keep], mass[keep]
    # The members of all jets, one after another: their place among the particles, their jet.
    members = ak.flatten(sequence.constituent_index(process.pt[0]), axis=1)[order]
    jet = np.repeat(np.arange(len(order)), np.asarray(ak.num(members)))
    starts = np.cumsum(np.asarray(ak.num(particles))) - np.asarray(ak.num(particles))
    index = flat(members) + starts[event[jet]]
    particle_columns = {name: flat(particles[name])[index] for name in particles.fields}
    if process.tracks:
        particle_columns, jet = signed_tracks(particle_columns, jet, eta[jet], phi[jet])
    impact = process.tracks or (process.impact and "d0" in particle_columns)
    constituents = {"constituents": ordered(particle_columns, jet, len(event), impact)}
    columns = {"jet_pt": pt, "jet_eta": eta, "jet_phi": phi, "jet_mass": mass}
    columns = {name: column.astype(np.float32) for name, column in columns.items()}
    columns |= truth
    if process.parton:
        columns["parton"] = outgoing(Directions(event, eta, phi), record, process)
    return ak.zip({**constituents, **columns, "event": number[event]}, depth_limit=1)


def z_momentum(record: ak.Array) -> NDArray[np.float64]:
    """Return the transverse momentum [GeV] of the last copy of each event's Z, 0 without one."""
    counts = np.asarray(ak.num(record))
    event = np.repeat(np.arange(len(counts)), counts)
    copies = np.flatnonzero(flat(record.id) == 23)
    # Assignment to a repeated index keeps the last value.
    pt = np.zeros(len(counts))
    pt[event[copies]] = np.hypot(flat(record.p.px)[copies], flat(record.p.py)[copies])
    return pt


def ordered(
    particles: dict[str, NDArray[Any]], jet: NDArray[np.int64], count: int, tracks: bool
) -> ak.Array:
    """Return the columns of a jet array's constituents, by falling pt and at most 200."""
    order = np.lexsort((-np.hypot(particles["px"], particles["py"]), jet))
    jet = jet[order]
    short = np.arange(len(jet)) - np.searchsorted(jet, jet) < LONGEST
    names = COLUMNS + TRACK_COLUMNS if tracks else COLUMNS
    if tracks and "x" in particles:
        # A detector's tracks have no true origin.
        place = np.stack([particles[name] for name in ("x", "y", "z")], axis=1)
        particles = {**particles, "vertex": numbered_origins(place, jet)}
        names = (*names, "vertex")
    kinds = {"pid": np.int32, "charge": np.int8, "vertex": np.int16}
    columns = {
        name: particles[name][order[short]].astype(kinds.get(name, np.float32)) for name in names
    }
    return grouped(columns, np.bincount(jet[short], minlength=count))


def signed_tracks(
    particles: dict[str, NDArray[Any]],
    jet: NDArray[np.int64],
    jet_eta: NDArray[np.float64],
    jet_phi: NDArray[np.float64],
) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
    """Keep the tracks that a flavour tagger reads and sign d0 and z0 by the jet's axis.

    The point of closest approach lies at d0 (sin phi, -cos phi): d0 turns positive where that
    is on the jet's side of the collision, z0 where it is on the jet's side in eta.
    """
    pt = np.hypot(particles["px"], particles["py"])
    eta, phi = np.arcsinh(particles["pz"] / pt), np.arctan2(particles["py"], particles["px"])
    near = (np.abs(particles["d0"]) < TRACK_D0) & (
        np.abs(particles["z0"]) / np.cosh(eta) < TRACK_Z0
    )
    keep = (particles["charge"] != 0) & (pt > TRACK_PT) & (np.abs(eta) < TRACK_ETA) & near
    particles["d0"] = particles["d0"] * np.where(np.sin(phi - jet_phi) < 0, -1, 1)
    particles["z0"] = particles["z0"] * np.where(eta > jet_eta, -1, 1)
    return {name: column[keep] for name, column in particles.items()}, jet[keep]


def flat(column: ak.Array) -> NDArray[Any]:
    """Return the values of all events one after another."""
    return np.asarray(ak.to_numpy(ak.flatten(column)))


def grouped(columns: dict[str, NDArray[Any]], counts: NDArray[np.integer[Any]]) -> ak.Array:
    """Return ``var * {columns}`` from flat columns and the length of each list."""
    return ak.unflatten(ak.zip(columns), counts)
