"""The folder of a run: what is kept of it while it goes on, and what is there in the end."""

import hashlib
import inspect
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import yaml

from colliderkit.claims import PIECE, WHOLE, claim, first_process, holds_work, piecewise
from colliderkit.errors import InputError
from colliderkit.files import (
    alone,
    atomic_files,
    atomic_folder,
    existing_file,
    explained,
    refuse_existing,
)
from colliderkit.methods import METHODS
from colliderkit.methods.method import DESCRIPTION, Method, versions
from colliderkit.methods.state import encode
from colliderkit.report.html import PAGE, Report
from colliderkit.report.results import write_results
from colliderkit.tasks.account import Account, kept
from colliderkit.tasks.task import Evaluation

__all__ = [
    "CONFIGURATION",
    "EVENTS",
    "PAGE",
    "RESULTS",
    "UPDATE",
    "Run",
    "about",
    "page",
    "write_evaluation",
    "write_page",
    "write_update",
]

CONFIGURATION = "config.yaml"
UPDATE = "update.yaml"  # the options of the update, beside those of the fit
EVENTS = "events.parquet"
RESULTS = "results.json"
REQUEST = "request.json"  # in `Run.work`
DROP = "give --force without --resume to drop it"


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
        return first_process()

    def unfinished(self) -> Path:
        """Return `work`, free to begin in or to go on from; raise `InputError` where it is not.

        An interrupted run stays there if it is not asked to go on or to be dropped.
        """
        if self.work.exists() and not self.resume:
            if not self.force:
                raise InputError(
                    f"{self.work}: an interrupted training; give --resume to go on or --force"
                    " to drop it."
                )
            shutil.rmtree(self.work)
        return self.work

    @contextmanager
    def begun(self, configuration: str) -> Iterator[Account]:
        """Hold the folder alone, and bind `work` to what is asked for by `configuration`, YAML.

        Yields the account of what is read and said meanwhile, for `finish`.

        Raises `InputError` for an `out` that exists, another process that makes it, and an
        interrupted training that is not to go on, or is of another request: other options, or
        files of another content. Removes `work` if nothing is in it to go on from.
        """
        if not self.first:
            yield Account()
            return
        refuse_existing(self.out, self.force)
        with alone(self.out):
            work = self.unfinished()
            try:
                claim(work, request_of(configuration), REQUEST, way_out=DROP)
                with kept() as account:
                    yield account
            except BaseException as error:
                if not holds_work(self.work):
                    shutil.rmtree(self.work, ignore_errors=True)
                if sentence := explained(error, self.work):
                    raise sentence from error
                raise

    def finish(
        self,
        method: Method,
        configuration: str,
        keep: Callable[[Path], None],
        account: Account,
    ) -> None:
        """Write the fitted method, its configuration, account and what `keep` adds; drop `work`.

        The folder takes its name when all of that is in it.
        """
        with atomic_folder(self.out, self.force) as part:
            method.save(part, force=True)
            (part / CONFIGURATION).write_text(configuration)
            account.write(part)
            keep(part)
        shutil.rmtree(self.work, ignore_errors=True)


def request_of(configuration: str) -> dict[str, Any]:
    """Return what decides a fit: its options as YAML, and the content of the files they name.

    Where it goes, and how many processes make it, decides nothing.
    """
    options = yaml.safe_load(configuration)
    for name in ("out", "resume", "force", "config", "workers"):
        options.pop(name, None)
    files = sorted({path for text in _texts(options) for path in _files(text)})
    return options | {str(path): _content(path) for path in files}


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a value of YAML."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _files(text: str) -> list[Path]:
    """List the files that an option names: one, those of a pattern, or those of a fitted method."""
    try:
        paths = [Path(text), *(Path(path) for path in glob(text))]
        paths += [path / name for path in paths for name in (DESCRIPTION,)]
        return [path for path in paths if path.is_file()]
    except (OSError, ValueError):  # a text that cannot be a path
        return []


def _content(path: Path) -> str:
    """Return the size and a checksum of a file; of a large one, of pieces all over it."""
    size = path.stat().st_size
    pieces = [0] if size <= WHOLE else piecewise(size, PIECE)
    checksum = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        for start in pieces:
            file.seek(start)
            checksum.update(file.read(WHOLE if size <= WHOLE else PIECE))
    return f"{size} bytes, {checksum.hexdigest()}"


def write_evaluation(
    out: Path,
    task: str,
    model: Path | None,
    evaluation: Evaluation,
    configuration: str,
    force: bool,
    account: Account,
) -> None:
    """Write results.json, events.parquet and what else an evaluation has to a folder."""
    from colliderkit.sources import write

    note = {
        "title": evaluation.title,
        "task": task,
        "model": None if model is None else str(model),
        "command": "colliderkit evaluate --config, with the configuration below",
        "seeds": [],
        "versions": versions(),
        "timing": {},
        "configuration": configuration,
        "account": vars(account),
        **evaluation.about,
    }
    with atomic_files(out, RESULTS, force) as part:
        if evaluation.events is not None:
            write(part / EVENTS, evaluation.events)
        if evaluation.write is not None:
            evaluation.write(part)
        write_results(part / RESULTS, evaluation.results, note)


def write_update(
    out: Path, model: Path, method: Method, configuration: str, force: bool, account: Account
) -> None:
    """Write an updated method as the folder of a run: as `model`, but for what the update set."""
    with atomic_folder(out, force) as part:
        method.save(part, force=True)
        shutil.copyfile(existing_file(model / CONFIGURATION), part / CONFIGURATION)
        (part / UPDATE).write_text(configuration)
        account.write(part)


def about(evaluation: Path) -> dict[str, Any]:
    """Read what an evaluation says of itself beside its results."""
    if (evaluation / "study.json").is_file():
        raise InputError(
            f"{evaluation}: is the folder of a study; its report is there, open"
            f" {evaluation / PAGE}."
        )
    path = existing_file(evaluation / RESULTS)
    try:
        note: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        missing = {"task", "model", "configuration", "command"} - set(note)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: damaged ({error}); evaluate again.") from error
    if missing:
        raise InputError(
            f"{path}: is not of an evaluation (it has no {', '.join(sorted(missing))}); give a"
            " folder written by evaluate."
        )
    return note


def page(title: str, summary: str, model: Path | None, note: dict[str, Any]) -> Report:
    """Begin the page of a run: its command, its configurations, and what is not the default.

    `title` and `summary` say what it is about; where the model was kept stands among the facts.
    """
    report = Report(
        title,
        summary,
        command=note["command"],
        configuration=note["configuration"],
        seeds=note.get("seeds", []),
        timing=note.get("timing", {}),
    )
    if model is not None:
        description = json.loads((model / DESCRIPTION).read_text())
        report.changes = yaml.safe_dump(_changed(description), sort_keys=False)
        report.facts = [f"{description['method']}, fitted in {model.name}"]
        kept = model / CONFIGURATION
        if kept.is_file() and kept.read_text() != report.configuration:
            report.attachments["Configuration of the fit"] = kept.read_text()
    return report


def _changed(description: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a saved method that are not the defaults of its class."""
    parameters: dict[str, Any] = description["parameters"]
    defaults = inspect.signature(METHODS.load(description["method"])).parameters
    usual = {
        name: encode(parameter.default, {}, "")
        for name, parameter in defaults.items()
        if parameter.default is not parameter.empty
    }
    return {"method": description["method"]} | {
        name: different(value, usual.get(name))
        for name, value in parameters.items()
        if name not in usual or value != usual[name]
    }


def different(value: Any, usual: Any) -> Any:
    """Return of a mapping the entries that are not the usual ones, of others the value."""
    if not isinstance(value, dict) or not isinstance(usual, dict):
        return value
    return {k: v for k, v in value.items() if k not in usual or v != usual[k]}


def write_page(report: Report, folder: Path, force: bool) -> Path:
    """Write report.html and its figures to the folder of a run or an evaluation."""
    return report.write_page(folder, force)
