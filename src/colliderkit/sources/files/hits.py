"""Read and write tracker hits: TrackML's four CSV files of an event, ColliderML-like Parquet."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.hits import TrackerHits
from colliderkit.events.tables import Ints
from colliderkit.files import atomic_folder, existing_file
from colliderkit.sources.files.columns import missing
from colliderkit.sources.files.csv import CsvTable
from colliderkit.sources.files.formats import Paths, is_glob, paths_of
from colliderkit.sources.files.parquet import ParquetTable, write_parquet

__all__ = [
    "TRACKS",
    "HitFiles",
    "read_hits",
    "write_csv",
    "write_hits",
    "write_trackml",
]

PARTS = ("hits", "cells", "particles", "truth")
NAME = re.compile(rf"(.*?)-({'|'.join(PARTS)})\.csv(\.gz)?$")
DETECTORS = ("detectors.csv", "detector.csv")
HITS, PARTICLES, TRACKS = "hits.parquet", "particles.parquet", "tracks.parquet"
# What the columns of a file are called here: the attributes of `TrackerHits` and `Particles`.
POSITION = ("x", "y", "z")
MADE = ("px", "py", "pz", "vx", "vy", "vz")
CHARGE = ("q", "charge")


@dataclass(frozen=True)
class HitFiles:
    """Hold events as they were read, and in words what was taken for what."""

    hits: TrackerHits
    said: str


def read_hits(
    path: Paths,
    *,
    truth: bool = True,
    volumes: Sequence[int] | None = None,
    detectors: str | Path | None = None,
) -> HitFiles:
    """Read events of a tracker from TrackML's CSV files or from Parquet with an event a row.

    A path is a folder, a glob, or

    - one of the CSV files of an event, such as ``event000001000-hits.csv``, or what they have in
      common, ``event000001000``; each event is of the four ``-hits``, ``-cells`` (not read),
      ``-particles`` and ``-truth``;
    - ``hits.parquet``, with ``particles.parquet`` beside it: columns as of ColliderML, lists.

    With `truth` the particles that made the hits are read and their files have to be there;
    without, they are not looked at. `volumes` are those of the detector that are kept, all if not
    given. `detectors` is a CSV file of the modules; one in the folder, detectors.csv, is taken if
    none is named, and each hit has to be on one of its modules.

    Raises `InputError` for files and columns that are missing, hits without a line in the truth,
    modules that are not there, and as `TrackerHits.checked` does.
    """
    events, tables = _found(path)
    if events and tables:
        raise InputError(
            f"{events[0]}-hits.csv and {tables[0]} are of two layouts; read one of them at a time."
        )
    columns = _of_parquet(tables, truth) if tables else _of_csv(events, truth)
    what = str(tables[0]) if tables else f"{events[0]}-hits.csv"
    more = len(tables or events) - 1
    what += f" (and {more} more)" if more else ""
    hits = TrackerHits.checked(**columns, what=what)
    geometry = detectors or next(
        (p for p in ((events or tables)[0].parent / n for n in DETECTORS) if p.is_file()), None
    )
    if geometry is not None:
        _check_modules(hits, Path(geometry), what)
    total = len(hits.x)
    if volumes is not None:
        absent = sorted(set(volumes) - set(np.unique(hits.volume).tolist()))
        if absent and total:
            there = ", ".join(map(str, np.unique(hits.volume).tolist()))
            raise InputError(f"{what}: no hit is in volume {absent[0]}; hits are in {there}.")
        hits = hits.where(np.isin(hits.volume, list(volumes)))
    return HitFiles(hits, _words(what, hits, total, volumes, geometry))


def write_hits(
    folder: str | Path,
    hits: TrackerHits,
    *,
    tracks: Mapping[str, ak.Array] | None = None,
    force: bool = False,
) -> Path:
    """Write hits.parquet and, where they are known, particles.parquet: an event a row.

    The columns are lists, named as those of ColliderML. `tracks` by name become tracks.parquet.
    """
    sizes = np.diff(hits.offsets)
    columns = {"event_id": ak.Array(hits.number)}
    named = {"hit_id": hits.id, "x": hits.x, "y": hits.y, "z": hits.z}
    named |= {"volume_id": hits.volume, "layer_id": hits.layer, "surface_id": hits.module}
    for name, values in (("particle_id", hits.particle), ("weight", hits.weight)):
        if values is not None:
            named[name] = values
    columns |= {name: ak.unflatten(values, sizes) for name, values in named.items()}
    with atomic_folder(folder, force) as part:
        write_parquet(part / HITS, columns, force=True)
        if hits.particles is not None:
            write_parquet(part / PARTICLES, _particle_columns(hits), force=True)
        if tracks is not None:
            write_parquet(part / TRACKS, {"event_id": ak.Array(hits.number), **tracks}, force=True)
    return Path(folder)


def write_trackml(folder: str | Path, hits: TrackerHits, *, force: bool = False) -> Path:
    """Write TrackML's CSV files of each event, ``event000001000-hits.csv`` and so on.

    The cells have one line a hit, without what a module has measured, which is not known.
    """
    rows = None if hits.particles is None else hits.particle_rows()
    with atomic_folder(folder, force) as part:
        for n, number in enumerate(hits.number.tolist()):
            mine = slice(hits.offsets[n], hits.offsets[n + 1])
            stem = part / f"event{number:09d}"
            ids = hits.id[mine]
            write_csv(
                f"{stem}-hits.csv",
                {
                    "hit_id": ids,
                    **{name: getattr(hits, name)[mine] for name in POSITION},
                    **{f"{n}_id": getattr(hits, n)[mine] for n in ("volume", "layer", "module")},
                },
            )
            nothing = np.zeros(len(ids), dtype=np.int64)
            cells = {"hit_id": ids, "ch0": nothing, "ch1": nothing, "value": nothing + 1.0}
            write_csv(f"{stem}-cells.csv", cells)
            made = hits.particles
            if made is None or hits.particle is None or rows is None:
                continue
            which = rows[mine]
            momenta = {
                f"t{name}": np.where(which >= 0, getattr(made, name)[which], 0.0)
                for name in ("px", "py", "pz")
            }
            weight = nothing + 1.0 if hits.weight is None else hits.weight[mine]
            write_csv(
                f"{stem}-truth.csv",
                {
                    "hit_id": ids,
                    "particle_id": hits.particle[mine],
                    **{f"t{name}": getattr(hits, name)[mine] for name in POSITION},
                    **momenta,
                    **({} if hits.weight is None else {"weight": weight}),
                },
            )
            own = slice(made.offsets[n], made.offsets[n + 1])
            of_hits = which[which >= 0] - made.offsets[n]
            write_csv(
                f"{stem}-particles.csv",
                {
                    "particle_id": made.id[own],
                    **{name: getattr(made, name)[own] for name in ("vx", "vy", "vz")},
                    **{name: getattr(made, name)[own] for name in ("px", "py", "pz")},
                    "q": made.charge[own].astype(np.int64),
                    "nhits": np.bincount(of_hits, minlength=own.stop - own.start),
                },
            )
    return Path(folder)


def write_csv(path: str | Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write columns of numbers by name."""
    import pyarrow as pa
    import pyarrow.csv

    pyarrow.csv.write_csv(pa.table(dict(columns)), str(path))


def _particle_columns(hits: TrackerHits) -> dict[str, ak.Array]:
    made = hits.particles
    assert made is not None
    sizes = np.diff(made.offsets)
    named = {"particle_id": made.id, **{name: getattr(made, name) for name in MADE}}
    named |= {"charge": made.charge, "primary": made.primary}
    if made.vertex is not None:
        named["vertex_primary"] = made.vertex
    columns = {name: ak.unflatten(values, sizes) for name, values in named.items()}
    return {"event_id": ak.Array(hits.number), **columns}


def _found(path: Paths) -> tuple[list[Path], list[Path]]:
    """Return what events of CSV files begin with, and Parquet files of hits."""
    events: list[Path] = []
    tables: list[Path] = []
    patterns = [path] if isinstance(path, str | Path) else list(path)
    for pattern in patterns:
        if Path(pattern).is_dir():
            folder = Path(pattern)
            stems = [folder / m[1] for p in folder.iterdir() if (m := NAME.match(p.name))]
            found = [*folder.glob("*hits*.parquet")]
            if not stems and not found:
                raise InputError(
                    f"{folder}: holds neither EVENT-hits.csv nor hits.parquet; name the folder of"
                    " the events."
                )
            events += stems
            tables += sorted(found)
            continue
        beside = sorted(Path(pattern).parent.glob(f"{Path(pattern).name}*-hits.csv*"))
        if beside and not Path(pattern).exists() and not is_glob(str(pattern)):
            events += [p.parent / m[1] for p in beside if (m := NAME.match(p.name))]
            continue
        for file in paths_of(pattern):
            named = NAME.match(file.name)
            if named:
                events.append(file.parent / named[1])
            elif file.suffix.lower() in (".parquet", ".pq"):
                tables.append(file)
            elif file.name not in DETECTORS:
                existing_file(file)
                raise InputError(
                    f"{file}: is neither one of TrackML's EVENT-hits.csv, -cells.csv,"
                    " -particles.csv, -truth.csv nor a Parquet file of hits; rename it or name"
                    " another."
                )
    if not events and not tables:
        raise InputError("no files of hits are given; name at least one EVENT-hits.csv.")
    return sorted(set(events)), list(dict.fromkeys(tables))


def _of_csv(events: Sequence[Path], truth: bool) -> dict[str, Any]:
    """Return columns of `TrackerHits.checked` from CSV files."""
    hits: list[dict[str, Any]] = []
    particles: list[dict[str, Any]] = []
    numbers: list[int] = []
    for i, stem in enumerate(events):
        digits = re.search(r"(\d+)$", stem.name)
        number = int(digits[1]) if digits else i
        if number in numbers:
            raise InputError(f"{stem}-hits.csv: event {number} is there twice; name it once.")
        numbers.append(number)
        wanted = ("hits", "particles", "truth") if truth else ("hits",)
        lacking = [name for name in wanted if _file(stem, name) is None]
        if lacking:
            there = [name for name in PARTS if _file(stem, name) is not None]
            has = f"{stem.name} has {', '.join(there)} alone" if there else "nor any other is there"
            raise InputError(
                f"{stem}-{lacking[0]}.csv: no such file, {has}; put all of hits, particles and"
                " truth in one folder, or apply without truth."
            )
        path = _file(stem, "hits")
        assert path is not None
        columns = _columns(path, ("hit_id", *POSITION), optional=("volume_id", "layer_id"))
        columns |= _columns(path, (), optional=("module_id",))
        columns["event"] = np.full(len(columns["x"]), number)
        if truth:
            columns |= _truth_of(stem, columns["hit_id"])
            particles.append(_made_by(_file(stem, "particles"), number))
        hits.append(columns)
    joined: dict[str, Any] = {
        name: np.concatenate([part[name] for part in hits])
        for name in hits[0]
        if all(name in part for part in hits)
    }
    named = {"id": joined.pop("hit_id"), "numbers": np.sort(numbers)}
    for name in ("volume", "layer", "module"):
        if f"{name}_id" in joined:
            named[name] = joined.pop(f"{name}_id")
    if truth:
        named["particles"] = {
            name: np.concatenate([part[name] for part in particles]) for name in particles[0]
        }
    return {**joined, **named}


def _file(stem: Path, part: str) -> Path | None:
    """Return the file of a part of an event, if it is there."""
    return next(
        (p for end in (".csv", ".csv.gz") if (p := Path(f"{stem}-{part}{end}")).exists()), None
    )


def _truth_of(stem: Path, ids: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the particle and, where it is there, the weight (H,) of each hit, by its id."""
    path = _file(stem, "truth")
    assert path is not None
    columns = _columns(path, ("hit_id", "particle_id"), optional=("weight",))
    order = np.argsort(columns["hit_id"], kind="stable")
    place = np.searchsorted(columns["hit_id"][order], ids)
    rows = order[np.minimum(place, len(order) - 1)] if len(order) else np.zeros(len(ids), int)
    known = columns["hit_id"][rows] == ids if len(order) else np.zeros(len(ids), dtype=bool)
    if not known.all():
        hit = int(ids[int(np.argmin(known))])
        raise InputError(
            f"{path}: has no line for hit {hit} ({int((~known).sum())} such hits); each hit needs a"
            " particle_id, 0 for noise."
        )
    particle = columns["particle_id"][rows]
    if particle.dtype.kind == "f" and np.isnan(particle).any():
        hit = int(ids[int(np.argmax(np.isnan(particle)))])
        raise InputError(f"{path}: hit {hit} has no particle_id; write 0 for noise.")
    found = {"particle": particle}
    return found | ({"weight": columns["weight"][rows]} if "weight" in columns else {})


def _made_by(path: Path | None, number: int) -> dict[str, NDArray[Any]]:
    """Return particles of an event as columns of `TrackerHits.checked`."""
    assert path is not None
    columns = _columns(path, ("particle_id", *MADE), optional=CHARGE)
    charge = next((columns.pop(name) for name in CHARGE if name in columns), None)
    made = {"id": columns.pop("particle_id"), **columns}
    made["event"] = np.full(len(made["id"]), number)
    made["charge"] = np.ones(len(made["id"])) if charge is None else charge
    return {name: made[name] for name in ("event", "id", *MADE, "charge")}


def _columns(
    path: Path, needed: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, NDArray[Any]]:
    """Read columns of a CSV file; raise `InputError` for one that is needed and not there."""
    table = CsvTable(path)
    for name in needed:
        if name not in table.columns:
            raise missing(path, name, table.columns)
    names = [*needed, *(name for name in optional if name in table.columns)]
    for name in names:
        if table.columns[name].level is None:
            raise InputError(f"{path}: column '{name}' holds texts, and is to hold numbers.")
    parts = list(table.chunks(names, 0, table.rows, max(table.rows, 1))) if table.rows else []
    return {
        name: np.concatenate([part[name].values for _, part in parts]) if parts else np.zeros(0)
        for name in names
    }


def _of_parquet(tables: Sequence[Path], truth: bool) -> dict[str, Any]:
    """Return columns of `TrackerHits.checked` from Parquet files with an event a row."""
    hits: list[dict[str, Any]] = []
    particles: list[dict[str, Any]] = []
    begin = 0
    for path in tables:
        table = ParquetTable(path)
        needed = [*POSITION, *(["particle_id"] if truth else [])]
        if truth and "particle_id" not in table.columns:
            raise InputError(
                f"{path}: has no column particle_id, and what is asked for needs to know which"
                " particle has made a hit; give files with truth, or apply without."
            )
        optional = ["event_id", "hit_id", "volume_id", "layer_id", "module_id", "surface_id"]
        optional += ["weight"] if truth else []
        flat, numbers = _lists(table, needed, optional, begin)
        flat["event"] = np.repeat(numbers, flat.pop("sizes"))
        hits.append(flat | {"numbers": numbers})
        if truth:
            particles.append(_particles_beside(path, numbers))
        begin = int(numbers.max()) + 1 if len(numbers) else begin
    numbers = np.concatenate([part.pop("numbers") for part in hits])
    if len(np.unique(numbers)) < len(numbers):
        twice = numbers[np.argsort(numbers)][1:][np.diff(np.sort(numbers)) == 0][0]
        raise InputError(f"{tables[0]}: event {twice} is there twice; name each file once.")
    common = [name for name in hits[0] if all(name in part for part in hits)]
    joined = {name: np.concatenate([part[name] for part in hits]) for name in common}
    named: dict[str, Any] = {name: joined[name] for name in ("event", *POSITION)}
    named["numbers"] = np.sort(numbers)
    given = {"id": "hit_id", "volume": "volume_id", "layer": "layer_id", "weight": "weight"}
    given["module"] = "module_id" if "module_id" in joined else "surface_id"
    given["particle"] = "particle_id"
    named |= {name: joined[column] for name, column in given.items() if column in joined}
    if "particle" in named:
        lacking = named["particle"].dtype.kind == "f" and np.isnan(named["particle"])
        if np.any(lacking):
            row = int(np.argmax(lacking))
            raise InputError(
                f"{tables[0]}: a hit of event {named['event'][row]} has no particle_id; write 0"
                " for noise."
            )
    if truth:
        named["particles"] = {
            name: np.concatenate([part[name] for part in particles])
            for name in particles[0]
            if all(name in part for part in particles)
        }
    return named


def _lists(
    table: ParquetTable, needed: Sequence[str], optional: Sequence[str], begin: int
) -> tuple[dict[str, Any], Ints]:
    """Return columns of lists, flat, with their `sizes` (N,), and the numbers (N,) of events."""
    for name in needed:
        if name not in table.columns:
            raise missing(table.path, name, table.columns)
        if table.columns[name].level != 1:
            raise InputError(
                f"{table.path}: column '{name}' is no list of numbers in each event; give hits as"
                " lists, an event a row."
            )
    names = [*needed, *(name for name in optional if name in table.columns)]
    numbers = np.arange(begin, begin + table.rows)
    if not table.rows:
        empty: dict[str, Any] = {name: np.zeros(0) for name in names if name != "event_id"}
        return empty | {"sizes": np.zeros(0, dtype=np.int64)}, numbers
    parts = list(table.chunks(names, 0, table.rows, table.rows))
    flat: dict[str, Any] = {}
    sizes = np.concatenate([part[needed[0]].counts for _, part in parts])
    for name in names:
        values = np.concatenate([part[name].values for _, part in parts])
        if name == "event_id":
            numbers = values.astype(np.int64)
            continue
        counts = np.concatenate([part[name].counts for _, part in parts])
        if not np.array_equal(counts, sizes):
            row = int(np.argmax(counts != sizes))
            raise InputError(
                f"{table.path}: event {numbers[row]} has {counts[row]} numbers of '{name}' and"
                f" {sizes[row]} of '{needed[0]}'; write one for each hit."
            )
        flat[name] = values
    return flat | {"sizes": sizes}, numbers


def _particles_beside(path: Path, numbers: Ints) -> dict[str, NDArray[Any]]:
    """Return the particles in the file beside that of the hits."""
    other = path.with_name(path.name.replace("hits", "particles"))
    if other == path or not other.is_file():
        raise InputError(
            f"{other}: no such file, and what is asked for needs the momenta of the particles; put"
            f" it beside {path.name}, or apply without truth."
        )
    table = ParquetTable(other)
    optional = ("event_id", *CHARGE, "primary", "vertex_primary")
    flat, of = _lists(table, ("particle_id", *MADE), optional, 0)
    if "event_id" not in table.columns:
        if table.rows != len(numbers):
            raise InputError(
                f"{other}: has {table.rows} events, and {path.name} has {len(numbers)}; give the"
                " particles of the same events."
            )
        of = numbers
    made = {"event": np.repeat(of, flat["sizes"]), "id": flat["particle_id"]}
    made |= {name: flat[name] for name in MADE}
    charge = next((flat[name] for name in CHARGE if name in flat), None)
    made |= {} if charge is None else {"charge": charge}
    made |= {"primary": flat["primary"]} if "primary" in flat else {}
    return made | ({"vertex": flat["vertex_primary"]} if "vertex_primary" in flat else {})


def _check_modules(hits: TrackerHits, path: Path, what: str) -> None:
    """Raise `InputError` for a hit on a module that the geometry does not have."""
    names = ("volume_id", "layer_id", "module_id")
    known = _columns(existing_file(path), names)
    have = np.stack([known[name].astype(np.int64) for name in names], axis=1)
    places = np.stack([hits.volume, hits.layer, hits.module], axis=1)
    _, inverse = np.unique(np.concatenate([have, places]), axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    lost = ~np.isin(inverse[len(have) :], inverse[: len(have)])
    if lost.any():
        row = int(np.argmax(lost))
        volume, layer, module = places[row]
        raise InputError(
            f"{what}: hit {hits.id[row]} is on volume {volume}, layer {layer}, module {module},"
            f" which {path} does not have; give the geometry of these hits."
        )


def _words(
    what: str,
    hits: TrackerHits,
    total: int,
    volumes: Sequence[int] | None,
    geometry: str | Path | None,
) -> str:
    """Say in a line what was read."""
    sizes = np.diff(hits.offsets)
    words = f"read {what}: {len(hits)} events, {len(hits.x)} hits"
    words += f" ({sizes.min()} to {sizes.max()} an event)" if len(sizes) else ""
    if volumes is not None:
        words += f" of {total}, those in the volumes {', '.join(map(str, volumes))}"
    if len(hits.x):
        r, z = hits.r, hits.z
        words += f"; r {r.min():.4g} to {r.max():.4g} mm, z {z.min():.4g} to {z.max():.4g} mm"
    if hits.particle is not None and hits.particles is not None:
        noise = int((hits.particle == 0).sum())
        words += f"; {len(hits.particles.id)} particles, {noise} hits of none"
    elif hits.particle is None:
        words += "; their truth is not read"
    words += f"; modules as in {geometry}" if geometry else ""
    return words
