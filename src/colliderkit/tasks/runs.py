"""The folder of a run: what is kept of it while it goes on, and what is there in the end."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from colliderkit.errors import InputError
from colliderkit.files import atomic_file, refuse_existing
from colliderkit.methods.method import Method, versions

__all__ = ["about", "begin", "finish", "kept"]


def begin(out: Path, resume: bool, force: bool) -> Path:
    """Return ``OUT.training``, where an unfinished run is kept; refuse what exists.

    With `resume` what is in it stays, with `force` it is dropped, and so will be `out`.
    """
    refuse_existing(out, force)
    work = out.with_name(out.name + ".training")
    if work.exists() and not resume:
        if not force:
            raise InputError(
                f"{work}: an interrupted training; give --resume to go on or --force to drop it."
            )
        shutil.rmtree(work)
    return work


@contextmanager
def kept(work: Path, pattern: str) -> Iterator[None]:
    """Remove `work` if the block fails before there is any file of `pattern` to go on from."""
    try:
        yield
    except BaseException:
        if not any(work.rglob(pattern)):
            shutil.rmtree(work, ignore_errors=True)
        raise


def finish(method: Method, out: Path, work: Path, configuration: str, force: bool) -> None:
    """Write the fitted method with its configuration, and drop what was kept."""
    method.save(out, force=force)
    with atomic_file(out / "config.yaml", force=True) as part:
        part.write_text(configuration)
    shutil.rmtree(work, ignore_errors=True)


def about(title: str, model: Path, configuration: str, **more: Any) -> dict[str, Any]:
    """Say what made an evaluation's results, as `write_results` takes it."""
    return {
        "title": title,
        "command": "colliderkit evaluate --config, with the configuration below",
        "seeds": [],
        "versions": versions(),
        "timing": {},
        "configuration": configuration,
        "model": str(model),
        **more,
    }
