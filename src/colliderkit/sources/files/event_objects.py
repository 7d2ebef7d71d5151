"""Files of whole events for object detection: Parquet, an event a row, lists of towers and objects.

Columns: lists `tower_eta`, `tower_phi` [rad], `tower_em`, `tower_had` and `tower_track` [GeV,
transverse]; `tower_track` may be absent (0), and a list of particles does as well as one of towers.
True objects, which may be absent: `object_pt`, `object_mass` [GeV], `object_eta`, `object_phi`,
`object_kind` (0 jet, 1 W, 2 top).
"""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import offsets_of
from colliderkit.events.event_objects import CHANNELS, KINDS, EventObjects, EventTowers
from colliderkit.events.tables import Floats
from colliderkit.files import existing_file
from colliderkit.sources.files.columns import missing, readable
from colliderkit.sources.files.formats import Paths, paths_of
from colliderkit.sources.files.jets import write

__all__ = [
    "object_columns",
    "read_event_objects",
    "read_objects",
    "tower_columns",
    "write_event_objects",
]

TOWER = ("eta", "phi", *CHANNELS)
OBJECT = ("pt", "eta", "phi", "mass", "kind")


def read_event_objects(
    path: Paths, *, true: bool = True, stem: str = "object"
) -> tuple[EventTowers, EventObjects]:
    """Read towers and true objects of all events of files; no objects where `true` is False.

    `stem` begins the names of the objects' columns. Raises `InputError` for a file that is damaged,
    lacks a column or has lists of other lengths, and as `check` of both does.
    """
    parts = [_read(existing_file(file), stem if true else "") for file in paths_of(path)]
    towers, objects = zip(*parts, strict=True)
    return EventTowers.joined(towers), EventObjects.joined(objects)


def read_objects(path: Path, stem: str) -> EventObjects:
    """Read the objects of a file alone, whose columns begin with `stem`."""
    return _objects(path, _table(path), stem)


def _read(path: Path, stem: str) -> tuple[EventTowers, EventObjects]:
    table = _table(path)
    ends, tower = _lists(path, table, "tower", TOWER, optional=("track",))
    towers = EventTowers(ends, *(tower[name] for name in TOWER)).check(str(path))
    if not stem:
        return towers, EventObjects.none(len(table))
    return towers, _objects(path, table, stem)


def _table(path: Path) -> ak.Array:
    if path.suffix.lower() not in (".parquet", ".pq"):
        raise InputError(f"{path}: towers and objects are read from .parquet files.")
    with readable(path, "Parquet"):
        return ak.from_parquet(path)


def _objects(path: Path, table: ak.Array, stem: str) -> EventObjects:
    ends, found = _lists(path, table, stem, OBJECT)
    kind = found["kind"].astype(np.int64)
    if len(kind) and not (kind.min() >= 0 and kind.max() < len(KINDS)):
        raise InputError(f"{path}: {stem}_kind is not 0 to {len(KINDS) - 1} ({', '.join(KINDS)}).")
    pt, eta, phi, mass = (found[name] for name in OBJECT[:-1])
    return EventObjects.true(ends, pt, eta, phi, mass, kind).check(str(path))


def _lists(
    path: Path, table: ak.Array, stem: str, names: tuple[str, ...], optional: tuple[str, ...] = ()
) -> tuple[Any, dict[str, Floats]]:
    """Return where the lists of each event begin, and flat columns of equal lists."""
    columns: dict[str, Floats] = {}
    sizes = None
    for name in names:
        full = f"{stem}_{name}"
        if full not in table.fields:
            if name in optional:
                columns[name] = np.zeros_like(columns[names[0]])
                continue
            raise missing(path, full, dict.fromkeys(table.fields))
        if table[full].ndim != 2:
            raise InputError(f"{path}: column '{full}' is not a list of numbers in each event.")
        own = np.asarray(ak.num(table[full]), dtype=np.int64)
        if sizes is not None and not np.array_equal(own, sizes):
            raise InputError(
                f"{path}: '{full}' differs from '{stem}_{names[0]}' in the length of a list."
            )
        sizes = own
        columns[name] = ak.to_numpy(ak.flatten(table[full])).astype(np.float64)
    assert sizes is not None
    return offsets_of(sizes), columns


def tower_columns(towers: EventTowers) -> dict[str, Any]:
    """Return the columns of towers, an event a row."""
    counts = np.diff(towers.offsets)
    return {f"tower_{name}": ak.unflatten(getattr(towers, name), counts) for name in TOWER}


def object_columns(objects: EventObjects, stem: str = "object") -> dict[str, Any]:
    """Return the columns of objects, an event a row."""
    counts = np.diff(objects.offsets)
    return {f"{stem}_{name}": ak.unflatten(getattr(objects, name), counts) for name in OBJECT}


def write_event_objects(
    path: str | Path, towers: EventTowers, objects: EventObjects, *, force: bool = False
) -> Path:
    """Write towers and true objects of the same events, and return the path."""
    path = Path(path)
    if path.suffix.lower() not in (".parquet", ".pq"):
        raise InputError(f"{path}: towers and objects are written as .parquet.")
    write(path, tower_columns(towers) | object_columns(objects), force=force)
    return path
