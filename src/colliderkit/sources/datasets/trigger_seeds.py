"""Seeds of a trigger from Pythia: towers, and pixel hits by ACTS or on plain helices."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.angles import turned
from colliderkit.events.tables import Floats, Ints
from colliderkit.events.trigger_seeds import CLASSES, LAYERS, TriggerSeeds
from colliderkit.seeds import derive
from colliderkit.sources.acts.simulation import PIXEL_VOLUMES, Beam, simulate
from colliderkit.sources.detector.pileup import overlay
from colliderkit.sources.detector.response import Detector, energy_share, log_normal
from colliderkit.sources.pythia.jets import final_state, flat, minimum_bias
from colliderkit.sources.pythia.matching import Directions, directions, flattened, open_flavour
from colliderkit.sources.pythia.processes import process_named
from colliderkit.sources.pythia.tunes import generator_seed, start
from colliderkit.sources.toys.tracker import CURVATURE, PIXELS, crossings, smeared

__all__ = ["PROCESSES", "trigger_seeds"]

PROCESSES = {"trigger-qcd": "light", "trigger-b": "b", "trigger-top": "boosted", "trigger-w": "W"}
FIELD = 2.0  # T, of the tracker
BARREL = PIXEL_VOLUMES[1]
ETA, STEP = 2.5, 0.1  # of the towers
AROUND = 64  # towers in azimuth
WINDOW = 9  # towers of a side of a seed
LEAST, CENTRAL, SEEDS = 25.0, 1.5, 2  # pT [GeV] and |eta| of seeds, and how many of an event
SIDE = 0.8  # of the towers around a seed that are read, in eta and phi
CONE = 0.4  # azimuth to the hits that are read
TOWER = 0.5  # GeV, transverse, that is read
SOFT = 0.4  # GeV: particles below leave no hits that matter
NEAR = {"b": 0.3, "boosted": 0.4, "W": 0.4}  # from the axis to the b hadron, the top quark, W
HARD = {"b": 5.0, "boosted": 150.0, "W": 150.0}  # GeV of these
ACCEPTED = 1.3  # |eta| of the true quark or W
BATCH = 100


def trigger_seeds(
    process: str,
    count: int,
    *,
    pileup: float = 10.0,
    tracker: Literal["acts", "helix"] = "acts",
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> TriggerSeeds:
    """Generate `count` events of a process of `PROCESSES`, with a mean of `pileup` others.

    Towers are of 0.1 x 0.1, smeared as by the package's detector; a seed is a window of 0.9 x 0.9
    around the towers of the largest sum of 0.3 x 0.3. Charged particles leave hits in the pixel
    barrel: by ACTS' Fatras with its material, or on helices without. A seed is a b where a b hadron
    is within 0.3, boosted where the top quark is within 0.4 and has 150 GeV, a W alike; a seed of
    a signal process that is none has the label -1. Weights of the stream undo the bias of its
    spectrum, those of signals are 0. Raises `InputError` for another process, and without the
    extras.
    """
    if process not in PROCESSES:
        raise InputError(f"process '{process}' is none of {', '.join(PROCESSES)}.")
    if tracker not in ("acts", "helix"):
        raise InputError(f"tracker is '{tracker}'; choose acts or helix.")
    generator = start(process_named(process), generator_seed(process, seed, 0))
    pool = minimum_bias(derive(1, "pileup of the trigger") % 1000) if pileup > 0 else None
    random = np.random.default_rng(derive(seed, process, "trigger"))
    parts, made = [], 0
    while made < count:
        batch = generator.nextBatch(min(BATCH, count - made))
        number = np.arange(made, made + len(batch))
        made += len(batch)
        particles = final_state(batch.prt, vertices=True)
        particles["collision"] = ak.zeros_like(particles["pid"])
        particles["z"] = particles["z"] + random.normal(0.0, 53.0, len(number))
        if pool is not None:
            mixed = derive(seed, process, "overlay")
            particles = overlay(particles, pool, pileup, event=number, seed=mixed)
        parts.append(
            of_batch(particles, batch, process, tracker, random, derive(seed, process, made))
        )
        if progress is not None:
            progress(made)
    return TriggerSeeds.joined(parts)


def of_batch(
    particles: ak.Array, batch: Any, process: str, tracker: str, random: np.random.Generator,
    seed: int,
) -> TriggerSeeds:  # fmt: skip
    """Return the seeds of one batch of events."""
    count = len(particles)
    counts = np.asarray(ak.num(particles))
    columns = {name: flat(particles[name]) for name in particles.fields}
    columns["event"] = np.repeat(np.arange(count), counts)
    em, had = towers(columns, count, random)
    event, row, column, pt = windows(em + had)
    eta = ((column + 0.5) * STEP - ETA).astype(np.float64)
    phi = (row + 0.5) * 2 * np.pi / AROUND - np.pi
    kept = charged_near(columns, event, phi)
    hits = (by_acts if tracker == "acts" else by_helices)(columns, kept, count, seed, random)
    label, true_pt = truth(batch.prt, process, event, eta, phi)
    empty = np.zeros(len(event) + 1, dtype=np.int64)
    none = np.zeros(0)
    weight = weights_of(batch) * (process == "trigger-qcd")
    seeds = TriggerSeeds(
        np.searchsorted(event, np.arange(count + 1)), pt, eta, phi, label, weight, true_pt,
        empty, none, none, none, none, empty, np.zeros(0, dtype=np.int64), none, none, none,
    )  # fmt: skip
    return around(seeds, em, had, row, column, hits)


def towers(
    columns: dict[str, NDArray[Any]], count: int, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return the transverse energy of towers, electromagnetic and hadronic, (N, 64, 50) [GeV]."""
    detector = Detector(field=FIELD)
    pt = np.hypot(columns["px"], columns["py"])
    eta, phi = detector.face(columns, pt, np.arcsinh(columns["pz"] / np.maximum(pt, 1e-9)))
    inside = np.abs(eta) < ETA
    wide = round(2 * ETA / STEP)
    row = ((phi[inside] + np.pi) / (2 * np.pi) * AROUND).astype(np.int64) % AROUND
    column = np.minimum(((eta[inside] + ETA) / STEP).astype(np.int64), wide - 1)
    place = (columns["event"][inside] * AROUND + row) * wide + column
    middle = (np.arange(wide) + 0.5) * STEP - ETA
    sums = []
    for calorimeter in (detector.ecal, detector.hcal):
        share = energy_share(columns["pid"][inside], calorimeter.name)
        left = columns["E"][inside] * share
        energy = np.bincount(place, left, count * AROUND * wide).astype(np.float64)
        at = np.tile(middle, count * AROUND)
        some = energy > 0
        seen = np.zeros(len(energy))
        sigma = calorimeter.resolution(energy[some], at[some])
        seen[some] = log_normal(energy[some], sigma, random) / np.cosh(at[some])
        sums.append(seen.reshape(count, AROUND, wide))
    return sums[0], sums[1]


def windows(energy: Floats) -> tuple[Ints, Ints, Ints, Floats]:
    """Return event, row, column and sum of the seeds in towers (N, 64, 50), by falling sum."""
    from scipy.ndimage import maximum_filter1d, uniform_filter1d

    loud = np.where(energy > TOWER, energy, 0.0)
    total = uniform_filter1d(loud, WINDOW, axis=1, mode="wrap") * WINDOW
    total = uniform_filter1d(total, WINDOW, axis=2, mode="constant") * WINDOW
    # Windows that hold the same towers have the same sum: the core says where the axis is.
    core = uniform_filter1d(loud, 3, axis=1, mode="wrap")
    core = uniform_filter1d(core, 3, axis=2, mode="constant")
    core += 1e-3 * loud  # of those around a single tower its own
    largest = maximum_filter1d(core, WINDOW, axis=1, mode="wrap")
    largest = maximum_filter1d(largest, WINDOW, axis=2, mode="constant")
    central = np.abs((np.arange(energy.shape[2]) + 0.5) * STEP - ETA) < CENTRAL
    event, row, column = np.nonzero((core == largest) & (total > LEAST) & central)
    pt = total[event, row, column]
    order = np.lexsort((-pt, event))
    order = order[np.arange(len(order)) - np.searchsorted(event[order], event[order]) < SEEDS]
    return event[order], row[order], column[order], pt[order]


def charged_near(columns: dict[str, NDArray[Any]], event: Ints, phi: Floats) -> NDArray[np.bool_]:
    """Return which particles may leave hits near a seed in azimuth, (P,)."""
    pt = np.hypot(columns["px"], columns["py"])
    slow = np.abs(columns["pz"]) < np.sinh(ETA) * pt
    may = (columns["charge"] != 0) & (pt > SOFT) & slow
    # Half a radian of a helix in the pixels, and the region itself.
    azimuth = np.arctan2(columns["py"], columns["px"])
    near = np.zeros(len(pt), dtype=bool)
    begin = np.searchsorted(event, columns["event"], "left")
    many = np.searchsorted(event, columns["event"], "right") - begin
    for place in range(SEEDS):
        there = many > place
        axis = phi[np.minimum(begin + place, max(len(phi) - 1, 0))] if len(phi) else azimuth
        near |= there & (np.abs(turned(azimuth - axis)) < CONE + 0.15)
    return may & near


def by_acts(
    columns: dict[str, NDArray[Any]], kept: NDArray[np.bool_], count: int, seed: int,
    random: np.random.Generator,
) -> tuple[Ints, Ints, Floats, Floats, Floats]:  # fmt: skip
    """Return event, layer, r, phi and z of the hits that ACTS' Fatras makes in the barrel."""
    radius = np.hypot(columns["x"], columns["y"])
    kept = kept & (radius < 1000.0) & (np.abs(columns["z"]) < 2900.0)
    event = columns["event"][kept]
    offsets = np.searchsorted(event, np.arange(count + 1))
    # ACTS' numbers of vertices and particles are its own.
    vertex = columns["collision"][kept].astype(np.int64) + 1
    places = {
        name: columns[name][kept].astype(np.float64) for name in ("px", "py", "pz", "x", "y", "z")
    }
    pid = columns["pid"][kept].astype(np.int64)
    hits = simulate(Beam(offsets, pid, **places, vertex=vertex), count, seed=seed).hits
    barrel = (hits.volume == BARREL) & (hits.layer <= 2 * LAYERS)
    return (
        hits.event[barrel], hits.layer[barrel] // 2 - 1, hits.r[barrel],
        np.arctan2(hits.y, hits.x)[barrel], hits.z[barrel],
    )  # fmt: skip


def by_helices(
    columns: dict[str, NDArray[Any]], kept: NDArray[np.bool_], count: int, seed: int,
    random: np.random.Generator,
) -> tuple[Ints, Ints, Floats, Floats, Floats]:  # fmt: skip
    """Return the same of helices through cylinders, without material."""
    x, y, z, px, py, pz, charge = (
        columns[name][kept].astype(np.float64)
        for name in ("x", "y", "z", "px", "py", "pz", "charge")
    )
    pt, event = np.hypot(px, py), columns["event"][kept]
    rows = []
    for i, layer in enumerate(PIXELS[:LAYERS]):
        where, turn = crossings(
            layer, x, y, z, np.arctan2(py, px), pz / pt, CURVATURE * FIELD * charge / pt
        )
        made = np.isfinite(turn) & (np.hypot(x, y) < layer.at)
        place = smeared(layer, where[made], random)
        rows.append(
            (event[made], np.full(int(made.sum()), i), np.hypot(place[:, 0], place[:, 1]),
             np.arctan2(place[:, 1], place[:, 0]), place[:, 2])
        )  # fmt: skip
    joined = [np.concatenate(column) for column in zip(*rows, strict=True)]
    order = np.argsort(joined[0], kind="stable")
    a, b, c, d, e = (column[order] for column in joined)
    return a, b, c, d, e


def around(
    seeds: TriggerSeeds, em: Floats, had: Floats, row: Ints, column: Ints,
    hits: tuple[Ints, Ints, Floats, Floats, Floats],
) -> TriggerSeeds:  # fmt: skip
    """Return seeds with the towers and the hits around them."""
    half, wide = round(SIDE / STEP), em.shape[2]
    steps = np.arange(-half, half + 1)
    rows = (row[:, None, None] + steps[:, None]) % AROUND
    columns = column[:, None, None] + steps
    inside = np.broadcast_to((columns >= 0) & (columns < wide), (len(row), len(steps), len(steps)))
    at = seeds.event[:, None, None], rows, np.clip(columns, 0, wide - 1)
    first, second = em[at] * inside, had[at] * inside
    seed, i, j = np.nonzero(first + second > TOWER)
    tower_ends = np.searchsorted(seed, np.arange(len(row) + 1))
    event, layer, r, phi, z = hits
    begin = np.searchsorted(event, seeds.event, "left")
    size = np.searchsorted(event, seeds.event, "right") - begin
    of = np.repeat(np.arange(len(row)), size)
    hit = np.arange(len(of)) - np.repeat(np.cumsum(size) - size - begin, size)
    dphi = turned(phi[hit] - seeds.phi[of])
    edges = np.sinh(seeds.eta[of, None] + np.array([-CONE, CONE])) * r[hit, None]
    near = (np.abs(dphi) < CONE) & (z[hit] > edges[:, 0] - 160) & (z[hit] < edges[:, 1] + 160)
    of, hit, dphi = of[near], hit[near], dphi[near]
    return replace(
        seeds,
        tower_offsets=tower_ends,
        tower_deta=(steps[j] * STEP).astype(np.float64),
        tower_dphi=steps[i] * 2 * np.pi / AROUND,
        tower_em=first[seed, i, j],
        tower_had=second[seed, i, j],
        hit_offsets=np.searchsorted(of, np.arange(len(row) + 1)),
        hit_layer=layer[hit],
        hit_r=r[hit],
        hit_dphi=dphi,
        hit_z=z[hit],
    )


def truth(
    record: ak.Array, process: str, event: Ints, eta: Floats, phi: Floats
) -> tuple[Ints, Floats]:
    """Return the class of each seed (S,), and the pT of the leading true quark or W, (N,)."""
    code, status, momentum = flattened(record)
    pid, pt = np.abs(code), np.hypot(momentum[0], momentum[1])
    axes = Directions(event, eta, phi)
    kinds = {
        "b": open_flavour(pid, 5),
        "boosted": (pid == 6) & (status == 62),
        "W": (pid == 24) & (status == 62),
    }
    near = {
        name: axes.count_near(directions(record, chosen & (pt > HARD[name]), momentum), NEAR[name])
        for name, chosen in kinds.items()
    }
    label = np.full(len(event), 0 if process == "trigger-qcd" else -1)
    label[near["b"] > 0] = CLASSES.index("b")
    # Of a top quark the b is a part.
    label[near["boosted"] > 0] = CLASSES.index("boosted")
    # The recoil of a W may be a b.
    if process in ("trigger-top", "trigger-w"):
        label[label == CLASSES.index("b")] = -1
    if process == "trigger-w":
        label[near["W"] > 0] = CLASSES.index("W")
    heavy = PROCESSES[process]
    quarks = kinds[heavy] if heavy in ("boosted", "W") else (pid == 5) & (status == 23)
    central = np.abs(momentum[2]) < np.sinh(ACCEPTED) * pt
    of = np.repeat(np.arange(len(record)), np.asarray(ak.num(record)))
    true = np.zeros(len(record))
    np.maximum.at(true, of[quarks & central], pt[quarks & central])
    return label, np.where(true > 0, true, np.nan)


def weights_of(batch: Any) -> Floats:
    """Return Pythia's weights of events, (N,)."""
    weights = np.asarray(ak.to_numpy(ak.firsts(batch.info.weights)), dtype=np.float64)
    return weights
