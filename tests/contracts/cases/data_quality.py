"""Small certifications: a few towers in few lumi sections, and run-wise scores."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.events.monitors import MonitorRuns
from colliderkit.methods.operations.certification import Certification
from colliderkit.methods.operations.run_scores import RunScores
from colliderkit.sources.files.monitors import write_monitors
from contracts.cases.case import Case, Data, TaskCase


def small_runs(count: int, seed: int, *, first: int = 1, dead: bool = False) -> MonitorRuns:
    """Draw runs of 4 lumi sections with a map of 6 x 8 towers, their times and a histogram."""
    random = np.random.default_rng([seed, first])
    rate = 30.0 * (1 + 0.3 * np.arange(48).reshape(6, 8) / 48)
    occupancy = random.poisson(rate, (count * 4, 6, 8))
    if dead:
        occupancy[:, :2, :2] = 0
    run = np.repeat(first + np.arange(count), 4)
    return MonitorRuns.checked(
        run,
        np.tile(np.arange(4), count),
        {"occupancy": occupancy, "energy": random.poisson(50, (count * 4, 5))},
        means={"time": random.normal(0, 0.3, occupancy.shape)},
        day=19_800 + run // 4,
        good=np.full(len(run), not dead),
    )


def runs(seed: int) -> Data:
    return (small_runs(60, seed),), {}


def with_nan(args: tuple) -> tuple:
    times = args[0].means["time"].copy()
    times[13, 2, 1] = np.nan
    return (replace(args[0], means={"time": times}),)


def p_values(method: Any, args: tuple) -> np.ndarray:
    found = method.certify(small_runs(12, 5, first=1000))
    return np.column_stack([found.p, found.p_values])


def scores(seed: int) -> Data:
    return (np.random.default_rng(seed).normal(size=(60, 3)),), {}


def write_quality(folder: Path) -> None:
    write_monitors(folder / "good.parquet", small_runs(60, 1))
    later = small_runs(20, 2, first=100).joined(small_runs(5, 3, first=120, dead=True))
    write_monitors(folder / "later.parquet", later)
    lines = ["run,date,chi2,efficiency,label"]
    for i, (chi2, efficiency) in enumerate(np.random.default_rng(7).normal(size=(100, 2))):
        bad = i >= 20 and i % 5 == 0
        lines.append(
            f"{i},2024-05-{1 + i // 5:02d},{chi2 + 5 * bad},{efficiency},{'BAD' if bad else 'GOOD'}"
        )
    (folder / "runs.csv").write_text("\n".join(lines) + "\n")


def files(folder: Path) -> tuple[str, ...]:
    return (str(folder / "later.parquet"),)


CASES = {
    "certification": Case(
        make=lambda: Certification(components=2, references=4),
        data=runs,
        answer=p_values,
        nan=with_nan,
        refuses_weight="a p-value counts good runs",
        verbs={
            "maps": lambda method, args: method.maps(small_runs(3, 5, first=1000)),
        },
    ),
    "run-scores": Case(
        make=lambda: RunScores(),
        data=scores,
        answer=lambda method, args: method.p_values(args[0]),
        refuses_weight="a p-value counts good runs",
        verbs={"flags": lambda method, args: method.flags(args[0])},
    ),
}
TASK_CASES = {
    "data-quality": TaskCase(
        write=write_quality,
        fit=lambda folder: (
            *("--files", str(folder / "good.parquet"), "--components", "2", "--references", "4"),
        ),
        apply=files,
        evaluate=files,
        applied="certified",
    ),
    "run-scores": TaskCase(
        write=write_quality,
        fit=lambda folder: ("--files", str(folder / "runs.csv")),
        apply=lambda folder: (str(folder / "runs.csv"),),
        evaluate=lambda folder: (str(folder / "runs.csv"),),
        applied="flagged",
    ),
}
