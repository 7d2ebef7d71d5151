"""Apply a method to many files, each to a file of its own: on processes or Dask, resumable."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from colliderkit.errors import InputError
from colliderkit.files import PART
from colliderkit.methods.method import DESCRIPTION
from colliderkit.progress import progress_bar
from colliderkit.sources.files.formats import Paths, paths_of
from colliderkit.sources.shards import claim, executor, finished
from colliderkit.tasks import TASKS

__all__ = ["each_file"]


@dataclass(frozen=True)
class Request:
    """All that decides what is written of a file: the model, by its checksum, and the options."""

    task: str
    model: Path
    options: Mapping[str, Any]

    def as_json(self) -> str:
        """Write it for the folder, which keeps no files of two requests."""
        checksum = hashlib.sha256((self.model / DESCRIPTION).read_bytes()).hexdigest()
        asked = {name: repr(value) for name, value in self.options.items()}
        return json.dumps({"task": self.task, "model": checksum, "options": asked}, indent=1)


def each_file(
    apply: Callable[..., Any],
    files: Paths,
    out: Path,
    *,
    model: Path,
    task: str,
    options: Mapping[str, Any],
    workers: int = 1,
    dask: str | None = None,
    force: bool = False,
) -> str:
    """Call ``apply(files=FILE, out=OUT/NAME)`` for each of `files`; say how many were made.

    Each output is whole or absent, and the folder is bound to model and options: after a kill, or
    with more files, the same call goes on with those that have no output, or an older one. A file
    that cannot be read does not stop the others.

    Raises `InputError` for a folder of another request without `force`, two files of one name, a
    scheduler that does not answer and, when all else is done, for files that failed.
    """
    places = destinations(files, out, TASKS.load(task).written)
    claim(out, Request(task, model, options), force, what="files")
    for part in out.glob(f".*{PART}*"):  # of a process that was killed; this one is alone
        part.unlink()
    left = {path: place for path, place in places.items() if not made(path, place)}
    done, failed = len(places) - len(left), dict[Path, str]()
    if len(left) < len(places):
        print(f"{done} of {len(places)} files are in {out} already", flush=True)
    try:
        with (
            executor(workers, dask, start=partial(share_cores, workers)) as pool,
            progress_bar() as bar,
        ):
            shown = bar.add_task(f"{task}: files", total=len(places), completed=done)
            for path, error in outcomes(pool, apply, left):
                if error is None:
                    done += 1
                else:
                    failed[path] = error
                bar.advance(shown)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"interrupted: {kept(done, len(places), out, force)}") from stop
    except BrokenProcessPool as error:
        raise InputError(
            f"a worker was killed, perhaps for memory: {kept(done, len(places), out, force)}"
        ) from error
    if failed:
        first = next(iter(failed.values()))
        raise InputError(
            f"{first.rstrip('.')} ({len(failed)} of {len(places)} files failed;"
            f" {kept(done, len(places), out, force)})"
        )
    return f"{len(left)} files, {len(places)} in all" if len(left) < done else f"{done} files"


def destinations(files: Paths, out: Path, written: tuple[str, ...]) -> dict[Path, Path]:
    """Return where each file goes: its name, with an extension that the task writes."""
    places: dict[Path, Path] = {}
    taken: dict[Path, Path] = {}
    for path in paths_of(files):
        suffix = path.suffix.lower() if path.suffix.lower() in written else written[0]
        place = out / f"{path.stem}{suffix}"
        if (other := taken.setdefault(place, path)) != path:
            raise InputError(
                f"{other} and {path}: would both be written to {place}; rename one, or apply to"
                " them in turn, to folders of their own."
            )
        places[path] = place
    return places


def made(path: Path, place: Path) -> bool:
    """Return whether an output is there and not older than its file."""
    if not place.exists():
        return False
    # A file that is not there is the reader's to complain of.
    newer = path.exists() and path.stat().st_mtime_ns > place.stat().st_mtime_ns
    if newer:
        print(f"{path} is newer than {place}, which is made again", flush=True)
    return not newer


def outcomes(
    pool: Executor | None, apply: Callable[..., Any], left: Mapping[Path, Path]
) -> Iterator[tuple[Path, str | None]]:
    """Yield each file as it ends, with the sentence of its error, if any."""
    if pool is None:
        yield from ((path, one(apply, path, place)) for path, place in left.items())
        return
    waiting: Iterable[tuple[Path, Path]] = left.items()
    pending: dict[Future[str | None], Path] = {
        pool.submit(one, apply, path.resolve(), place.resolve()): path for path, place in waiting
    }
    yield from finished(pending)


def one(apply: Callable[..., Any], path: Path, place: Path) -> str | None:
    """Apply a method to a file; return the sentence of an error that is the file's."""
    try:
        apply(files=str(path), out=place, force=True)
    except InputError as error:
        return str(error)
    return None


def kept(done: int, total: int, out: Path, force: bool) -> str:
    """Return what is on disk and how to go on."""
    again = "again, without force," if force else "again"
    return f"{done} of {total} files are in {out}; give the same command {again} to go on."


def share_cores(workers: int) -> None:
    """Let each of several processes compute on its share of the cores."""
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
