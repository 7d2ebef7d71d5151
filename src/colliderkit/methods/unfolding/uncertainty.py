"""Uncertainties of an unfolding by repetition: bootstraps, ensemble members and systematics.

A replica is fixed by (seed, kind, number) alone and is computed on one thread: the same bits come
out whichever process makes it, and however many there are.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone

from colliderkit.errors import InputError, Interrupted
from colliderkit.methods.unfolding.omnifold import OmniFold
from colliderkit.methods.unfolding.result import BOOTSTRAP, MEMBER, SYSTEMATIC, UnfoldedEvents
from colliderkit.methods.unfolding.sample import UnfoldingSample
from colliderkit.progress import progress_bar
from colliderkit.seeds import derive
from colliderkit.sources.shards import executor

__all__ = ["Replicas", "replicate"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Replicas:
    """Push weights of N simulated events after every iteration, by source of uncertainty.

    - `method`: fitted, the mean of the members;
    - `weights` (R, I + 1, N), and `kinds` (R,), as `UnfoldedEvents` names them. A bootstrap weight
      includes the Poisson draw of the simulated event; push alone would lose that correlation.
    """

    method: OmniFold
    weights: Floats
    kinds: list[str]

    @property
    def nominal(self) -> Floats:
        """The mean of the members' weights, (I + 1, N)."""
        return self.method.pushes_

    def unfolded_events(
        self,
        sample: UnfoldingSample,
        observables: NDArray[Any],
        names: Sequence[str],
        *,
        iteration: int = -1,
        **about: Any,
    ) -> UnfoldedEvents:
        """Return the true events of `sample` with their weights after `iteration`, to be binned.

        `observables` (M, K) are of the M events that pass at truth level; `about` are further
        fields of `UnfoldedEvents`. A single member has no spread and is left out.
        """
        true = sample.pass_truth
        weight = sample.weight[true]
        several = self.kinds.count(MEMBER) > 1
        rows = [i for i, kind in enumerate(self.kinds) if several or kind != MEMBER]
        return UnfoldedEvents(
            observables=observables,
            names=tuple(names),
            weights=weight * self.nominal[iteration, true],
            replicas=(self.weights[rows, iteration][:, true] * weight).T if rows else None,
            kinds=[self.kinds[i] for i in rows],
            **about,
        )


def replicate(
    method: OmniFold,
    sample: UnfoldingSample,
    *,
    bootstraps: int = 0,
    members: int = 1,
    systematics: Mapping[str, UnfoldingSample] | None = None,
    seed: int = 0,
    workers: int = 1,
    folder: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Replicas:
    """Unfold `sample` with bootstraps x ensemble x systematics in one call.

    - `bootstraps`: data and simulation drawn again, by Poisson(1) weights of their events;
    - `members`: unfoldings with other initial networks, whose mean is nominal;
    - `systematics`: varied samples of the same simulated events (another response, another
      background), by name;
    - `workers`: processes side by side;
    - `folder`: keeps each finished iteration, so that the same call with `resume` goes on after a
      kill;
    - `progress`: whether to show a bar.
    """
    for name, number, least in (
        ("bootstraps", bootstraps, 0),
        ("members", members, 1),
        ("workers", workers, 1),
    ):
        if number < least:
            raise InputError(f"{name} is {number}; it must be at least {least}.")
    varied = dict(systematics or {})
    for name, other in varied.items():
        if len(other.truth) != len(sample.truth):
            raise InputError(
                f"systematic '{name}' has {len(other.truth)} simulated events, the nominal"
                f" {len(sample.truth)}; vary the same events."
            )
    if folder is None:
        with TemporaryDirectory(prefix="colliderkit-") as temporary:
            return replicate(
                method,
                sample,
                bootstraps=bootstraps,
                members=members,
                systematics=varied,
                seed=seed,
                workers=workers,
                folder=temporary,
                progress=progress,
            )
    tasks = [
        *((MEMBER, m) for m in range(members)),
        *((BOOTSTRAP, b) for b in range(bootstraps)),
        *((f"{SYSTEMATIC}:{name}", 0) for name in varied),
    ]
    samples = {"": sample, **{f"{SYSTEMATIC}:{name}": other for name, other in varied.items()}}
    job = _Job(method, samples, seed, Path(folder), resume)
    workers = min(workers, len(tasks))
    try:
        with _bar(Path(folder), len(tasks) * method.iterations, progress):
            if workers == 1:
                with _one_thread():
                    fitted = [job(task) for task in tasks]
            else:
                with executor(workers, None, here=False, start=partial(_start, job)) as pool:
                    assert pool is not None
                    fitted = list(pool.map(_run, tasks))
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; finished iterations are kept in {folder}, the same again with resume"
            " goes on from there."
        ) from None
    weights = np.stack(
        [
            unfolding.pushes_ * (draws(sample, seed, number)[1] if kind == BOOTSTRAP else 1.0)
            for unfolding, (kind, number) in zip(fitted, tasks, strict=True)
        ]
    )
    mean: OmniFold = clone(method).fit_mean(fitted[:members], seed=seed)
    return Replicas(mean, weights, [kind for kind, _ in tasks])


@dataclass(frozen=True)
class _Job:
    method: OmniFold
    samples: Mapping[str, UnfoldingSample]
    seed: int
    folder: Path
    resume: bool

    def __call__(self, task: tuple[str, int]) -> OmniFold:
        """Return the unfolding of one replica."""
        kind, number = task
        sample = self.samples.get(kind, self.samples[""])
        if kind == BOOTSTRAP:
            sample = resampled(sample, self.seed, number)
        method: OmniFold = clone(self.method)
        return method.fit_sample(
            sample,
            # A member differs from the nominal by its networks alone, others not even by these.
            seed=derive(self.seed, MEMBER, number if kind == MEMBER else 0),
            folder=self.folder / f"{kind.replace(':', '-')}-{number}.iterations",
            resume=self.resume,
            progress=False,
        )


def resampled(sample: UnfoldingSample, seed: int, number: int) -> UnfoldingSample:
    """Multiply the weights of measured and of simulated events by Poisson(1) draws."""
    data, simulation = draws(sample, seed, number)
    return replace(
        sample,
        data_weight=sample.data_weight * data,
        weight=sample.weight * simulation,
    )


def draws(sample: UnfoldingSample, seed: int, number: int) -> tuple[Floats, Floats]:
    """Draw how often bootstrap `number` takes each measured (D,) and each simulated event (N,)."""
    random = np.random.default_rng(derive(seed, BOOTSTRAP, number))
    data = random.poisson(1.0, len(sample.data)).astype(np.float64)
    return data, random.poisson(1.0, len(sample.truth)).astype(np.float64)


@contextmanager
def _bar(folder: Path, total: int, progress: bool) -> Iterator[None]:
    """Show how many iterations are finished, of all replicas: other processes write them."""
    ended = threading.Event()
    with progress_bar(shown=progress) as bar:
        task = bar.add_task("iterations", total=total)

        def watch() -> None:
            while not ended.wait(0.5):
                bar.update(task, completed=sum(1 for _ in folder.glob("*.iterations/push-*.npy")))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
            bar.update(task, completed=total)
        finally:
            ended.set()
            watcher.join()


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


_job: _Job | None = None  # of a worker's process


def _start(job: _Job) -> None:
    global _job
    torch.set_num_threads(1)
    _job = job


def _run(task: tuple[str, int]) -> OmniFold:
    assert _job is not None
    return _job(task)
