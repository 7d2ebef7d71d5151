"""Whole events from Pythia for object detection: towers, and true jets, W bosons and top quarks."""

from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.event_objects import KINDS, EventObjects, EventTowers
from colliderkit.events.jets import Jets
from colliderkit.events.tables import Ints
from colliderkit.seeds import derive
from colliderkit.sources.datasets.trigger_seeds import AROUND, ETA, FIELD, STEP, TOWER, towers
from colliderkit.sources.detector.pileup import overlay
from colliderkit.sources.detector.response import Detector, efficiency
from colliderkit.sources.pythia.clustering import jets_of
from colliderkit.sources.pythia.jets import final_state, flat, minimum_bias
from colliderkit.sources.pythia.matching import Directions, directions, flattened
from colliderkit.sources.pythia.processes import process_named
from colliderkit.sources.pythia.tunes import generator_seed, start

__all__ = ["LEAST", "PROCESSES", "RADIUS", "REACH", "event_objects"]

PROCESSES = {"qcd": "trigger-qcd", "w": "trigger-w", "top": "trigger-top"}
RADIUS, LEAST, REACH = 1.0, 200.0, 2.0  # of the true jets: R, pT [GeV], |eta|
# About as many in each range of ln pT.
HARD = (
    "PhaseSpace:pTHatMin = 200.",
    "PhaseSpace:pTHatMax = 600.",
    "PhaseSpace:bias2Selection = on",
    "PhaseSpace:bias2SelectionPow = 4.5",
    "PhaseSpace:bias2SelectionRef = 100.",
)
BATCH = 100


def event_objects(
    kind: str,
    count: int,
    *,
    pileup: float = 0.0,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> tuple[EventTowers, EventObjects]:
    """Generate `count` events of a kind of `PROCESSES`, with a mean of `pileup` other collisions.

    Towers are of 0.1 x 0.1 within |eta| < 2.5, with 0.5 GeV or a track; their energies are smeared
    as by the package's detector, and `track` is of the tracks of the hard collision, at their
    directions. True objects are anti-kT jets (R = 1.0) of the hard collision's visible particles,
    of 200 GeV and |eta| < 2: a top where the top quark and three quarks of its decay are within R
    of the axis, a W where two light quarks of its decay are, else a jet. The spectra are made flat
    in ln pT from 200 to 600 GeV, and events have no weights. Raises `InputError` for another kind,
    and without the extra.
    """
    if kind not in PROCESSES:
        raise InputError(f"kind is '{kind}'; choose {', '.join(PROCESSES)}.")
    process = PROCESSES[kind]
    generator = start(process_named(process), generator_seed(process, seed, 0), HARD)
    pool = minimum_bias(derive(1, "pileup of the trigger") % 1000) if pileup > 0 else None
    random = np.random.default_rng(derive(seed, process, "objects"))
    seen, true = [], []
    made = 0
    while made < count:
        batch = generator.nextBatch(min(BATCH, count - made))
        number = np.arange(made, made + len(batch))
        made += len(batch)
        particles = final_state(batch.prt, vertices=True)
        true.append(true_objects(particles, batch.prt))
        particles["collision"] = ak.zeros_like(particles["pid"])
        if pool is not None:
            mixed = derive(seed, process, "overlay")
            particles = overlay(particles, pool, pileup, event=number, seed=mixed)
        seen.append(event_towers(particles, random))
        if progress is not None:
            progress(made)
    return EventTowers.joined(seen), EventObjects.joined(true)


def event_towers(particles: ak.Array, random: np.random.Generator) -> EventTowers:
    """Return what the detector sees of events of particles, as towers."""
    count, wide = len(particles), round(2 * ETA / STEP)
    columns: dict[str, NDArray[Any]] = {n: flat(particles[n]) for n in particles.fields}
    columns["event"] = np.repeat(np.arange(count), np.asarray(ak.num(particles)))
    em, had = towers(columns, count, random)
    pt = np.hypot(columns["px"], columns["py"])
    eta = np.arcsinh(columns["pz"] / np.maximum(pt, 1e-9))
    found = (columns["charge"] != 0) & (columns["collision"] == 0)
    found &= (random.random(len(pt)) < efficiency(pt, eta, columns["pid"])) & (np.abs(eta) < ETA)
    tracks = Detector(field=FIELD).tracks({n: c[found] for n, c in columns.items()}, random)
    phi = np.arctan2(tracks["py"], tracks["px"])
    row = ((phi + np.pi) / (2 * np.pi) * AROUND).astype(np.int64) % AROUND
    column = np.minimum(((eta[found] + ETA) / STEP).astype(np.int64), wide - 1)
    place = (tracks["event"].astype(np.int64) * AROUND + row) * wide + column
    momenta = np.bincount(place, np.hypot(tracks["px"], tracks["py"]), em.size)
    track = np.asarray(momenta, dtype=np.float64).reshape(em.shape)
    event, row, column = np.nonzero((em + had > TOWER) | (track > 0))
    return EventTowers(
        np.searchsorted(event, np.arange(count + 1)),
        ((column + 0.5) * STEP - ETA).astype(np.float64),
        (row + 0.5) * 2 * np.pi / AROUND - np.pi,
        *(values[event, row, column] for values in (em, had, track)),
    )


def true_objects(particles: ak.Array, record: ak.Array) -> EventObjects:
    """Return the true objects of events, of their visible particles and Pythia's record."""
    jets, _ = jets_of(particles[["px", "py", "pz", "E"]], radius=RADIUS, least=LEAST)
    jets = jets.where(np.abs(jets.eta) < REACH)
    kind = kinds_of(jets, record)
    offsets = np.concatenate([[0], np.cumsum(jets.counts)])
    return EventObjects.true(offsets, jets.pt, jets.eta, jets.phi, jets.mass, kind)


def kinds_of(jets: Jets, record: ak.Array) -> Ints:
    """Return what each jet is, (J,), a place among `KINDS`, by the quarks within its radius."""
    code, status, momentum = flattened(record)
    pid = np.abs(code)
    axes = Directions(jets.event, jets.eta, jets.phi)

    def near(chosen: NDArray[np.bool_]) -> Ints:
        return axes.count_near(directions(record, chosen, momentum), jets.radius)

    # Status 62 is the particle as it decays, 23 its decay products before they radiate. The light
    # quarks of the hard process itself never fall into one jet.
    quarks = status == 23
    light = near(quarks & (pid <= 4)) >= 2
    top = (near((pid == 6) & (status == 62)) > 0) & (near(quarks & (pid <= 5)) >= 3)
    kind = np.where(light, KINDS.index("W"), KINDS.index("jet"))
    return np.where(top, KINDS.index("top"), kind).astype(np.int64)
