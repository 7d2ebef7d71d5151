"""File formats by extension: open ROOT, HDF5 and Parquet, and list the files of a glob."""

import glob
from collections.abc import Sequence
from pathlib import Path

from colliderkit.errors import InputError
from colliderkit.sources.files.columns import TableFile

__all__ = ["Paths", "open_table", "paths_of"]

Paths = str | Path | Sequence[str | Path]


def paths_of(path: Paths) -> list[Path]:
    """List the files of a path, a glob or several of these; raise `InputError` if there is none."""
    patterns = [path] if isinstance(path, str | Path) else list(path)
    files: list[Path] = []
    for pattern in patterns:
        if any(mark in str(pattern) for mark in "*?[") and not Path(pattern).exists():
            matches = sorted(glob.glob(str(pattern), recursive=True))
            if not matches:
                raise InputError(f"{pattern}: no file matches; check the pattern.")
            files += map(Path, matches)
        else:
            files.append(Path(pattern))
    if not files:
        raise InputError("no files are given; name at least one.")
    return files


def open_table(path: Path, tree: str | None = None) -> TableFile:
    """Open a file by its extension; `tree` is the TTree or the HDF5 key."""
    # Each format's library loads with the first file of it.
    match path.suffix.lower():
        case ".parquet" | ".pq":
            from colliderkit.sources.files.parquet import ParquetTable

            return ParquetTable(path)
        case ".root":
            from colliderkit.sources.files.root import RootTable

            return RootTable(path, tree)
        case ".h5" | ".hdf5" | ".hdf":
            from colliderkit.sources.files.hdf5 import Hdf5Table

            return Hdf5Table(path, tree)
        case suffix:
            raise InputError(
                f"{path}: unknown extension '{suffix}'; known are .root, .h5, .hdf5 and .parquet."
            )
