"""Tracks of a toy's collisions, few bins and a small network."""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.events.vertices import Tracks
from colliderkit.methods.reconstruction.vertex_annealing import AnnealedVertices
from colliderkit.methods.reconstruction.vertex_density import DensityVertices
from colliderkit.sources import write
from colliderkit.sources.toys.pileup import pileup_toy
from colliderkit.training.settings import Training
from contracts.cases.case import Case, Data, TaskCase

QUICK = Training(epochs=2, batch_size=8, learning_rate=1e-2, devices=1)


def toy(seed: int) -> Data:
    return (pileup_toy(24, 3.0, seed=seed),), {}


def with_nan(args: tuple[Any, ...]) -> tuple[Any, ...]:
    events = args[0]
    z0 = np.array(ak.to_numpy(ak.flatten(events["particles", "z0"])))
    z0[int(ak.sum(ak.num(events["particles"])[:3]))] = np.nan
    broken = ak.unflatten(z0, ak.num(events["particles"]))
    return (ak.with_field(events, ak.with_field(events["particles"], broken, "z0"), "particles"),)


def write_events(folder: Path) -> None:
    for seed, name in enumerate(("events", "test")):
        write(folder / f"{name}.parquet", pileup_toy(20, 4.0, seed=seed))


CASES = {
    "density-vertices": Case(
        make=lambda: DensityVertices(bins=400, channels=2, kernels=(5, 3), training=QUICK),
        data=toy,
        answer=lambda method, args: method.density(Tracks.of(args[0])),
        nan=with_nan,
        verbs={"find": lambda method, args: method.find(args[0])},
    ),
    "annealed-vertices": Case(
        make=AnnealedVertices,
        data=toy,
        answer=lambda method, args: method.find(args[0]).z,
        nan=with_nan,
        refuses_weight="a threshold counts events alike",
    ),
}
TASK_CASES = {
    "vertexing": TaskCase(
        write=write_events,
        fit=lambda folder: ("--files", str(folder / "events.parquet")),
        methods={
            "density-vertices": (
                *("--bins", "400", "--channels", "2", "--kernels", "[5, 3]"),
                *("--training.epochs", "1", "--training.batch_size", "8"),
            ),
        },
        apply=lambda folder: ("--files", folder / "test.parquet"),
        evaluate=lambda folder: ("--files", str(folder / "test.parquet")),
    ),
}
