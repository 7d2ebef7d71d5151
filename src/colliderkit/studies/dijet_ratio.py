"""The likelihood ratio p(x | theta) / p(x | nominal) of e+e- dijets, which two studies use."""

import time
from dataclasses import dataclass
from pathlib import Path

import awkward as ak
import numpy as np

from colliderkit.methods.ratio import Ratio
from colliderkit.sources.datasets.dijets import (
    FEATURES,
    OBSERVED,
    RANGES,
    events_over,
    table,
    theta_of,
)
from colliderkit.training.settings import Training

__all__ = ["SIZES", "Size", "ratio_of", "trained", "trained_on_table"]

# A nominal jet stands beside this many values of theta, so that none of them is its own.
COPIES = 2


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
