"""ROOT trees through uproot."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import atomic_file, existing_file
from colliderkit.sources.files.columns import Column, Kind, missing, readable

__all__ = ["RootTable", "write_root"]

# What a tree of events or jets is usually called, tried in this order.
TREES = ("jets", "Events", "Delphes", "tree", "Tree")
ROWS_A_BASKET = 50_000


class RootTable:
    """Read a TTree: scalar branches are level 0, vectors (jagged or fixed) level 1.

    A branch ``Jet/Jet.PT`` is the column ``Jet.PT``. Raises `InputError` if the file is missing
    or broken or if `tree` is not in it.
    """

    def __init__(self, path: str | Path, tree: str | None = None) -> None:
        self.path = existing_file(path)
        with readable(self.path, "ROOT"):
            self._file = uproot.open(self.path)
            self.tree = self._file[self._choose(self._file.classnames(cycle=False), tree)]
        self.branches: dict[str, Any] = {}
        self.columns: dict[str, Kind] = {}
        with readable(self.path, "ROOT"):
            for key, branch in self.tree.iteritems(recursive=True):
                name = key.rsplit("/", 1)[-1]
                self.branches[name] = branch
                self.columns[name] = kind_of(branch)
        self.rows = int(self.tree.num_entries)
        self.step = max(self.rows, 1)

    def _choose(self, classes: dict[str, str], tree: str | None) -> str:
        trees = [name for name, kind in classes.items() if kind in ("TTree", "TNtuple")]
        if tree is not None:
            if tree not in trees:
                have = ", ".join(trees) or "none"
                raise InputError(f"{self.path}: no tree '{tree}'; its trees are: {have}.")
            return tree
        usual = [name for name in TREES if name in trees]
        if usual or len(trees) == 1:
            return (usual or trees)[0]
        if trees:
            raise InputError(f"{self.path}: name one of its trees ({', '.join(trees)}) by 'tree'.")
        raise InputError(f"{self.path}: holds no tree, only {sorted(set(classes.values()))}.")

    def awkward(self, names: Iterable[str], start: int, stop: int) -> dict[str, ak.Array]:
        """Read branches as they are, nested ones too, for layouts that unpack events."""
        chosen = {name: self.branches[name] for name in names}
        with readable(self.path, "ROOT"), ThreadPoolExecutor(os.cpu_count()) as pool:
            return {
                name: branch.array(entry_start=start, entry_stop=stop, decompression_executor=pool)
                for name, branch in chosen.items()
            }

    def chunks(
        self, names: Iterable[str], start: int, stop: int, size: int
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, Column]]]:
        """Yield row numbers and columns, `size` entries at a time."""
        names = list(names)
        for name in names:
            if name not in self.columns:
                raise missing(self.path, name, self.columns)
        for first in range(start, stop, size):
            last = min(first + size, stop)
            arrays = self.awkward(names, first, last)
            yield np.arange(first, last), columns_of(arrays)


def kind_of(branch: Any) -> Kind:
    """Describe a branch."""
    kind = str(branch.typename)
    interpretation = branch.interpretation
    flat = getattr(interpretation, "content", interpretation)  # AsJagged holds an AsDtype
    if branch.branches or not isinstance(flat, uproot.AsDtype) or flat.to_dtype.names:
        return Kind(kind, None)
    depth = len(flat.to_dtype.shape) + (flat is not interpretation)
    return Kind(kind, depth if depth < 2 else None)


def columns_of(arrays: dict[str, ak.Array]) -> dict[str, Column]:
    """Flatten one level of nesting; equal counts become one array, to compare by identity."""
    columns: dict[str, Column] = {}
    shared: list[NDArray[np.int64]] = []
    for name, array in arrays.items():
        if array.ndim == 1:
            columns[name] = Column(ak.to_numpy(array))
            continue
        counts = np.asarray(ak.to_numpy(ak.num(array, axis=1)), dtype=np.int64)
        for other in shared:
            if np.array_equal(other, counts):
                counts = other
                break
        else:
            shared.append(counts)
        padded = array.layout.is_regular or array.layout.is_numpy
        columns[name] = Column(ak.to_numpy(ak.flatten(array, axis=1)), counts, padded)
    return columns


def write_root(path: Path, columns: dict[str, ak.Array], force: bool, tree: str = "jets") -> None:
    """Write numbers and lists of numbers as branches ``name`` or ``collection_field``."""
    rows = len(next(iter(columns.values())))
    branches: dict[str, ak.Array] = {}
    for name, array in columns.items():
        if array.ndim == 1 and array.fields:
            branches |= {f"{name}_{field}": array[field] for field in array.fields}
        else:
            branches[name] = array
    try:
        with (
            atomic_file(path, force) as part,
            uproot.recreate(part, compression=uproot.ZSTD(1)) as file,
        ):
            for first in range(0, rows, ROWS_A_BASKET):
                piece = {
                    name: ak.to_packed(array[first : first + ROWS_A_BASKET])
                    for name, array in branches.items()
                }
                if first == 0:
                    file.mktree(tree, {name: x.type.content for name, x in piece.items()})
                file[tree].extend(piece)
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = " ".join(str(error).split())[:120]
        raise InputError(
            f"{path}: a column cannot be a ROOT branch, which holds numbers or lists of them"
            f" ({reason}); drop it or write .parquet."
        ) from error
