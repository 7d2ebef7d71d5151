"""Ragged (jagged) columns as tensors: flat values and offsets."""

import mmap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import awkward as ak
import numpy as np
import torch
from torch import Tensor

__all__ = ["Ragged", "Spool"]


@dataclass(frozen=True)
class Ragged:
    """Constituents of N jets, ragged: without padding.

    - `values`: (P, C) float32, the constituents of all jets one after another;
    - `starts`, `lengths`: (N,) int64, jet i is ``values[starts[i] : starts[i] + lengths[i]]``;
    - `columns`: the C names, px, py, pz, E first;
    - `pages`: the map of the file that the values stand in, if they do.
    """

    values: Tensor
    starts: Tensor
    lengths: Tensor
    columns: tuple[str, ...]
    pages: mmap.mmap | None = None

    @classmethod
    def from_awkward(cls, records: ak.Array, columns: Sequence[str]) -> "Ragged":
        """Flatten ``var * {column: number}`` (the ``constituents`` of a jet array)."""
        lengths = np.array(ak.to_numpy(ak.num(records, axis=1)), dtype=np.int64)
        values = np.empty((int(lengths.sum()), len(columns)), dtype=np.float32)
        for i, column in enumerate(columns):
            values[:, i] = ak.to_numpy(ak.flatten(records[column], axis=1))
        return cls(torch.from_numpy(values), *_layout(lengths), tuple(columns))

    @classmethod
    def spool(cls, chunks: Iterable[ak.Array], columns: Sequence[str], folder: Path) -> "Ragged":
        """Write chunks of records to `folder` one by one and map the result into memory.

        The peak memory is that of one chunk, whatever the length of the whole.
        """
        spool = Spool(columns, folder)
        for chunk in chunks:
            spool.append(chunk)
        return spool.mapped()

    def __len__(self) -> int:
        return len(self.lengths)

    def at(self, jets: Tensor) -> "Ragged":
        """Return the jets (n,) as a view: the values are shared, not copied."""
        return replace(self, starts=self.starts[jets], lengths=self.lengths[jets])

    @classmethod
    def joined(cls, parts: "Sequence[Ragged]") -> "Ragged":
        """Return the jets of all parts one after another, in memory; of equal columns."""
        lengths = torch.cat([part.lengths for part in parts])
        values = torch.cat([part.values for part in parts])
        # A view may share the values of jets that it does not hold, and their order.
        before = np.cumsum([0, *(len(part.values) for part in parts[:-1])])
        starts = torch.cat([part.starts + int(b) for part, b in zip(parts, before, strict=True)])
        return cls(values, starts, lengths, parts[0].columns)

    def release(self) -> None:
        """Give the mapped pages that were read back to the system, which keeps them as cache."""
        if self.pages is not None:
            self.pages.madvise(mmap.MADV_DONTNEED)

    def padded(self, jets: Tensor, longest: int | None = None) -> tuple[Tensor, Tensor]:
        """Gather jets into (B, L, C) zero-padded values and a (B, L) mask, True where real.

        L is the length of the longest of these jets (at least 1), or `longest` where shorter:
        then the leading constituents are kept.
        """
        lengths = self.lengths[jets]
        size = max(1, int(lengths.max())) if len(jets) else 1
        if longest is not None:
            size = min(size, longest)
        slot = torch.arange(size)
        mask = slot < lengths[:, None]
        if len(self.values) == 0:
            return torch.zeros(len(jets), size, len(self.columns)), mask
        rows = (self.starts[jets, None] + slot).clamp_(max=len(self.values) - 1)
        values = self.values.index_select(0, rows.flatten())
        values.index_fill_(0, (~mask).flatten().nonzero().squeeze(1), 0)
        return values.view(len(jets), size, -1), mask


class Spool:
    """Write the constituents of jets to a file in `folder`, chunk by chunk, and map it into memory.

    The peak memory is that of one chunk, whatever the length of the whole.
    """

    def __init__(self, columns: Sequence[str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.columns = tuple(columns)
        self.path = folder / "values.f4"
        self.path.write_bytes(b"")
        self.lengths = [np.zeros(0, dtype=np.int64)]

    def append(self, records: ak.Array) -> None:
        """Write ``var * {column: number}`` behind what is there."""
        part = Ragged.from_awkward(records, self.columns)
        with open(self.path, "ab") as file:
            file.write(part.values.numpy().data)  # which says why, if it cannot
        self.lengths.append(part.lengths.numpy())

    def mapped(self) -> Ragged:
        """Return all that was written."""
        total = np.concatenate(self.lengths)
        shape = (int(total.sum()), len(self.columns))
        if shape[0] == 0:
            return Ragged(torch.zeros(shape), *_layout(total), self.columns)
        with open(self.path, "r+b") as file:
            pages = mmap.mmap(file.fileno(), 0)
        values = torch.frombuffer(pages, dtype=torch.float32).view(shape)
        return Ragged(values, *_layout(total), self.columns, pages)


def _layout(lengths: np.ndarray) -> tuple[Tensor, Tensor]:
    starts = np.cumsum(lengths) - lengths
    return torch.from_numpy(starts), torch.from_numpy(lengths)
