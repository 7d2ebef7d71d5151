"""Jets of e+e- -> Z at known parameters of Pythia: what reweighting and the parameter fit share.

Samples follow arXiv:1907.08209: the hardest anti-kT jet of R = 0.8, particles as they are, without
a detector; Pythia's own values as the nominal point, and a sample over the ranges below.
"""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.events import observables
from colliderkit.events.schema import CONSTITUENTS
from colliderkit.sources import read
from colliderkit.sources.pythia.shards import generate
from colliderkit.sources.pythia.tunes import PARAMETERS

__all__ = [
    "BLINDED",
    "FEATURES",
    "NOMINAL",
    "OBSERVED",
    "PROCESS",
    "PUBLISHED",
    "RANGES",
    "SCANNED",
    "SOURCE",
    "TARGETS",
    "drawn",
    "events_at",
    "events_over",
    "events_with",
    "point",
    "table",
    "theta_of",
]

PROCESS = "ee-dijets"
SOURCE = "arXiv:1907.08209"
NOMINAL = {"alphaS": 0.1365, "aLund": 0.68, "probStoUD": 0.217}
RANGES = {"alphaS": (0.10, 0.18), "aLund": (0.5, 0.9), "probStoUD": (0.10, 0.30)}
# What the publication reweights to and fits.
TARGETS = {
    "alphaS": {"alphaS": 0.16},
    "aLund": {"aLund": 0.80},
    "probStoUD": {"probStoUD": 0.275},
    "all": {"alphaS": 0.12, "aLund": 0.60, "probStoUD": 0.12},
}
# Found there by gradient at these values, and by scan; a blinded example: true value, value found,
# error.
PUBLISHED = {
    "alphaS": {"alphaS": 0.15878},
    "aLund": {"aLund": 0.79691},
    "probStoUD": {"probStoUD": 0.26934},
    "all": {"alphaS": 0.1213, "aLund": 0.5893, "probStoUD": 0.1149},
}
SCANNED = {"alphaS": 0.15867, "aLund": 0.800, "probStoUD": 0.270}
BLINDED = {"alphaS": (0.1700, 0.1707, 0.0022), "probStoUD": (0.1400, 0.1422, 0.0065)}
# Values to be found lie in the inner part of the ranges, so that no fit ends at their edge.
INNER = (0.125, 0.875)

# What a particle is, as far as it lives long enough to be seen; a pion is none of these. The
# published network takes a number for each PDG code instead.
IDENTITIES = {
    "constituents.kaon": "1.0 * ((abs(pid) == 321) | (abs(pid) == 130))",
    "constituents.baryon": "1.0 * ((abs(pid) == 2212) | (abs(pid) == 2112))",
    "constituents.photon": "1.0 * (pid == 22)",
    "constituents.lepton": "1.0 * ((abs(pid) == 11) | (abs(pid) == 13))",
}
IDENTITIES = {name: text.replace("pid", "constituents.pid") for name, text in IDENTITIES.items()}
FEATURES = ("log_ptrel", "log_e", "deta", "dphi", "charge", "kaon", "baryon", "photon", "lepton")
OBSERVED = ("multiplicity", "charged", "kaons", "baryons", "mass", "ptd")

Floats = NDArray[np.float64]


def point(values: Mapping[str, float]) -> Floats:
    """Return theta (3,) with `values` by name and all others nominal."""
    return np.array([{**NOMINAL, **values}[name] for name in RANGES])


def drawn(names: Sequence[str], count: int, kind: str) -> Floats:
    """Draw theta (count, 3): `names` uniformly within the inner ranges, the others nominal.

    `kind` ("blinded", "validation") and the names fix the values: nobody needs to have seen them.
    """
    random = np.random.default_rng([zlib.crc32(kind.encode()), *map(list(RANGES).index, names)])
    theta = np.tile(point({}), (count, 1))
    for name in names:
        low, high = RANGES[name]
        share = random.uniform(*INNER, count)
        # Rounded to what is written into Pythia's settings.
        theta[:, list(RANGES).index(name)] = np.round(low + (high - low) * share, 6)
    return theta


def events_over(
    folder: Path, name: str, count: int, seed: int, *, scanned: bool, workers: int = 1
) -> ak.Array:
    """Return jets at the nominal point, or `scanned` over the ranges, generated once."""
    ranges = RANGES if scanned else None
    return _kept(folder / f"{name}-{count}.parquet", count, seed, workers, parameters=ranges)


def events_at(
    folder: Path, name: str, count: int, seed: int, theta: Sequence[float] | Floats
) -> ak.Array:
    """Return jets at one point theta (3,), generated once.

    The file says nothing of theta: who fits it cannot look it up.
    """
    settings = [
        f"{PARAMETERS[key]} = {float(value):.6f}" for key, value in zip(RANGES, theta, strict=True)
    ]
    return events_with(folder, name, count, seed, settings)


def events_with(
    folder: Path, name: str, count: int, seed: int, settings: Sequence[str], workers: int = 1
) -> ak.Array:
    """Return jets made with Pythia's `settings`, generated once."""
    path = folder / f"{name}-{count}.parquet"
    return _kept(path, count, seed, workers, settings=settings)


def _kept(path: Path, count: int, seed: int, workers: int, **how: Any) -> ak.Array:
    if not path.exists():
        # Two processes take longer to start than a few thousand jets to make.
        workers = workers if count > 20_000 else 1
        generate(PROCESS, count, path, seed=seed, workers=workers, progress=False, **how)
    return read(path, columns=IDENTITIES)


def theta_of(jets: ak.Array) -> Floats:
    """Return the parameters (N, 3) that jets of a scan were made with."""
    return np.stack([ak.to_numpy(jets[name]).astype(np.float64) for name in RANGES], 1)


def table(jets: ak.Array) -> Floats:
    """Return the observables `OBSERVED` of jets, (N, 6)."""
    particles = jets[CONSTITUENTS]
    counts = {
        "multiplicity": ak.num(particles),
        "charged": ak.sum(particles["charge"] != 0, axis=1),
        "kaons": ak.sum(particles["kaon"], axis=1),
        "baryons": ak.sum(particles["baryon"], axis=1),
    }
    rest, _ = observables.table(jets, ["mass", "ptd"])
    return np.column_stack([*(ak.to_numpy(count) for count in counts.values()), rest])
