"""Draw a run or an evaluation as one HTML file."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from colliderkit.cli.fitted import description, parameters, show_usage, task_function
from colliderkit.cli.parsing import leading, naming_options, parse
from colliderkit.errors import InputError
from colliderkit.methods.method import DESCRIPTION, saved_name
from colliderkit.report.observables import labelled
from colliderkit.tasks import task_of
from colliderkit.tasks.runs import about, write_page
from colliderkit.tasks.task import SUPPLIED

__all__ = ["main"]


@dataclass(frozen=True)
class Page:
    """Say what stands on the page beside the results, and what becomes of one that is there.

    Args:
        title: the heading of the page, in place of its own.
        note: a paragraph below the heading: which data, which question.
        label: how axes call columns, such as ``{m_true: "m [GeV]"}``.
        source: where the events are from, written small on every figure, such as
            "Pythia 8, 13 TeV".
        force: overwrite report.html and figures.
    """

    title: str | None = None
    note: str = ""
    label: dict[str, str] | None = None
    source: str = ""
    force: bool = False


def main(argv: Sequence[str]) -> None:
    """Parse and run: ``report MODEL``, ``report EVALUATION`` or ``report MODEL EVALUATION``."""
    folders = [Path(word) for word in leading(argv)]
    if not 1 <= len(folders) <= 2:
        show_usage(argv, "report", "FOLDER", "a folder written by fit, by evaluate, or both")
    model: Path | None = folders[0] if (folders[0] / DESCRIPTION).is_file() else None
    evaluation = None if model is not None and len(folders) == 1 else folders[-1]
    if evaluation is not None:
        note = about(evaluation)
        name = note["task"]
        model = model or (None if note["model"] is None else Path(note["model"]))
    else:
        assert model is not None
        name = task_of(saved_name(model))
    function = task_function(name, "page")
    wanted = inspect.signature(function).parameters.get("evaluation")
    if evaluation is None and wanted is not None and wanted.default is wanted.empty:
        raise InputError(f"{model}: evaluate it first; the page of {name} shows an evaluation.")
    parsed = parse(
        "colliderkit report",
        description(function),
        argv[len(folders) :],
        [Page, function],
        supplied=SUPPLIED,
    )
    page, draw = parsed.taken
    given = {"model": model, "evaluation": evaluation}
    with naming_options(parsed.names), labelled(page.label or {}):
        report = draw(**{key: value for key, value in given.items() if key in parameters(function)})
    report.title, report.note = page.title or report.title, page.note
    report.source = page.source or report.source
    folder = evaluation or model
    assert folder is not None
    print(f"report: {write_page(report, folder, page.force)}")
