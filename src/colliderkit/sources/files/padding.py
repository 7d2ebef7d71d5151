"""Empty slots of padded particles: zeros, -999, NaN, a mass without momentum, or by a flag."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import FILLINGS
from colliderkit.sources.files.columns import Column, Kind

__all__ = ["unpadded", "validity"]

Bools = NDArray[np.bool_]


def validity(columns: Mapping[str, Kind], used: list[str]) -> str | None:
    """Return the flag of the particles that `used` are columns of.

    It is called ``valid``, or ``mask`` and is of truths, and stands beside them.
    """
    for name in used:
        stem = name.rpartition(".")[0]
        for title in ("valid", "mask"):
            flag = f"{stem}.{title}" if stem else title
            kind = columns.get(flag)
            if kind is not None and kind.level == 1 and (title == "valid" or "bool" in kind.type):
                return flag
    return None


def unpadded(
    path: Path,
    raw: dict[str, Column],
    four: list[Column],
    used: list[str],
    row: NDArray[np.int64],
    flag: str | None = None,
) -> dict[str, Column]:
    """Drop the empty slots of padded columns; `four` is made of the columns `used`.

    A slot is empty where the whole four-vector is zero. Where all of `used` are one of `FILLINGS`,
    where all are NaN, or where energy is left and no momentum, a slot is empty too if none but such
    follow it in its row; this is said. Raises `InputError` for those that stand between particles,
    and for energies below 0, which no particle has.
    """
    counts = four[0].counts
    assert counts is not None
    size = len(four[0].values)
    components = [column.values for column in four if len(column.values) == size]
    moving = np.zeros(size, dtype=bool)
    for values in components[:3]:
        moving |= values != 0
    keep = moving | (components[-1] != 0)
    sources = [raw[n].values for n in used if raw[n].padded and len(raw[n].values) == size]
    width = int(counts.max(initial=0))
    if flag is not None and len(raw[flag].values) == size:
        filled_in = raw[flag].values.astype(bool)
        if keep.any() and not (keep & filled_in).any():
            raise InputError(
                f"{path}: '{flag}' is true in no slot that holds a particle, so that it seems to"
                " mark empty ones; write with 'columns' what a particle is, as {constituents.E:"
                f" where({flag}, 0, {used[0]})}} for each component."
            )
        if (keep & ~filled_in).any():
            say(path, f"slots where '{flag}' is false are taken for empty")
        keep &= filled_in
    filled: dict[str, Bools] = {}
    if sources and float(np.min(sources[0], initial=0)) < -90:
        for filling in FILLINGS:
            filled[f"{filling:g}"] = everywhere([values == filling for values in sources])
    if np.isnan(components[0].sum(dtype=np.float64)):
        filled["NaN"] = everywhere([np.isnan(values) for values in components])
    filled["energy without momentum"] = ~moving
    for what, slots in filled.items():
        slots = slots & keep
        if not slots.any():
            continue
        after = (keep & ~slots).reshape(-1, width)
        between = slots.reshape(-1, width) & (np.cumsum(after[:, ::-1], axis=1)[:, ::-1] > 0)
        if between.any():
            wrong = int(row[np.argmax(between.any(axis=1))])
            raise InputError(
                f"{path}: event {wrong} (counted from 0) has a slot of {what} between its"
                " particles; write with 'columns' what a particle is, as {constituents.E:"
                f" where({used[0]} == 0, 0, ...)}} for each component: slots of zeros are empty."
            )
        say(path, f"slots of {what} after the last particle are taken for empty")
        keep &= ~slots
    if (negative := keep & (components[-1] < 0)).any():
        slot = int(np.argmax(negative))
        raise InputError(
            f"{path}: a particle of event {row[slot // width]} (counted from 0) has the energy"
            f" {components[-1][slot]:g}; if that fills empty slots, write with 'columns' what a"
            " particle is, as {constituents.E: where(x > 0, x, 0)} for each component."
        )
    kept: Any = keep.reshape(-1, width).sum(axis=1, dtype=np.int64) if width else counts
    return {
        name: Column(column.values[keep], kept)
        if column.padded and len(column.values) == size
        else column
        for name, column in raw.items()
    }


def say(path: Path, what: str) -> None:
    """Warn the user of what is supposed."""
    warnings.warn(f"{path}: {what}", UserWarning, stacklevel=3)


def everywhere(conditions: list[Bools]) -> Bools:
    """Return where all conditions hold."""
    return np.asarray(np.logical_and.reduce(conditions), dtype=bool)
