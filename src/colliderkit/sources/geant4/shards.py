"""Generate showers with Geant4: in shards, resumable, on processes or on Dask."""

import json
import shutil
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import alone, refuse_existing
from colliderkit.progress import progress_bar
from colliderkit.seeds import derive
from colliderkit.sources.files.showers import (
    drawn_energies,
    read_showers,
    write_in_parts,
    write_showers,
)
from colliderkit.sources.geant4.calorimeters import Calorimeter, calorimeter
from colliderkit.sources.geant4.physics import missing_physics, physics_name
from colliderkit.sources.geant4.simulation import Beam, simulate
from colliderkit.sources.shards import FORMAT, claim, executor, finished, keeping

__all__ = ["generate_showers"]

SHARD = 200  # showers: seconds to a minute of work, where setting Geant4 up takes one second


@dataclass(frozen=True)
class Request:
    """All that decides the bits of a sample of showers."""

    calorimeter: Calorimeter
    count: int
    low: float
    high: float
    index: float
    beam: Beam
    seed: int
    cut: float
    shard: int
    physics: str

    def size(self, number: int) -> int:
        """Return the showers in a shard: the last one has what is left."""
        return min(self.shard, self.count - number * self.shard)

    @property
    def shards(self) -> range:
        """The numbers of the shards."""
        return range(-(-self.count // self.shard))

    def energies(self, number: int) -> NDArray[np.float64]:
        """Draw the incident energies [MeV] of a shard."""
        random = np.random.default_rng(derive(self.seed, "energies", number))
        return drawn_energies(self.size(number), self.low, self.high, self.index, random)

    def as_json(self) -> str:
        """Write the request and the versions that the bits depend on."""
        versions = {name: version(name) for name in ("geant4_pybind", "numpy")}
        return json.dumps(
            {**asdict(self), "format": FORMAT, "versions": versions}, indent=1, sort_keys=True
        )


def generate_showers(
    geometry: str | Calorimeter,
    count: int,
    output: str | Path,
    *,
    energies: tuple[float, float],
    index: float = 1.0,
    beam: Beam | None = None,
    seed: int = 0,
    cut: float = 0.7,
    workers: int = 1,
    dask: str | None = None,
    shard: int = SHARD,
    force: bool = False,
    progress: bool = True,
) -> Path:
    """Shoot `count` showers into a calorimeter and return the file.

    Incident energies are between `energies` [MeV], dN/dE ~ E^-index: log-uniform with index 1,
    and with 2 a falling spectrum, most of whose showers are cheap.

    The file is HDF5 in the CaloChallenge's layout (see `sources.files.showers`), the energy
    seen in the active slabs, in MeV; its attributes name the physics, the particle and the seed.
    Its bits depend on the request and not on the workers. Finished shards wait in
    ``OUTPUT.shards``: the same call after a kill or Ctrl-C goes on there.

    Raises `InputError` for an unknown calorimeter, impossible numbers, an output that exists
    (without `force`), shards of another request (without `force`), or a missing extra.
    """
    low, high = energies
    if not 0 < low <= high:
        raise InputError(f"energies are {low:g} to {high:g} MeV; they must be positive and rise.")
    for name, number in (("count", count), ("workers", workers), ("shard", shard)):
        if number < 1:
            raise InputError(f"{name} is {number}; it must be at least 1.")
    derive(seed)  # raises for one out of range
    chosen = calorimeter(geometry) if isinstance(geometry, str) else geometry
    beam = beam or Beam()
    request = Request(
        chosen,
        count,
        float(low),
        float(high),
        index,
        beam,
        seed,
        cut,
        shard,
        physics_name(beam.particle),
    )
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
        with bar, executor(workers, dask, here=False) as pool:
            assert pool is not None
            task = bar.add_task(
                f"showers ({request.calorimeter.geometry.name})",
                total=request.count,
                completed=request.count - sum(request.size(n) for n in missing),
            )
            pending = {pool.submit(make_shard, request, n): n for n in missing}
            for number, (energy, showers) in finished(pending):
                write_showers(_path(folder, number), energy, showers, force=True)
                bar.advance(task, request.size(number))
        _merge(request, folder, output, force)
    shutil.rmtree(folder)
    return output


def make_shard(request: Request, number: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return the incident energies and showers of one shard."""
    energy = request.energies(number)
    seed = derive(request.seed, "showers", number)
    showers = simulate(
        request.calorimeter,
        energy,
        beam=request.beam,
        seed=seed,
        cut=request.cut,
        physics=request.physics,
    )
    return energy, showers


def _path(folder: Path, number: int) -> Path:
    return folder / f"showers-{number}.hdf5"


def _merge(request: Request, folder: Path, output: Path, force: bool) -> None:
    """Write all shards one after another, holding one at a time."""
    attributes = {
        "physics": request.physics,
        "missing": missing_physics(request.physics),
        "particle": request.beam.particle,
        "seed": request.seed,
        "request": request.as_json(),
    }
    shards = (read_showers(_path(folder, number)) for number in request.shards)
    parts = ((shard.incident, shard.voxels) for shard in shards)
    shape = (request.count, request.calorimeter.geometry.voxels)
    write_in_parts(output, parts, shape, attributes=attributes, force=force)
