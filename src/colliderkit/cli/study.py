"""Reproduce a published result."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from colliderkit.cli.parsing import run
from colliderkit.studies import STUDIES, reproduce


def study(
    name: str,
    *,
    scale: Literal["smoke", "laptop", "paper"] = "laptop",
    seeds: int | None = None,
    out: Path | None = None,
    workers: int = 2,
    dask: str | None = None,
    force: bool = False,
) -> None:
    """Run a study from data to report.

    Args:
        name: the study.
        scale: smoke (seconds), laptop (minutes on two cores) or paper (a GPU).
        seeds: trainings of each model; None takes the scale's own number.
        out: folder for data, results.json and report.html; None is runs/NAME-SCALE.
        workers: processes that generate events.
        dask: address of a Dask scheduler that generates events instead.
        force: start anew where the folder exists; data made by the same request are kept.
    """
    out = out or Path("runs") / f"{name}-{scale}"
    results = reproduce(
        name, scale=scale, seeds=seeds, out=out, workers=workers, dask=dask, force=force
    )
    print(f"results: {results.parent / 'results.json'}\nreport:  {results}")


def main(argv: Sequence[str]) -> None:
    """Parse and run."""
    if argv and argv[0] == "--list":
        print("\n".join(STUDIES))
        return
    run(study, argv, "colliderkit study", positional=["name"])
