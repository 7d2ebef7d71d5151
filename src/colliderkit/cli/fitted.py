"""Verbs of a fitted method: find its task, parse the options of the two, load it."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn, Protocol

from colliderkit.cli.help import examples
from colliderkit.cli.parsing import leading, naming_options, parse
from colliderkit.errors import InputError
from colliderkit.methods.method import DESCRIPTION, load, saved_name
from colliderkit.tasks import TASKS, task_of
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.task import SUPPLIED, Task

__all__ = ["Bound", "Call", "Output", "call", "description", "show_usage", "task_function"]

OF_VERB = {"report": "page"}  # what a task calls it


class Output(Protocol):
    """Where a verb writes, and whether over what is there; a verb may have more options here."""

    @property
    def out(self) -> Path | None: ...

    @property
    def force(self) -> bool: ...


@dataclass(frozen=True)
class Bound:
    """Call a task's function with the options of a command line; may go to another process.

    The method is loaded from `model` when it is called, once in a process.
    """

    function: Callable[..., Any]
    given: Mapping[str, Any]
    names: Sequence[str]
    model: Path | None
    server: Sequence[str] = ()

    def __call__(self, **anew: Any) -> Any:
        """Call it; keywords given here take the place of those of the command line."""
        with naming_options(self.names):
            given = {**self.given, **anew}
            if self.model is not None:
                changed = (self.model / DESCRIPTION).stat().st_mtime_ns
                given["method"] = fitted(self.model, changed, tuple(self.server))
            return self.function(**given)


@lru_cache(maxsize=1)
def fitted(model: Path, changed: int, server: tuple[str, ...]) -> Any:
    """Load a method that was saved at the time `changed`; a server answers, if one is named."""
    method = load(model)
    if not server:
        return method
    from colliderkit.serve.answers import on_server
    from colliderkit.serve.remote import RemoteModel

    remote = RemoteModel(server, model.resolve().name)
    remote.metadata()  # what is mistyped ends here, and not in a fallback
    return on_server(method, remote)


@dataclass(frozen=True)
class Call:
    """Hold a parsed verb: `function` is the task's, with all that it takes."""

    task: str
    model: Path | None
    output: Any
    function: Bound
    configuration: str


def call(argv: Sequence[str], verb: str, output: type[Output]) -> Call:
    """Parse ``colliderkit VERB MODEL ...``, or ``VERB TASK ...`` where no model is needed.

    `output` has the options of the verb itself. Raises `InputError` for a folder that holds no
    method, or one whose task has no such verb.
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
        [output, function, *([Reading] if "reading" in takes else [])],
        supplied=SUPPLIED,
        positional=["files"] if "files" in takes else [],
        examples=examples(function),
    )
    where, bound, *reading = parsed.taken
    values = {
        "reading": reading[0] if reading else None,
        "model": model,
        "out": where.out,
        "force": where.force,
    }
    given = {key: value for key, value in values.items() if key in takes}
    server = getattr(where, "server", None) or ()
    if server and (model is None or "method" not in takes):
        raise InputError(f"--server is given, and {name} is of no fitted method; leave it out.")
    run = Bound(bound, given, parsed.names, model if "method" in takes else None, listed(server))
    return Call(name, model, where, run, parsed.configuration)


def listed(server: Sequence[str] | str) -> list[str]:
    """Return the addresses of servers, of a list or of a text with commas."""
    return server.split(",") if isinstance(server, str) else list(server)


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
