"""The folder of a run: what is kept of it while it goes on, and what is there in the end."""

import hashlib
import inspect
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import yaml

from colliderkit.errors import InputError
from colliderkit.files import alone, atomic_file, atomic_folder, existing_file, refuse_existing
from colliderkit.methods import METHODS
from colliderkit.methods.method import DESCRIPTION, Method, versions
from colliderkit.methods.state import encode
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
REQUEST = "request.json"  # in `Run.work`
# Bytes: what is read whole to know a file again, and of a larger one in each of so many places.
WHOLE, PIECE, PIECES = 1 << 27, 1 << 16, 200


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
    def begun(self, configuration: str) -> Iterator[None]:
        """Hold the folder alone, and bind `work` to what is asked for by `configuration`, YAML.

        Raises `InputError` for an `out` that exists, another process that makes it, and an
        interrupted training that is not to go on, or is of another request: other options, or
        files of another content. Removes `work` if nothing is in it to go on from.
        """
        if not self.first:
            yield
            return
        refuse_existing(self.out, self.force)
        with alone(self.out):
            if self.work.exists() and not self.resume:
                if not self.force:
                    raise InputError(
                        f"{self.work}: an interrupted training; give --resume to go on or --force"
                        " to drop it."
                    )
                shutil.rmtree(self.work)
            claim(self.work, request_of(configuration))
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


def request_of(configuration: str) -> dict[str, Any]:
    """Return what decides a fit: its options as YAML, and the content of the files they name.

    Where it goes, and how many processes make it, decides nothing.
    """
    options = yaml.safe_load(configuration)
    for name in ("out", "resume", "force", "config", "workers"):
        options.pop(name, None)
    files = sorted({path for text in _texts(options) for path in _files(text)})
    return {"options": options, "files": {str(path): _content(path) for path in files}}


def claim(work: Path, request: dict[str, Any]) -> None:
    """Keep what a folder of checkpoints is of; raise `InputError` if that is something else."""
    note = work / REQUEST
    text = json.dumps(request, indent=1, sort_keys=True, default=str)
    if note.is_file():
        kept, asked = json.loads(note.read_text()), json.loads(text)
        changed = [
            name
            for part in ("options", "files")
            for name in {**kept[part], **asked[part]}
            if kept[part].get(name) != asked[part].get(name)
        ]
        if changed:
            raise InputError(
                f"{work}: holds a training of another request (other: {', '.join(changed[:5])});"
                " repeat that one to go on, or give --force without --resume to drop it."
            )
    elif work.exists() and any(work.iterdir()):
        raise InputError(
            f"{work}: does not say of what request its checkpoints are; give --force without"
            " --resume to drop them."
        )
    else:
        with atomic_file(note) as part_file:
            part_file.write_text(text)


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
    pieces = [0] if size <= WHOLE else [i * (size - PIECE) // PIECES for i in range(PIECES + 1)]
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
