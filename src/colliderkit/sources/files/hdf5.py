"""HDF5 through h5py: plain, compound and padded datasets, and pandas tables without pandas."""

import pickletools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import existing_file
from colliderkit.sources.files.columns import Column, Kind, family, missing, readable, shorten

__all__ = ["Hdf5Table"]

ROWS_AT_ONCE = 20_000
Source = tuple[Any, ...]


class Hdf5Table:
    """Read datasets whose first axis is the row.

    - (N,) is level 0, (N, M) and variable-length lists level 1; padded ones lose their empty
      slots later, where the four-vector is zero;
    - a compound dataset gives its fields, ``dataset.field`` if there are several datasets;
    - (N, M, F) gives the F columns ``dataset_0`` ... of M particles; (N, F) is also offered as F
      columns ``dataset_0`` ... of one number;
    - a pandas frame (``table`` or ``fixed`` format) gives its columns, and those numbered from 0
      (``E_0, E_1, ...``) also a padded column ``E``.

    `tree` is the group or dataset to read, needed where the file has several.
    """

    def __init__(self, path: str | Path, tree: str | None = None) -> None:
        self.path = existing_file(path)
        self.step = ROWS_AT_ONCE
        self.columns: dict[str, Kind] = {}
        self._sources: dict[str, Source] = {}
        with readable(self.path, "HDF5"):
            self._file = h5py.File(self.path, "r")
            keys = sorted(self._file)
        if tree is not None and tree not in self._file:
            raise InputError(f"{self.path}: no key '{tree}'; its keys are: {', '.join(keys)}.")
        with readable(self.path, "HDF5"):
            self.rows = self._scan(self._file if tree is None else self._file[tree])
        for stem, names in family(self.columns).items():
            self._sources[stem] = ("family", names)
            self.columns[stem] = Kind(f"{len(names)} columns", 1)

    def _scan(self, root: Any) -> int:
        if isinstance(root, h5py.Group) and len(root) == 1 and not pandas_format(root):
            return self._scan(root[next(iter(root))])
        match pandas_format(root):
            case "table":
                return self._scan_table(root["table"])
            case "fixed":
                blocks = sorted(
                    k[:-6] for k in root if k.startswith("block") and k.endswith("_items")
                )
                for block in blocks:
                    for i, item in enumerate(root[f"{block}_items"][()]):
                        values = root[f"{block}_values"]
                        self._add(item.decode(), values, (values, None, i), values.dtype)
                return len(root["axis1"])
        if isinstance(root, h5py.Dataset):
            self._scan_dataset("", root)
            return len(root)
        datasets: dict[str, Any] = {}
        root.visititems(
            lambda name, item: (
                datasets.__setitem__(name.replace("/", "."), item)
                if isinstance(item, h5py.Dataset) and item.ndim
                else None
            )
        )
        if not datasets:
            raise InputError(f"{self.path}: holds no datasets.")
        sizes = {name: len(item) for name, item in datasets.items()}
        rows = max(set(sizes.values()), key=list(sizes.values()).count)
        for name, item in datasets.items():
            if len(item) == rows:
                self._scan_dataset(name, item)
            else:
                self.columns[name] = Kind(f"{len(item)} rows where others have {rows}", None)
        return rows

    def _scan_table(self, table: Any) -> int:
        for field in table.dtype.names:
            kind = table.dtype[field]
            if field == "index":
                continue
            if not field.startswith("values_block_"):
                self._add(field, table, (table, field, None), kind)
                continue
            size = kind.shape[0] if kind.shape else 1
            names = strings_of(table.attrs.get(f"{field}_kind"))
            if len(names) != size:
                raise InputError(
                    f"{self.path}: the names of the {size} columns of {field} are not to be read"
                    f" (found {shorten(names)}); write the frame with format='fixed'."
                )
            for i, name in enumerate(names):
                self._add(name, table, (table, field, i if kind.shape else None), kind.base)
        return len(table)

    def _scan_dataset(self, name: str, item: Any) -> None:
        if item.dtype.names:
            prefix = f"{name}." if name else ""
            for field in item.dtype.names:
                self._add(f"{prefix}{field}", item, (item, field, None), item.dtype[field])
            return
        name = name or item.name.rsplit("/", 1)[-1]
        if item.ndim < 3:
            self._add(name, item, (item, None, None), item.dtype)
        if item.ndim == 3 or (item.ndim == 2 and h5py.check_vlen_dtype(item.dtype) is None):
            for i in range(item.shape[-1]):
                self._add(f"{name}_{i}", item, (item, None, i), item.dtype)

    def _add(self, name: str, item: Any, source: Source, kind: Any) -> None:
        _, field, place = source
        vlen = h5py.check_vlen_dtype(kind)
        level: int | None = item.ndim - 1 + len(kind.shape) - (field is None and place is not None)
        if vlen is not None and vlen is not str and vlen is not bytes:
            level, kind = 1 if level == 0 else None, vlen
        elif kind.base.kind not in "biuf":
            level = None
        self._sources[name] = source
        self.columns[name] = Kind(str(kind), level if level in (0, 1) else None)

    def chunks(
        self, names: Iterable[str], start: int, stop: int, size: int
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, Column]]]:
        """Yield row numbers and columns, at most `size` rows at a time."""
        names = list(names)
        for name in names:
            if name not in self.columns:
                raise missing(self.path, name, self.columns)
        size = min(size, self.step)  # padding makes rows heavy
        for first in range(start, stop, size):
            last = min(first + size, stop)
            read: dict[str, Any] = {}  # each dataset once
            counts: dict[int, NDArray[np.int64]] = {}  # each padded length once
            with readable(self.path, "HDF5"):
                columns = {name: self._column(name, first, last, read, counts) for name in names}
            yield np.arange(first, last), columns

    def _column(
        self,
        name: str,
        first: int,
        last: int,
        read: dict[str, Any],
        counts: dict[int, NDArray[np.int64]],
    ) -> Column:
        source = self._sources[name]
        if source[0] == "family":
            values = self._family(source[1], first, last, read)
        else:
            values = self._values(source, first, last, read)
        if values.dtype == object:
            lengths = np.array([len(row) for row in values], dtype=np.int64)
            return Column(np.concatenate([*values, []][: len(values) or 1]), lengths)
        if values.ndim == 1:
            return Column(values)
        width = values.shape[1]
        if width not in counts:
            counts[width] = np.full(last - first, width, dtype=np.int64)
        return Column(values.reshape(-1), counts[width], padded=True)

    def _values(self, source: Source, first: int, last: int, read: dict[str, Any]) -> Any:
        item, field, place = source
        if item.name not in read:
            read[item.name] = item[first:last]
        values = read[item.name]
        values = values if field is None else values[field]
        return values if place is None else values[..., place]

    def _family(self, names: list[str], first: int, last: int, read: dict[str, Any]) -> Any:
        sources = [self._sources[name] for name in names]
        item, field, place = sources[0]
        places = [source[2] for source in sources]
        if place is not None and all(source[:2] == (item, field) for source in sources):
            # Columns of one block: a strided view where they stand at equal distances.
            block = self._values((item, field, None), first, last, read)
            step = places[1] - places[0]
            if step > 0 and places == list(range(places[0], places[-1] + 1, step)):
                return block[:, places[0] : places[-1] + 1 : step]
            return block[:, places]
        return np.stack([self._values(source, first, last, read) for source in sources], axis=1)


def pandas_format(group: Any) -> str | None:
    """Return the format ("table" or "fixed") in which pandas wrote a group, None if it did not."""
    if not isinstance(group, h5py.Group):
        return None
    if "table" in group and getattr(group["table"], "dtype", np.dtype("f4")).names:
        return "table" if "index" in group["table"].dtype.names else None
    return "fixed" if "axis0" in group and "axis1" in group else None


def strings_of(attribute: Any) -> list[str]:
    """List the strings in a pickled list of names, which pandas keeps as an attribute.

    The pickle is only disassembled (`pickletools.genops`), never run.
    """
    if attribute is None:
        return []
    if isinstance(attribute, np.ndarray) and attribute.dtype.kind in "SUO":
        return [x.decode() if isinstance(x, bytes) else str(x) for x in attribute.reshape(-1)]
    data = attribute.tobytes() if isinstance(attribute, np.ndarray | np.void) else attribute
    data = data.encode("latin-1") if isinstance(data, str) else bytes(data)
    try:
        operations = list(pickletools.genops(data))
    except ValueError:
        return []
    return [
        argument.decode() if isinstance(argument, bytes) else str(argument)
        for operation, argument, _ in operations
        if "STRING" in operation.name or "UNICODE" in operation.name
    ]
