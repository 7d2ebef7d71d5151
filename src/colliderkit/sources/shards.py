"""Resumable generation in shards: the folder that keeps them, workers or Dask, a progress bar."""

import multiprocessing
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any, Protocol

from colliderkit.errors import InputError
from colliderkit.files import atomic_file

__all__ = ["FORMAT", "claim", "executor", "finished", "keeping"]

# Part of every request: raised when the same request makes other bits than before, so that shards
# of an older version are not mixed with new ones.
FORMAT = 2


class Claim(Protocol):
    """What is generated, as far as a folder of shards knows it."""

    def as_json(self) -> str:
        """Write all that decides the bits."""


def claim(folder: Path, request: Claim, force: bool, what: str = "shards") -> None:
    """Make the folder of the shards, or check that those in it are of the same request."""
    note, asked = folder / "request.json", request.as_json()
    if note.is_file() and note.read_text() == asked:
        return
    if folder.exists() and not force and any(path.name[0] != "." for path in folder.iterdir()):
        raise InputError(
            f"{folder}: holds {what} of another request; repeat that one, choose another"
            " output, or give force to drop them."
        )
    shutil.rmtree(folder, ignore_errors=True)
    with atomic_file(note) as part:
        part.write_text(asked)


def finished(pending: dict[Future[Any], Any]) -> Iterator[tuple[Any, Any]]:
    """Yield (task, result) of futures in the order in which they end, and forget each.

    A future is dropped once its shard is on disk: memory does not grow with the sample.
    """
    while pending:
        for future in wait(pending, return_when=FIRST_COMPLETED).done:
            yield pending.pop(future), future.result()


@contextmanager
def keeping(folder: Path) -> Iterator[None]:
    """Say where finished shards are kept, after Ctrl-C and where a worker was killed."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(
            f"interrupted: finished shards are kept in {folder}; give the same command again to go"
            " on."
        ) from stop
    except BrokenProcessPool as error:
        raise InputError(
            f"a worker was killed, perhaps for memory; finished shards are kept in {folder}."
        ) from error


@contextmanager
def executor(
    workers: int, dask: str | None, here: bool = True, start: Callable[[], None] | None = None
) -> Iterator[Executor | None]:
    """Yield what runs the shards: a pool of processes, or Dask, or None for this process.

    One worker is this process where it may be (`here`); `start` is called in each that is not.
    The processes end with this one, however it ends.
    """
    if dask is not None:
        with dask_client(dask) as client:
            yield client.get_executor(pure=False)
        return
    if workers == 1 and here:
        yield None
        return
    # Spawned, not forked: a fork copies the threads' locks of torch and Arrow as they are.
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, Workers(), initializer=begin, initargs=(start,))
    try:
        yield pool
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        # A shard takes seconds: do not wait for those under way.
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise


class Worker(SpawnProcess):
    """Process that does not run the user's script again, which need not guard its main part.

    What a worker does is in this package; Python would import the script all the same, and a
    script of README's ten lines would start workers in each worker.
    """

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        main = sys.modules["__main__"]
        hidden = {name: main.__dict__.pop(name, None) for name in ("__file__", "__spec__")}
        main.__spec__ = None
        try:
            return SpawnProcess._Popen(process_obj)
        finally:
            main.__dict__.update({k: v for k, v in hidden.items() if v is not None})


class Workers(SpawnContext):
    """Context of `Worker`s."""

    Process = Worker


def begin(start: Callable[[], None] | None) -> None:
    """Begin a worker."""
    end_with_parent()
    if start is not None:
        start()


def end_with_parent() -> None:
    """Let Ctrl-C be the parent's to answer, and end this process when the parent is gone."""
    import os
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def dask_client(address: str) -> Any:
    """Connect to a Dask scheduler, or raise `InputError`."""
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(
            "dask needs the package distributed; run: pip install 'colliderkit[dask]'."
        ) from error
    try:
        return Client(address, timeout="5s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"dask: no scheduler answers at {address}; check the address or start one."
        ) from error
