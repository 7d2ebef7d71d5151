"""Generate tracker events with ACTS: in shards, resumable, on processes or on Dask."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.hits import joined
from colliderkit.files import alone, refuse_existing
from colliderkit.progress import progress_bar
from colliderkit.seeds import derive
from colliderkit.sources.acts.simulation import (
    Guns,
    Simulated,
    acts_version,
    collisions,
    simulate,
)
from colliderkit.sources.files.hits import TRACKS, read_hits, write_hits
from colliderkit.sources.shards import FORMAT, claim, executor, finished, keeping

__all__ = ["generate_tracks"]

SHARD = 50  # events: a second to some of work, where building the detector takes two


@dataclass(frozen=True)
class Request:
    """All that decides the bits of a sample of tracker events."""

    count: int
    guns: Guns | None
    process: str
    pileup: float
    tracks: bool
    seed: int
    shard: int
    acts: str

    def size(self, number: int) -> int:
        """Return the events in a shard: the last one has what is left."""
        return min(self.shard, self.count - number * self.shard)

    @property
    def shards(self) -> range:
        """The numbers of the shards."""
        return range(-(-self.count // self.shard))

    def as_json(self) -> str:
        """Write the request and the versions that the bits depend on."""
        names = ["numpy", *([] if self.guns else ["pythia8mc"])]
        versions = {name: version(name) for name in names}
        return json.dumps(
            {**asdict(self), "format": FORMAT, "versions": versions}, indent=1, sort_keys=True
        )


def generate_tracks(
    count: int,
    output: str | Path,
    *,
    guns: Guns | None = None,
    process: str = "minimum-bias",
    pileup: float = 20.0,
    tracks: bool = False,
    seed: int = 0,
    workers: int = 1,
    dask: str | None = None,
    shard: int = SHARD,
    force: bool = False,
    progress: bool = True,
) -> Path:
    """Simulate `count` events in the TrackML detector and return their folder.

    Events are those of `guns`, or a Pythia `process` with a mean of `pileup` minimum-bias
    collisions overlaid. The folder has hits.parquet, particles.parquet and, with `tracks`,
    tracks.parquet of what ACTS' Kalman filter finds (see `sources.files.hits`). Its bits depend on
    the request and not on the workers. Finished shards wait in ``OUTPUT.shards``: the same call
    after a kill or Ctrl-C goes on there.

    Raises `InputError` for impossible numbers, an output that exists (without `force`), shards of
    another request (without `force`), or a missing extra.
    """
    for name, value in (("count", count), ("workers", workers), ("shard", shard)):
        if value < 1:
            raise InputError(f"{name} is {value}; it must be at least 1.")
    if not 0 <= pileup < 1000:
        raise InputError(f"pileup is {pileup:g}; it must be at least 0 and below 1000.")
    if guns is not None and (
        min(guns.vertices, guns.particles) < 1 or not 0 < guns.pt[0] <= guns.pt[1]
    ):
        raise InputError(
            f"{guns.vertices} vertices of {guns.particles} particles, pt {guns.pt[0]:g} to"
            f" {guns.pt[1]:g} GeV: numbers must be at least 1, and pt positive and rise."
        )
    derive(seed)  # raises for one out of range
    kind = "" if guns else process
    mean = 0.0 if guns else float(pileup)
    request = Request(count, guns, kind, mean, tracks, seed, shard, acts_version())
    output = refuse_existing(output, force)
    with alone(output):
        return _generated(request, output, workers, dask, force, progress)


def _generated(
    request: Request, output: Path, workers: int, dask: str | None, force: bool, progress: bool
) -> Path:
    folder = output.with_name(output.name + ".shards")
    claim(folder, request, force)
    missing = [n for n in request.shards if not _path(folder, n).exists()]
    bar = progress_bar(shown=progress)
    with keeping(folder):
        with bar, executor(workers, dask) as pool:
            task = bar.add_task(
                "tracker events",
                total=request.count,
                completed=request.count - sum(request.size(n) for n in missing),
            )
            made: Iterator[tuple[int, Simulated]]
            if pool is None:
                made = ((n, make_shard(request, n)) for n in missing)
            else:
                made = finished({pool.submit(make_shard, request, n): n for n in missing})
            for number, simulated in made:
                write_hits(_path(folder, number), simulated.hits, tracks=simulated.tracks)
                bar.advance(task, request.size(number))
        _merge(request, folder, output, force)
    shutil.rmtree(folder)
    return output


def make_shard(request: Request, number: int) -> Simulated:
    """Return the events of one shard."""
    count = request.size(number)
    events: Any = request.guns
    if events is None:
        from colliderkit.sources.pythia.jets import events as pythia_events
        from colliderkit.sources.pythia.jets import minimum_bias

        own = derive(request.seed, "collisions", number)
        record = pythia_events(request.process, count, seed=own)
        pool = minimum_bias(request.seed)
        events = collisions(record, pool, request.pileup, seed=[request.seed, number])
    return simulate(
        events,
        count,
        seed=derive(request.seed, "tracker", number),
        first=number * request.shard,
        tracks=request.tracks,
    )


def _path(folder: Path, number: int) -> Path:
    return folder / f"events-{number}"


def _merge(request: Request, folder: Path, output: Path, force: bool) -> None:
    """Write all shards as one folder."""
    paths = [_path(folder, number) for number in request.shards]
    hits = joined([read_hits(path).hits for path in paths])
    tracks = None
    if request.tracks:
        parts = ak.concatenate([ak.from_parquet(path / TRACKS) for path in paths])
        assert np.array_equal(parts.event_id, hits.number)
        tracks = {name: parts[name] for name in parts.fields if name != "event_id"}
    write_hits(output, hits, tracks=tracks, force=force)
