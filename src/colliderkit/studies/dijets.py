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

from colliderkit.sources import read
from colliderkit.sources.shards import generate
from colliderkit.sources.tunes import PARAMETERS

__all__ = ["NOMINAL", "PROCESS", "RANGES", "SOURCE", "drawn", "events_at", "events_over", "point"]

PROCESS = "ee-dijets"
SOURCE = "arXiv:1907.08209"
NOMINAL = {"alphaS": 0.1365, "aLund": 0.68, "probStoUD": 0.217}
RANGES = {"alphaS": (0.10, 0.18), "aLund": (0.5, 0.9), "probStoUD": (0.10, 0.30)}
# Values to be found lie in the inner part of the ranges, so that no fit ends at their edge.
INNER = (0.125, 0.875)

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
    return _kept(folder / f"{name}-{count}.parquet", count, seed, 1, settings=settings)


def _kept(path: Path, count: int, seed: int, workers: int, **how: Any) -> ak.Array:
    if not path.exists():
        generate(PROCESS, count, path, seed=seed, workers=workers, progress=False, **how)
    return read(path)
