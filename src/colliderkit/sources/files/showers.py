"""Files of showers: HDF5 in the layouts of the CaloChallenge and of CaloGAN.

- CaloChallenge (2410.21611): `incident_energies` (N, 1) and `showers` (N, V), MeV, in the voxel
  order of `colliderkit.events.calorimeter`;
- CaloGAN (1712.10321): `energy` (N, 1) in GeV and `layer_0` (N, 3, 96), `layer_1` (N, 12, 12),
  `layer_2` (N, 12, 6) in MeV: 504 cells, which are read as one row each, layer after layer.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.events.calorimeter.showers import Showers
from colliderkit.files import atomic_hdf5, existing_file
from colliderkit.sources.files.storage import check_stored

__all__ = [
    "CALOGAN",
    "drawn_energies",
    "iterate_showers",
    "mapped_showers",
    "read_showers",
    "write_in_parts",
    "write_showers",
]

CALOGAN = {"layer_0": (3, 96), "layer_1": (12, 12), "layer_2": (12, 6)}
CHALLENGE = ("incident_energies", "showers")
CHUNK = 10_000  # showers: 1.6 GB of the largest geometry
Floats = NDArray[np.float32]


def drawn_energies(
    count: int, low: float, high: float, index: float, random: np.random.Generator
) -> NDArray[np.float64]:
    """Draw incident energies (N,) [MeV] between two, dN/dE ~ E^-index; 1 is log-uniform."""
    u = random.random(count)
    if index == 1:
        return low * (high / low) ** u
    power = 1 - index
    energies: NDArray[np.float64] = (low**power + u * (high**power - low**power)) ** (1 / power)
    return energies


def read_showers(
    path: str | Path, geometry: Geometry | None = None, *, start: int = 0, stop: int | None = None
) -> Showers:
    """Return the showers of one file, voxels in float32; events are the numbers of the rows.

    With a `geometry` the file must have its voxels. Raises `InputError` for a file that is
    missing, truncated or of neither layout, another number of voxels, and energies that are
    negative or not finite.
    """
    return Showers.joined(list(iterate_showers(path, geometry, start=start, stop=stop)))


def iterate_showers(
    path: str | Path,
    geometry: Geometry | None = None,
    *,
    start: int = 0,
    stop: int | None = None,
    chunk: int = CHUNK,
) -> Iterator[Showers]:
    """Yield what `read_showers` returns, `chunk` showers at a time."""
    path = existing_file(path)
    try:
        file = h5py.File(path)
    except OSError as error:
        raise InputError(
            f"{path}: no readable HDF5 file, perhaps cut off; copy it again."
        ) from error
    with file:
        names, scale = _layout(path, file)
        for name in names:
            check_stored(path, file[name])
        counts = {name: len(file[name]) for name in names}
        if len(set(counts.values())) > 1:
            raise InputError(f"{path}: its data sets have {counts} rows; they must be equal.")
        last = min(next(iter(counts.values())), stop or np.iinfo(np.int64).max)
        if last <= start:
            raise InputError(f"{path}: holds no showers from number {start} on.")
        for low in range(start, last, chunk):
            rows = slice(low, min(low + chunk, last))
            try:
                incident, *layers = (np.asarray(file[name][rows], np.float32) for name in names)
            except OSError as error:
                raise InputError(
                    f"{path}: rows {low} on are not readable, the file is damaged."
                ) from error
            showers = np.concatenate([layer.reshape(len(layer), -1) for layer in layers], 1)
            incident = incident.reshape(-1) * np.float32(scale)
            if not (incident > 0).all():
                bad = int(np.argmin(incident > 0))
                raise InputError(
                    f"{path}: shower {low + bad} has an incident energy of {incident[bad]:g}."
                )
            if geometry is not None:
                geometry.check(showers, str(path), low)
            yield _counted(incident, showers, low)


def mapped_showers(
    path: str | Path,
    folder: str | Path,
    geometry: Geometry | None = None,
    *,
    stop: int | None = None,
) -> Showers:
    """Return what `read_showers` returns, the voxels as a memory map of a file in `folder`."""
    folder = Path(folder)
    number = sum(1 for _ in folder.iterdir())
    spool = folder / f"showers-{number}.f4"
    incident, voxels = [], 0
    with spool.open("wb") as file:
        for showers in iterate_showers(path, geometry, stop=stop):
            incident.append(showers.incident)
            voxels = showers.voxels.shape[1]
            file.write(np.ascontiguousarray(showers.voxels).data)
    energies = np.concatenate(incident)
    return _counted(energies, np.memmap(spool, np.float32, "r", shape=(len(energies), voxels)), 0)


def _counted(incident: NDArray[Any], voxels: Floats, first: int) -> Showers:
    """Return checked showers of weight 1, numbered from `first`."""
    count = len(incident)
    event = np.arange(first, first + count)
    return Showers(incident.astype(np.float64), voxels, np.ones(count), event)


def _layout(path: Path, file: Any) -> tuple[list[str], float]:
    """Return the data sets of a file, incident energies first, and what makes these MeV."""
    if all(name in file for name in CHALLENGE):
        return list(CHALLENGE), 1.0
    if "energy" in file and all(name in file for name in CALOGAN):
        for name, shape in CALOGAN.items():
            if file[name].shape[1:] != shape:
                raise InputError(f"{path}: {name} has shape {file[name].shape[1:]}, not {shape}.")
        return ["energy", *CALOGAN], 1e3
    raise InputError(
        f"{path}: holds {', '.join(file) or 'nothing'}; showers are in incident_energies and"
        " showers (CaloChallenge), or in energy and layer_0 to layer_2 (CaloGAN)."
    )


def write_showers(
    path: str | Path,
    incident: NDArray[Any],
    showers: NDArray[Any],
    *,
    layout: Literal["calochallenge", "calogan"] = "calochallenge",
    attributes: dict[str, str] | None = None,
    force: bool = False,
) -> Path:
    """Write incident energies (N,) and showers (N, V) [MeV] in the layout of either project.

    CaloGAN's is for showers of 504 cells; `InputError` for any other.
    """
    if len(incident) != len(showers):
        raise InputError(f"{len(incident)} incident energies for {len(showers)} showers.")
    if layout == "calogan":
        return _write_images(Path(path), incident, showers, attributes or {}, force)
    parts = [(incident, showers)]
    return write_in_parts(path, parts, showers.shape, attributes=attributes, force=force)


def write_in_parts(
    path: str | Path,
    parts: Iterable[tuple[NDArray[Any], NDArray[Any]]],
    shape: tuple[int, ...],
    *,
    attributes: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Path:
    """Write showers of `shape` (N, V) in the CaloChallenge's layout, one part after another.

    A part is incident energies (n,) and showers (n, V) [MeV], stored as float32.
    """
    count, voxels = shape
    with atomic_hdf5(path, force) as file:
        rows = max(1, min(count, (1 << 20) // voxels))  # 4 MB a chunk
        energies: Any = file.create_dataset("incident_energies", (count, 1), "f4")
        stored: Any = file.create_dataset(
            "showers", shape, "f4", chunks=(rows, voxels), compression="gzip"
        )
        start = 0
        for incident, showers in parts:
            stop = start + len(showers)
            energies[start:stop, 0] = np.asarray(incident).reshape(-1)
            stored[start:stop] = showers
            start = stop
        file.attrs.update(attributes or {})
    return Path(path)


def _write_images(
    path: Path,
    incident: NDArray[Any],
    showers: NDArray[Any],
    attributes: dict[str, str],
    force: bool,
) -> Path:
    """Write showers (N, 504) [MeV] as CaloGAN's three images, the incident energies in GeV."""
    sizes = [rows * columns for rows, columns in CALOGAN.values()]
    if showers.shape[1:] != (sum(sizes),):
        raise InputError(
            f"{path}: CaloGAN's layout holds {sum(sizes)} cells, these showers have shape"
            f" {showers.shape}; write them as calochallenge."
        )
    with atomic_hdf5(path, force) as file:
        file.create_dataset("energy", data=np.asarray(incident).reshape(-1, 1) / 1e3)
        parts = np.split(showers, np.cumsum(sizes)[:-1], axis=1)
        for (name, shape), cells in zip(CALOGAN.items(), parts, strict=True):
            file.create_dataset(name, data=cells.reshape(-1, *shape), compression="gzip")
        for name, value in attributes.items():
            file.attrs[name] = value
    return path
