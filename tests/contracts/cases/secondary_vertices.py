"""Toy jets with displaced vertices, and a small network."""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.events.secondary_vertices import JetTracks
from colliderkit.methods.reconstruction.adaptive_vertices import AdaptiveVertices
from colliderkit.methods.reconstruction.secondary_vertices import SecondaryVertices
from colliderkit.sources import write
from colliderkit.sources.toys.secondary_vertices import displaced_jets
from colliderkit.training.settings import Training
from contracts.cases.case import Case, Data, TaskCase

QUICK = Training(epochs=2, batch_size=16, learning_rate=1e-2, devices=1)


def toy(seed: int) -> Data:
    return (displaced_jets(40, seed=seed),), {}


def with_nan(args: tuple[Any, ...]) -> tuple[Any, ...]:
    jets = args[0]
    parts = jets["constituents"]
    d0 = np.array(ak.to_numpy(ak.flatten(parts["d0"])))
    d0[int(ak.sum(ak.num(parts)[:3]))] = np.nan
    broken = ak.with_field(parts, ak.unflatten(d0, ak.num(parts)), "d0")
    return (ak.with_field(jets, broken, "constituents"),)


def write_jets(folder: Path) -> None:
    for seed, name in enumerate(("jets", "test")):
        write(folder / f"{name}.parquet", displaced_jets(30, seed=seed))


CASES = {
    "secondary-vertices": Case(
        make=lambda: SecondaryVertices(width=8, blocks=1, heads=2, training=QUICK),
        data=toy,
        answer=lambda method, args: method.scores(JetTracks.of(args[0])),
        nan=with_nan,
        verbs={"find": lambda method, args: method.find(args[0])},
    ),
    "adaptive-vertices": Case(
        make=lambda: AdaptiveVertices(tune=False),
        data=toy,
        answer=lambda method, args: method.find(args[0]),
        nan=with_nan,
        refuses_weight="cuts are chosen by jets alike",
    ),
}
TASK_CASES = {
    "secondary-vertices": TaskCase(
        write=write_jets,
        fit=lambda folder: ("--files", str(folder / "jets.parquet")),
        methods={
            "secondary-vertices": (
                *("--width", "8", "--blocks", "1", "--heads", "2"),
                *("--training.epochs", "1", "--training.batch_size", "16"),
            ),
            "adaptive-vertices": ("--tune", "false"),
        },
        apply=lambda folder: ("--files", folder / "test.parquet"),
        evaluate=lambda folder: ("--files", str(folder / "test.parquet")),
        export=lambda folder: ("--files", str(folder / "test.parquet")),
    ),
}
