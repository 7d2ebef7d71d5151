"""Published tables of searches for anomalies: names and GeV for what their files leave unnamed."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.sources.files.columns import Column, Kind, TableFile, missing
from colliderkit.sources.files.expressions import Expression

__all__ = ["ADC_CLASSES", "ADC_OBJECTS", "Named", "named"]

LOOKED_AT = 1000  # rows
LARGEST_TAU21 = 2.0  # it may exceed 1, since axes are those of a clustering
LARGEST_TEV = 50.0  # a mass of two jets beyond this is none in TeV
# The rows of a published event of the anomaly detection challenge 2021 (2107.02157), by class.
ADC_OBJECTS = ("met", *(f"e{i}" for i in range(1, 5)), *(f"mu{i}" for i in range(1, 5)))
ADC_OBJECTS += tuple(f"j{i}" for i in range(1, 11))
ADC_CLASSES = (1, *[2] * 4, *[3] * 4, *[4] * 10)
JET_FEATURES = ("px", "py", "pz", "m", "tau1", "tau2")


@dataclass(frozen=True)
class Named:
    """Know what the columns of a file are: `columns` by expressions of the file's own.

    `energies` are those in GeV, `note` says what was supposed.
    """

    columns: Mapping[str, str]
    energies: tuple[str, ...]
    note: str


class NamedTable:
    """Offer further columns of a table: expressions of its own, or numbers from beside it (N,)."""

    def __init__(
        self, table: TableFile, names: Named, beside: Mapping[str, NDArray[Any]] | None = None
    ) -> None:
        self._table, self._beside = table, beside or {}
        self.path, self.rows, self.step = table.path, table.rows, table.step
        self._expressions = {name: Expression(text) for name, text in names.columns.items()}
        levels = {name: kind.level or 0 for name, kind in table.columns.items()}
        self.columns: dict[str, Kind] = {
            name: Kind("float64", e.level(levels), "GeV" if name in names.energies else "")
            for name, e in self._expressions.items()
        }
        self.columns |= {name: Kind(str(x.dtype), 0) for name, x in self._beside.items()}
        self.columns |= {k: kind for k, kind in table.columns.items() if k not in self.columns}
        warnings.warn(f"{self.path}: {names.note}", UserWarning, stacklevel=4)

    def chunks(
        self, names: Iterable[str], start: int, stop: int, size: int
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, Column]]]:
        """Yield row numbers and columns, at most `size` rows at a time."""
        names = list(names)
        for name in names:
            if name not in self.columns:
                raise missing(self.path, name, self.columns)
        computed = [name for name in names if name in self._expressions]
        own = [n for n in names if n not in self._expressions and n not in self._beside]
        used = [n for name in computed for n in self._expressions[name].names]
        # Without any column the readers do not say how many rows there are.
        needed = list(dict.fromkeys([*own, *used])) or list(self._table.columns)[:1]
        for row, raw in self._table.chunks(needed, start, stop, size):
            columns = {name: raw[name] for name in own}
            columns |= {name: self._expressions[name](raw) for name in computed}
            columns |= {n: Column(x[row]) for n, x in self._beside.items() if n in names}
            yield row, columns


def named(table: TableFile) -> TableFile:
    """Return the table with named columns, if it is one of the published ones that need them."""
    key = table.path.with_suffix(".masterkey")
    if "particles.pt" in table.columns and "particles.label" not in table.columns and key.is_file():
        note = f"labels are those of {key.name}, one a line"
        return NamedTable(table, Named({}, (), note), {"particles.label": master_key(key, table)})
    for find in (jet_features, six_columns, trigger_objects):
        if (names := find(table)) is not None:
            return NamedTable(table, names)
    return table


def jet_features(table: TableFile) -> Named | None:
    """Name what follows from the high-level features of the LHC Olympics (Zenodo 4536377).

    Two jets by their momenta, masses and N-subjettiness, ``pxj1``, ..., ``tau2j2``, in GeV: the
    mass of the pair, and with the lighter jet first what ANODE and CATHODE take (2109.00546).
    """
    if not all(f"{name}j{i}" in table.columns for name in JET_FEATURES for i in (1, 2)):
        return None
    energy = " + ".join(f"sqrt(pxj{i}**2 + pyj{i}**2 + pzj{i}**2 + mj{i}**2)" for i in (1, 2))
    momentum = " - ".join(f"({axis}j1 + {axis}j2)**2" for axis in ("px", "py", "pz"))
    first, second = (f"tau2j{i} / (0.00001 + tau1j{i})" for i in (1, 2))
    columns = {
        "mjj": f"sqrt(({energy})**2 - {momentum})",
        "mj_min": "minimum(mj1, mj2)",
        "dm": "abs(mj1 - mj2)",
        "tau21_1": f"where(mj1 <= mj2, {first}, {second})",
        "tau21_2": f"where(mj1 <= mj2, {second}, {first})",
    }
    energies = ("mjj", "mj_min", "dm", *(f"{n}j{i}" for n in JET_FEATURES[:4] for i in (1, 2)))
    note = (
        "is of the LHC Olympics' high-level features, in GeV; mjj, mj_min, dm = the difference of"
        " the masses, tau21_1 (of the lighter jet) and tau21_2 are computed"
    )
    return Named(columns, energies, note)


def six_columns(table: TableFile) -> Named | None:
    """Name the columns of an array (N, 6) as the public preprocessing of the LHC Olympics writes.

    They are mjj, the lighter mass, the difference of the masses [TeV], tau21 of the lighter and of
    the heavier jet, and a label, 0 or 1, which data without labels lack. Numbers in GeV, which
    their size tells, stay.
    """
    width = sum(f"array_{i}" in table.columns for i in range(8))
    flat = all(kind.level in (0, 1) for kind in table.columns.values())
    if width not in (5, 6) or len(table.columns) != width + 1 or not flat or not table.rows:
        return None
    values = np.stack([c.values for c in head(table, [f"array_{i}" for i in range(width)])], 1)
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        return None
    mass, light, difference = values[:, :3].T
    tera = bool(mass.max() < LARGEST_TEV)
    sound = (
        (light >= 0).all()
        and (difference >= 0).all()
        and (mass > light + difference).all()
        and mass.min() > (0.1 if tera else 100.0)
        and ((values[:, 3:5] >= 0) & (values[:, 3:5] <= LARGEST_TAU21)).all()
        and values[:, 3:5].any()
        and (width == 5 or np.isin(values[:, 5], (0, 1)).all())
    )
    if not sound:
        return None
    scale = "1000 * " if tera else ""
    energies = ("mjj", "mj_min", "dm")
    columns = {name: f"{scale}array_{i}" for i, name in enumerate(energies)}
    columns |= {"tau21_1": "array_3", "tau21_2": "array_4"}
    columns |= {"label": "array_5"} if width == 6 else {}
    unit = "TeV, given in GeV" if tera else "GeV"
    note = (
        f"its {width} columns are read as {', '.join(energies)} [{unit}],"
        f" {', '.join(list(columns)[3:])} of two jets, the lighter first"
    )
    return Named(columns, energies, note)


def trigger_objects(table: TableFile) -> Named | None:
    """Name the objects of ``Particles`` (N, 19, 4), the anomaly detection challenge 2021.

    Missing momentum, four electrons, four muons, ten jets: pt [GeV], eta, phi and a class, zero
    where there is none (2107.02157). Columns are ``met_pt``, ``met_phi``, ``e1_pt``, ``e1_eta``,
    ... ``j10_phi``, and ``objects.pt``, ``.eta``, ``.phi``, ``.kind`` of all.
    """
    four = [f"Particles_{i}" for i in range(4)]
    if not table.rows or any(getattr(table.columns.get(n), "level", 0) != 1 for n in four):
        return None
    kind = head(table, four[3:])[0]
    if kind.counts is None or (kind.counts != len(ADC_CLASSES)).any():
        return None
    kinds = kind.values.reshape(-1, len(ADC_CLASSES))
    if not ((kinds == np.array(ADC_CLASSES)) | (kinds == 0)).all() or not kinds.any():
        return None
    quantities = ("pt", "eta", "phi")
    columns = {
        f"{name}_{quantity}": f"Particles_{axis}[{place}]"
        for place, name in enumerate(ADC_OBJECTS)
        for axis, quantity in enumerate(quantities)
        if (name, quantity) != ("met", "eta")
    }
    columns |= {f"objects.{q}": four[axis] for axis, q in enumerate((*quantities, "kind"))}
    energies = ("objects.pt", *(f"{name}_pt" for name in ADC_OBJECTS))
    note = (
        "its 19 objects are read as met, e1-e4, mu1-mu4, j1-j10 with _pt [GeV], _eta, _phi, zero"
        " where there is none"
    )
    return Named(columns, energies, note)


def head(table: TableFile, names: list[str]) -> list[Column]:
    """Return the first rows of some columns."""
    stop = min(table.rows, LOOKED_AT)
    _, raw = next(iter(table.chunks(names, 0, stop, stop)))
    return [raw[name] for name in names]


def master_key(path: Path, table: TableFile) -> NDArray[np.int64]:
    """Read the labels of a black box, one a line; raise `InputError` if they are not its own."""
    try:
        label = np.loadtxt(path, ndmin=1)
    except ValueError as error:
        raise InputError(f"{path}: is no list of labels, a number a line ({error}).") from error
    if label.ndim != 1 or len(label) != table.rows or not np.isin(label, (0, 1)).all():
        raise InputError(
            f"{path}: should be {table.rows} lines of 0 or 1, the labels of {table.path.name};"
            " fetch it again, or move it away."
        )
    return label.astype(np.int64)
