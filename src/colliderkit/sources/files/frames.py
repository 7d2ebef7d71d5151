"""pandas frames in HDF5, in the formats ``fixed`` and ``table``, read without pandas."""

import pickletools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from colliderkit.errors import InputError
from colliderkit.sources.files.columns import shorten

__all__ = ["Cell", "frame_columns", "frame_format", "names_of"]

# What stands for a whole number or a text in a pickled list.
NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4")


class Cell(NamedTuple):
    """Say where a column of a frame stands: in `field` of a dataset, or at `place` of its rows."""

    name: str
    dataset: Any
    field: str | None
    place: int | None
    readable: bool


def frame_format(group: Any) -> str | None:
    """Return the format ("table" or "fixed") in which pandas wrote a group, None if it did not."""
    if not isinstance(group, h5py.Group):
        return None
    if "table" in group and getattr(group["table"], "dtype", np.dtype("f4")).names:
        return "table" if "index" in group["table"].dtype.names else None
    return "fixed" if "axis0" in group and "axis1" in group else None


def frame_columns(path: Path, group: Any) -> tuple[list[Cell], int]:
    """Return the columns of a frame and the number of its rows.

    A column that pandas names by a number i is ``KEY_i``, after the key of the frame: a bare number
    is no name in an expression. Raises `InputError` for names that cannot be told without running
    a pickle.
    """
    columns = _table if frame_format(group) == "table" else _fixed
    stem = group.name.rsplit("/", 1)[-1] or "frame"
    cells = [
        cell._replace(name=f"{stem}_{cell.name}") if cell.name.isdigit() else cell
        for cell in columns(path, group)
    ]
    rows = len(group["table"]) if frame_format(group) == "table" else len(group["axis1"])
    return cells, rows


def _fixed(path: Path, group: Any) -> Iterator[Cell]:
    rows = len(group["axis1"])
    for key in sorted(key for key in group if key.startswith("block") and key.endswith("_items")):
        values, items = group[f"{key[:-6]}_values"], group[key]
        if items.dtype.kind not in "SUOiu" or h5py.check_vlen_dtype(items.dtype) is not None:
            raise InputError(
                f"{path}: the names of the columns in {items.name} are not to be read (they are"
                f" {items.dtype}); name the columns by one text each."
            )
        # Objects are pickled into one row of bytes, which is nothing to read.
        sound = values.ndim == 2 and len(values) == rows and values.dtype.kind in "biuf"
        for place, item in enumerate(items[()]):
            name = item.decode() if isinstance(item, bytes) else str(item)
            yield Cell(name, values, None, place, sound)


def _table(path: Path, group: Any) -> Iterator[Cell]:
    table = group["table"]
    for field in table.dtype.names:
        kind = table.dtype[field]
        if field == "index":
            continue
        if not field.startswith("values_block_"):
            yield Cell(field, table, field, None, kind.base.kind in "biuf")
            continue
        size = kind.shape[0] if kind.shape else 1
        names = names_of(table.attrs.get(f"{field}_kind"))
        if len(names) != size:
            raise InputError(
                f"{path}: the names of the {size} columns of {field} are not to be read"
                f" (found {shorten(names)}); write the frame with format='fixed'."
            )
        for place, name in enumerate(names):
            yield Cell(name, table, field, place if kind.shape else None, kind.base.kind in "biuf")


def names_of(attribute: Any) -> list[str]:
    """List the texts and whole numbers in a pickled list of names, as pandas keeps it.

    The pickle is only disassembled (`pickletools.genops`), never run.
    """
    if attribute is None:
        return []
    if isinstance(attribute, np.ndarray) and attribute.dtype.kind in "SUOiu":
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
        if "STRING" in operation.name or "UNICODE" in operation.name or operation.name in NUMBERS
    ]
