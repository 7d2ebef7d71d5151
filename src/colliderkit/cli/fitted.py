"""Verbs of a fitted method: find its task, parse the options of the two, load it."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from colliderkit.cli.help import examples
from colliderkit.cli.parsing import leading, naming_options, parse
from colliderkit.errors import InputError
from colliderkit.methods.method import load, saved_name
from colliderkit.tasks import TASKS, task_of
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.task import SUPPLIED, Task

__all__ = ["Call", "Output", "call", "description", "show_usage", "task_function"]

OF_VERB = {"report": "page"}  # what a task calls it


@dataclass(frozen=True)
class Output:
    """Say where a verb writes.

    Args:
        out: what is written: a file, or a folder of an evaluation or a submission.
        force: overwrite `out`.
    """

    out: Path
    force: bool = False


@dataclass(frozen=True)
class Call:
    """Hold a parsed verb: `function` is the task's, with all that it takes."""

    task: str
    model: Path | None
    output: Output
    function: Callable[[], Any]
    configuration: str


def call(argv: Sequence[str], verb: str) -> Call:
    """Parse ``colliderkit VERB MODEL ...``, or ``VERB TASK ...`` where no model is needed.

    Raises `InputError` for a folder that holds no method, or one whose task has no such verb.
    """
    prog = f"colliderkit {verb}"
    words = leading(argv)
    if not words:
        show_usage(argv, verb, "FOLDER", "a folder written by fit")
    first, rest = words[0], argv[1:]
    if first in TASKS and "method" not in parameters(task_function(first, verb)):
        name, model = first, None
    else:
        model = Path(first)
        name = task_of(saved_name(model))
    function = task_function(name, verb)
    takes = parameters(function)
    parsed = parse(
        f"{prog} {first}",
        description(function),
        rest,
        [Output, function, *([Reading] if "reading" in takes else [])],
        supplied=SUPPLIED,
        positional=["files"] if "files" in takes else [],
        examples=examples(function),
    )
    output, bound, *reading = parsed.taken
    values = {
        "reading": reading[0] if reading else None,
        "model": model,
        "out": output.out,
        "force": output.force,
    }
    given = {key: value for key, value in values.items() if key in takes}

    def run() -> Any:
        with naming_options(parsed.names):
            if model is not None:
                given["method"] = load(model)
            return partial(bound, **given)()

    return Call(name, model, output, run, parsed.configuration)


def show_usage(argv: Sequence[str], verb: str, words: str, folders: str) -> NoReturn:
    """Print how a verb begins and exit, or raise `InputError` where no help was asked for."""
    able = ", ".join(task for task in TASKS if hasattr(TASKS.load(task), OF_VERB.get(verb, verb)))
    prog = f"colliderkit {verb}"
    if argv and argv[0] in ("-h", "--help"):
        print(
            f"usage: {prog} {words} [options]\n\n{words}: {folders}, of one of the tasks\n"
            f"{able}.\n\n{prog} {words} --help lists its options."
        )
        raise SystemExit(0)
    raise InputError(
        f"{prog} takes {folders} first (tasks with this verb: {able}); {prog} {words} --help lists"
        " its options."
    )


def task_function(name: str, verb: str) -> Callable[..., Any]:
    """Return what a task has for a verb; raise `InputError` if it does not offer it."""
    task: Task = TASKS.load(name)()
    if not hasattr(task, verb):
        raise InputError(f"{name} has no {verb}; it offers {', '.join(task.offers())}.")
    function: Callable[..., Any] = getattr(task, verb)
    return function


def parameters(function: Callable[..., Any]) -> list[str]:
    """List the names of a function's parameters."""
    return list(inspect.signature(function).parameters)


def description(function: Callable[..., Any]) -> str:
    """Return the first paragraph of a docstring, which begins the help."""
    return (inspect.getdoc(function) or "").split("\n\n")[0]
