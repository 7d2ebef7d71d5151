"""Read COCOA's ROOT files (2303.02101): cells in topoclusters, tracks and particles.

An event is an entry of `Out_Tree` (`Low_Tree` beside a finer calorimeter), energies are in MeV and
lengths in mm, as Geant4 has them:

- `cell_e`, `cell_eta`, `cell_phi`, `cell_layer`, `cell_topo_idx` (from 1 on), and the truth
  `cell_parent_list`, `cell_parent_energy` of all particles with more than 1% of the cell;
- `track_qoverp`, `track_theta`, `track_phi`, `track_parent_idx`, and `track_x_layer_0`, ..., where
  the track enters the calorimeter; `track_reconstructed` and `track_in_acceptance` choose them;
- `particle_pdgid`, `particle_pt`, `particle_eta`, `particle_phi`.
"""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
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
    offsets_of,
    turned,
)
from colliderkit.sources.files.columns import missing, readable

__all__ = ["TREES", "read_cocoa"]

TREES = ("Out_Tree", "Low_Tree")
CELL = ("e", "eta", "phi", "layer", "topo_idx")
SHARES = ("cell_parent_list", "cell_parent_energy")
TRACK = ("qoverp", "theta", "phi", "x_layer_0", "y_layer_0", "z_layer_0")
PARTICLE = ("pdgid", "pt", "eta", "phi")
ELECTROMAGNETIC = 3  # layers, of which a section keeps the shares of three
NEUTRINOS = (12, 14, 16)
CHARGELESS = (130, 310, 311, 2112, 3122, 3212, 3322)  # PDG numbers of neutral hadrons
GEV = 1e-3  # MeV
TOWER = 0.1  # side in eta and phi
UNKNOWN = 0.01  # relative error of pT, which the files do not say


def read_cocoa(path: Path) -> FlowEvents:
    """Read the tracks, topoclusters and towers of all events, with the truth where it is there.

    A topocluster is split into its electromagnetic and its hadronic part, and a part without
    energy is left out: noise may make it so. Particles are those that a detector sees. Energies
    are as COCOA calibrates cells. Raises `InputError` for a file without such a tree or with a
    column missing, and as `FlowEvents.check` does.
    """
    import uproot

    with readable(path, "ROOT"):
        file = uproot.open(path)
        names = [name for name in TREES if name in file]
        if not names:
            raise InputError(
                f"{path}: has no tree {' or '.join(TREES)}, where COCOA writes events."
            )
        tree = file[names[0]]
        known = set(tree.keys(recursive=False))
        wanted = [*(f"cell_{name}" for name in CELL), *(f"track_{name}" for name in TRACK)]
        truth = [*SHARES, "track_parent_idx", *(f"particle_{name}" for name in PARTICLE)]
        there = [name for name in truth if name in known]
        if there and len(there) < len(truth):
            absent = next(name for name in truth if name not in known)
            raise missing(
                path, absent, sorted(known), f"as the file has '{there[0]}', of the truth"
            )
        flags = [f"track_{n}" for n in ("reconstructed", "in_acceptance") if f"track_{n}" in known]
        for name in wanted:
            if name not in known:
                raise missing(path, name, sorted(known))
        columns = tree.arrays([*wanted, *there, *flags])
    for name in [*wanted, *(f"particle_{name}" for name in PARTICLE if there)]:
        wrong = ~np.isfinite(_flat(columns, name))
        if wrong.any():
            event = _event(columns, name)[int(np.argmax(wrong))]
            raise InputError(
                f"{path}: {name} is not finite in event {event} (counted from 0); mend it or drop"
                " the event."
            )
    columns["cell_layer"] = _layers(path, columns["cell_layer"])
    tracks, kept = _tracks(columns, flags)
    clusters, cell = _clusters(columns)
    particles = incidence = None
    if there:
        particles, place = _particles(columns)
        incidence = _incidence(path, columns, kept, cell, place)
    return FlowEvents(tracks, clusters, _towers(columns), particles, incidence).check(str(path))


def _layers(path: Path, layer: ak.Array) -> ak.Array:
    """Return layers counted from 0: three electromagnetic ones, and three hadronic."""
    seen = np.unique(ak.to_numpy(ak.flatten(layer)))
    first = 1 if len(seen) and seen[-1] == 2 * ELECTROMAGNETIC else 0
    if len(seen) and not (first <= seen[0] and seen[-1] < first + 2 * ELECTROMAGNETIC):
        raise InputError(
            f"{path}: cell_layer goes from {seen[0]} to {seen[-1]}, and COCOA's calorimeter has"
            " three electromagnetic and three hadronic layers, from 0 to 5; merge layers."
        )
    return layer - first


def _flat(columns: ak.Array, name: str) -> NDArray[Any]:
    return np.asarray(ak.to_numpy(ak.flatten(columns[name])), dtype=np.float64)


def _event(columns: ak.Array, name: str) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(columns)), ak.to_numpy(ak.num(columns[name])))


def _tracks(columns: ak.Array, flags: list[str]) -> tuple[Tracks, NDArray[np.bool_]]:
    """Return the tracks that were reconstructed, and which of the file's they are."""
    event = _event(columns, "track_qoverp")
    curvature, theta, phi, x, y, z = (_flat(columns, f"track_{name}") for name in TRACK)
    kept = curvature != 0
    for flag in flags:
        kept &= _flat(columns, flag) > 0
    pt = GEV * np.sin(theta[kept]) / np.abs(curvature[kept])
    around = np.hypot(x, y)[kept]
    return Tracks(
        offsets_of(np.bincount(event[kept], minlength=len(columns))),
        pt=pt,
        eta=-np.log(np.tan(theta[kept] / 2)),
        phi=turned(phi[kept]),
        error=np.full(len(pt), UNKNOWN),
        face_eta=np.arcsinh(z[kept] / np.where(around > 0, around, 1.0)),
        face_phi=np.arctan2(y[kept], x[kept]),
        kind=np.full(len(pt), CHARGED),
    ), kept


def _clusters(columns: ak.Array) -> tuple[Clusters, NDArray[np.int64]]:
    """Return clusters, and the one of each cell of the file, -1 of none."""
    energy, eta, phi, layer, label = (_flat(columns, f"cell_{name}") for name in CELL)
    hadronic = (layer >= ELECTROMAGNETIC).astype(np.int64)
    keys = np.stack([_event(columns, "cell_e"), label.astype(np.int64), hadronic], axis=1)
    keys[label < 1] = -1
    found, cell = np.unique(keys, axis=0, return_inverse=True)
    cell = cell.ravel()
    size = len(found)
    total = np.bincount(cell, energy, size)
    good = (total > 0) & (found[:, 0] >= 0)
    # Places are weighted by energies, which noise may make negative.
    weight = np.maximum(energy, 0)
    sums = np.maximum(np.bincount(cell, weight, size), 1e-30)
    middle = np.bincount(cell, weight * eta, size) / sums
    around = np.arctan2(
        np.bincount(cell, weight * np.sin(phi), size), np.bincount(cell, weight * np.cos(phi), size)
    )
    off = (eta - middle[cell]) ** 2 + turned(phi - around[cell]) ** 2
    within = (layer.astype(np.int64) - ELECTROMAGNETIC * hadronic).clip(0, 2)
    layers = np.bincount(3 * cell + within, weight, 3 * size).reshape(size, 3) / sums[:, None]
    clusters = Clusters(
        offsets_of(np.bincount(found[good, 0], minlength=len(columns))),
        energy=np.asarray(GEV * total[good], dtype=np.float64),
        eta=middle[good],
        phi=around[good],
        hadronic=found[good, 2],
        layers=layers[good],
        width=np.sqrt(np.bincount(cell, weight * off, size) / sums)[good],
        cells=np.bincount(cell, minlength=size)[good],
    )
    number = np.where(good, np.cumsum(good) - 1, -1)
    return clusters, number[cell]


def _towers(columns: ak.Array) -> Towers:
    energy, eta, phi, layer, _ = (_flat(columns, f"cell_{name}") for name in CELL)
    squares = [np.floor(each / TOWER).astype(np.int64) for each in (eta, turned(phi))]
    keys = np.stack([_event(columns, "cell_e"), *squares], axis=1)
    found, tower = np.unique(keys, axis=0, return_inverse=True)
    hadronic = layer >= ELECTROMAGNETIC
    sections = [
        GEV * np.bincount(tower.ravel(), np.where(hadronic == which, energy, 0), len(found))
        for which in (False, True)
    ]
    return Towers(
        offsets_of(np.bincount(found[:, 0], minlength=len(columns))),
        *(TOWER * (found[:, i] + 0.5) for i in (1, 2)),
        *sections,
    )


def _particles(columns: ak.Array) -> tuple[FlowParticles, NDArray[np.int64]]:
    """Return visible particles, and for each of the file's its place among them, -1 of none."""
    event = _event(columns, "particle_pt")
    number, pt, eta, phi = (_flat(columns, f"particle_{name}") for name in PARTICLE)
    number = np.abs(number.astype(np.int64))
    kind = np.full(len(number), CHARGED)
    for which, codes in ((PHOTON, (22,)), (NEUTRAL, CHARGELESS), (ELECTRON, (11,)), (MUON, (13,))):
        kind[np.isin(number, codes)] = which
    seen = ~np.isin(number, NEUTRINOS) & (pt > 0)
    place = np.full(len(number), -1)
    particles = FlowParticles.of(
        event[seen], len(columns), pt=GEV * pt[seen], eta=eta[seen], phi=turned(phi[seen]),
        kind=kind[seen],
    )  # fmt: skip
    # `of` sorts by event and falling pT.
    place[np.flatnonzero(seen)[np.lexsort((-pt[seen], event[seen]))]] = np.arange(seen.sum())
    return particles, place


def _incidence(
    path: Path,
    columns: ak.Array,
    kept: NDArray[np.bool_],
    cell: NDArray[np.int64],
    place: NDArray[np.int64],
) -> Incidence:
    """Return who made the kept tracks, and the sums of shares over the cells of each cluster."""
    counts = ak.to_numpy(ak.num(columns["particle_pt"]))
    begins = offsets_of(counts)

    def particle(event: NDArray[np.int64], number: NDArray[np.int64], name: str) -> Any:
        wrong = (number < -1) | (number >= counts[event])
        if wrong.any():
            bad = int(np.argmax(wrong))
            raise InputError(
                f"{path}: {name} names particle {number[bad]} in event {event[bad]} (counted from"
                f" 0), which has {counts[event[bad]]}; write the file again."
            )
        known = np.append(place, -1)
        return known[np.where(number >= 0, begins[event] + number, -1)]

    event = _event(columns, "track_parent_idx")
    owner = particle(event, _flat(columns, "track_parent_idx").astype(np.int64), "track_parent_idx")
    lists = [ak.flatten(columns[name]) for name in SHARES]
    sizes = [ak.to_numpy(ak.num(each)) for each in lists]
    if not np.array_equal(*sizes) or len(sizes[0]) != len(cell):
        raise InputError(f"{path}: {' and '.join(SHARES)} differ in their lengths.")
    number, energy = (ak.to_numpy(ak.flatten(each)) for each in lists)
    event = np.repeat(_event(columns, "cell_e"), sizes[0])
    parent = particle(event, np.asarray(number, dtype=np.int64), SHARES[0])
    cluster = np.repeat(cell, sizes[0])
    good = (cluster >= 0) & (parent >= 0) & (energy > 0)
    pairs = np.stack([cluster[good], parent[good]], axis=1)
    found, which = np.unique(pairs, axis=0, return_inverse=True)
    total = np.bincount(which.ravel(), energy[good], len(found))
    return Incidence(owner[kept], found[:, 0], found[:, 1], np.asarray(GEV * total, np.float64))
