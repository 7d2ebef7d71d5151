"""Measure a method on events that it has not seen."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from colliderkit.cli.fitted import call
from colliderkit.files import alone, refuse_existing
from colliderkit.report.results import Result
from colliderkit.tasks.runs import EVENTS, RESULTS, write_evaluation

__all__ = ["main"]


def main(argv: Sequence[str]) -> None:
    """Parse and run, with the options of the task that the model's method belongs to."""
    verb = call(argv, "evaluate")
    out, force = verb.output.out, verb.output.force
    with alone(out):
        for name in (EVENTS, RESULTS):
            refuse_existing(out / name, force)
        evaluation = verb.function()
        write_evaluation(out, verb.task, verb.model, evaluation, verb.configuration, force)
    _print(evaluation.title, evaluation.results)
    print(f"results: {out / RESULTS}\nreport:  colliderkit report {out}")


def _print(title: str, results: Sequence[Result]) -> None:
    """Print a row a quantity, a column a subject."""
    subjects = list(dict.fromkeys(result.subject for result in results))
    cells = {(result.subject, result.quantity): result.ours() for result in results}
    table = Table("quantity ± counting error", *subjects, title=title)
    for quantity in dict.fromkeys(result.quantity for result in results):
        table.add_row(quantity, *(cells.get((subject, quantity), "") for subject in subjects))
    Console().print(table)
