"""How the verbs read event files: the options that they share."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.sources import iterate, read

__all__ = ["Reading"]

CHUNK = 20_000  # jets held at a time


@dataclass(frozen=True)
class Reading:
    """Say how jets are read from ROOT, HDF5 or Parquet files.

    Args:
        columns: expressions of the file's columns by canonical name, such as
            ``{constituents.px: part_px, label: label_Tbqq}``.
        selection: an expression that jets must fulfil.
        layout: the published layout of the files; found from their columns if not given.
        tree: the ROOT tree or HDF5 key.
    """

    columns: dict[str, str] | None = None
    selection: str | None = None
    layout: str | None = None
    tree: str | None = None

    def chunks(self, files: list[str] | str) -> Iterator[ak.Array]:
        """Yield the jets of `files` in pieces."""
        yield from iterate(files, chunk=CHUNK, **asdict(self))

    def head(self, files: list[str] | str, count: int) -> ak.Array:
        """Return the first `count` jets of `files`."""
        return read(files, **asdict(self), start=0, stop=count)

    def classes(self, files: dict[str, list[str] | str]) -> Iterator[ak.Array]:
        """Yield the jets of several classes, labelled by their order in `files`."""
        first: tuple[list[str] | str, list[str]] | None = None
        for label, paths in enumerate(files.values()):
            for chunk in self.chunks(paths):
                columns = sorted(chunk["constituents"].fields)
                if first is None:
                    first = (paths, columns)
                elif first[1] != columns:
                    differ = ", ".join(sorted(set(first[1]) ^ set(columns)))
                    raise InputError(
                        f"{first[0]} and {paths} differ in the constituent columns {differ};"
                        " name those to use with --columns."
                    )
                chunk = ak.with_field(chunk, np.full(len(chunk), label), "label")
                # Row numbers of the files of different classes are different events.
                yield ak.with_field(chunk, chunk["event"] + (label << 56), "event")
