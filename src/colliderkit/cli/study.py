"""Reproduce a published result."""

from collections.abc import Sequence
from pathlib import Path

from colliderkit.cli.parsing import run
from colliderkit.studies import STUDIES, reproduce
from colliderkit.studies.run import ScaleName


def study(
    name: str,
    *,
    scale: ScaleName = "laptop",
    seeds: int | None = None,
    out: Path | None = None,
    workers: int | None = None,
    dask: str | None = None,
    devices: int | None = None,
    force: bool = False,
) -> None:
    """Run a study from data to report.

    Args:
        name: the study.
        scale: smoke (seconds), laptop (minutes on two cores), night (hours on two cores) or
            paper (a GPU).
        seeds: trainings of each model, or repetitions; the scale's own number if not given.
        out: folder for data, results.json and report.html; runs/NAME-SCALE if not given.
        workers: processes that generate events, 2 if not given.
        dask: address of a Dask scheduler that generates events instead.
        devices: processors that a training uses.
        force: start anew where the folder exists; what the same request has made is kept.
    """
    out = out or Path("runs") / f"{name}-{scale}"
    given = {"seeds": seeds, "workers": workers, "dask": dask, "devices": devices}
    report = reproduce(name, scale=scale, out=out, force=force, **given)
    print(f"results: {report.parent / 'results.json'}\nreport:  {report}")


def main(argv: Sequence[str]) -> None:
    """Parse and run."""
    if argv and argv[0] == "--list":
        print("\n".join(STUDIES))
        return
    run(study, argv, "colliderkit study", positional=["name"])
