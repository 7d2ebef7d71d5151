"""The published Z + jet events of OmniFold (1911.09107, Zenodo 3548091) as a paired array.

Each file of `sources.datasets.catalogue.BENCHMARKS["omnifold"]` holds the hardest jet of
100,000 events at particle level (``gen_``) and after Delphes (``sim_``), in equal order:
``jets`` (N, 4) of pt, y, phi, m; ``particles`` (N, L, 4), zero-padded, of pt/100, y - y_jet,
phi - phi_jet and a small number for the kind of particle; one number a jet of ``mults``,
``widths``, ``sdms``, ``tau2s``, ``zgs``, ``lhas``, ``ang2s``; and ``gen_Zs`` (N, 3) of pt, y, phi.
All momenta in GeV.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.pairs import check_pairs
from colliderkit.files import existing_file
from colliderkit.sources.files.columns import missing, readable
from colliderkit.sources.pythia.jets import charge_of, ordered

__all__ = ["read_omnifold"]

PREFIXES = {"truth": "gen", "reco": "sim"}
# The kinds of particles, 0.0, 0.1, ... in the files: PDG code and mass [GeV]. At detector level
# photons and K_L stand for the towers of the calorimeters, which have no mass.
CODES = np.array([22, 211, -211, 130, 11, -11, 13, -13, 321, -321, 2212, -2212, 2112, -2112])
MASSES = np.array([0.0, *[0.13957] * 2, 0.497611, *[0.000511] * 2, *[0.105658] * 2])
MASSES = np.append(MASSES, [*[0.493677] * 2, *[0.938272] * 2, *[0.939565] * 2])
TOWERS = 130
# The published observables, under the names of `colliderkit.events.observables` where it has them.
OBSERVABLES = {
    "mults": "multiplicity",
    "widths": "width",
    "sdms": "softdrop_mass",
    "tau2s": "tau2",
    "zgs": "zg",
    "lhas": "lha",
    "ang2s": "ang2",
}


def read_omnifold(paths: str | Path | Sequence[str | Path], *, particles: bool = True) -> ak.Array:
    """Read published files into one paired array (see `colliderkit.events.pairs`).

    Beside its columns each level has the observables as published, ``multiplicity``, ``width``,
    ``softdrop_mass``, ``tau2``, ``zg``, ``lha``, ``ang2``, and the event the Z's ``z_pt``, ``z_y``,
    ``z_phi``, all float32; ``event`` counts the rows of all files. A jet of pt 0 does not pass.
    ``particles=False`` leaves the constituents empty, for a tenth of the time and memory.

    Raises `InputError` for a file that is missing, broken, not of this layout, or whose particles
    are pickled objects: those are never loaded, since that would run code from the file.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    if not given:
        raise InputError("no files are given; name at least one.")
    parts, first = [], 0
    for path in given:
        part = one_file(existing_file(path), particles, first)
        parts.append(check_pairs(part, str(path)))
        first += len(part)
    return ak.concatenate(parts)


def one_file(path: Path, particles: bool, first: int) -> ak.Array:
    """Read one file, its events numbered from `first`."""
    with readable(path, "npz"):
        file = np.load(path, allow_pickle=False)
        names = list(file.files)
    with file:
        levels = {level: kinematics(path, file, level) for level in PREFIXES}
        counts = {level: len(columns["jet_pt"]) for level, columns in levels.items()}
        if len(set(counts.values())) > 1:
            raise InputError(f"{path}: gen and sim have different numbers of jets: {counts}.")
        count = counts["truth"]
        columns: dict[str, Any] = {"event": np.arange(first, first + count)}
        columns["weight"] = np.ones(count)
        for level, own in levels.items():
            columns[f"pass_{level}"] = own["jet_pt"] > 0
            kept = {name: column.astype(np.float32) for name, column in own.items() if name != "y"}
            inside = constituents(path, file, level, own) if particles else nothing(count)
            columns[level] = ak.zip({"constituents": inside, **kept}, depth_limit=1)
        if "gen_Zs" in names:
            momenta = array_of(path, file, "gen_Zs", (count, 3)).astype(np.float32)
            columns |= dict(zip(("z_pt", "z_y", "z_phi"), momenta.T, strict=True))
    return ak.zip(columns, depth_limit=1)


def kinematics(path: Path, file: Any, level: str) -> dict[str, NDArray[Any]]:
    """Return the kinematics, the rapidity and the published observables of the jets, each (N,)."""
    prefix = PREFIXES[level]
    pt, y, phi, mass = array_of(path, file, f"{prefix}_jets", (None, 4)).T.astype(np.float64)
    # sinh(eta) = pz / pt = mt sinh(y) / pt
    with np.errstate(invalid="ignore", divide="ignore"):
        eta = np.where(pt > 0, np.arcsinh(np.hypot(mass, pt) / pt * np.sinh(y)), 0.0)
    columns = {"jet_pt": pt, "jet_eta": eta, "jet_phi": wrapped(phi), "jet_mass": mass, "y": y}
    for key, name in OBSERVABLES.items():
        if f"{prefix}_{key}" in file.files:
            columns[name] = array_of(path, file, f"{prefix}_{key}", (len(pt),))
    return columns


def constituents(path: Path, file: Any, level: str, jets: dict[str, NDArray[Any]]) -> ak.Array:
    """Return the particles of the jets as ``N * var * {px, py, pz, E, pid, charge}``."""
    name = f"{PREFIXES[level]}_particles"
    padded = array_of(path, file, name, (len(jets["y"]), None, 4))
    jet, place = np.nonzero((padded[:, :, 0] > 0) & (jets["jet_pt"] > 0)[:, None])
    pt, y, phi, kind = padded[jet, place].T.astype(np.float64)
    index = np.rint(10 * kind).astype(np.int64)
    if len(index) and (index.min() < 0 or index.max() >= len(CODES)):
        raise InputError(
            f"{path}: '{name}' has kinds of particles outside 0.0 to 1.3; the file is of another"
            " layout."
        )
    pid, mass = CODES[index], MASSES[index]
    if level == "reco":
        mass = np.where(pid == TOWERS, 0.0, mass)
    pt, y, phi = 100 * pt, y + jets["y"][jet], phi + jets["jet_phi"][jet]
    mt = np.hypot(pt, mass)
    four = {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": mt * np.sinh(y)}
    columns = {**four, "E": mt * np.cosh(y), "pid": pid, "charge": charge_of(pid)}
    return ordered(columns, jet, len(jets["y"]), tracks=False)


def nothing(count: int) -> ak.Array:
    """Return jets without constituents."""
    names = ("px", "py", "pz", "E", "pid", "charge")
    empty = np.zeros(0, dtype=np.int64)
    return ordered({name: np.zeros(0) for name in names}, empty, count, tracks=False)


def array_of(path: Path, file: Any, name: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """Return one array of a file, checked to be numbers of `shape` (None for any length)."""
    if name not in file.files:
        raise missing(path, name, file.files)
    try:
        found = file[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise InputError(
            f"{path}: '{name}' is of pickled objects, which are never loaded; read the rest with"
            " particles=False."
        ) from error
    fits = len(found.shape) == len(shape) and all(
        wanted in (None, have) for wanted, have in zip(shape, found.shape, strict=True)
    )
    if not fits or found.dtype.kind not in "fiu":
        wanted = ", ".join("any" if x is None else str(x) for x in shape)
        raise InputError(
            f"{path}: '{name}' is {found.dtype} of shape {found.shape} where numbers of shape"
            f" ({wanted}) are due."
        )
    return found


def wrapped(phi: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the angle in [-pi, pi)."""
    return np.remainder(phi + np.pi, 2 * np.pi) - np.pi
