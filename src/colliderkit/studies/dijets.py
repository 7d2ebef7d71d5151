"""Jets of e+e- -> Z at known parameters of Pythia: what reweighting and the parameter fit share.

Samples follow arXiv:1907.08209: the hardest anti-kT jet of R = 0.8, particles as they are, without
a detector; Pythia's own values as the nominal point, and a sample over the ranges below.
"""

import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.events import observables
from colliderkit.events.schema import CONSTITUENTS
from colliderkit.methods.ratio import Ratio
from colliderkit.sources import read
from colliderkit.sources.shards import generate
from colliderkit.sources.tunes import PARAMETERS
from colliderkit.training.fit import Training

__all__ = [
    "FEATURES",
    "NOMINAL",
    "OBSERVED",
    "PROCESS",
    "RANGES",
    "SIZES",
    "SOURCE",
    "TARGETS",
    "Size",
    "drawn",
    "events_at",
    "events_over",
    "events_with",
    "point",
    "ratio_of",
    "table",
    "theta_of",
    "trained",
    "trained_on_table",
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

# A nominal jet stands beside this many values of theta, so that none of them is its own.
COPIES = 2

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """Say how many jets of the scan to train on, and the network.

    There are half as many of the nominal point, which serve for every theta.
    """

    jets: int
    epochs: int
    batch: int = 1000
    phi: tuple[int, ...] = (100, 100, 128)
    f: tuple[int, ...] = (100, 100, 100)


# The published widths; 1.8 million jets of both samples together.
SIZES = {
    "smoke": Size(12_000, 14, 250, (32, 32), (32,)),
    "laptop": Size(100_000, 12),
    "paper": Size(1_200_000, 50),
}


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


def ratio_of(size: Size) -> Ratio:
    """Return the network that is trained: a particle-flow network with theta beside its sum."""
    return Ratio(
        network="pfn",
        options={"phi": size.phi, "f": size.f},
        features=FEATURES,
        hidden=(),
        parameters=tuple(RANGES),
        training=Training(
            epochs=size.epochs, batch_size=size.batch, learning_rate=2e-3, schedule="cosine"
        ),
    )


def trained(out: Path, size: Size, *, workers: int = 1, timing: dict[str, float]) -> Ratio:
    """Return the ratio p(x | theta) / p(x | nominal) of particles, trained once."""
    where = out / "models" / "ratio"
    if where.exists():
        return Ratio.load(where)
    begin = time.perf_counter()
    print(f"jets: {size.jets} over the ranges, {size.jets // 2} at the nominal point", flush=True)
    scan, nominal = samples(out / "data", size, workers)
    timing["jets to train on"] = time.perf_counter() - begin
    print("the ratio of particles", flush=True)
    begin = time.perf_counter()
    ratio = ratio_of(size).fit(
        scan,
        ak.concatenate([nominal] * COPIES),
        theta=theta_of(scan),
        denominator_event=np.tile(np.arange(len(nominal)), COPIES),
        seed=0,
    )
    timing["training"] = time.perf_counter() - begin
    ratio.save(where)
    return ratio


def trained_on_table(folder: Path, size: Size) -> Ratio:
    """Return the ratio p(x | theta) / p(x | nominal) of the observables `OBSERVED`."""
    scan, nominal = samples(folder, size, 1)
    ratio = Ratio(
        network="mlp",
        options={"hidden": (64, 64)},
        hidden=(),
        parameters=tuple(RANGES),
        columns=OBSERVED,
        # Steps on a table are cheap, and fewer leave the ratio flat.
        training=Training(
            epochs=max(10, size.epochs),
            batch_size=size.batch,
            learning_rate=2e-3,
            schedule="cosine",
        ),
    )
    return ratio.fit(table(scan), table(nominal), theta=theta_of(scan), seed=0, progress=False)


def samples(folder: Path, size: Size, workers: int) -> tuple[ak.Array, ak.Array]:
    """Return jets over the ranges and at the nominal point."""
    return (
        events_over(folder, "scan", size.jets, 1, scanned=True, workers=workers),
        events_over(folder, "nominal", size.jets // 2, 2, scanned=False, workers=workers),
    )
