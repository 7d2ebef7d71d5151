"""Files of events for particle flow: Parquet, an event a row, lists of tracks, clusters, particles.

- `track_pt` [GeV], `track_eta`, `track_phi`, `track_error` (relative, of pT), `track_face_eta`,
  `track_face_phi` (where it enters the calorimeter), `track_kind`;
- `cluster_energy` [GeV], `cluster_eta`, `cluster_phi`, `cluster_hadronic` (0 or 1),
  `cluster_first`, `cluster_middle`, `cluster_last` (shares of layers), `cluster_width`,
  `cluster_cells`;
- `tower_eta`, `tower_phi`, `tower_electromagnetic`, `tower_hadronic` [GeV], which energy flow alone
  reads and which may be absent;
- the truth, which may be absent: `particle_pt`, `particle_eta`, `particle_phi`, `particle_kind`,
  `track_particle` (the place of its particle in the event, -1 of none) and, lists in each cluster,
  `cluster_particles` and `cluster_particle_energies` [GeV].

Kinds are 0 charged hadron, 1 photon, 2 neutral hadron, 3 electron, 4 muon. COCOA's ROOT files are
read too (`sources.files.cocoa`). What a method finds is
`flow_pt`, `flow_eta`, `flow_phi`, `flow_kind`.
"""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.particle_flow import (
    KINDS,
    Clusters,
    FlowEvents,
    FlowParticles,
    Incidence,
    Towers,
    Tracks,
    event_of,
    offsets_of,
)
from colliderkit.files import existing_file
from colliderkit.sources.files.cocoa import read_cocoa
from colliderkit.sources.files.columns import missing, readable
from colliderkit.sources.files.formats import Paths, paths_of
from colliderkit.sources.files.jets import write

__all__ = ["flow_columns", "read_flow", "write_flow"]

TRACK = ("pt", "eta", "phi", "error", "face_eta", "face_phi", "kind")
LAYERS = ("first", "middle", "last")
CLUSTER = ("energy", "eta", "phi", "hadronic", *LAYERS, "width", "cells")
TOWER = ("eta", "phi", "electromagnetic", "hadronic")
PARTICLE = ("pt", "eta", "phi", "kind")
TRUTH = (
    *(f"particle_{name}" for name in PARTICLE),
    *("track_particle", "cluster_particles", "cluster_particle_energies"),
)
WHOLE = ("kind", "cells")  # and hadronic of clusters


def read_flow(path: Paths) -> FlowEvents:
    """Read the tracks, clusters and towers of all events, with their truth where all files have it.

    Raises `InputError` for a file that is damaged or has not the columns, lists of different
    lengths, kinds that are none, a part of the truth without the rest, and as `FlowEvents.check`.
    """
    files = paths_of(path)
    parts = [_read(existing_file(file)) for file in files]
    known = [part.particles is not None for part in parts]
    if any(known) and not all(known):
        raise InputError(
            f"{files[known.index(False)]}: has no true particles, which {files[known.index(True)]}"
            " has; read them apart."
        )
    return FlowEvents.joined(parts)


def _read(path: Path) -> FlowEvents:
    if path.suffix.lower() == ".root":
        return read_cocoa(path)
    if path.suffix.lower() not in (".parquet", ".pq"):
        raise InputError(
            f"{path}: events for particle flow are read from .parquet files, or COCOA's .root."
        )
    with readable(path, "Parquet"):
        table = ak.from_parquet(path)
    track, tracks = _table(path, table, "track", TRACK)
    cluster, clusters = _table(path, table, "cluster", CLUSTER)
    hadronic = cluster.pop("hadronic").astype(np.int64)
    layers = np.stack([cluster.pop(name) for name in LAYERS], axis=1)
    if f"tower_{TOWER[0]}" in table.fields:
        tower, towers = _table(path, table, "tower", TOWER)
    else:
        tower, towers = {name: np.zeros(0) for name in TOWER}, np.zeros(len(table) + 1, np.int64)
    present = [name for name in TRUTH if name in table.fields]
    particles = incidence = None
    if present:
        if len(present) < len(TRUTH):
            absent = next(name for name in TRUTH if name not in present)
            raise InputError(
                f"{path}: has '{present[0]}' and no '{absent}'; the truth needs"
                f" {', '.join(TRUTH)}, or none of them."
            )
        particle, ends = _table(path, table, "particle", PARTICLE)
        particles = FlowParticles(ends, **particle)
        incidence = _incidence(path, table, particles, tracks, clusters)
    events = FlowEvents(
        Tracks(tracks, **track),
        Clusters(clusters, hadronic=hadronic, layers=layers, **cluster),
        Towers(towers, **tower),
        particles,
        incidence,
    )
    return events.check(str(path))


def _table(
    path: Path, table: ak.Array, prefix: str, names: tuple[str, ...]
) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """Return the columns of one list of rows by name, and where each event begins."""
    columns: dict[str, Any] = {}
    counts: NDArray[np.int64] | None = None
    for name in names:
        full = f"{prefix}_{name}"
        values, number = _list(path, table, full)
        if counts is not None and not np.array_equal(counts, number):
            raise InputError(
                f"{path}: '{full}' and '{prefix}_{names[0]}' differ in their numbers of rows."
            )
        counts = number
        columns[name] = values.astype(np.int64) if name in WHOLE else values
    if "kind" in columns and not np.isin(columns["kind"], range(len(KINDS))).all():
        raise InputError(
            f"{path}: '{prefix}_kind' is none of 0 to {len(KINDS) - 1} ({', '.join(KINDS)})."
        )
    return columns, offsets_of(counts if counts is not None else 0)


def _list(path: Path, table: ak.Array, name: str) -> tuple[Any, NDArray[np.int64]]:
    if name not in table.fields:
        raise missing(path, name, dict.fromkeys(table.fields))
    column = table[name]
    if column.ndim != 2:
        raise InputError(f"{path}: column '{name}' is not a list of numbers in each event.")
    column = ak.drop_none(column, axis=1)
    values = np.asarray(ak.to_numpy(ak.flatten(column)), dtype=np.float64)
    return values, np.asarray(ak.to_numpy(ak.num(column)), dtype=np.int64)


def _incidence(
    path: Path,
    table: ak.Array,
    particles: FlowParticles,
    tracks: NDArray[np.int64],
    clusters: NDArray[np.int64],
) -> Incidence:
    owner, counts = _list(path, table, "track_particle")
    if not np.array_equal(counts, np.diff(tracks)):
        raise InputError(f"{path}: 'track_particle' and 'track_pt' differ in their lengths.")
    owner = owner.astype(np.int64)
    lists = []
    for name in ("cluster_particles", "cluster_particle_energies"):
        if table[name].ndim != 3:
            raise InputError(f"{path}: column '{name}' is not a list in each cluster.")
        lists.append(table[name])
    sizes = [ak.to_numpy(ak.flatten(ak.num(each, axis=2))).astype(np.int64) for each in lists]
    if not (np.array_equal(*sizes) and len(sizes[0]) == clusters[-1]):
        raise InputError(f"{path}: the shares of clusters differ in their lengths.")
    number, energy = (ak.to_numpy(ak.flatten(each, axis=None)) for each in lists)
    cluster = np.repeat(np.arange(len(sizes[0])), sizes[0])
    begin = particles.offsets[event_of(clusters)[cluster]]
    outside = particles.counts[event_of(clusters)[cluster]] <= number
    outside |= np.asarray(number) < 0
    if outside.any():
        raise InputError(f"{path}: 'cluster_particles' names a particle that its event lacks.")
    if (owner >= particles.counts[event_of(tracks)]).any() or (owner < -1).any():
        raise InputError(f"{path}: 'track_particle' names a particle that its event lacks.")
    first = particles.offsets[event_of(tracks)]
    return Incidence(
        np.where(owner >= 0, owner + first, -1),
        cluster,
        np.asarray(number, dtype=np.int64) + begin,
        np.asarray(energy, dtype=np.float64),
    )


def flow_columns(events: FlowEvents, found: FlowParticles | None = None) -> dict[str, ak.Array]:
    """Return the columns of events, an event a row, with what was found where given."""
    columns: dict[str, ak.Array] = {}

    def add(prefix: str, names: tuple[str, ...], table: Any) -> None:
        counts = np.diff(table.offsets)
        for name in names:
            values = table.layers[:, LAYERS.index(name)] if name in LAYERS else getattr(table, name)
            columns[f"{prefix}_{name}"] = ak.unflatten(values, counts)

    add("track", TRACK, events.tracks)
    add("cluster", CLUSTER, events.clusters)
    if len(events.towers.eta):
        add("tower", TOWER, events.towers)
    if events.particles is not None and events.incidence is not None:
        particles, incidence = events.truth
        add("particle", PARTICLE, particles)
        first = particles.offsets[events.track_event]
        own = np.where(incidence.track >= 0, incidence.track - first, -1)
        counts = np.diff(events.tracks.offsets)
        columns["track_particle"] = ak.unflatten(own, counts)
        begin = particles.offsets[events.cluster_event[incidence.cluster]]
        shares = np.bincount(incidence.cluster, minlength=len(events.clusters.energy))
        counts = np.diff(events.clusters.offsets)
        for name, values in (
            ("cluster_particles", incidence.particle - begin),
            ("cluster_particle_energies", incidence.energy),
        ):
            columns[name] = ak.unflatten(ak.unflatten(values, shares), counts)
    if found is not None:
        add("flow", PARTICLE, found)
    return columns


def write_flow(
    path: str | Path,
    events: FlowEvents,
    found: FlowParticles | None = None,
    *,
    force: bool = False,
) -> Path:
    """Write events, with their truth and what was found where there is any; return the path."""
    path = Path(path)
    if path.suffix.lower() not in (".parquet", ".pq"):
        raise InputError(f"{path}: events for particle flow are written as .parquet.")
    write(path, flow_columns(events, found), force=force)
    return path
