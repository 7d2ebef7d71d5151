"""Parquet through pyarrow: memory-mapped, only the leaves asked for, row group by row group."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import atomic_file, existing_file
from colliderkit.sources.files.columns import Column, Kind, missing, readable, unit_in

__all__ = ["ParquetTable", "verify", "write_parquet"]

ROWS_A_GROUP = 50_000
# The names that writers give to the levels between a list and what it holds.
LEVELS = ("list", "element", "item", "bag", "array", "array_element")


class ParquetTable:
    """Read a Parquet file: numbers are level 0, lists (of records) of numbers level 1.

    The field px of a list of records ``constituents`` is the column ``constituents.px``. A null
    reads as NaN where the column is of floats.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = existing_file(path)
        with readable(self.path, "Parquet"):
            self._file = pq.ParquetFile(self.path, memory_map=True)
        self.columns: dict[str, Kind] = {}
        self._leaves: dict[str, str] = {}
        for i in range(len(self._file.schema)):
            leaf = self._file.schema.column(i)
            parts = leaf.path.split(".")
            name = ".".join(p for j, p in enumerate(parts) if j == 0 or p not in LEVELS)
            kind = leaf.logical_type.type if leaf.logical_type.type != "NONE" else ""
            numeric = kind in ("", "INT", "FLOAT16") and (
                leaf.physical_type in ("BOOLEAN", "INT32", "INT64", "FLOAT", "DOUBLE")
                or kind == "FLOAT16"
            )
            depth = leaf.max_repetition_level
            # A list of lists of doubles is no double: the type says what it is.
            text = "lists of " * (depth if depth > 1 else 0) + (kind or leaf.physical_type).lower()
            level = depth if numeric and depth < 2 else None
            nesting = depth if numeric else None
            self.columns[name] = Kind(text, level, unit_in(name), nesting)
            self._leaves[name] = leaf.path
        self.rows = int(self._file.metadata.num_rows)
        self.step = max(self.rows, 1)

    def chunks(
        self, names: Iterable[str], start: int, stop: int, size: int
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, Column]]]:
        """Yield row numbers and columns of at most `size` rows; memory is that of a row group."""
        names = list(names)
        for name in names:
            if name not in self.columns:
                raise missing(self.path, name, self.columns)
        groups, first = self._groups(start, stop)
        if not names:
            for begin in range(start, stop, size):
                yield np.arange(begin, min(begin + size, stop)), {}
            return
        leaves = [self._leaves[name] for name in names]
        with readable(self.path, "Parquet"):
            if size >= stop - start:
                batches = iter([self._file.read_row_groups(groups, columns=leaves)])
            else:
                batches = self._file.iter_batches(size, groups, columns=leaves)
            for batch in batches:
                low, high = max(start - first, 0), min(stop - first, batch.num_rows)
                if low < high:
                    part = batch.slice(low, high - low)
                    yield np.arange(first + low, first + high), unpack(part, names, self.path)
                first += batch.num_rows

    def awkward(self, names: Iterable[str], start: int, stop: int) -> dict[str, ak.Array]:
        """Read columns as they are, nested ones too, for layouts that unpack events."""
        names = list(names)
        groups, first = self._groups(start, stop)
        with readable(self.path, "Parquet"):
            leaves = [self._leaves[name] for name in names]
            table = self._file.read_row_groups(groups, columns=leaves)
            array = ak.from_arrow(table.slice(start - first, stop - start))
        paths = {x: (x,) if x in array.fields else tuple(x.split(".")) for x in names}
        return {name: ak.drop_none(array[path], axis=-1) for name, path in paths.items()}

    def _groups(self, start: int, stop: int) -> tuple[list[int], int]:
        """Return the row groups that overlap [start, stop) and the first one's first row."""
        metadata = self._file.metadata
        lengths = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
        edges = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        groups = [i for i in range(len(lengths)) if edges[i] < stop and edges[i + 1] > start]
        return groups, int(edges[groups[0]]) if groups else 0


def verify(path: Path) -> None:
    """Raise `InputError` if a page of a file is not what its checksum says, where it has one."""
    with readable(path, "Parquet"):
        file = pq.ParquetFile(path, memory_map=True, page_checksum_verification=True)
        for _ in file.iter_batches():
            pass


def unpack(batch: pa.Table | pa.RecordBatch, names: list[str], path: Path) -> dict[str, Column]:
    """Turn Arrow columns into flat values and counts, without a copy of a single chunk."""
    columns: dict[str, Column] = {}
    counts: dict[str, NDArray[np.int64]] = {}
    flat: dict[str, list[Any]] = {}
    for name in names:
        # A column of the table may have a dot in its own name.
        stem, _, field = (name, "", "") if name in batch.schema.names else name.partition(".")
        if stem not in flat:
            array = batch.column(stem)
            chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
            pieces = [plain(chunk) for chunk in chunks]
            if pieces and nested(pieces[0].type):
                lengths = [numbers(piece.value_lengths(), 0) for piece in pieces]
                counts[stem] = np.concatenate(lengths).astype(np.int64, copy=False)
                pieces = [plain(piece.flatten()) for piece in pieces]
            flat[stem] = pieces
        pieces = flat[stem]
        for part in field.split(".") if field else ():
            pieces = [plain(piece.field(piece.type.get_field_index(part))) for piece in pieces]
        values = [numbers(piece, np.nan, f"{path}: column '{name}'") for piece in pieces]
        joined = values[0] if len(values) == 1 else np.concatenate(values or [np.empty(0)])
        columns[name] = Column(joined, counts.get(stem))
    return columns


def nested(kind: pa.DataType) -> bool:
    """Return whether an Arrow type is a list of any sort."""
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def plain(array: pa.Array) -> pa.Array:
    """Unwrap the extension type that awkward-array puts around its columns."""
    while isinstance(array, pa.ExtensionArray):
        array = array.storage
    return array


def numbers(array: pa.Array, null: float, what: str = "a column") -> NDArray[Any]:
    """Return an Arrow array as numpy; nulls of floats become `null`. `what` begins an error."""
    array = plain(array)
    if array.null_count:
        if pa.types.is_integer(array.type) and np.isnan(null):
            try:
                array = array.cast(pa.float64())
            except pa.ArrowInvalid as error:
                raise InputError(
                    f"{what} has nulls beside whole numbers beyond 2^53: as floats, which alone can"
                    " be NaN, these would lose digits; fill the nulls."
                ) from error
        array = array.fill_null(False if pa.types.is_boolean(array.type) else null)
    return np.asarray(array.to_numpy(zero_copy_only=False))


def write_parquet(path: Path, columns: dict[str, ak.Array], force: bool) -> None:
    """Write columns as Parquet, in row groups that stream and read in parallel."""
    rows = ak.Array(
        ak.contents.RecordArray(
            [array.layout for array in columns.values()], list(columns), len(columns[min(columns)])
        )
    )
    try:
        with atomic_file(path, force) as part:
            ak.to_parquet(
                rows,
                part,
                # Floats hardly compress, but split into byte planes they do, at no cost to speed.
                compression="lz4",
                parquet_byte_stream_split=True,
                row_group_size=ROWS_A_GROUP,
                # A damaged page would else be read as other numbers.
                parquet_extra_options={"write_page_checksum": True},
                extensionarray=False,
            )
    except (TypeError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be written as Parquet ({error}).") from error
