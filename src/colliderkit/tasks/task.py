"""What the verbs of the command line need of a method: read, fit, apply, evaluate, page, export."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from colliderkit.methods.method import Method
from colliderkit.report.results import Result

__all__ = ["SUPPLIED", "VERBS", "Evaluation", "Inputs", "Task"]

VERBS = ("read", "update", "apply", "evaluate", "page", "export")
# Parameters of a task's functions that a verb supplies, beside its own `out` and `force`; all
# others are options of that verb.
SUPPLIED = ("method", "reading", "model", "evaluation")


@dataclass(frozen=True)
class Inputs:
    """Hold what is fitted and with what.

    - `method`: the one that was given, or what was made of it (an ensemble of it);
    - `arguments`: the keywords of its `fit`, beside seed, folder, resume and progress;
    - `beside`: what `Task.keep` writes beside the fitted method.
    """

    method: Method
    arguments: Mapping[str, Any]
    beside: Any = None


@dataclass(frozen=True)
class Evaluation:
    """Hold what an evaluation found.

    - `title`: a few words, such as "p1/p0 on 400 and 500 events";
    - `results`: the quantities with their errors, for results.json and the terminal;
    - `events`: columns by name, or an awkward array, for events.parquet, or None;
    - `about`: JSON values that `Task.page` needs beside these;
    - `write`: writes further files to a folder.
    """

    title: str
    results: Sequence[Result]
    events: Any = None
    about: Mapping[str, Any] = field(default_factory=dict)
    write: Callable[[Path], None] | None = None


class Task:
    """Say how files become the arguments of a method's `fit`, and what may be done with it then.

    The verbs are generic; a subclass has what they need, as functions of these names:

    - ``read(self, method, reading, *, ...) -> Inputs``: fit;
    - ``update(self, method, reading, files, *, ...) -> (Method, str)``: what is saved again, and
      what is said of it;
    - ``apply(self, method, reading, files, *, out, force, ...) -> None``: writes `out`;
    - ``evaluate(self, method, reading, *, ...) -> Evaluation``;
    - ``page(self, model, evaluation, *, ...) -> Report``: of the folder that fit wrote, or evaluate
      (`evaluation`, whose `model` it names), or both;
    - ``export(self, method, reading, files, *, out, force, ...) -> str``: writes `out` and says
      what it has checked.

    Their parameters beside these are the options of the verb: typed, keyword-only,
    explained under ``Args:``; `files` may be given without its name. What a function does not need
    of these it leaves out: without `reading` a verb has no options of `Reading`, and
    ``evaluate`` without `method` is of no fitted method (``colliderkit evaluate TASK``). A function
    that is not there is a verb that the task does not offer. The first paragraph of its docstring
    begins the help. `apply`, `evaluate` and `export` may take `model` too, the folder of `method`,
    and `evaluate` the folder `out`, for what it keeps of an interrupted run.

    `methods` are names of `methods.METHODS`, chosen by ``--method``, the first if not. One whose
    constructor takes a `method` (an ensemble) is made around that of `around`; the options of both
    are those of fit. With `writes_folder` apply writes a folder, of all files together; else a
    file, and the command line makes one of each of several.
    """

    methods: ClassVar[tuple[str, ...]]
    writes_folder: ClassVar[bool] = False
    around: ClassVar[Mapping[str, str]] = {}
    # Extensions that `apply` writes, the first where a file that is read has another.
    written: ClassVar[tuple[str, ...]] = (".parquet", ".pq", ".root")

    def fit(self, inputs: Inputs, *, seed: int, folder: Path, resume: bool) -> Method:
        """Fit and return what is saved."""
        fitted = inputs.method
        where = {"folder": folder, "resume": resume} if fitted.resumable else {}
        fitted.fit(**inputs.arguments, seed=seed, **where)
        return fitted

    def keep(self, method: Method, inputs: Inputs, folder: Path) -> None:
        """Write further files of the run to `folder`, before it takes its final name."""

    def summary(self, method: Method) -> str:
        """Say in some lines what was fitted."""
        return f"fitted {method.name}"

    @classmethod
    def offers(cls) -> list[str]:
        """List the functions of `VERBS` that this task has."""
        return [verb for verb in VERBS if hasattr(cls, verb)]
