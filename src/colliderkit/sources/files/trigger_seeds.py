"""Files of a trigger's seeds: Parquet, an event a row, lists of seeds, and in each of towers, hits.

Columns: `weight` and `true_pt` [GeV] (may be absent: 1, and not known) of the event; `seed_pt`
[GeV], `seed_eta`, `seed_phi` and `seed_label` (may be absent) of each seed, by falling pT; lists in
each seed, `tower_deta`, `tower_dphi` from its axis, `tower_em`, `tower_had` [GeV, transverse],
`hit_layer`, from 0, `hit_r`, `hit_z` [mm] and `hit_dphi` from its axis.
"""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import offsets_of
from colliderkit.events.tables import Ints
from colliderkit.events.trigger_seeds import TriggerSeeds
from colliderkit.files import existing_file
from colliderkit.sources.files.columns import missing, readable
from colliderkit.sources.files.formats import Paths, paths_of
from colliderkit.sources.files.jets import write

__all__ = ["read_trigger_seeds", "seed_columns", "write_trigger_seeds"]

SEED = ("pt", "eta", "phi")
TOWER = ("tower_deta", "tower_dphi", "tower_em", "tower_had")
HIT = ("hit_layer", "hit_r", "hit_dphi", "hit_z")


def read_trigger_seeds(path: Paths) -> TriggerSeeds:
    """Read the seeds of all events of files.

    Raises `InputError` for a file that is damaged, lacks a column or has lists of other lengths,
    and as `TriggerSeeds.check` does.
    """
    return TriggerSeeds.joined([_read(existing_file(file)) for file in paths_of(path)])


def _read(path: Path) -> TriggerSeeds:
    if path.suffix.lower() not in (".parquet", ".pq"):
        raise InputError(f"{path}: seeds of a trigger are read from .parquet files.")
    with readable(path, "Parquet"):
        table = ak.from_parquet(path)
    names = [*(f"seed_{name}" for name in SEED), *TOWER, *HIT]
    for name in names:
        if name not in table.fields:
            raise missing(path, name, dict.fromkeys(table.fields))
        depth = 2 if name.startswith("seed") else 3
        if table[name].ndim != depth:
            word = "a list" if depth == 2 else "a list of lists"
            raise InputError(f"{path}: column '{name}' is not {word} of numbers in each event.")
    count = len(table)
    new: dict[str, Any] = {"offsets": offsets_of(_sizes(table["seed_pt"]))}
    for name in SEED:
        new[name] = _column(path, table, f"seed_{name}", new["offsets"], 1)
    seeds = int(new["offsets"][-1])
    new["label"] = np.full(seeds, -1)
    if "seed_label" in table.fields:
        new["label"] = _column(path, table, "seed_label", new["offsets"], 1).astype(np.int64)
    for kind, columns in (("tower", TOWER), ("hit", HIT)):
        each = ak.flatten(table[columns[0]], axis=1)
        ends = new[f"{kind}_offsets"] = offsets_of(_sizes(each))
        for name in columns:
            new[name] = _column(path, table, name, ends, 2)
            if len(ends) != seeds + 1:
                raise InputError(f"{path}: '{name}' has not one list for each seed.")
    new["hit_layer"] = new["hit_layer"].astype(np.int64)
    for name, usual in (("weight", 1.0), ("true_pt", np.nan)):
        new[name] = np.full(count, usual)
        if name in table.fields:
            new[name] = ak.to_numpy(ak.fill_none(table[name], np.nan)).astype(np.float64)
    if not (np.isfinite(new["weight"]) & (new["weight"] >= 0)).all():
        raise InputError(f"{path}: a weight is negative or not finite; a rate counts events.")
    return TriggerSeeds(**new).check(str(path))


def _column(path: Path, table: ak.Array, name: str, ends: Ints, depth: int) -> NDArray[np.float64]:
    """Return a column flat, if its lists are as long as the others'."""
    lists = table[name] if depth == 1 else ak.flatten(table[name], axis=1)
    if not np.array_equal(_sizes(lists), np.diff(ends)):
        raise InputError(f"{path}: '{name}' differs from its neighbours in the length of a list.")
    return ak.to_numpy(ak.flatten(lists)).astype(np.float64)


def _sizes(lists: ak.Array) -> Ints:
    return np.asarray(ak.num(lists), dtype=np.int64)


def seed_columns(seeds: TriggerSeeds) -> dict[str, Any]:
    """Return the columns of seeds, an event a row."""
    counts = np.diff(seeds.offsets)
    columns: dict[str, Any] = {"weight": seeds.weight, "true_pt": seeds.true_pt}
    for name in (*SEED, "label"):
        columns[f"seed_{name}"] = ak.unflatten(getattr(seeds, name), counts)
    for kind, names in (("tower", TOWER), ("hit", HIT)):
        sizes = np.diff(getattr(seeds, f"{kind}_offsets"))
        for name in names:
            columns[name] = ak.unflatten(ak.unflatten(getattr(seeds, name), sizes), counts)
    return columns


def write_trigger_seeds(path: str | Path, seeds: TriggerSeeds, *, force: bool = False) -> Path:
    """Write seeds, and return the path."""
    path = Path(path)
    if path.suffix.lower() not in (".parquet", ".pq"):
        raise InputError(f"{path}: seeds of a trigger are written as .parquet.")
    write(path, seed_columns(seeds), force=force)
    return path
