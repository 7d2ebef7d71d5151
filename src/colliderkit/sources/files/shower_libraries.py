"""Files of shower libraries: HDF5 with the cells of each shower, and what made them.

Data sets `kind`, `incident` [MeV], `x`, `y` [mm], `offsets`, `voxel`, `energy` [MeV] as of
`ShowerLibrary`; `layers` (L, 5) number, rows, columns, height and width [mm], `z` and `section`
(L,); attributes `geometry`, `kinds`, `physics`, `missing` and what was asked for.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry, Grid
from colliderkit.events.calorimeter.library import ShowerLibrary
from colliderkit.files import atomic_hdf5, existing_file

__all__ = ["joined_libraries", "read_library", "write_library"]

COLUMNS = ("kind", "incident", "x", "y", "offsets", "voxel", "energy")
OF_LAYERS = ("layers", "z", "section")
TEXTS = ("geometry", "physics", "missing")


def write_library(
    path: str | Path,
    library: ShowerLibrary,
    *,
    attributes: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Path:
    """Write a library and return the path."""
    with atomic_hdf5(path, force) as file:
        for name in COLUMNS:
            values = np.asarray(getattr(library, name))
            small = {"voxel": np.int32, "energy": np.float32, "kind": np.int32}.get(name)
            kept = values if small is None else values.astype(small)
            # An empty data set has no chunks to compress.
            file.create_dataset(name, data=kept, compression="gzip" if len(kept) else None)
        layers = [(g.number, g.rows, g.columns, g.height, g.width) for g in library.grids]
        file["layers"] = np.array(layers, dtype=np.float64)
        file["z"], file["section"] = library.z, library.section
        file.attrs["kinds"] = list(library.kinds)
        file.attrs["geometry"] = library.geometry.name
        file.attrs["physics"], file.attrs["missing"] = library.physics, library.missing
        file.attrs.update(attributes or {})
    return Path(path)


def read_library(path: str | Path) -> ShowerLibrary:
    """Read a library; raise `InputError` for a file that is none, damaged or cut off."""
    path = existing_file(path)
    try:
        with h5py.File(path) as file:
            absent = [name for name in (*COLUMNS, *OF_LAYERS) if name not in file]
            absent += [name for name in ("kinds", *TEXTS) if name not in file.attrs]
            if absent:
                raise InputError(
                    f"{path}: is no shower library (it has no {absent[0]}); make one with"
                    " colliderkit generate CALORIMETER COUNT --layout library."
                )
            columns = {name: np.asarray(file[name]) for name in (*COLUMNS, *OF_LAYERS)}
            texts = {name: str(file.attrs[name]) for name in TEXTS}
            kinds = tuple(str(name) for name in file.attrs["kinds"])
    except OSError as error:
        raise InputError(
            f"{path}: no readable HDF5 file, perhaps cut off; copy it again."
        ) from error
    offsets, count = columns["offsets"], len(columns["incident"])
    fits = len(offsets) == count + 1 and len(offsets) and offsets[0] == 0
    if not fits or (np.diff(offsets) < 0).any() or offsets[-1] != len(columns["voxel"]):
        raise InputError(f"{path}: its offsets do not fit its showers, the file is damaged.")
    grids = tuple(
        Grid(int(number), int(rows), int(across), float(height), float(width))
        for number, rows, across, height, width in columns["layers"]
    )
    geometry = Geometry(texts["geometry"], grids)
    voxel, energy = columns["voxel"].astype(np.int64), columns["energy"].astype(np.float64)
    if len(voxel) and not (voxel.min() >= 0 and voxel.max() < geometry.voxels):
        raise InputError(f"{path}: holds cells that its geometry has not, the file is damaged.")
    if not (np.isfinite(energy) & (energy >= 0)).all():
        raise InputError(f"{path}: holds energies that are negative or not finite; make it anew.")
    return ShowerLibrary(
        geometry,
        columns["z"].astype(np.float64),
        columns["section"].astype(np.int64),
        kinds,
        columns["kind"].astype(np.int64),
        columns["incident"].astype(np.float64),
        columns["x"].astype(np.float64),
        columns["y"].astype(np.float64),
        offsets.astype(np.int64),
        voxel,
        energy,
        texts["physics"],
        texts["missing"],
    )


def joined_libraries(parts: Sequence[ShowerLibrary]) -> ShowerLibrary:
    """Return the showers of libraries of one calorimeter and the same kinds, one after another."""
    first = parts[0]
    cells = np.cumsum([0, *(len(part.voxel) for part in parts)])
    together = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in COLUMNS
        if name != "offsets"
    }
    offsets = [part.offsets[1:] + c for part, c in zip(parts, cells, strict=False)]
    return ShowerLibrary(
        first.geometry,
        first.z,
        first.section,
        first.kinds,
        offsets=np.concatenate([np.zeros(1, np.int64), *offsets]),
        physics=first.physics,
        missing=first.missing,
        **together,
    )
