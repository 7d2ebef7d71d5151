"""Empty slots of padded particles: zeros, -999, NaN, a mass without momentum, or by a flag."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

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
    made: Callable[[dict[str, Column]], list[Column]],
    used: list[str],
    row: NDArray[np.int64],
    flag: str | None = None,
) -> tuple[dict[str, Column], list[Column]]:
    """Drop the empty slots of padded columns; return what is left, and the four-vectors of it.

    `made` makes these, px, py, pz, E, of the columns `used`, and has made `four` of all. A slot is
    empty where the whole four-vector is zero. Where all of `used` are one of `FILLINGS`, where all
    are NaN, or where energy is left and no momentum, a slot is empty too if none but such follow it
    in its row; this is said. Raises `InputError` for those that stand between particles, and for
    energies below 0, which no particle has.
    """
    size = len(four[0].values)
    components = [column.values for column in four if len(column.values) == size]
    keep = components[0] != 0
    for values in components[1:]:
        keep |= values != 0
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
    left = kept(raw, keep, four[0].counts)
    momenta = made(left)
    # What is left is less, and stands together: to look at it costs little.
    if suspicious(momenta, [left[name] for name in used]):
        keep = without_fillings(path, raw, four, used, row, keep)
        left = kept(raw, keep, four[0].counts)
        momenta = made(left)
    return left, momenta


def kept(
    raw: dict[str, Column], keep: Bools, counts: NDArray[np.int64] | None
) -> dict[str, Column]:
    """Return the padded columns without the slots that are not to `keep`, flat (P,)."""
    place, size = np.flatnonzero(keep), len(keep)
    if counts is None or not len(counts):
        return raw
    ends = np.cumsum(np.concatenate([[0], counts]))
    lengths = np.diff(np.searchsorted(place, ends))
    return {
        name: Column(column.values[place], lengths)
        if column.padded and len(column.values) == size
        else column
        for name, column in raw.items()
    }


def suspicious(four: list[Column], used: list[Column]) -> bool:
    """Return whether four-vectors may be made of what fills slots: no such look is decisive."""
    px, py, pz, energy = (column.values for column in four)
    if not len(px):
        return False
    first = used[0].values if used else px
    if float(np.min(first, initial=0)) <= -90 and any((first == x).any() for x in FILLINGS):
        return True
    moving = bool(px.all()) or bool(((px != 0) | (py != 0) | (pz != 0)).all())
    return not (moving and float(np.min(energy)) >= 0 and np.isfinite(px.sum(dtype=np.float64)))


def without_fillings(
    path: Path,
    raw: dict[str, Column],
    four: list[Column],
    used: list[str],
    row: NDArray[np.int64],
    keep: Bools,
) -> Bools:
    """Return which slots to keep of those that hold anything, without what only fills them."""
    counts = four[0].counts
    assert counts is not None
    size, width = len(keep), int(counts.max(initial=0))
    components = [column.values for column in four if len(column.values) == size]
    moving = everywhere([values == 0 for values in components[:3]])
    np.logical_not(moving, out=moving)
    sources = [raw[n].values for n in used if raw[n].padded and len(raw[n].values) == size]
    filled: dict[str, Bools] = {}
    if sources:
        for filling in FILLINGS:
            filled[f"{filling:g}"] = everywhere([values == filling for values in sources])
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
        keep = keep & ~slots
    if (negative := keep & (components[-1] < 0)).any():
        slot = int(np.argmax(negative))
        raise InputError(
            f"{path}: a particle of event {row[slot // width]} (counted from 0) has the energy"
            f" {components[-1][slot]:g}; if that fills empty slots, write with 'columns' what a"
            " particle is, as {constituents.E: where(x > 0, x, 0)} for each component."
        )
    return keep


def say(path: Path, what: str) -> None:
    """Warn the user of what is supposed."""
    warnings.warn(f"{path}: {what}", UserWarning, stacklevel=3)


def everywhere(conditions: list[Bools]) -> Bools:
    """Return where all conditions hold."""
    return np.asarray(np.logical_and.reduce(conditions), dtype=bool)
