"""Samples of any size: generated shard by shard, resumable, on processes or on Dask."""

import io
import json
import multiprocessing
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.files import atomic_file, refuse_existing
from colliderkit.sources.detector.response import Detector
from colliderkit.sources.pythia.jets import check_count, jets
from colliderkit.sources.pythia.pairs import check_unmatched, pairs
from colliderkit.sources.pythia.processes import SAMPLES, process_named
from colliderkit.sources.pythia.tunes import Tune, imported

__all__ = ["generate"]

SHARD = 2000  # jets: a few seconds of work, and starting Pythia is a twentieth of it


@dataclass(frozen=True)
class Request:
    """Hold all that decides the bits of a sample."""

    classes: tuple[tuple[str, int | None], ...]
    count: int
    seed: int
    shard: int
    detector: bool | Detector
    pileup: float
    tune: Tune = field(default_factory=Tune)
    paired: bool = False

    def tasks(self) -> list[tuple[str, int]]:
        """List (process, shard number), the shards that are merged together side by side."""
        shards = range(-(-self.count // self.shard))
        return [(process, number) for number in shards for process, _ in self.classes]

    def size(self, number: int) -> int:
        """Return the jets in a shard: the last one has what is left."""
        return min(self.shard, self.count - number * self.shard)

    def as_json(self) -> str:
        """Write the request and the versions that the bits depend on."""
        packages = ("pythia8mc", "fastjet", "awkward", "numpy")
        versions = {name: version(name) for name in packages}
        return json.dumps({**asdict(self), "versions": versions}, indent=1, sort_keys=True)


def generate(
    process: str | Sequence[tuple[str, int]],
    count: int,
    output: str | Path,
    *,
    seed: int = 0,
    workers: int = 1,
    dask: str | None = None,
    detector: bool | Detector = False,
    pileup: float = 0.0,
    settings: str | Sequence[str] = (),
    parameters: Mapping[str, Sequence[float]] | None = None,
    paired: bool = False,
    force: bool = False,
    shard: int = SHARD,
    progress: bool = True,
) -> Path:
    """Generate `count` jets of each class to a Parquet file; return its path.

    - `process`: a process, a sample of several ("top-qcd"), or pairs (process, label); a lone
      process has no column ``label``;
    - `workers`: processes on this machine; `dask`: the address of a Dask scheduler instead;
    - `detector`, `pileup`, `settings`, `parameters`: as in `colliderkit.sources.pythia.jets`;
    - `paired`: events at particle and at detector level instead of jets, to be read by
      `colliderkit.sources.pythia.pairs.read_pairs`; the detector is on;
    - `shard`: jets of a class generated, kept and mixed together.

    The file holds jet arrays (see `colliderkit.events.schema`), the classes mixed. Its bits
    depend on the request and not on the workers. Finished shards wait in ``OUTPUT.shards``: the
    same call after a kill or Ctrl-C goes on there, and the file appears only when complete.

    Raises `InputError` for an unknown process, impossible numbers, settings that Pythia refuses, a
    process that does not make pairs, an output that exists
    (without `force`), shards of another request (without `force`), a scheduler that does not
    answer, or a missing extra.
    """
    detector = detector or paired
    tune = Tune.of(settings, parameters)
    classes = classes_of(process)
    request = Request(classes, count, seed, shard, detector, float(pileup), tune, paired)
    output = refuse_existing(output, force)
    check(request, workers)
    folder = output.with_name(output.name + ".shards")
    claim(folder, request, force)
    tasks = [task for task in request.tasks() if not path_of(folder, *task).exists()]
    try:
        with reported(request, tasks, progress) as advance, executor(workers, dask) as pool:
            run(request, tasks, folder, pool, advance)
        merge(request, folder, output, force)
    except KeyboardInterrupt:
        print(f"Interrupted: {kept(request, folder)}", file=sys.stderr)
        raise
    except BrokenProcessPool as error:
        raise InputError(
            f"a worker was killed, perhaps for memory: {kept(request, folder)}"
        ) from error
    shutil.rmtree(folder)
    return output


def classes_of(process: str | Sequence[tuple[str, int]]) -> tuple[tuple[str, int | None], ...]:
    """Return (process, label) pairs for a name or for pairs."""
    if isinstance(process, str):
        return SAMPLES.get(process) or ((process, None),)
    return tuple((name, int(label)) for name, label in process)


def check(request: Request, workers: int) -> None:
    """Refuse at once what would fail in a worker later."""
    check_count(request.count)
    names = [name for name, _ in request.classes]
    if not names or len(set(names)) < len(names):
        raise InputError(f"processes {names} must be at least one, each given once.")
    for name in names:
        if process_named(name).radius is None:
            raise InputError(f"process '{name}' has no jets; choose another.")
    if request.seed < 0 or request.pileup < 0:
        raise InputError(f"seed {request.seed} and pileup {request.pileup} must not be negative.")
    # 20 bits of an event's number count its shard, 20 the event in the shard.
    if not 1 <= request.shard <= 100_000 or request.count > request.shard << 20:
        raise InputError(f"shard {request.shard} does not fit; give 1 to 100000 jets.")
    if workers < 1:
        raise InputError(f"workers {workers} must be at least 1.")
    imported("pythia8mc")
    imported("fastjet")
    for name in names:
        if request.paired:
            check_unmatched(name)
        request.tune.check(name)


def kept(request: Request, folder: Path) -> str:
    """Say what is on disk and how to go on."""
    tasks = request.tasks()
    done = sum(path_of(folder, *task).exists() for task in tasks)
    return (
        f"{done} of {len(tasks)} shards are kept in {folder}; give the same command again to go on."
    )


def path_of(folder: Path, process: str, number: int) -> Path:
    return folder / f"{process}-{number}.parquet"


class Claim(Protocol):
    """What is generated, as far as a folder of shards knows it."""

    def as_json(self) -> str:
        """Write all that decides the bits."""


def claim(folder: Path, request: Claim, force: bool) -> None:
    """Make the folder of the shards, or check that those in it are of the same request."""
    note = folder / "request.json"
    if folder.exists() and (not note.is_file() or note.read_text() != request.as_json()):
        if not force:
            raise InputError(
                f"{folder}: holds shards of another request; repeat that one, choose another"
                " output, or give --force to drop them."
            )
        shutil.rmtree(folder)
    if not folder.exists():
        with atomic_file(note) as part:
            part.write_text(request.as_json())


def run(
    request: Request,
    tasks: list[tuple[str, int]],
    folder: Path,
    pool: Executor | None,
    advance: Callable[[int], None],
) -> None:
    """Make the shards that are missing, here or on the pool."""

    def keep(task: tuple[str, int], content: bytes) -> None:
        with atomic_file(path_of(folder, *task), force=True) as part:
            part.write_bytes(content)

    if pool is None:
        for task in tasks:
            before = [0]

            def step(made: int, before: list[int] = before) -> None:
                advance(made - before[0])
                before[0] = made

            keep(task, make_shard(request, *task, progress=step))
        return
    pending = {pool.submit(make_shard, request, *task): task for task in tasks}
    for task, content in finished(pending):
        keep(task, content)
        advance(request.size(task[1]))


def finished(pending: dict[Future[Any], Any]) -> Iterator[tuple[Any, Any]]:
    """Yield (task, result) of futures in the order in which they end, and forget each.

    A future is dropped once its shard is on disk: memory does not grow with the sample.
    """
    while pending:
        for future in wait(pending, return_when=FIRST_COMPLETED).done:
            yield pending.pop(future), future.result()


def make_shard(
    request: Request, process: str, number: int, progress: Callable[[int], None] | None = None
) -> bytes:
    """Return one shard as the content of a Parquet file."""
    make = pairs if request.paired else jets
    made = make(
        process,
        request.size(number),
        seed=request.seed,
        shard=number,
        detector=request.detector,
        pileup=request.pileup,
        settings=request.tune.settings,
        parameters={name: (low, high) for name, low, high in request.tune.parameters},
        progress=progress,
    )
    import pyarrow.parquet

    content = io.BytesIO()
    pyarrow.parquet.write_table(ak.to_arrow_table(made), content, compression="zstd")
    return content.getvalue()


def merge(request: Request, folder: Path, output: Path, force: bool) -> None:
    """Write the shards of equal number of all classes, mixed, one row group after another."""

    def groups() -> Iterator[ak.Array]:
        for number in range(-(-request.count // request.shard)):
            parts = []
            for position, (process, label) in enumerate(request.classes):
                part = ak.from_parquet(path_of(folder, process, number))
                # The classes' events are other events, whatever their number in the shard.
                part["event"] = part["event"] | (position << 56)
                if label is not None:
                    part["label"] = np.full(len(part), label, dtype=np.int64)
                parts.append(part)
            whole = ak.concatenate(parts)
            order = np.random.default_rng([request.seed, number]).permutation(len(whole))
            yield ak.to_packed(whole[order])

    with atomic_file(output, force) as path:
        ak.to_parquet_row_groups(groups(), path, compression="zstd")


def progress_bar(verb: str, noun: str, shown: bool) -> Any:
    """Return a bar on the error stream that counts what is made."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn(f"{verb} {{task.description}}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(noun),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), disable=not shown)


@contextmanager
def reported(
    request: Request, tasks: list[tuple[str, int]], progress: bool
) -> Iterator[Callable[[int], None]]:
    """Yield a function that moves the progress bar on by a number of jets."""
    names = ", ".join(name for name, _ in request.classes)
    total = request.count * len(request.classes)
    with progress_bar("generating", "jets", progress) as bar:
        missing = sum(request.size(number) for _, number in tasks)
        task = bar.add_task(names, total=total, completed=total - missing)
        yield partial(bar.advance, task)


@contextmanager
def executor(workers: int, dask: str | None, here: bool = True) -> Iterator[Executor | None]:
    """Yield what runs the shards: a pool of processes, or Dask, or None for this process.

    One worker is this process where it may be (`here`).
    """
    if dask is not None:
        with dask_client(dask) as client:
            yield client.get_executor(pure=False)
        return
    if workers == 1 and here:
        yield None
        return
    # Spawned, not forked: a fork copies the threads' locks of torch and Arrow as they are.
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, context, initializer=end_with_parent)
    try:
        yield pool
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        # A shard takes seconds: do not wait for those under way.
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise


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
