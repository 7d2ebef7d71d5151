"""File formats by extension: ROOT, HDF5, Parquet, numpy and csv; the files of globs and lists."""

import glob
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from colliderkit.errors import InputError
from colliderkit.files import existing_file
from colliderkit.sources.files.columns import TableFile
from colliderkit.sources.files.search_layouts import named

__all__ = ["Paths", "blamed_on", "check_pages", "open_table", "paths_of"]

Paths = str | Path | Sequence[str | Path]
LISTS = (".txt", ".list")
LARGEST_LIST = 1 << 24  # bytes


def paths_of(path: Paths) -> list[Path]:
    """List the files of a path, a glob, a list of files, or several of these.

    A list of files, ``@files`` or of the extension .txt or .list, has a path or a glob a line;
    blank lines and those that begin with ``#`` are passed over. A relative path is one of the
    working folder, or else of the folder of the list. Raises `InputError` if there is no file; of a
    file that is named twice it is said that its events count twice.
    """
    patterns = [path] if isinstance(path, str | Path) else list(path)
    files: list[Path] = []
    for pattern in patterns:
        for entry in _entries(pattern):
            files += _matches(entry)
    if not files:
        raise InputError("no files are given; name at least one.")
    places = [file.resolve() for file in files]
    if len(set(places)) < len(places):
        twice = next(file for i, file in enumerate(files) if places[i] in places[:i])
        warnings.warn(f"{twice}: is named twice, and its events count twice", stacklevel=2)
    return files


def _entries(pattern: str | Path) -> Iterator[str | Path]:
    """Yield a pattern, or what stands in the list that it names."""
    text = str(pattern)
    marked = text.startswith("@") and not Path(text).exists()
    if not marked and Path(text).suffix.lower() not in LISTS:
        yield pattern
        return
    listing = existing_file(text[1:] if marked else text)
    if listing.stat().st_size > LARGEST_LIST:
        raise InputError(f"{listing}: is too large for a list of files, one path a line.")
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{listing}: is no list of files, one path a line; it is no text."
        ) from error
    entries = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not entries:
        raise InputError(f"{listing}: lists no files; write one path a line.")
    for entry in entries:
        beside = listing.parent / entry
        here = Path(entry).exists() or (is_glob(entry) and glob.glob(entry, recursive=True))
        yield entry if here or Path(entry).is_absolute() else beside


def _matches(pattern: str | Path) -> list[Path]:
    if not is_glob(str(pattern)) or Path(pattern).exists():
        return [Path(pattern)]
    matches = sorted(glob.glob(str(pattern), recursive=True))
    if not matches:
        raise InputError(f"{pattern}: no file matches; check the pattern.")
    return [Path(match) for match in matches]


def is_glob(pattern: str) -> bool:
    """Return whether a path has marks of a glob."""
    return any(mark in pattern for mark in "*?[")


def open_table(path: Path, tree: str | None = None) -> TableFile:
    """Open a file by its extension; `tree` is the TTree, the HDF5 keys or the arrays of an npz."""
    # Each format's library loads with the first file of it.
    match path.suffix.lower():
        case ".parquet" | ".pq":
            from colliderkit.sources.files.parquet import ParquetTable

            _treeless(path, tree)
            return ParquetTable(path)
        case ".root":
            from colliderkit.sources.files.root import RootTable

            return RootTable(path, tree)
        case ".h5" | ".hdf5" | ".hdf":
            from colliderkit.sources.files.hdf5 import Hdf5Table

            return named(Hdf5Table(path, tree))
        case ".npz" | ".npy":
            from colliderkit.sources.files.arrays import ArraysTable

            return named(ArraysTable(path, tree))
        case ".csv" | ".tsv" | ".dat":
            from colliderkit.sources.files.csv import CsvTable
            from colliderkit.sources.files.dark_machines import DarkMachinesTable, is_dark_machines

            _treeless(path, tree)
            dark = path.is_file() and is_dark_machines(path)
            return DarkMachinesTable(path) if dark else CsvTable(path)
        case suffix:
            raise InputError(
                f"{path}: unknown extension '{suffix}'; known are .root, .h5, .hdf5, .parquet,"
                " .npz, .npy and .csv, and .txt for a list of files."
            )


def check_pages(path: Path) -> None:
    """Raise `InputError` if a Parquet file that keeps the sums of its pages is damaged.

    Reading does not look at the sums, which would take a fifth of its time; they are looked at
    where its numbers are found wrong, for a page that is damaged is read as other numbers.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        from colliderkit.sources.files.parquet import verify

        verify(path)


@contextmanager
def blamed_on(path: Path) -> Iterator[None]:
    """Look for damage where the numbers of a file are refused, which it may be the cause of."""
    try:
        yield
    except InputError:
        check_pages(path)
        raise


def _treeless(path: Path, tree: str | None) -> None:
    """Refuse a tree where there are none: nothing that was named is passed over."""
    if tree is not None:
        raise InputError(f"{path}: has no trees or keys, and tree is '{tree}'; leave it out.")
