"""Generate samples of any size with Pythia: in shards, resumable, on processes or on Dask."""

import io
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.files import alone, atomic_file, refuse_existing
from colliderkit.progress import progress_bar
from colliderkit.seeds import derive
from colliderkit.sources.detector.pileup import check_pileup
from colliderkit.sources.detector.response import Detector
from colliderkit.sources.detector.timing import Timing
from colliderkit.sources.pythia.collisions import collisions
from colliderkit.sources.pythia.dijets import dijets
from colliderkit.sources.pythia.jets import check_count, jets
from colliderkit.sources.pythia.pairs import check_unmatched, pairs
from colliderkit.sources.pythia.processes import SAMPLES, process_named
from colliderkit.sources.pythia.tunes import Tune, imported
from colliderkit.sources.shards import FORMAT, claim, executor, finished

__all__ = ["generate"]

SHARD = 2000  # jets: a few seconds of work, and starting Pythia is a twentieth of it


@dataclass(frozen=True)
class Request:
    """All that decides the bits of a sample."""

    classes: tuple[tuple[str, int | None], ...]
    count: int
    seed: int
    shard: int
    detector: bool | Detector
    pileup: float
    tune: Tune = field(default_factory=Tune)
    paired: bool = False
    timing: Timing | None = None

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
        content = {**asdict(self), "format": FORMAT, "versions": versions}
        if self.timing is None:  # as it was before there were times: shards of then go on
            content.pop("timing")
        return json.dumps(content, indent=1, sort_keys=True)


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
    timing: Timing | None = None,
    force: bool = False,
    shard: int = SHARD,
    progress: bool = True,
) -> Path:
    """Generate `count` jets (or events) of each class to a Parquet file; return its path.

    - `process`: a process, a sample of several ("top-qcd"), or pairs (process, label); a lone
      process has no column ``label``;
    - `workers`: processes on this machine; `dask`: the address of a Dask scheduler instead;
    - `detector`, `pileup`, `settings`, `parameters`: as in `colliderkit.sources.pythia.jets`;
    - `paired`: events at particle and at detector level instead of jets, to be read by
      `colliderkit.sources.files.pairs.read_pairs`; the detector is on;
    - `timing`: of whole events with pileup, how the times of their particles are measured;
    - `shard`: jets of a class generated, kept and mixed together.

    The file holds jet arrays (see `colliderkit.events.schema`), or of "lhco-qcd" and "lhco-signal"
    a row an event (see `colliderkit.sources.pythia.dijets`), of "pileup-qcd" and "pileup-top" whole
    events (see `colliderkit.sources.pythia.collisions`), the classes mixed. Its bits depend on
    the request and not on the workers. Finished shards wait in ``OUTPUT.shards``: the same call
    after a kill or Ctrl-C goes on there, and the file appears only when complete.

    Raises `InputError` for an unknown process, impossible numbers, settings that Pythia refuses, a
    process that does not make pairs, an output that exists
    (without `force`), shards of another request (without `force`), a scheduler that does not
    answer, or a missing extra.
    """
    detector = detector or paired
    tune = Tune.of(settings, parameters)
    classes = classes_of(process)
    request = Request(classes, count, seed, shard, detector, float(pileup), tune, paired, timing)
    output = refuse_existing(output, force)
    check(request, workers)
    with alone(output):
        return _generated(request, output, workers, dask, force, progress)


def _generated(
    request: Request, output: Path, workers: int, dask: str | None, force: bool, progress: bool
) -> Path:
    folder = output.with_name(output.name + ".shards")
    claim(folder, request, force)
    tasks = [task for task in request.tasks() if not path_of(folder, *task).exists()]
    try:
        with reported(request, tasks, progress) as advance, executor(workers, dask) as pool:
            run(request, tasks, folder, pool, advance)
        merge(request, folder, output, force)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(f"interrupted: {kept(request, folder)}") from stop
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
        raise InputError(f"process is {names}; give one or more, each once.")
    for name in names:
        if process_named(name).radius is None:
            raise InputError(f"process '{name}' has no jets; choose another.")
    derive(request.seed)  # raises for one out of range
    check_pileup(request.pileup)
    # 20 bits of an event's number count its shard, 20 the event in the shard.
    if not 1 <= request.shard <= 100_000 or request.count > request.shard << 20:
        raise InputError(f"shard is {request.shard}; give 1 to 100000 jets.")
    if workers < 1:
        raise InputError(f"workers is {workers}; it must be at least 1.")
    imported("pythia8mc")
    imported("fastjet")
    for name in names:
        if request.paired:
            check_unmatched(name)
        if request.timing and (request.paired or not process_named(name).collisions):
            raise InputError(
                f"timing is of whole events with pileup, which '{name}' here is not; leave it out,"
                " or generate pileup-qcd or pileup-top."
            )
        request.tune.check(name)


def kept(request: Request, folder: Path) -> str:
    """Return the sentence of an interruption: what is on disk and how to go on."""
    tasks = request.tasks()
    done = sum(path_of(folder, *task).exists() for task in tasks)
    return (
        f"{done} of {len(tasks)} shards are kept in {folder}; give the same command again to go on."
    )


def path_of(folder: Path, process: str, number: int) -> Path:
    return folder / f"{process}-{number}.parquet"


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

            def step(total: int, before: list[int] = before) -> None:
                advance(total - before[0])
                before[0] = total

            keep(task, make_shard(request, *task, progress=step))
        return
    pending = {pool.submit(make_shard, request, *task): task for task in tasks}
    for task, content in finished(pending):
        keep(task, content)
        advance(request.size(task[1]))


def make_shard(
    request: Request, process: str, number: int, progress: Callable[[int], None] | None = None
) -> bytes:
    """Return one shard as the content of a Parquet file."""
    if request.paired:
        make = pairs
    else:
        definition = process_named(process)
        make = dijets if definition.dijet else collisions if definition.collisions else jets
    events = make(
        process,
        request.size(number),
        seed=request.seed,
        shard=number,
        detector=request.detector,
        pileup=request.pileup,
        settings=request.tune.settings,
        parameters={name: (low, high) for name, low, high in request.tune.parameters},
        progress=progress,
        **({"timing": request.timing} if request.timing else {}),
    )
    import pyarrow.parquet

    content = io.BytesIO()
    pyarrow.parquet.write_table(ak.to_arrow_table(events), content, compression="zstd")
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
            random = np.random.default_rng(derive(request.seed, "mixture", number))
            yield ak.to_packed(whole[random.permutation(len(whole))])

    with atomic_file(output, force) as path:
        ak.to_parquet_row_groups(groups(), path, compression="zstd")


@contextmanager
def reported(
    request: Request, tasks: list[tuple[str, int]], progress: bool
) -> Iterator[Callable[[int], None]]:
    """Yield a function that moves the progress bar on by a number of jets."""
    names = f"jets ({', '.join(name for name, _ in request.classes)})"
    total = request.count * len(request.classes)
    with progress_bar(shown=progress) as bar:
        missing = sum(request.size(number) for _, number in tasks)
        task = bar.add_task(names, total=total, completed=total - missing)
        yield partial(bar.advance, task)
