"""Files of calorimeter hits: Parquet, an event a row, lists of cells and of true particles.

Columns, in the manner of ColliderML's calorimeter hits:

- `x`, `y`, `z` [mm] and `energy` [GeV] (or `total_energy`) of each hit of an event;
- `contrib_particle_ids` and `contrib_energies` [GeV]: lists in each hit, what particles left there;
- `particle_id`, `particle_energy` [GeV] and `particle_pdg` of each particle of the event.

The last five are the truth, and may be absent, as may `time` [ps] of each hit, NaN of one without
(`CalorimeterHits`). `track_x`, `track_y` [mm] and `track_p` [GeV], a
number an event, are where its one track enters the calorimeter, and its momentum; `mass` [GeV] is
that of the particles of the event together. `cluster` of each hit and `cluster_energy`,
`cluster_x`, `cluster_y`, `cluster_z` of each cluster are what a method adds.
"""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import CalorimeterHits, Clusters, offsets_of
from colliderkit.files import existing_file
from colliderkit.sources.files.columns import missing, readable
from colliderkit.sources.files.formats import Paths, paths_of
from colliderkit.sources.files.jets import write

__all__ = ["hit_columns", "read_hits", "read_masses", "read_tracks", "track_columns", "write_hits"]

PLACE = ("x", "y", "z")
ENERGY = ("energy", "total_energy")
TRUTH = ("contrib_particle_ids", "contrib_energies", "particle_id")
TRACK = ("track_x", "track_y", "track_p")
MASS = "mass"
TIME = "time"
EXCESS = 1e-3  # relative, of what particles left over what a cell reads: rounding


def read_hits(path: Paths) -> CalorimeterHits:
    """Read the hits of all events, with their truth where all files have it.

    Raises `InputError` for a file that is damaged or has not the columns, contributions of
    particles that do not exist or that sum to more than their hit, and as
    `CalorimeterHits.checked` does.
    """
    files = paths_of(path)
    parts = [_read(existing_file(file)) for file in files]
    known = [len(part.particle_offsets) > 1 and part.known for part in parts]
    if any(known) and not all(known):
        raise InputError(
            f"{files[known.index(False)]}: has no true particles, which {files[known.index(True)]}"
            " has; read them apart."
        )
    timed = [part.time is not None for part in parts]
    if any(timed) and not all(timed):
        raise InputError(
            f"{files[timed.index(False)]}: has no times, which {files[timed.index(True)]} has; read"
            " them apart."
        )
    return CalorimeterHits.joined(parts)


def _read(path: Path) -> CalorimeterHits:
    if path.suffix.lower() not in (".parquet", ".pq"):
        raise InputError(f"{path}: hits of a calorimeter are read from .parquet files.")
    with readable(path, "Parquet"):
        table = ak.from_parquet(path)
    energy = next((name for name in ENERGY if name in table.fields), ENERGY[0])
    for name in (*PLACE, energy):
        if name not in table.fields:
            raise missing(path, name, dict.fromkeys(table.fields))
    lists = {name: _lists(path, name, table[name], 2) for name in (*PLACE, energy)}
    counts = ak.to_numpy(ak.num(lists[energy])).astype(np.int64)
    for name in PLACE:
        if not np.array_equal(ak.to_numpy(ak.num(lists[name])), counts):
            raise InputError(f"{path}: '{name}' and '{energy}' differ in their numbers of hits.")
    position = np.stack([_flat(lists[name]) for name in PLACE], axis=1)
    given: dict[str, Any] = {"offsets": offsets_of(counts), "position": position}
    given["energy"] = _flat(lists[energy])
    if TIME in table.fields:
        times = _lists(path, TIME, ak.fill_none(table[TIME], np.nan, axis=1), 2)
        if not np.array_equal(ak.to_numpy(ak.num(times)), counts):
            raise InputError(f"{path}: '{TIME}' and '{energy}' differ in their numbers of hits.")
        given["time"] = _flat(times)
    present = [name for name in TRUTH if name in table.fields]
    if present and len(present) < len(TRUTH):
        absent = next(name for name in TRUTH if name not in present)
        raise InputError(
            f"{path}: has '{present[0]}' and no '{absent}'; the truth is in"
            f" {', '.join(TRUTH)}, give all or none."
        )
    if present:
        given |= _truth(path, table, counts, given["energy"])
    return CalorimeterHits.checked(**given, what=str(path))


def _truth(
    path: Path, table: ak.Array, counts: NDArray[np.int64], energy: NDArray[np.float64]
) -> dict[str, Any]:
    """Return the truth of a file as the arguments of `CalorimeterHits.checked`."""
    ids = _lists(path, "contrib_particle_ids", table["contrib_particle_ids"], 3)
    left = _lists(path, "contrib_energies", table["contrib_energies"], 3)
    each = ak.num(ids, axis=2)
    same = all(ak.to_list(ak.num(lists)) == counts.tolist() for lists in (ids, left))
    if not same or not bool(ak.all(each == ak.num(left, axis=2), axis=None)):
        raise InputError(f"{path}: its contributions do not fit its hits, one list a hit each.")
    own = _lists(path, "particle_id", table["particle_id"], 2)
    particles = ak.to_numpy(ak.num(own)).astype(np.int64)
    named, wanted = _flat(own, np.int64), _flat(ak.flatten(ids, axis=2), np.int64)
    hit = np.repeat(np.arange(counts.sum()), ak.to_numpy(ak.flatten(each)))
    event = np.repeat(np.arange(len(counts)), counts)[hit]
    ends = offsets_of(particles)
    owner = np.repeat(np.arange(len(particles)), particles)
    # Of each (event, id) the place among all particles: a search in the sorted pairs.
    order = np.lexsort((named, owner))
    keys = np.stack([owner[order], named[order]], axis=1)
    if len(np.unique(keys, axis=0)) < len(keys):
        twice = int(np.argmax((np.diff(keys, axis=0) == 0).all(1)))
        raise InputError(
            f"{path}: event {keys[twice, 0]} (counted from 0) has the particle_id"
            f" {keys[twice, 1]} twice; keep one."
        )
    pairs, inverse = np.unique(
        np.concatenate([keys, np.stack([event, wanted], axis=1)]), axis=0, return_inverse=True
    )
    place = np.full(len(pairs), -1)
    inverse = inverse.reshape(-1)
    place[inverse[: len(keys)]] = order
    particle = place[inverse[len(keys) :]]
    if (particle < 0).any():
        bad = int(np.argmax(particle < 0))
        raise InputError(
            f"{path}: event {event[bad]} (counted from 0) has a contribution of particle"
            f" {wanted[bad]}, and no such particle_id; add it, or leave the contribution out."
        )
    amount = _flat(ak.flatten(left, axis=2))
    sums = np.bincount(hit, amount, len(energy))
    over = (sums > (1 + EXCESS) * energy) & (energy > 0)  # others are refused by their energy
    if over.any():
        bad = int(np.argmax(over))
        raise InputError(
            f"{path}: the contributions to a hit sum to {sums[bad]:g} GeV and its energy is"
            f" {energy[bad]:g} GeV; give both on the scale of the hit."
        )
    some = amount != 0
    given = {
        "particle_offsets": ends,
        "share_hit": hit[some],
        "share_particle": particle[some],
        "share_energy": amount[some],
        "particle_energy": np.full(len(named), np.nan),
    }
    for name, column in {"particle_energy": "particle_energy", "pdg": "particle_pdg"}.items():
        if column in table.fields:
            values = _lists(path, column, table[column], 2)
            if not np.array_equal(ak.to_numpy(ak.num(values)), particles):
                raise InputError(f"{path}: '{column}' and 'particle_id' differ in their numbers.")
            given[name] = _flat(values)
    return given


def hit_columns(hits: CalorimeterHits, clusters: Clusters | None = None) -> dict[str, ak.Array]:
    """Return the columns of hits, an event a row, with their truth and clusters where given."""
    counts = hits.counts
    columns = {name: _row(hits.position[:, i], counts) for i, name in enumerate(PLACE)}
    columns["energy"] = _row(hits.energy, counts)
    if hits.time is not None:
        columns[TIME] = _row(hits.time, counts)
    if hits.known:
        particles = np.diff(hits.particle_offsets)
        event = hits.event[hits.share_hit]
        number = hits.share_particle - hits.particle_offsets[event]
        shares = np.bincount(hits.share_hit, minlength=len(hits.energy))
        for name, values in (("particle_ids", number), ("energies", hits.share_energy)):
            columns[f"contrib_{name}"] = ak.unflatten(ak.unflatten(values, shares), counts)
        columns["particle_id"] = _row(
            np.arange(len(hits.pdg)) - hits.particle_offsets[hits.particle_event], particles
        )
        columns["particle_energy"] = _row(hits.particle_energy, particles)
        columns["particle_pdg"] = _row(hits.pdg, particles)
    if clusters is not None:
        found = np.diff(clusters.offsets)
        columns["cluster"] = _row(clusters.label, counts)
        columns["cluster_energy"] = _row(clusters.energy, found)
        for i, name in enumerate(PLACE):
            columns[f"cluster_{name}"] = _row(clusters.position[:, i], found)
    return columns


def write_hits(
    path: str | Path,
    hits: CalorimeterHits,
    clusters: Clusters | None = None,
    *,
    force: bool = False,
) -> Path:
    """Write hits, with their truth and clusters where there are any, and return the path."""
    path = Path(path)
    if path.suffix.lower() not in (".parquet", ".pq"):
        raise InputError(f"{path}: hits of a calorimeter are written as .parquet.")
    write(path, hit_columns(hits, clusters), force=force)
    return path


def read_tracks(path: Paths) -> NDArray[np.float64]:
    """Read the track of each event, (E, 3): x and y [mm] where it enters, momentum [GeV].

    Raises `InputError` for a file without the columns `track_x`, `track_y` and `track_p`.
    """
    parts = []
    for file in paths_of(path):
        with readable(existing_file(file), "Parquet"):
            table = ak.from_parquet(file)
        for name in TRACK:
            if name not in table.fields:
                raise missing(file, name, dict.fromkeys(table.fields))
            if table[name].ndim != 1:
                raise InputError(f"{file}: column '{name}' is not one number an event.")
        parts.append(np.stack([ak.to_numpy(table[name]).astype(np.float64) for name in TRACK], 1))
    return np.concatenate(parts)


def read_masses(path: Paths) -> NDArray[np.float64]:
    """Read `mass` [GeV] of the particles of each event together, (E,); NaN where it is not known.

    A file may be without, or have null. Raises `InputError` where it is not one number an event.
    """
    parts = []
    for file in paths_of(path):
        with readable(existing_file(file), "Parquet"):
            table = ak.from_parquet(file)
        if MASS not in table.fields:
            parts.append(np.full(len(table), np.nan))
            continue
        if table[MASS].ndim != 1:
            raise InputError(f"{file}: column '{MASS}' is not one number an event.")
        parts.append(ak.to_numpy(ak.fill_none(table[MASS], np.nan)).astype(np.float64))
    return np.concatenate(parts)


def track_columns(track: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return the columns of tracks (E, 3), as `read_tracks` reads them."""
    return dict(zip(TRACK, np.asarray(track).T, strict=True))


def _row(values: NDArray[Any], counts: NDArray[np.int64]) -> ak.Array:
    return ak.unflatten(values, counts)


def _lists(path: Path, name: str, column: ak.Array, depth: int) -> ak.Array:
    """Return a column if it is lists of numbers as deep as it should be."""
    # Nulls of a row are left out; where another column has none there, the numbers differ.
    for axis in range(1, column.ndim):
        column = ak.drop_none(column, axis=axis)
    if column.ndim != depth:
        word = "a list of lists" if depth == 3 else "a list"
        raise InputError(f"{path}: column '{name}' is not {word} of numbers in each event.")
    return column


def _flat(column: ak.Array, kind: Any = np.float64) -> NDArray[Any]:
    return ak.to_numpy(ak.flatten(column, axis=None)).astype(kind)
