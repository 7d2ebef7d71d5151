"""Measure a method on events that it has not seen."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from colliderkit.claims import holds_work
from colliderkit.cli.fitted import call
from colliderkit.cli.results import show
from colliderkit.files import alone, refuse_existing
from colliderkit.tasks.account import kept
from colliderkit.tasks.runs import EVENTS, RESULTS, Run, write_evaluation

__all__ = ["main"]


@dataclass(frozen=True)
class Evaluated:
    """Say who answers, and where results go.

    Args:
        out: the folder.
        server: of `colliderkit serve` or Triton, which answers in place of the method, by the name
            of its folder: grpc://host:8001, http://host:8000 or http://host:8000/name; several,
            with commas.
        force: overwrite an evaluation that is there.
    """

    out: Path
    server: list[str] | str | None = None
    force: bool = False


def main(argv: Sequence[str]) -> None:
    """Parse and run, with the options of the task that the model's method belongs to."""
    verb = call(argv, "evaluate", Evaluated)
    out, force = verb.output.out, verb.output.force
    with alone(out):
        for name in (EVENTS, RESULTS):
            refuse_existing(out / name, force)
        work = Run(out).work
        try:
            with kept() as account:
                evaluation = verb.function()
        finally:
            if not holds_work(work):
                shutil.rmtree(work, ignore_errors=True)
        write_evaluation(out, verb.task, verb.model, evaluation, verb.configuration, force, account)
        shutil.rmtree(work, ignore_errors=True)
    show(evaluation.title, evaluation.results)
    print(f"results: {out / RESULTS}\nnext: colliderkit report {out}")
