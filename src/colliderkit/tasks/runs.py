"""The folder of a run: what is kept of it while it goes on, and what is there in the end."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from colliderkit.errors import InputError
from colliderkit.files import atomic_file, atomic_folder, existing_file, refuse_existing
from colliderkit.methods.method import DESCRIPTION, Method, versions
from colliderkit.report.html import Report
from colliderkit.report.results import write_results
from colliderkit.tasks.task import Evaluation

__all__ = [
    "CONFIGURATION",
    "EVENTS",
    "RESULTS",
    "Run",
    "about",
    "page",
    "write_evaluation",
    "write_page",
]

CONFIGURATION = "config.yaml"
EVENTS = "events.parquet"
RESULTS = "results.json"


@dataclass(frozen=True)
class Run:
    """Say where a fitted method goes, and what becomes of an interrupted run.

    Args:
        out: the folder that the fitted method is written to.
        seed: of initial weights, batches and the split.
        resume: go on from the last checkpoint of an interrupted run.
        force: overwrite `out`, and drop what an interrupted run left.
    """

    out: Path
    seed: int = 0
    resume: bool = False
    force: bool = False

    @property
    def work(self) -> Path:
        """The folder where an unfinished run is kept, ``OUT.training``."""
        return self.out.with_name(self.out.name + ".training")

    @property
    def first(self) -> bool:
        """Whether this process is the one of a distributed training that writes."""
        return {os.environ.get(name, "0") for name in ("LOCAL_RANK", "NODE_RANK")} == {"0"}

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Refuse what exists, and remove `work` if nothing is in it to go on from."""
        if not self.first:
            yield
            return
        refuse_existing(self.out, self.force)
        if self.work.exists() and not self.resume:
            if not self.force:
                raise InputError(
                    f"{self.work}: an interrupted training; give --resume to go on or --force to"
                    " drop it."
                )
            shutil.rmtree(self.work)
        try:
            yield
        except BaseException:
            if not any(p.suffix in (".ckpt", ".npy") for p in self.work.rglob("*")):
                shutil.rmtree(self.work, ignore_errors=True)
            raise

    def finish(self, method: Method, configuration: str, keep: Callable[[Path], None]) -> None:
        """Write the fitted method, its configuration and what `keep` adds; drop `work`.

        The folder takes its name when all of that is in it.
        """
        with atomic_folder(self.out, self.force) as part:
            method.save(part, force=True)
            (part / CONFIGURATION).write_text(configuration)
            keep(part)
        shutil.rmtree(self.work, ignore_errors=True)


def write_evaluation(
    out: Path,
    task: str,
    model: Path | None,
    evaluation: Evaluation,
    configuration: str,
    force: bool,
) -> None:
    """Write results.json, events.parquet and what else an evaluation has to a folder."""
    from colliderkit.sources import write

    if evaluation.events is not None:
        write(out / EVENTS, evaluation.events, force=force)
    if evaluation.write is not None:
        evaluation.write(out)
    note = {
        "title": evaluation.title,
        "task": task,
        "model": None if model is None else str(model),
        "command": "colliderkit evaluate --config, with the configuration below",
        "seeds": [],
        "versions": versions(),
        "timing": {},
        "configuration": configuration,
        **evaluation.about,
    }
    write_results(out / RESULTS, evaluation.results, note, force)


def about(evaluation: Path) -> dict[str, Any]:
    """Read what an evaluation says of itself beside its results."""
    note: dict[str, Any] = json.loads(existing_file(evaluation / RESULTS).read_text())
    return note


def page(title: str, summary: str, model: Path | None, note: dict[str, Any]) -> Report:
    """Begin the page of a run: its command, and the configurations of evaluation and model."""
    configuration = note["configuration"]
    if model is not None:
        description = json.loads((model / DESCRIPTION).read_text())
        configuration += "\n# model\n" + yaml.safe_dump(description["parameters"])
    return Report(
        title,
        summary,
        command=note["command"],
        configuration=configuration,
        seeds=note.get("seeds", []),
        timing=note.get("timing", {}),
    )


def write_page(report: Report, folder: Path, force: bool) -> Path:
    """Write report.html to the folder of a run or an evaluation and return its path."""
    path = folder / "report.html"
    with atomic_file(path, force) as part:
        part.write_text(report.html(), encoding="utf-8")
    return path
