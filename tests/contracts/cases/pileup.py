"""Few events with little pileup: a toy's particles, small networks and one step or two of each."""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.methods.reconstruction.charged_subtraction import ChargedHadronSubtraction
from colliderkit.methods.reconstruction.constituent_subtraction import ConstituentSubtraction
from colliderkit.methods.reconstruction.pileup_graph import PileupGraph
from colliderkit.methods.reconstruction.pumml import Pumml
from colliderkit.methods.reconstruction.puppi import Puppi
from colliderkit.methods.reconstruction.soft_killer import SoftKiller
from colliderkit.sources import write
from colliderkit.sources.toys.pileup import pileup_toy
from colliderkit.training.settings import Training
from contracts.cases.case import Case, Data, TaskCase

QUICK = Training(epochs=2, batch_size=4, learning_rate=1e-2, devices=1)


def toy(seed: int) -> Data:
    return (pileup_toy(16, 3.0, seed=seed),), {}


def with_nan(args: tuple[Any, ...]) -> tuple[Any, ...]:
    events = args[0]
    pt = np.array(ak.to_numpy(ak.flatten(events["particles", "pt"])))
    pt[int(ak.num(events["particles"])[:3].to_numpy().sum())] = np.nan
    broken = ak.unflatten(pt, ak.num(events["particles"]))
    return (ak.with_field(events, ak.with_field(events["particles"], broken, "pt"), "particles"),)


def answer(method: Any, args: tuple[Any, ...]) -> np.ndarray:
    return np.asarray(ak.flatten(method.weights(args[0])))


def write_events(folder: Path) -> None:
    for seed, name in enumerate(("events", "low")):
        write(folder / f"{name}.parquet", pileup_toy(12, 4.0 + 2 * seed, seed=seed))


CLASSICAL: dict[str, Any] = {
    "data": toy,
    "answer": answer,
    "nan": with_nan,
    "refuses_weight": "a formula has nothing that weights",
}
LEARNED: dict[str, Any] = {"data": toy, "answer": answer, "nan": with_nan}
SMALL = ("--training.epochs", "1", "--training.batch_size", "4")
CASES = {
    "puppi": Case(make=lambda: Puppi(tune=True), **CLASSICAL),
    "soft-killer": Case(make=lambda: SoftKiller(tune=True), **CLASSICAL),
    "constituent-subtraction": Case(make=ConstituentSubtraction, **CLASSICAL),
    "charged-hadron-subtraction": Case(make=ChargedHadronSubtraction, **CLASSICAL),
    "pileup-graph": Case(
        make=lambda: PileupGraph(channels=2, width=8, rounds=1, training=QUICK), **LEARNED
    ),
    "pumml": Case(make=lambda: Pumml(cell=0.4, training=QUICK), **LEARNED),
}
TASK_CASES = {
    "pileup": TaskCase(
        write=write_events,
        fit=lambda folder: ("--files", str(folder / "events.parquet")),
        methods={
            "pileup-graph": (*SMALL, "--channels", "2", "--width", "8", "--rounds", "1"),
            "pumml": (*SMALL, "--cell", "0.4"),
            "puppi": ("--tune", "true"),
        },
        apply=lambda folder: ("--files", folder / "low.parquet"),
        evaluate=lambda folder: (
            *("--files", str(folder / "low.parquet"), "--edges", "[0, 7, 100]"),
        ),
        export=lambda folder: ("--files", str(folder / "low.parquet")),
    ),
}
