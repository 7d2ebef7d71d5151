"""Generate a library of single showers with Geant4: by particle and log E, sharded, resumable."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Grid
from colliderkit.events.calorimeter.library import ShowerLibrary
from colliderkit.files import alone, refuse_existing
from colliderkit.progress import progress_bar
from colliderkit.seeds import derive
from colliderkit.sources.files.shower_libraries import (
    joined_libraries,
    read_library,
    write_library,
)
from colliderkit.sources.files.showers import drawn_energies
from colliderkit.sources.geant4.calorimeters import Calorimeter, calorimeter
from colliderkit.sources.geant4.physics import ELECTROMAGNETIC, missing_physics, physics_name
from colliderkit.sources.geant4.simulation import Beam, simulate
from colliderkit.sources.shards import FORMAT, claim, executor, finished, keeping

__all__ = ["generate_library"]

SHARD = 100  # showers of one particle: seconds of work


@dataclass(frozen=True)
class LibraryRequest:
    """All that decides the bits of a library."""

    calorimeter: Calorimeter
    particles: tuple[str, ...]
    count: int
    low: float
    high: float
    index: float
    seed: int
    cut: float
    shard: int
    physics: str

    @property
    def tasks(self) -> list[tuple[int, int]]:
        """The place of the particle and the number of each shard."""
        return [(i, n) for n in range(-(-self.count // self.shard)) for i in self.places]

    @property
    def places(self) -> range:
        """The places of the particles."""
        return range(len(self.particles))

    def size(self, number: int) -> int:
        """Return the showers in a shard of one particle: the last one has what is left."""
        return min(self.shard, self.count - number * self.shard)

    def as_json(self) -> str:
        """Write the request and the versions that the bits depend on."""
        versions = {name: version(name) for name in ("geant4_pybind", "numpy")}
        content = {**asdict(self), "format": FORMAT, "versions": versions}
        return json.dumps(content, indent=1, sort_keys=True)


def generate_library(
    geometry: str | Calorimeter,
    particles: Sequence[str],
    count: int,
    output: str | Path,
    *,
    energies: tuple[float, float],
    index: float = 1.0,
    seed: int = 0,
    cut: float = 0.7,
    workers: int = 1,
    dask: str | None = None,
    shard: int = SHARD,
    force: bool = False,
    progress: bool = True,
) -> Path:
    """Shoot `count` showers of each of several particles into a calorimeter of cells.

    Kinetic energies are between `energies` [MeV], dN/dE ~ E^-index. Particles enter along the axis,
    uniformly over one of the largest cells in the middle, so that moving showers by whole cells
    gives any place. The file (`sources.files.shower_libraries`) keeps the cells with energy alone.
    All particles are simulated with one physics, that of hadrons if there are any.

    Its bits depend on the request and not on the workers; finished shards wait in ``OUTPUT.shards``
    and the same call goes on there. Raises `InputError` as `generate_showers` does, for a particle
    that is named twice, and for a calorimeter of rings.
    """
    low, high = energies
    if not 0 < low <= high:
        raise InputError(f"energies are {low:g} to {high:g} MeV; they must be positive and rise.")
    for name, number in (("count", count), ("workers", workers), ("shard", shard)):
        if number < 1:
            raise InputError(f"{name} is {number}; it must be at least 1.")
    names = tuple(particles)
    if not names or len(set(names)) < len(names):
        raise InputError(f"particles are {', '.join(names) or 'none'}; name each once.")
    for name in names:
        Beam(name)  # raises for one that Geant4 does not know
    derive(seed)
    chosen = calorimeter(geometry) if isinstance(geometry, str) else geometry
    hadrons = [name for name in names if name not in ELECTROMAGNETIC]
    physics = physics_name(hadrons[0] if hadrons else names[0])
    request = LibraryRequest(
        chosen, names, count, float(low), float(high), index, seed, cut, shard, physics
    )
    _empty(request)  # raises for a calorimeter of rings
    output = refuse_existing(output, force)
    with alone(output):
        return _generated(request, output, workers, dask, force, progress)


def _generated(
    request: LibraryRequest,
    output: Path,
    workers: int,
    dask: str | None,
    force: bool,
    progress: bool,
) -> Path:
    folder = output.with_name(output.name + ".shards")
    claim(folder, request, force)
    missing = [task for task in request.tasks if not _path(folder, *task).exists()]
    bar = progress_bar(shown=progress)
    with keeping(folder), bar, executor(workers, dask, here=False) as pool:
        assert pool is not None
        task = bar.add_task(
            f"shower library ({request.calorimeter.geometry.name})",
            total=request.count * len(request.particles),
            completed=sum(request.size(n) for _, n in set(request.tasks) - set(missing)),
        )
        pending = {pool.submit(make_library_shard, request, *each): each for each in missing}
        for each, part in finished(pending):
            write_library(_path(folder, *each), part, force=True)
            bar.advance(task, request.size(each[1]))
    parts = [read_library(_path(folder, i, n)) for i, n in sorted(request.tasks)]
    attributes = {"seed": request.seed, "request": request.as_json()}
    write_library(output, joined_libraries(parts), attributes=attributes, force=force)
    shutil.rmtree(folder)
    return output


def make_library_shard(request: LibraryRequest, place: int, number: int) -> ShowerLibrary:
    """Return the showers of one shard of one particle."""
    name, count = request.particles[place], request.size(number)
    seed = derive(request.seed, "library", name, number)
    random = np.random.default_rng(seed)
    energy = drawn_energies(count, request.low, request.high, request.index, random)
    library = _empty(request)
    entry = random.uniform(-0.5, 0.5, (count, 2)) * library.step + _middle(library.grids)
    showers = simulate(
        request.calorimeter,
        energy,
        beam=Beam(name),
        seed=derive(seed, "Geant4"),
        cut=request.cut,
        physics=request.physics,
        entry=entry,
    )
    shower, voxel = np.nonzero(showers)
    offsets = np.searchsorted(shower, np.arange(count + 1))
    return ShowerLibrary(
        library.geometry,
        library.z,
        library.section,
        request.particles,
        np.full(count, place),
        energy,
        entry[:, 0],
        entry[:, 1],
        offsets,
        voxel,
        showers[shower, voxel].astype(np.float64),
        request.physics,
        library.missing,
    )


def _middle(grids: Sequence[Grid]) -> np.ndarray:
    """Return the middle of the largest cell beside the axis, (2,) [mm].

    Where its rows are even in number the axis runs along its edges.
    """
    largest = max(grids, key=lambda g: (g.width / g.columns, g.height / g.rows))
    width, height = largest.width / largest.columns, largest.height / largest.rows
    return np.array(
        [
            0.0 if largest.columns % 2 else width / 2,
            0.0 if largest.rows % 2 else height / 2,
        ]
    )


def _empty(request: LibraryRequest) -> ShowerLibrary:
    """Return a library without showers of a request's calorimeter."""
    samplings = request.calorimeter.samplings
    slabs = [(s.absorber, s.absorber_thickness, s.active, s.active_thickness) for s in samplings]
    kinds = list(dict.fromkeys(slabs))
    nothing = np.zeros(0)
    none = np.zeros(0, dtype=np.int64)
    return ShowerLibrary(
        request.calorimeter.geometry,
        np.array(request.calorimeter.middles),
        np.array([kinds.index(each) for each in slabs]),
        request.particles,
        none,
        nothing,
        nothing,
        nothing,
        np.zeros(1, dtype=np.int64),
        none,
        nothing,
        request.physics,
        missing_physics(request.physics),
    )


def _path(folder: Path, place: int, number: int) -> Path:
    return folder / f"showers-{place}-{number}.hdf5"
