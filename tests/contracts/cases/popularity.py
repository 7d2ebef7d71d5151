"""Small traces of accesses: data sets of which some are read every day and most are forgotten."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv

from colliderkit.events.accesses import Accesses
from colliderkit.methods.operations.eviction import Eviction
from colliderkit.methods.operations.popularity import Popularity
from colliderkit.sources.toys.accesses import accesses
from contracts.cases.case import Case, Data, TaskCase


def trace(seed: int) -> Data:
    return (accesses(90, 60, seed=seed),), {}


def without_time(args: tuple[Any, ...]) -> tuple[Any, ...]:
    time = args[0].time.copy()
    time[3] = np.nan
    return (dataclasses.replace(args[0], time=time),)


def write_accesses(folder: Path) -> None:
    made: Accesses = accesses(140, 60, seed=1)
    for name, keep in (("past", made.time < 90), ("all", made.time < 140)):
        table = pa.table(
            {
                "timestamp": 1.7e9 + 86400 * made.time[keep],
                "dataset": [made.names[i] for i in made.dataset[keep]],
                "size_gb": made.size[made.dataset[keep]],
                "tier": [made.names[i].split(".")[1] for i in made.dataset[keep]],
            }
        )
        pyarrow.csv.write_csv(table, folder / f"{name}.csv")


REFUSES = "an access counts as one"
CASES = {
    "popularity": Case(
        make=lambda: Popularity(rounds=20),
        data=trace,
        answer=lambda method, args: method.predict(args[0], 80.0),
        nan=without_time,
        refuses_weight=REFUSES,
    ),
    "eviction": Case(
        make=lambda: Eviction(Popularity(kind="decay"), held_out=0.3),
        data=trace,
        answer=lambda method, args: method.rates(args[0], 80.0, 90.0)[0],
        nan=without_time,
        refuses_weight=REFUSES,
    ),
}
TASK_CASES = {
    "popularity": TaskCase(
        write=write_accesses,
        fit=lambda folder: ("--files", str(folder / "past.csv"), "--rounds", "20"),
        methods={"eviction": ("--kind", "decay", "--held_out", "0.3")},
        apply=lambda folder: ("--files", folder / "past.csv"),
        evaluate=lambda folder: ("--files", str(folder / "all.csv")),
        on="eviction",
    ),
}
