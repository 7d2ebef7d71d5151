"""Four-vectors by the endings of names: ``c_pt, c_eta, c_phi`` (mass or energy), ``c_px``, ...

Also jets of events: an event a row, whose jets are lists and whose constituents lists of lists.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.sources.files.columns import Column, Kind, TableFile, missing
from colliderkit.sources.files.expressions import quoted

__all__ = [
    "NestedJets",
    "collection_of",
    "collections",
    "from_pt_eta_phi",
    "lengths",
    "massless",
    "momenta",
]

ENDINGS = {"mass": "mass", "m": "mass", "energy": "energy", "e": "energy"}
ENDINGS |= {name: name for name in ("pt", "eta", "phi", "px", "py", "pz")}
ENDING = re.compile(rf"(?:(?P<stem>.+)[_.])?(?P<end>{'|'.join(ENDINGS)})", re.IGNORECASE)
NAMES = ("px", "py", "pz", "E")
EVENTS_AT_ONCE = 10_000
EVENTS_LOOKED_AT = 1_000


class Nested(TableFile, Protocol):
    """A table that gives its columns as they are, nested ones too."""

    def awkward(self, names: Iterable[str], start: int, stop: int) -> dict[str, ak.Array]:
        """Return columns of some rows."""


def collections(columns: Mapping[str, Kind], nesting: int = 1) -> dict[str, dict[str, str]]:
    """Find pt, eta, phi or px, py, pz of particles: {stem: {quantity: name of the column}}.

    A stem with either makes four-vectors; mass or energy are there if the file has them.
    """
    found: dict[str, dict[str, str]] = {}
    for name, kind in columns.items():
        level = kind.level if kind.level is not None else kind.nesting
        if level == nesting and (match := ENDING.fullmatch(name)):
            quantity = ENDINGS[match["end"].lower()]
            found.setdefault(match["stem"] or "", {}).setdefault(quantity, name)
    return {
        stem: names
        for stem, names in found.items()
        if {"pt", "eta", "phi"} <= set(names) or {"px", "py", "pz"} <= set(names)
    }


def collection_of(name: str, columns: Mapping[str, Kind]) -> str:
    """Return the collection that a column of particles belongs to, nothing where it is not known.

    That is what stands before its dot, or the longest stem that has momenta.
    """
    if "." in name:
        return name.rpartition(".")[0]
    stems = [stem for stem in collections(columns) if stem and name.startswith(f"{stem}_")]
    return max(stems, key=len, default="")


def momenta(columns: Mapping[str, Kind], stem: str) -> dict[str, str]:
    """Map the collection `stem`, what else it has of each particle, and all numbers of a jet.

    Without mass and energy, particles are massless: E = |p|.
    """
    names = {key: quoted(name) for key, name in collections(columns)[stem].items()}
    if {"px", "py", "pz"} <= set(names):
        px, py, pz = (names[name] for name in ("px", "py", "pz"))
        momentum = f"hypot(hypot({px}, {py}), {pz})"
    else:
        pt, eta, phi = (names[name] for name in ("pt", "eta", "phi"))
        px, py, pz = f"{pt} * cos({phi})", f"{pt} * sin({phi})", f"{pt} * sinh({eta})"
        momentum = f"{pt} * cosh({eta})"
    energy = names.get("energy", momentum)
    if "energy" not in names and "mass" in names:
        energy = f"hypot({momentum}, {names['mass']})"
    mapping = {
        f"constituents.{name}": text for name, text in zip(NAMES, (px, py, pz, energy), strict=True)
    }
    used = set(collections(columns)[stem].values())
    for name, kind in columns.items():
        if kind.level == 0:
            mapping[name] = quoted(name)
        elif kind.level == 1 and name not in used and re.match(rf"{re.escape(stem)}[_.].", name):
            field = name[len(stem) + 1 :]
            mapping.setdefault(f"constituents.{field}", quoted(name))
    return mapping


def massless(columns: Mapping[str, Kind], stem: str) -> str:
    """Say what the particles of a collection are made of."""
    names = collections(columns)[stem]
    cartesian = {"px", "py", "pz"} <= set(names)
    used = [names[key] for key in (("px", "py", "pz") if cartesian else ("pt", "eta", "phi"))]
    last = names.get("energy") or names.get("mass")
    rest = last if last else "the mass 0, as the file has neither masses nor energies"
    return f"particles are made of {', '.join(used)} and {rest}"


def from_pt_eta_phi(stem: str) -> dict[str, str]:
    """Write the four-vector of columns ``stem_pt``, ``_eta``, ``_phi`` and ``_mass``."""
    return {
        "constituents.px": f"{stem}_pt * cos({stem}_phi)",
        "constituents.py": f"{stem}_pt * sin({stem}_phi)",
        "constituents.pz": f"{stem}_pt * sinh({stem}_eta)",
        "constituents.E": f"hypot({stem}_pt * cosh({stem}_eta), {stem}_mass)",
    }


class NestedJets:
    """Unpack events to jets: lists are numbers a jet, lists of lists numbers a particle of it.

    Numbers of the event are repeated for each of its jets. Of the lists those are of the jets whose
    lengths are those of the lists of lists, in the first events.
    """

    def __init__(self, table: Nested) -> None:
        self._table = table
        self.path, self.rows, self.step = table.path, table.rows, EVENTS_AT_ONCE
        deep = [name for name, kind in table.columns.items() if kind.nesting == 2]
        self._link = deep[0]
        lists = [name for name, kind in table.columns.items() if kind.level == 1]
        head = table.awkward([*deep, *lists], 0, min(self.rows, EVENTS_LOOKED_AT))
        jets = lengths(head[self._link])
        self.columns: dict[str, Kind] = {}
        for name, kind in table.columns.items():
            if kind.level == 0:
                self.columns[name] = kind
            elif name in head and np.array_equal(lengths(head[name]), jets):
                self.columns[name] = Kind(kind.type, 0 if name in lists else 1, kind.unit)

    def chunks(
        self, names: Iterable[str], start: int, stop: int, size: int
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, Column]]]:
        """Yield the event of each jet and the columns, of at most `size` events."""
        names = list(names)
        for name in names:
            if name not in self.columns:
                raise missing(self.path, name, self.columns)
        for first in range(start, stop, min(size, self.step)):
            last = min(first + min(size, self.step), stop)
            raw = self._table.awkward({*names, self._link}, first, last)
            jets = lengths(raw[self._link])
            shared: dict[bytes, NDArray[np.int64]] = {}
            columns = {name: self._column(name, raw[name], jets, shared) for name in names}
            yield np.repeat(np.arange(first, last), jets), columns

    def _column(
        self,
        name: str,
        array: ak.Array,
        jets: NDArray[np.int64],
        shared: dict[bytes, NDArray[np.int64]],
    ) -> Column:
        level = self._table.columns[name].level
        if level == 0:
            return Column(np.repeat(ak.to_numpy(array), jets))
        if not np.array_equal(lengths(array), jets):
            raise InputError(
                f"{self.path}: column '{name}' has other numbers of jets than '{self._link}';"
                " choose columns of one collection."
            )
        inner = ak.flatten(array, axis=1)
        if level == 1:
            return Column(np.asarray(ak.to_numpy(inner)))
        counts = lengths(inner)
        counts = shared.setdefault(counts.tobytes(), counts)  # equal ones are seen by identity
        return Column(np.asarray(ak.to_numpy(ak.flatten(inner, axis=1))), counts)


def lengths(array: ak.Array) -> NDArray[Any]:
    """Return the lengths of the lists."""
    return np.asarray(ak.to_numpy(ak.num(array, axis=1)), dtype=np.int64)
