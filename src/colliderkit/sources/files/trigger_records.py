"""Write trigger-level records: the few numbers of an event that the trigger has computed itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.files import atomic_hdf5

__all__ = ["EVENT", "bytes_an_event", "reduced", "write_records"]

EVENT = "event"
LARGEST = float(np.finfo(np.float16).max)
BATCH = 65_536


def reduced(
    columns: Mapping[str, ArrayLike], names: Sequence[str]
) -> dict[str, NDArray[np.float16]]:
    """Return the columns `names` (N,) in two bytes a number.

    float16 rounds by at most 2^-11 of the number, 0.05%, down to 6e-5, far below the resolution of
    a trigger, and every reader takes it for the number that it is. Raises `InputError` for a column
    that is not there, is not finite, or is beyond 65,504.
    """
    found = {}
    for name in names:
        if name not in columns:
            raise InputError(
                f"records: the events have no column '{name}'; they have"
                f" {', '.join(list(columns)[:8])}."
            )
        values = np.asarray(columns[name], dtype=np.float64)
        if not (np.abs(values) <= LARGEST).all():
            raise InputError(
                f"records: column '{name}' has {values[~(np.abs(values) <= LARGEST)][0]:g}, and two"
                f" bytes hold numbers up to {LARGEST:.0f}; give energies in GeV."
            )
        found[name] = values.astype(np.float16)
    return found


def bytes_an_event(names: Sequence[str]) -> int:
    """Return the bytes of a record of these columns before compression: two each, and a number."""
    return 2 * len(names) + 8


def write_records(
    path: str | Path,
    columns: Mapping[str, ArrayLike],
    names: Sequence[str],
    *,
    event: ArrayLike,
    force: bool = False,
) -> int:
    """Write records of the columns `names` (N,) and the numbers `event` (N,) as HDF5.

    Each is a data set (N,), which `sources.read_table` and any reader of HDF5 take as it is,
    compressed (gzip, after the bytes are shuffled). Returns the bytes of the file. Raises
    `InputError` as `reduced` does, for lengths that differ, and for a file that is there.
    """
    records = reduced(columns, names)
    numbers = np.asarray(event, dtype=np.int64)
    for name, values in records.items():
        if values.shape != numbers.shape:
            raise InputError(
                f"records: column '{name}' has shape {values.shape} and there are"
                f" {len(numbers)} event numbers; give one of each an event."
            )
    kept = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    with atomic_hdf5(path, force) as file:
        written: dict[str, NDArray[Any]] = {**records, EVENT: numbers}
        for name, data in written.items():
            chunk = (max(1, min(BATCH, len(data))),)
            file.create_dataset(name, data=data, chunks=chunk, **kept)
    return Path(path).stat().st_size
