"""Write a method's scores beside the events' own columns, of a file or of each of many."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from colliderkit.cli.fitted import Call, call
from colliderkit.errors import InputError
from colliderkit.files import alone, refuse_existing
from colliderkit.tasks import TASKS
from colliderkit.tasks.each_file import each_file

__all__ = ["main"]


@dataclass(frozen=True)
class Applied:
    """Say where a method is applied, and what is written.

    Args:
        out: the file; or a folder, a name without an extension, for a file of each that is read.
            The same command, given again, goes on with the files that are not done.
        server: of `colliderkit serve` or Triton, which answers in place of the method, by the name
            of its folder: grpc://host:8001, http://host:8000 or http://host:8000/name; of a farm
            several, with commas.
        workers: processes side by side, a file each; of a folder.
        dask: address of a Dask scheduler to work on instead; of a folder.
        force: overwrite what is there.
    """

    out: Path
    server: list[str] | str | None = None
    workers: int = 1
    dask: str | None = None
    force: bool = False


def main(argv: Sequence[str]) -> None:
    """Parse and run, with the options of the task that the model's method belongs to."""
    verb = call(argv, "apply", Applied)
    asked: Applied = verb.output
    with alone(asked.out):
        if asked.out.suffix or TASKS.load(verb.task).writes_folder:
            if asked.workers != 1 or asked.dask is not None:
                raise InputError(
                    f"{asked.out}: is written of all files together, and workers and dask make a"
                    " file of each; name a folder, without an extension, or leave them out."
                )
            refuse_existing(asked.out, asked.force)
            verb.function()
            print(f"written: {asked.out}")
        else:
            made = folder(verb, asked)
            print(f"written: {made} in {asked.out}")


def folder(verb: Call, asked: Applied) -> str:
    """Write a file of each that is read; say how many."""
    options = dict(getattr(verb.function.function, "keywords", {}))
    if "files" not in options:
        raise InputError(f"{asked.out}: {verb.task} reads no list of files; name a file to write.")
    assert verb.model is not None
    return each_file(
        verb.function,
        options.pop("files"),
        asked.out,
        model=verb.model,
        task=verb.task,
        options={**options, "reading": verb.function.given.get("reading")},
        workers=asked.workers,
        dask=asked.dask,
        force=asked.force,
    )
