"""Read accesses to data sets from csv or Parquet: columns by their usual names, times, sizes."""

import re
import warnings
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.accesses import Accesses
from colliderkit.events.tables import Floats
from colliderkit.files import existing_file
from colliderkit.sources.files.columns import missing, readable

__all__ = ["NAMES", "TimeUnit", "read_accesses"]

TimeUnit = Literal["days", "hours", "seconds", "milliseconds"]
SECONDS: dict[str, float] = {"days": 86400, "hours": 3600, "seconds": 1, "milliseconds": 1e-3}
GIGABYTES = {"b": 1e-9, "kb": 1e-6, "mb": 1e-3, "gb": 1.0, "tb": 1e3}
# Names by which columns are known, in lower case and without a unit of size.
NAMES = {
    "time": ("time", "timestamp", "date", "datetime", "day", "access_time", "accessed_at",
             "tracetimeentryunix", "created_at", "start_time"),
    "dataset": ("dataset", "data_set", "datasetname", "dataset_name", "name", "did", "lfn",
                "filename", "file", "object", "obj_id", "id"),
    "size": ("size", "bytes", "filesize", "file_size", "dataset_size", "obj_size", "volume"),
    "born": ("born", "created", "creation_time", "creation_date", "birth"),
}  # fmt: skip
CODES = 65521  # of texts
FEATURES = ("tier", "data_tier", "datatype", "group", "campaign", "project", "scope", "replicas")
# Seconds and milliseconds since 1970 of the years 1990 to 2100.
EPOCH = {"seconds": (6.3e8, 4.1e9), "milliseconds": (6.3e11, 4.1e12)}


def read_accesses(
    files: str | Path | Sequence[str | Path],
    columns: Mapping[str, str] | None = None,
    *,
    time_unit: TimeUnit | None = None,
    sort: bool = False,
) -> tuple[Accesses, list[str]]:
    """Return the accesses of csv or Parquet files, a row each, and lines that say what was read.

    `columns` names those of "time", "dataset", "size" and, where there are any, "born" and further
    features of data sets; what it leaves out is found by `NAMES` and `FEATURES`. Times are dates,
    or numbers: those that can only be seconds or milliseconds since 1970 are known, others need
    `time_unit`. Sizes are in bytes, or in the unit that stands at the end of the column's name
    (size_gb). Text of features becomes a number by its checksum, the same in all files.

    Raises `InputError`, one sentence each, for a column that is not there or not clear, a time that
    is none, times out of order within a file (`sort` sorts them), and sizes that are not positive.
    """
    paths = [files] if isinstance(files, str | Path) else list(files)
    if not paths:
        raise InputError("no files of accesses are given; name one or more.")
    given = dict(columns or {})
    tables = [table_of(Path(path)) for path in paths]
    names = {role: named(Path(paths[0]), tables[0].column_names, role, given) for role in NAMES}
    own = [name for name in given if name not in NAMES]
    features = {name: given[name] for name in own} or {
        name.lower(): name for name in tables[0].column_names if name.lower() in FEATURES
    }
    parts: list[tuple[Floats, Any]] = []
    said = []
    for path, table in zip(map(Path, paths), tables, strict=True):
        for name in (*filter(None, names.values()), *features.values()):
            if name not in table.column_names:
                raise missing(path, name, table.column_names)
        days, unit = days_of(path, table[str(names["time"])], str(names["time"]), time_unit)
        fall = np.flatnonzero(np.diff(days) < 0)
        if fall.size and not sort:
            raise InputError(
                f"{path}: the {names['time']} of row {fall[0] + 1} (counted from 0) is before that"
                f" of the row before it, and {fall.size} more are; sort the file, or give sort."
            )
        if fall.size:
            said.append(f"{path}: {fall.size} rows were out of order and are sorted by time")
        parts.append((days, table))
        said.append(f"{path}: {len(days)} accesses, {names['time']} as {unit}")
    parts.sort(key=lambda part: float(part[0].min()))
    table = pa.concat_tables([part[1] for part in parts], promote_options="permissive")
    time = np.concatenate([part[0] for part in parts])
    order = np.argsort(time, kind="stable")
    if not sort and (np.diff(time) < 0).any():
        raise InputError(f"{paths[0]}, ...: the times of the files overlap; give sort to sort all.")
    time = time[order]
    coded = table[str(names["dataset"])].combine_chunks().dictionary_encode()
    if coded.null_count:
        raise InputError(f"{paths[0]}: column '{names['dataset']}' has empty rows; drop them.")
    dataset = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)[order]
    labels = tuple(str(name) for name in coded.dictionary.to_pylist())
    size, line = sizes_of(Path(paths[0]), table, str(names["size"]), dataset, order, labels)
    said.append(line)
    born = None
    if names["born"]:
        days, _ = days_of(Path(paths[0]), table[names["born"]], names["born"], time_unit)
        born = np.full(len(labels), np.inf)
        np.minimum.at(born, dataset, days[order])
    found = {
        name: codes(Path(paths[0]), table[column], column, dataset, order, len(labels))
        for name, column in features.items()
    }
    shown = {role: name for role, name in (names | features).items() if name}
    said.append("columns: " + ", ".join(f"{role} from {name}" for role, name in shown.items()))
    return Accesses(time, dataset, size, labels, born, found), said


def table_of(path: Path) -> pa.Table:
    """Read a file whole."""
    existing_file(path)
    if path.suffix.lower() in (".parquet", ".pq"):
        with readable(path, "Parquet"):
            return pa.parquet.read_table(path)
    with readable(path, "csv"):
        return pa.csv.read_csv(path)


def named(path: Path, known: Sequence[str], role: str, given: Mapping[str, str]) -> str | None:
    """Return the column of a role: that which is given, or the one that is known by its name."""
    if role in given:
        if given[role] not in known:
            raise missing(path, given[role], known)
        return given[role]
    plain = {name: re.sub(r"_?\[?([kmgt]?b|bytes)\]?$", "", name.lower()) or name.lower()
             for name in known}  # fmt: skip
    wanted = [name.lower() for name in NAMES[role]]
    found = [name for name in known if name.lower() in wanted or plain[name] in wanted]
    if role == "dataset" and len(found) > 1:  # a file's name stands beside its data set's
        found = sorted(found, key=lambda name: wanted.index(plain[name]))[:1]
    if len(found) == 1:
        return found[0]
    if role == "born" and not found:
        return None
    why = f"several columns may be the {role}: {', '.join(found)}" if found else (
        f"no column is known to be the {role} of an access"
    )  # fmt: skip
    raise InputError(f"{path}: {why}; name it, as --columns '{{{role}: COLUMN}}'; it has"
                     f" {', '.join(known)}.")  # fmt: skip


def days_of(
    path: Path, column: pa.ChunkedArray, name: str, unit: TimeUnit | None
) -> tuple[Floats, str]:
    """Return times as days since 1970 (or since their own zero), and how they were understood."""
    column = column.combine_chunks()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        try:
            column = pc.cast(column, pa.timestamp("us"))
        except pa.ArrowInvalid as error:
            text = next((t for t in column.to_pylist() if not is_date(t)), "")
            raise InputError(
                f"{path}: {name} '{text}' is no date like 2024-03-01 12:30:00; write it so."
            ) from error
    if pa.types.is_temporal(column.type):
        micro = pc.cast(pc.cast(column, pa.timestamp("us")), pa.int64())
        values, kind = to_floats(path, micro, name) / 1e6, "dates"
        return values / 86400, kind
    values = to_floats(path, column, name)
    if unit is None:
        fits = [u for u, (low, high) in EPOCH.items() if low < values.min() < values.max() < high]
        if not fits:
            raise InputError(
                f"{path}: {name} runs from {values.min():g} to {values.max():g}, which may be days,"
                " hours or seconds; say which by time_unit."
            )
        return values * SECONDS[fits[0]] / 86400, f"{fits[0]} since 1970"
    return values * SECONDS[unit] / 86400, unit


def is_date(text: Any) -> bool:
    """Whether a text reads as a date."""
    try:
        pc.cast(pa.array([text]), pa.timestamp("us"))
    except pa.ArrowInvalid:
        return False
    return text is not None


def to_floats(path: Path, column: pa.Array, name: str) -> Floats:
    """Return a column of numbers, none of which is missing."""
    try:
        values = np.asarray(pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{path}: column '{name}' holds no numbers; name another.") from error
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise InputError(f"{path}: {name} is missing in row {row} (counted from 0); drop the row.")
    return values


def sizes_of(
    path: Path,
    table: pa.Table,
    name: str,
    dataset: NDArray[np.int64],
    order: NDArray[np.int64],
    labels: Sequence[str],
) -> tuple[Floats, str]:
    """Return the size of each data set [GB], the largest of its rows, and how it was read."""
    values = to_floats(path, table[name].combine_chunks(), name)[order]
    if (values <= 0).any():
        row = int(np.argmax(values <= 0))
        raise InputError(
            f"{path}: {name} is {values[row]:g} for {labels[dataset[row]]}; a cache holds sizes"
            " above 0, drop these rows or mend them."
        )
    match = re.search(r"(?:^|[\W_])([kmgt]b)\]?$", name.lower())
    unit = match[1] if match else "b"
    size = np.zeros(len(labels))
    np.maximum.at(size, dataset, values * GIGABYTES[unit])
    least = np.full(len(labels), np.inf)
    np.minimum.at(least, dataset, values * GIGABYTES[unit])
    if (changed := int((least < size * (1 - 1e-9)).sum())) > 0:
        warnings.warn(
            f"{path}: {changed} data sets change their {name}; the largest counts",
            UserWarning,
            stacklevel=3,
        )
    read = {"b": "bytes, as no unit stands in its name" if match is None else "bytes"}
    if name.lower().endswith("bytes"):
        read["b"] = "bytes"
    return size, f"{len(labels)} data sets, {size.sum():.4g} GB; {name} in {read.get(unit, unit)}"


def codes(
    path: Path,
    column: pa.ChunkedArray,
    name: str,
    dataset: NDArray[np.int64],
    order: NDArray[np.int64],
    count: int,
) -> Floats:
    """Return one number a data set, that of its first access; text as a checksum."""
    column = column.combine_chunks()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        coded = column.dictionary_encode(null_encoding="encode")
        each_text = [
            zlib.crc32(str(text).encode()) % CODES for text in coded.dictionary.to_pylist()
        ]
        values = np.array(each_text, dtype=np.float64)[coded.indices.to_numpy()]
    else:
        values = to_floats(path, column, name)
    each = np.zeros(count)
    # Backwards, so that the first access is what stays.
    each[dataset[::-1]] = values[order][::-1]
    return each
