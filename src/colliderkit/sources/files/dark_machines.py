"""The csv files of Dark Machines: an event a line, of any number of objects."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import existing_file
from colliderkit.sources.files.columns import Column, Kind, missing

__all__ = ["DarkMachinesTable", "is_dark_machines"]

BLOCK = 1 << 24  # bytes that are parsed at once
FIRST = 1 << 16  # bytes in which the first line ends
MEV = 0.001  # in GeV
# PDG codes of the objects: a jet is one of light quarks here.
OBJECTS = {b"j": 1, b"b": 5, b"e-": 11, b"e+": -11, b"m-": 13, b"m+": -13, b"g": 22}
NUMBER = rb"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*"
HEAD = re.compile(rb"^([^;\n]*);[^;\n]*;([^;\n]*);([^;\n]*);([^;\n]*)", re.MULTILINE)
OBJECT = re.compile(rb";\s*([jbg]|[em][-+])\s*" + (b",(" + NUMBER + b")") * 4)
LINE = re.compile(
    rb"[^;\n]*;[^;\n]*" + (b";" + NUMBER) * 3 + rb"(?:;\s*(?:[jbg]|[em][-+])\s*"
    + (b"," + NUMBER) * 4 + rb")*;?\s*"
)  # fmt: skip
EVENT = {"weight": "", "met": "GeV", "met_phi": "", "ht": "GeV"}
PARTICLE = {"objects.E": "GeV", "objects.pt": "GeV", "objects.eta": "", "objects.phi": ""}
COUNTS = {"n_jets": 1, "n_bjets": 5, "n_electrons": 11, "n_muons": 13, "n_photons": 22}


def is_dark_machines(path: Path) -> bool:
    """Return whether the first line of a file is an event of Dark Machines."""
    with path.open("rb") as file:
        return LINE.fullmatch(file.readline(FIRST)) is not None


class DarkMachinesTable:
    """Read lines ``event; process; weight; MET; METphi; object, E, pt, eta, phi; ...``.

    Columns are ``event``, ``weight``, ``met`` [GeV], ``met_phi``, the numbers of objects
    ``n_jets``, ``n_bjets``, ``n_electrons``, ``n_muons``, ``n_photons``, ``ht`` [GeV], the sum of
    their pt; and ``objects.E``, ``.pt`` [GeV], ``.eta``, ``.phi``, ``.pid`` of each object, a jet
    being 1 and one of a bottom quark 5. The files are in MeV (2105.14027). Raises `InputError` for
    a line that is no such event.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = existing_file(path)
        self.step = 100_000
        self.columns: dict[str, Kind] = {
            "event": Kind("int64", 0),
            **{name: Kind("float64", 0, unit) for name, unit in EVENT.items()},
            **{name: Kind("int64", 0) for name in COUNTS},
            **{name: Kind("float64", 1, unit) for name, unit in PARTICLE.items()},
            "objects.pid": Kind("int64", 1),
        }
        self.rows = sum(block.count(b"\n") for block in self._blocks())

    def _blocks(self) -> Iterator[bytes]:
        """Yield whole lines, each with its end, without empty ones."""
        rest = b""
        with self.path.open("rb") as file:
            while data := file.read(BLOCK):
                whole, mark, rest = (rest + data).rpartition(b"\n")
                if mark:
                    yield re.sub(rb"\n[\s\n]*\n", b"\n", whole.replace(b"\r", b"") + b"\n")
        if rest.strip():
            yield rest.replace(b"\r", b"") + b"\n"

    def chunks(
        self, names: Iterable[str], start: int, stop: int, size: int
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, Column]]]:
        """Yield row numbers and columns, at most `size` rows at a time."""
        names = list(names)
        for name in names:
            if name not in self.columns:
                raise missing(self.path, name, self.columns)
        first = 0
        for block in self._blocks():
            rows = np.arange(first, first + block.count(b"\n"))
            first = int(rows[-1]) + 1
            if first <= start:
                continue
            columns = self._parsed(block, int(rows[0]))
            for begin in range(0, len(rows), size):
                row = rows[begin : begin + size]
                keep = (rows >= max(start, row[0])) & (rows < min(stop, int(row[-1]) + 1))
                if keep.any():
                    yield rows[keep], {name: columns[name].take(keep) for name in names}
            if first >= stop:
                return

    def _parsed(self, block: bytes, first: int) -> dict[str, Column]:
        data = np.frombuffer(block, np.uint8)
        ends = np.flatnonzero(data == ord("\n"))
        commas = np.add.reduceat(data == ord(","), np.r_[0, ends[:-1] + 1], dtype=np.int64)
        heads, found = HEAD.findall(block), OBJECT.findall(block)
        counts = commas // 4
        if len(heads) != len(ends) or len(found) != counts.sum() or (commas % 4).any():
            self._refuse(block, first)
        try:
            number, *rest = np.array(heads, dtype=np.bytes_).reshape(-1, 4).T
            weight, met, angle = (column.astype(np.float64) for column in rest)
            values: Any = np.array([x[1:] for x in found], dtype=np.bytes_).reshape(-1, 4)
            energy, pt, eta, phi = values.astype(np.float64).T
            event = number.astype(np.float64).astype(np.int64)
        except ValueError:
            self._refuse(block, first)
        pid = np.array([OBJECTS[x[0]] for x in found], dtype=np.int64)
        owner = np.repeat(np.arange(len(ends)), counts)
        columns = {
            "event": Column(event),
            "weight": Column(weight),
            "met": Column(MEV * met),
            "met_phi": Column(angle),
            "ht": Column(np.bincount(owner, MEV * pt, minlength=len(ends))),
            "objects.E": Column(MEV * energy, counts),
            "objects.pt": Column(MEV * pt, counts),
            "objects.eta": Column(eta, counts),
            "objects.phi": Column(phi, counts),
            "objects.pid": Column(pid, counts),
        }
        for name, code in COUNTS.items():
            mine = np.abs(pid) == code
            columns[name] = Column(np.bincount(owner[mine], minlength=len(ends)))
        return columns

    def _refuse(self, block: bytes, first: int) -> None:
        lines = block.split(b"\n")
        wrong = next((i for i, line in enumerate(lines[:-1]) if not LINE.fullmatch(line)), 0)
        raise InputError(
            f"{self.path}: event {first + wrong} (counted from 0) is no line of Dark Machines,"
            " event; process; weight; MET; METphi; object, E, pt, eta, phi; ..., but"
            f" '{lines[wrong][:60].decode('latin-1')}'; mend or drop it."
        )
