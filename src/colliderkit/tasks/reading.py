"""How the verbs read event files: the options that they share."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.sources import iterate, read
from colliderkit.sources.files.rows import Rows, read_rows

__all__ = ["OfSamples", "Reading", "of_sample"]

# An expression for all samples, or one for some of them by their names.
OfSamples = dict[str, str | float] | str | None
CHUNK = 20_000  # jets held at a time


@dataclass(frozen=True)
class Reading:
    """Say how events are read from ROOT, HDF5 or Parquet files.

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

    def rows(
        self,
        files: list[str] | str,
        expressions: Sequence[str],
        *,
        optional: Sequence[str] = (),
        own: bool = False,
        stop: int | None = None,
    ) -> Rows:
        """Return one number an event for each expression, of files that hold no jets."""
        if self.layout is not None:
            raise InputError(
                f"--layout {self.layout} is of jets, and a table is read from {files}; leave it"
                " out, or name a --network on particles."
            )
        return read_rows(
            files,
            expressions,
            optional=optional,
            selection=self.selection,
            tree=self.tree,
            own=own,
            stop=stop,
        )

    def jets(self, files: list[str] | str) -> ak.Array:
        """Return all jets of `files`."""
        return ak.concatenate(list(self.chunks(files)))

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


def of_sample(option: OfSamples, what: str, sample: str, samples: Sequence[str]) -> str | None:
    """Return the expression of one sample; raise `InputError` if another is named."""
    if not isinstance(option, dict):
        return option
    for name in option:
        if name not in samples:
            raise InputError(f"--{what} names the sample '{name}'; there are {', '.join(samples)}.")
    return str(option[sample]) if sample in option else None
