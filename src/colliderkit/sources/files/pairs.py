"""Paired events in Parquet files: truth and reconstruction of the same event."""

from collections.abc import Iterator
from pathlib import Path

import awkward as ak

from colliderkit.errors import InputError
from colliderkit.events.pairs import check_pairs
from colliderkit.files import existing_file
from colliderkit.sources.files.columns import readable

__all__ = ["iterate_pairs", "read_pairs"]


def read_pairs(path: str | Path) -> ak.Array:
    """Read a paired array from Parquet, as `colliderkit.sources.pythia.shards.generate` writes it.

    Raises `InputError` for a file that is missing, broken, empty or not of paired events, and for
    constituents or weights that are not finite.
    """
    return ak.concatenate(list(iterate_pairs(path)))


def iterate_pairs(path: str | Path) -> Iterator[ak.Array]:
    """Yield what `read_pairs` returns, one row group at a time."""
    import pyarrow.parquet

    path = existing_file(path)
    with readable(path, "Parquet"):
        file = pyarrow.parquet.ParquetFile(path)
        groups = file.num_row_groups
        if file.metadata.num_rows == 0:
            raise InputError(f"{path}: holds no events; generate it again.")
    for group in range(groups):
        with readable(path, "Parquet"):
            part = ak.from_parquet(path, row_groups=[group])
        yield check_pairs(part, str(path))
