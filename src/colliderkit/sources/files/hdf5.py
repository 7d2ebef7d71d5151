"""HDF5 through h5py: plain, compound, padded and flagged data sets, and pandas frames."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import existing_file
from colliderkit.sources.files.columns import (
    Column,
    Kind,
    family,
    missing,
    one_length,
    readable,
    unit_in,
)
from colliderkit.sources.files.frames import frame_columns, frame_format
from colliderkit.sources.files.padded import particle_columns
from colliderkit.sources.files.storage import check_stored

__all__ = ["Hdf5Table"]

ROWS_AT_ONCE = 20_000
BYTES_AT_ONCE = 1 << 28  # of one data set, so that wide rows do not fill the memory
WIDEST_ROW = 1 << 30  # bytes
MOST_COLUMNS = 20_000  # that the slots of one data set are offered as


@dataclass(frozen=True)
class Source:
    """Say where a column stands: a data set, its field, the place in its last axis.

    - `valid`: the field that marks the slots of a row which are filled;
    - `members`: the columns of one number of which this is one of particles.
    """

    item: Any = None
    field: str | None = None
    place: int | None = None
    valid: str | None = None
    members: tuple[str, ...] = ()


class Hdf5Table:
    """Read datasets whose first axis is the row.

    - (N,) is level 0, (N, M) and variable-length lists level 1; padded ones lose their empty
      slots later, where the four-vector is zero;
    - a compound dataset gives its fields, ``dataset.field`` if there are several datasets; of one
      of shape (N, M) with a field `valid`, the slots where that is true are the particles (the
      flavour-tagging files of ATLAS);
    - (N, M, F) gives the F columns ``dataset_0`` ... of M particles; (N, F) is also offered as F
      columns ``dataset_0`` ... of one number;
    - a pandas frame (``table`` or ``fixed`` format) gives its columns, and those numbered from 0
      (``E_0, E_1, ...``) also a padded column ``E``. A frame of numbered columns that holds
      particles as the LHC Olympics do also has ``particles.pt``, ``.eta``, ``.phi`` (`padded`).

    `tree` is the group or dataset to read, or several with commas between; it is needed where the
    tables of the file differ in length. Links are followed. Raises `InputError` for a link that
    leads nowhere, a filter that is not installed, and a dataset that would read as zeros because
    it was never written or is virtual and its source is gone.
    """

    def __init__(self, path: str | Path, tree: str | None = None) -> None:
        self.path = existing_file(path)
        self.step = ROWS_AT_ONCE
        self.columns: dict[str, Kind] = {}
        self._sources: dict[str, Source] = {}
        self._stored: set[Any] = set()  # what was looked at: it is there, and can be read
        with readable(self.path, "HDF5"):
            self._file = h5py.File(self.path, "r")
            roots = self._roots(tree)
            self.rows = self._scan(roots)
        for stem, names in family(self.columns).items():
            self._sources[stem] = Source(members=tuple(names))
            self.columns[stem] = Kind(f"{len(names)} columns", 1)
        with readable(self.path, "HDF5"):
            self._recognise()

    def _roots(self, tree: str | None) -> dict[str, Any]:
        """Return what is to be read by the names of its keys."""
        if tree is None:
            return {"": self._file}
        roots: dict[str, Any] = {}
        for key in [part.strip() for part in tree.split(",")]:
            try:
                link = self._file.get(key, getlink=True) if key else None
            except KeyError:
                link = None
            if link is None:
                keys = ", ".join(sorted(self._file))
                raise InputError(f"{self.path}: no key '{key}'; its keys are: {keys}.")
            roots[key.strip("/").replace("/", ".")] = self._followed(self._file, key)
        return roots if len(roots) > 1 else {"": next(iter(roots.values()))}

    def _scan(self, roots: dict[str, Any]) -> int:
        root = roots.get("")
        # A file of one table needs no name for it.
        while isinstance(root, h5py.Group) and len(root) == 1 and not frame_format(root):
            root = self._followed(root, next(iter(root)))
        if frame_format(root):
            return self._scan_frame(root)
        if isinstance(root, h5py.Dataset):
            self._scan_dataset("", root)
            return len(root) if root.ndim else 0
        items: dict[str, Any] = {}
        for name, item in roots.items():
            self._walk(name, item, items)
        if not items:
            raise InputError(f"{self.path}: holds no datasets.")
        frames = [name for name, item in items.items() if isinstance(item, h5py.Group)]
        if frames:
            raise InputError(
                f"{self.path}: holds {len(items)} tables ({', '.join(items)[:200]}); name the one"
                f" that is meant by 'tree', such as {frames[0].replace('.', '/')}."
            )
        # Texts (the names of features) and the like are no rows of events.
        numeric = {name: len(item) for name, item in items.items() if numbers_in(item.dtype)}
        sizes = numeric or {name: len(item) for name, item in items.items()}
        rows = self._flagged(items) or one_length(self.path, sizes)
        for name, item in items.items():
            if len(item) == rows:
                self._scan_dataset(name, item)
            else:
                self.columns[name] = Kind(f"{len(item)} rows where others have {rows}", None)
        return rows

    def _flagged(self, items: dict[str, Any]) -> int:
        """Return the rows of the jets of a flavour-tagging file, or 0.

        Such files have tables of other lengths (sums of weights) beside those of the jets and their
        tracks, and these two belong together by their names.
        """
        jets = items.get("jets")
        if jets is None or not jets.dtype.names or jets.ndim != 1:
            return 0
        tracks = [item for item in items.values() if valid_field(item) and len(item) == len(jets)]
        return len(jets) if tracks else 0

    def _walk(self, name: str, item: Any, items: dict[str, Any], depth: int = 0) -> None:
        """Collect the datasets and frames below a key; a link is followed once."""
        if isinstance(item, h5py.Dataset):
            if item.ndim:
                items[name] = item
        elif frame_format(item):
            items[name] = item
        elif isinstance(item, h5py.Group) and depth < 16:
            for key in item:
                self._walk(
                    f"{name}.{key}" if name else key, self._followed(item, key), items, depth + 1
                )

    def _followed(self, group: Any, key: str) -> Any:
        """Return what stands behind a key, or raise if it is a link that leads nowhere."""
        try:
            return group[key]
        except (KeyError, OSError) as error:
            link = group.get(key, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                where = f"'{link.path}' in the file '{link.filename}', which"
            elif isinstance(link, h5py.SoftLink):
                where = f"'{link.path}', which"
            else:
                raise
            raise InputError(
                f"{self.path}: its key '{key}' is a link to {where} is not there; bring it back,"
                " or name other keys by 'tree'."
            ) from error

    def _scan_frame(self, root: Any) -> int:
        cells, rows = frame_columns(self.path, root)
        for cell in cells:
            if not cell.readable:
                self.columns[cell.name] = Kind("objects of Python", None)
                continue
            dtype = cell.dataset.dtype
            kind = dtype if cell.field is None else dtype[cell.field].base
            self._sources[cell.name] = Source(cell.dataset, cell.field, cell.place)
            self.columns[cell.name] = Kind(str(kind), 0)
        return rows

    def _scan_dataset(self, name: str, item: Any) -> None:
        dtype = item.dtype
        row = int(np.prod(item.shape[1:], dtype=object)) * dtype.itemsize
        if row > WIDEST_ROW:
            raise InputError(
                f"{self.path}: one row of '{item.name}' takes {row / 1e9:.3g} GB (its shape is"
                f" {item.shape}); write fewer slots a row."
            )
        self.step = max(1, min(self.step, BYTES_AT_ONCE // max(row, 1)))
        if dtype.names:
            prefix = f"{name}." if name else ""
            valid = valid_field(item)
            for field in dtype.names:
                self._add(f"{prefix}{field}", Source(item, field, None, valid), dtype[field])
            return
        name = name or item.name.rsplit("/", 1)[-1]
        if item.ndim < 3:
            self._add(name, Source(item), dtype)
        if item.ndim == 3 or (item.ndim == 2 and h5py.check_vlen_dtype(dtype) is None):
            for i in range(item.shape[-1] if item.shape[-1] <= MOST_COLUMNS else 0):
                self._add(f"{name}_{i}", Source(item, None, i), dtype)

    def _add(self, name: str, source: Source, kind: Any) -> None:
        item = source.item
        vlen = h5py.check_vlen_dtype(kind)
        plain = source.field is None
        level: int | None = item.ndim - 1 + len(kind.shape) - (plain and source.place is not None)
        unit = unit_of(item, source.field) or unit_in(name)
        if vlen is not None and vlen is not str and vlen is not bytes:
            level, kind = 1 if level == 0 else None, vlen
        elif kind.base.kind not in "biuf":
            level = None
        self._sources[name] = source
        nested = "lists of lists of " if level is not None and level > 1 else ""
        self.columns[name] = Kind(f"{nested}{kind}", level if level in (0, 1) else None, unit)

    def _recognise(self) -> None:
        """Offer the particles of a frame or an array that the field publishes without names."""
        for stem, kind in list(self.columns.items()):
            first = self._sources.get(f"{stem}_5")
            if kind.level != 1 or first is None or first.valid is not None or not self.rows:
                continue
            if self.columns[f"{stem}_5"].level != 0:
                continue
            numbered = (f"{stem}_{i}" for i in range(MOST_COLUMNS))
            names = list(takewhile(self._sources.__contains__, numbered))
            if len(names) % 3 == 2:
                continue
            head = self._column(stem, 0, min(self.rows, 1000), {}, {})
            for column, places in particle_columns(head.values.reshape(-1, len(names))).items():
                members = tuple(names[i] for i in places)
                if len(members) == 1:
                    self._sources[column] = self._sources[members[0]]
                    self.columns[column] = self.columns[members[0]]
                else:
                    self._sources[column] = Source(members=members)
                    self.columns[column] = Kind(f"{len(members)} columns", 1)

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
            read: dict[Any, Any] = {}  # each dataset once
            counts: dict[Any, NDArray[np.int64]] = {}  # each number of particles once
            with readable(self.path, "HDF5"):
                columns = {name: self._column(name, first, last, read, counts) for name in names}
            yield np.arange(first, last), columns

    def _column(
        self,
        name: str,
        first: int,
        last: int,
        read: dict[Any, Any],
        counts: dict[Any, NDArray[np.int64]],
    ) -> Column:
        source = self._sources[name]
        if source.members:
            values = self._family(source.members, first, last, read)
        else:
            values = self._values(source, first, last, read)
        if values.dtype == object:
            lengths = np.array([len(row) for row in values], dtype=np.int64)
            return Column(np.concatenate([*values, []][: len(values) or 1]), lengths)
        if values.ndim == 1:
            return Column(values)
        if source.valid is not None:
            flag = Source(source.item, source.valid)
            valid = self._values(flag, first, last, read).astype(bool)
            if source.item not in counts:
                counts[source.item] = valid.sum(axis=1, dtype=np.int64)
            return Column(values[valid], counts[source.item])
        width = values.shape[1]
        if width not in counts:
            counts[width] = np.full(last - first, width, dtype=np.int64)
        return Column(values.reshape(-1), counts[width], padded=True)

    def _values(self, source: Source, first: int, last: int, read: dict[Any, Any]) -> Any:
        item = source.item
        if item not in read:
            if item not in self._stored:
                check_stored(self.path, item)
                self._stored.add(item)
            read[item] = item[first:last]
        values = read[item]
        values = values if source.field is None else values[source.field]
        return values if source.place is None else values[..., source.place]

    def _family(self, names: tuple[str, ...], first: int, last: int, read: dict[Any, Any]) -> Any:
        sources = [self._sources[name] for name in names]
        item, field = sources[0].item, sources[0].field
        places = [source.place for source in sources]
        if None not in places and all(s.item == item and s.field == field for s in sources):
            # Columns of one block: a strided view where they stand at equal distances.
            block = self._values(Source(item, field), first, last, read)
            at = [int(place) for place in places if place is not None]
            step = at[1] - at[0]
            if step > 0 and at == list(range(at[0], at[-1] + 1, step)):
                return block[:, at[0] : at[-1] + 1 : step]
            return block[:, at]
        return np.stack([self._values(source, first, last, read) for source in sources], axis=1)


def numbers_in(dtype: Any) -> bool:
    """Return whether a type is of numbers, of lists of them, or has fields of numbers."""
    if dtype.names:
        return any(numbers_in(dtype[name].base) for name in dtype.names)
    vlen = h5py.check_vlen_dtype(dtype)
    return (np.dtype(vlen) if vlen not in (None, str, bytes) else dtype).kind in "biuf"


def valid_field(item: Any) -> str | None:
    """Return the field that says which of the M slots of a compound dataset (N, M) are filled."""
    if getattr(item, "ndim", 0) != 2 or "valid" not in (item.dtype.names or ()):
        return None
    return "valid" if item.dtype["valid"].kind in "biu" else None


def unit_of(item: Any, field: str | None) -> str:
    """Return the unit of energy that the attributes of a dataset name for it or for a field."""
    keys: tuple[str, ...] = ("units", "unit")
    if field is not None:
        keys = (f"{field}_units", f"{field}_unit", *keys)
    for key in keys:
        value = item.attrs.get(key)
        if isinstance(value, np.ndarray) and field is not None and value.ndim == 1:
            fields = item.dtype.names or ()
            value = value[fields.index(field)] if len(value) == len(fields) else None
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, str) and value.strip().lower() in ("mev", "gev"):
            return {"mev": "MeV", "gev": "GeV"}[value.strip().lower()]
    return ""
