"""What an HDF5 dataset is stored as: its filters, and whether its numbers are there at all."""

import os
from contextlib import suppress
from importlib import import_module
from math import ceil, prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from colliderkit.errors import InputError

__all__ = ["check_stored"]

# Registered filters that h5py does not bring (https://github.com/HDFGroup/hdf5_plugins).
FILTERS = {
    305: "lzo",
    307: "bzip2",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32017: "sz",
    32026: "blosc2",
}
LARGEST_CHUNK = 1 << 31  # bytes
SOURCES_LOOKED_AT = 1000


def check_stored(path: Path, item: Any) -> None:
    """Raise `InputError` if a dataset cannot be read, or would read as zeros that nobody wrote.

    - a filter (blosc, lz4, ...) that is not installed: it is named, hdf5plugin is tried first;
    - a virtual dataset whose source is not there, and external raw data that are not;
    - a dataset, or some of its chunks, never written since it was made.
    """
    _check_filters(path, item)
    if item.is_virtual:
        _check_sources(path, item)
        return
    for name, _, _ in item.external or ():
        if (
            not (path.parent / os.fsdecode(name)).is_file()
            and not Path(os.fsdecode(name)).is_file()
        ):
            raise InputError(
                f"{path}: the numbers of '{item.name}' stand in the file '{os.fsdecode(name)}',"
                " which is not there; bring it back beside this one."
            )
    if item.size and not item.external:
        _check_written(path, item)


def _check_filters(path: Path, item: Any) -> None:
    made = item.id.get_create_plist()
    codes = [made.get_filter(i) for i in range(made.get_nfilters())]
    for code, _, _, title in codes:
        if h5py.h5z.filter_avail(code):
            continue
        with suppress(ImportError):
            import_module("hdf5plugin")  # registers its filters
        if not h5py.h5z.filter_avail(code):
            name = FILTERS.get(code) or title.decode("ascii", "replace") or "of no name"
            raise InputError(
                f"{path}: '{item.name}' is compressed by the filter {name} (number {code}), which"
                " h5py does not bring; pip install hdf5plugin (or 'colliderkit[hdf5]'), or write"
                " the file again with gzip."
            )
    if item.chunks and prod(item.chunks) * item.dtype.itemsize > LARGEST_CHUNK:
        raise InputError(
            f"{path}: one chunk of '{item.name}' unpacks to"
            f" {prod(item.chunks) * item.dtype.itemsize / 1e9:.3g} GB; write it again in chunks of"
            " some megabytes."
        )


def _check_sources(path: Path, item: Any) -> None:
    # The same source serves many parts: each is looked for once.
    wanted: dict[tuple[str, str], Any] = {}
    for source in item.virtual_sources()[:SOURCES_LOOKED_AT]:
        # A pattern stands for as many files as there are; the first must be there.
        name = source.file_name.replace("%b", "0")
        wanted.setdefault((name, source.dset_name.replace("%b", "0")), source)
    for (name, key), source in wanted.items():
        prefix = os.environ.get("HDF5_VDS_PREFIX", "").replace("${ORIGIN}", str(path.parent))
        places = [Path(prefix) / name, path.parent / name, Path(name)]
        file = path if name == "." else next((x for x in places if x.is_file()), None)
        if file is None:
            raise InputError(
                f"{path}: '{item.name}' is a virtual dataset whose source '{name}' is not there, so"
                " that it would read as zeros; bring the source back beside this file."
            )
        with h5py.File(file, "r") as other:
            shape = other[key].shape if isinstance(other.get(key), h5py.Dataset) else None
        if shape is None or _ends_early(source, shape):
            what = "has no dataset" if shape is None else f"has only {shape} numbers"
            raise InputError(
                f"{path}: '{item.name}' is a virtual dataset whose source '{name}' {what} under"
                f" '{key}', so that it would read as zeros; bring back the source as it was."
            )


def _ends_early(source: Any, shape: tuple[int, ...]) -> bool:
    """Return whether a part of a virtual dataset reaches beyond its source."""
    space = source.src_space
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return bool(source.vspace.get_select_npoints() > prod(shape))
    try:
        _, ends = space.get_select_bounds()
    except (RuntimeError, ValueError):
        return False  # of no fixed size
    return any(end >= size for end, size in zip(ends, shape, strict=False))


def _check_written(path: Path, item: Any) -> None:
    try:
        if np.asarray(item.fillvalue).tobytes().strip(b"\0"):
            return  # whoever made it chose what it reads as
    except (RuntimeError, TypeError, ValueError):
        return
    if h5py.check_vlen_dtype(item.dtype) is None and item.id.get_storage_size() == 0:
        raise InputError(
            f"{path}: '{item.name}' was made but never written, so that it would read as zeros;"
            " write the file again."
        )
    if item.chunks is None:
        return
    due = prod(ceil(size / chunk) for size, chunk in zip(item.shape, item.chunks, strict=True))
    there = item.id.get_num_chunks()
    if there < due:
        raise InputError(
            f"{path}: {due - there} of the {due} chunks of '{item.name}' were never written, so"
            " that they would read as zeros; write the file again."
        )
