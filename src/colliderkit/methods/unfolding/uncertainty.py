"""Repeat an unfolding for each source of its uncertainty: replica weights, reproducible by seed.

A replica is fixed by (seed, kind, number) alone and is computed on one thread: the same bits come
out whichever process makes it, and however many there are.
"""

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone

from colliderkit.errors import InputError
from colliderkit.files import atomic_file
from colliderkit.methods.unfolding.omnifold import OmniFold, Sample
from colliderkit.methods.unfolding.result import BOOTSTRAP, MEMBER, SYSTEMATIC

__all__ = ["Replicas", "replicate"]

Floats = NDArray[np.float64]
STREAM = 7_919  # keeps the bootstrap's draws apart from the splits and shuffles


@dataclass(frozen=True)
class Replicas:
    """Hold push weights of N simulated events after every iteration.

    - `nominal` (I + 1, N): the mean of the members' weights;
    - `weights` (R, I + 1, N), and `kinds` (R,), as `UnfoldedEvents` names them. Those of a
      bootstrap hold its draw of the simulation too: push answers to what was drawn, and alone it
      would count the fluctuation of the simulation against that of nobody.
    """

    nominal: Floats
    weights: Floats
    kinds: list[str]


def replicate(
    method: OmniFold,
    sample: Sample,
    *,
    bootstraps: int = 0,
    members: int = 1,
    systematics: Mapping[str, Sample] | None = None,
    seed: int = 0,
    workers: int = 1,
    folder: str | Path | None = None,
) -> Replicas:
    """Unfold `sample` with bootstraps x ensemble x systematics in one call.

    - `bootstraps`: data and simulation drawn again, by Poisson(1) weights of their events;
    - `members`: unfoldings with other initial networks, whose mean is nominal;
    - `systematics`: varied samples of the same simulated events (another response, another
      background), by name;
    - `workers`: processes side by side;
    - `folder`: keeps each finished replica, so that the same call goes on after a kill.
    """
    if bootstraps < 0 or members < 1 or workers < 1:
        raise InputError("--members and --workers must be at least 1, --bootstraps at least 0.")
    varied = dict(systematics or {})
    for name, other in varied.items():
        if len(other.truth) != len(sample.truth):
            raise InputError(
                f"systematic '{name}' has {len(other.truth)} simulated events, the nominal"
                f" {len(sample.truth)}; vary the same events."
            )
    tasks = [
        *((MEMBER, m) for m in range(members)),
        *((BOOTSTRAP, b) for b in range(bootstraps)),
        *((f"{SYSTEMATIC}:{name}", 0) for name in varied),
    ]
    samples = {"": sample, **{f"{SYSTEMATIC}:{name}": other for name, other in varied.items()}}
    where = None if folder is None else Path(folder)
    if where is not None:
        where.mkdir(parents=True, exist_ok=True)
    job = _Job(method, samples, seed, where)
    workers = min(workers, len(tasks))
    if workers == 1:
        with _one_thread():
            found = [job(task) for task in tasks]
    else:
        # Spawned, not forked: a fork copies the locks of torch's threads as they are.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, _begin, (job,)) as pool:
            found = list(pool.map(_run, tasks))
    weights = np.stack(found)
    return Replicas(weights[:members].mean(0), weights, [kind for kind, _ in tasks])


@dataclass(frozen=True)
class _Job:
    method: OmniFold
    samples: Mapping[str, Sample]
    seed: int
    folder: Path | None

    def __call__(self, task: tuple[str, int]) -> Floats:
        """Return the weights of one replica after every iteration, (I + 1, N)."""
        kind, number = task
        name = f"{kind.replace(':', '-')}-{number}"
        path = None if self.folder is None else self.folder / f"{name}.npy"
        sample = self.samples.get(kind, self.samples[""])
        drawn = np.ones(len(sample.truth))
        if kind == BOOTSTRAP:
            key = [self.seed, STREAM, number]
            sample, drawn = resampled(sample, key), draws(sample, key)[1]
        # A member differs from the nominal by its networks alone, and so do all others not at all.
        seed = self.seed + number if kind == MEMBER else self.seed
        parts = None if self.folder is None else self.folder / f"{name}.iterations"
        method: OmniFold = clone(self.method)
        if parts is not None:
            method.claim(sample, seed, parts)
        if path is not None and path.exists():
            kept: Floats = np.load(path, allow_pickle=False)
            if len(kept) == method.iterations + 1:
                return kept
        pushes = method.fit_sample(sample, seed=seed, folder=parts).pushes_ * drawn
        if path is not None:
            with atomic_file(path, force=True) as part, open(part, "wb") as file:
                np.save(file, pushes)
        return pushes


def resampled(sample: Sample, seed: Sequence[int]) -> Sample:
    """Multiply the weights of measured and of simulated events by Poisson(1) draws."""
    data, simulation = draws(sample, seed)
    return replace(
        sample,
        data_weight=sample.data_weight * data,
        weight=sample.weight * simulation,
    )


def draws(sample: Sample, seed: Sequence[int]) -> tuple[Floats, Floats]:
    """Draw how often a bootstrap takes each measured (D,) and each simulated event (N,)."""
    random = np.random.default_rng(seed)
    data = random.poisson(1.0, len(sample.data)).astype(np.float64)
    return data, random.poisson(1.0, len(sample.truth)).astype(np.float64)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


_job: _Job | None = None  # of a worker's process


def _begin(job: _Job) -> None:
    global _job
    torch.set_num_threads(1)
    _job = job


def _run(task: tuple[str, int]) -> Floats:
    assert _job is not None
    return _job(task)
