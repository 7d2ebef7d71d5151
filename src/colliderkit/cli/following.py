"""Name the command to go on with after a verb."""

import inspect
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from colliderkit.cli.fitted import parameters
from colliderkit.tasks import TASKS
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.task import Task

__all__ = ["after_fit", "after_report"]

# What names files: the next command needs others, which the fit has not seen.
OF_FILES = ("files", "signal", "background", "numerator", "denominator", "simulation")


def after_fit(task: Task, out: Path, read: "partial[Any]", reading: Reading | None) -> str:
    """Return the command that evaluates what was fitted, on events that it has not seen.

    The options are those of the fit that an evaluation has too. Where its selection divides by a
    number (``event % 5 != 0``), the others of the same files are taken; else files have to be
    named, in capitals. Where an evaluation asks for what the fit does not know, and a page can be
    made without one, it is that of the page.
    """
    function = getattr(task, "evaluate", None)
    if function is None or "method" not in parameters(function):
        return f"colliderkit report {out}" if hasattr(task, "page") else f"colliderkit apply {out}"
    selection = reading.selection if reading is not None else None
    same = selection is not None and "%" in selection
    words = ["colliderkit", "evaluate", str(out)]
    takes = parameters(function)
    given = {key: value for key, value in read.keywords.items() if value is not None}
    if _asked(function) - set(given) and _paged(task):
        return f"colliderkit report {out}"
    for key, parameter in inspect.signature(function).parameters.items():
        if key in given and key not in ("method", "reading"):
            if isinstance(given[key], Mapping) and parameter.annotation == str | None:
                continue  # one a sample, where the evaluation has a single one
            held_out = key in OF_FILES and not same
            words += [f"--{key}", f"OTHER_{key.upper()}" if held_out else written(given[key])]
        elif key == "data" and parameter.default is parameter.empty:
            words += ["--data", "DATA"]
    if reading is not None and "reading" in takes:
        for key, value in vars(reading).items():
            if value is not None:
                value = f"not ({value})" if key == "selection" and same else value
                words += [f"--{key}", written(value)]
    return " ".join([*words, "--out", f"{out}-test"])


def after_report(name: str, model: Path | None) -> str | None:
    """Return the command that writes what was reported on for others, if its task has one."""
    task = TASKS.load(name)
    if model is None or not hasattr(task, "export"):
        return None
    function = task.export
    files = " EVENTS" if "files" in parameters(function) else ""
    end = ".onnx" if files else ""
    return f"colliderkit export {model}{files} --out {model}-export{end}"


def _asked(function: Callable[..., Any]) -> set[str]:
    """Return the options of a function that have to be given."""
    own = inspect.signature(function).parameters.values()
    return {p.name for p in own if p.kind is p.KEYWORD_ONLY and p.default is p.empty}


def _paged(task: Task) -> bool:
    """Whether a page of a fit can be made without an evaluation."""
    page = getattr(task, "page", None)
    if page is None:
        return False
    evaluation = inspect.signature(page).parameters.get("evaluation")
    return evaluation is None or evaluation.default is None


def written(value: Any) -> str:
    """Write the value of an option for a shell."""
    if isinstance(value, Mapping):
        return shlex.quote("{" + ", ".join(f"{k}: {v}" for k, v in value.items()) + "}")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return shlex.quote("[" + ", ".join(map(str, value)) + "]")
    return shlex.quote(str(value))
