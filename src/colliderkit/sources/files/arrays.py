"""numpy's npy and npz as tables: no pickle is read, and no array is held whole."""

import math
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import existing_file
from colliderkit.sources.files.columns import Column, Kind, missing, one_length, readable, unit_in
from colliderkit.sources.files.padded import quark_gluon_slots

__all__ = ["ArraysTable"]

BYTES_AT_ONCE = 1 << 28
WIDEST_ROW = 1 << 30  # bytes
LARGEST_TURNED = 1 << 32  # bytes of an array in Fortran's order, which is held whole
MOST_COLUMNS = 20_000
QUARK_GLUON = ("pt", "y", "phi", "pid")


@dataclass(frozen=True)
class Stored:
    """Describe one array of a file: where it begins in its member, its type and its shape."""

    member: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    header: int  # bytes

    @property
    def row(self) -> int:
        """The bytes of one row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


class ArraysTable:
    """Read arrays whose first axis is the row: ``events.npy``, or those of ``events.npz`` by name.

    - (N,) is level 0, (N, M) level 1 and padded, also offered as M columns ``X_0`` ... of one
      number; (N, M, F) gives F columns ``X_0`` ... of M particles;
    - an array of records gives its fields, ``X.field`` in an npz;
    - the array of an npy, which has no name, is called ``array``;
    - X (N, M, 4) that holds pt, y, phi and a particle's code, as EnergyFlow's quark and gluon jets
      do, also has ``X.pt``, ``X.y``, ``X.phi``, ``X.pid``.

    `tree` names the arrays to read, with commas between. Raises `InputError` for a file that is
    damaged, holds pickled objects or arrays of several lengths.
    """

    def __init__(self, path: str | Path, tree: str | None = None) -> None:
        self.path = existing_file(path)
        self.form = self.path.suffix.lower()[1:]
        self.columns: dict[str, Kind] = {}
        self._sources: dict[str, tuple[str, str | None, int | None]] = {}
        with readable(self.path, self.form):
            self._arrays = self._found()
        self._choose(tree)
        every = {name: array.shape[0] for name, array in self._arrays.items()}
        numeric = {n: size for n, size in every.items() if self._arrays[n].dtype.kind in "biufV"}
        self.rows = one_length(self.path, numeric or every, "array")
        widest = max(self._arrays[name].row for name in numeric or every)
        self.step = max(1, min(20_000, BYTES_AT_ONCE // max(widest, 1)))
        for name, array in self._arrays.items():
            self._scan(name, array)

    def _found(self) -> dict[str, Stored]:
        """Read the headers of all arrays; an array of no axes is a note."""
        if self.form == "npy":
            with self.path.open("rb") as file:
                arrays = {"array": self._header(file, "array", self.path.stat().st_size)}
        else:
            with zipfile.ZipFile(self.path) as archive:
                arrays = {}
                for member in archive.infolist():
                    if member.filename.endswith(".npy"):
                        with archive.open(member) as file:
                            name = member.filename[:-4].replace("/", ".")
                            arrays[name] = self._header(file, member.filename, member.file_size)
        arrays = {name: array for name, array in arrays.items() if array.shape}
        if not arrays:
            raise InputError(f"{self.path}: holds no arrays with rows.")
        return arrays

    def _header(self, file: IO[bytes], member: str, size: int) -> Stored:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0
        shape, fortran, dtype = (
            read(file) if version == (1, 0) else np.lib.format.read_array_header_2_0(file)
        )
        begin = file.tell()
        if not dtype.hasobject and math.prod(shape) * dtype.itemsize > size - begin:
            raise InputError(
                f"{self.path}: '{member}' should have {math.prod(shape) * dtype.itemsize} bytes and"
                f" has {size - begin}, it is truncated; copy or write it again."
            )
        return Stored(member, shape, dtype, fortran and len(shape) > 1, begin)

    def _choose(self, tree: str | None) -> None:
        if tree is None:
            return
        chosen = [name.strip() for name in tree.split(",")]
        for name in chosen:
            if name not in self._arrays:
                have = ", ".join(self._arrays)
                raise InputError(f"{self.path}: no array '{name}'; its arrays are: {have}.")
        self._arrays = {name: self._arrays[name] for name in chosen}

    def _scan(self, name: str, array: Stored) -> None:
        if array.shape[0] != self.rows:
            kind = f"{array.shape[0]} rows where others have {self.rows}"
            self.columns[name] = Kind(kind, None)
            return
        if array.dtype.hasobject:
            self.columns[name] = Kind("pickled objects, which are never run", None)
            return
        if array.row > WIDEST_ROW:
            raise InputError(
                f"{self.path}: one row of '{name}' takes {array.row / 1e9:.3g} GB (its shape is"
                f" {array.shape}); write fewer slots a row."
            )
        if array.dtype.names:
            prefix = "" if len(self._arrays) == 1 else f"{name}."
            for field in array.dtype.names:
                self._add(f"{prefix}{field}", (name, field, None), array.dtype[field], array)
            return
        depth, width = len(array.shape) - 1, array.shape[-1]
        if depth < 2:
            self._add(name, (name, None, None), array.dtype, array)
        if depth in (1, 2) and width <= MOST_COLUMNS:
            for i in range(width):
                self._add(f"{name}_{i}", (name, None, i), array.dtype, array)
        if depth == 2 and name == "X" and width >= len(QUARK_GLUON) and array.dtype.kind == "f":
            with readable(self.path, self.form):
                head = next(self._blocks(array, 0, min(self.rows, 1000), 1000), np.empty((0, 0, 0)))
            if quark_gluon_slots(head):
                for i, field in enumerate(QUARK_GLUON):
                    self._add(f"X.{field}", (name, None, i), array.dtype, array)

    def _add(
        self, name: str, source: tuple[str, str | None, int | None], kind: Any, array: Stored
    ) -> None:
        depth = len(array.shape) - 1 + len(kind.shape)
        depth -= source[1] is None and source[2] is not None
        level = depth if kind.base.kind in "biuf" and depth < 2 else None
        self._sources[name] = source
        self.columns[name] = Kind(f"{'lists of ' * max(depth - 1, 0)}{kind}", level, unit_in(name))

    def chunks(
        self, names: Iterable[str], start: int, stop: int, size: int
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, Column]]]:
        """Yield row numbers and columns, at most `size` rows at a time."""
        names = list(names)
        for name in names:
            if name not in self.columns:
                raise missing(self.path, name, self.columns)
        size = min(size, self.step)
        used = dict.fromkeys(self._sources[name][0] for name in names)
        streams = {name: self._blocks(self._arrays[name], start, stop, size) for name in used}
        for first in range(start, stop, size):
            last = min(first + size, stop)
            counts: dict[int, NDArray[np.int64]] = {}
            with readable(self.path, self.form):
                blocks = {name: next(stream) for name, stream in streams.items()}
            columns: dict[str, Column] = {}
            for name in names:
                array, field, place = self._sources[name]
                values = blocks[array] if field is None else blocks[array][field]
                values = values if place is None else values[..., place]
                if values.ndim == 1:
                    columns[name] = Column(values)
                    continue
                width = values.shape[1]
                counts.setdefault(width, np.full(last - first, width, dtype=np.int64))
                columns[name] = Column(values.reshape(-1), counts[width], padded=True)
            yield np.arange(first, last), columns

    def _blocks(self, array: Stored, start: int, stop: int, size: int) -> Iterator[NDArray[Any]]:
        """Yield rows of one array as they stand in the file: a chunk is all that is held."""
        edges = [*range(start, stop, size), stop]
        if self.form == "npy":
            whole = np.load(self.path, mmap_mode="r", allow_pickle=False)
            for first, last in pairwise(edges):
                yield np.asarray(whole[first:last])
            return
        with zipfile.ZipFile(self.path) as archive, archive.open(array.member) as file:
            if array.fortran:
                if math.prod(array.shape) * array.dtype.itemsize > LARGEST_TURNED:
                    raise InputError(
                        f"{self.path}: '{array.member}' is stored column by column and is too large"
                        " to turn; write it in C order (numpy.ascontiguousarray)."
                    )
                whole = np.lib.format.read_array(file, allow_pickle=False)
                for first, last in pairwise(edges):
                    yield np.asarray(whole[first:last])
                return
            file.seek(array.header + start * array.row)
            for first, last in pairwise(edges):
                data = file.read((last - first) * array.row)
                yield np.frombuffer(data, array.dtype).reshape(last - first, *array.shape[1:])
