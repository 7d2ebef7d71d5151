"""Reproduce a published result."""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from colliderkit.cli.parsing import run
from colliderkit.cli.results import show
from colliderkit.report.results import read_results
from colliderkit.report.words import duration
from colliderkit.studies import STUDIES, reproduce
from colliderkit.studies.measured import duration_of
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
        workers: processes that generate events; 2 if not given, 1 at smoke.
        dask: address of a Dask scheduler that generates events instead.
        devices: processors that a training uses.
        force: start anew where the folder exists; what the same request has made is kept.

    Examples:
        colliderkit study top-tagging --scale smoke --out runs/top
        colliderkit study unfolding
        colliderkit study --list
    """
    out = out or Path("runs") / f"{name}-{scale}"
    given = {"seeds": seeds, "workers": workers, "dask": dask, "devices": devices}
    report = reproduce(name, scale=scale, out=out, force=force, **given)
    results = report.parent / "results.json"
    show(STUDIES.load(name).title, read_results(results))
    for line in json.loads(results.read_text(encoding="utf-8"))["verdict"]:
        print(line)
    print(f"results: {results}\nreport:  {report}")


def listed() -> list[str]:
    """Return a line for each study: name, title, papers, and its scales with measured minutes."""
    lines = []
    for name in STUDIES:
        study = STUDIES.load(name)
        text = f"{sys.modules[study.body.__module__].__doc__} {study.summary}"
        papers = dict.fromkeys(re.findall(r"\b\d{4}\.\d{4,5}\b", text))
        after = f" (arXiv:{', '.join(papers)})" if papers else ""
        scales = (
            f"{scale} {duration(seconds)}" if seconds else scale
            for scale, size in study.scales.items()
            for seconds in [duration_of(name, scale, repr(size))]
        )
        lines.append(f"{name:<26} {study.title}{after}; {', '.join(scales)}")
    return lines


def main(argv: Sequence[str]) -> None:
    """Parse and run."""
    if argv and argv[0] == "--list":
        print("\n".join(listed()))
        return
    run(study, argv, "colliderkit study", positional=["name"])
