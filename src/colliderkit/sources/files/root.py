"""ROOT trees and RNTuples through uproot."""

import fnmatch
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import atomic_file, existing_file
from colliderkit.sources.files.columns import Column, Kind, missing, readable, shorten

__all__ = ["RootTable", "write_root"]

# What a tree of events or jets is usually called, tried in this order.
TREES = ("jets", "Events", "Delphes", "tree", "Tree")
KINDS = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple", "ROOT::Experimental::RNTuple")
# A list of lists of numbers.
VECTORS = re.compile(r"(?:std::)?vector<\s*(?:std::)?vector<\s*[\w: ]+\s*>\s*>")
ROWS_A_BASKET = 50_000


class RootTable:
    """Read a TTree or an RNTuple: scalars are level 0, vectors (jagged or fixed) level 1.

    A branch ``Jet/Jet.PT`` is the column ``Jet.PT``; of branches whose last parts are the same,
    each is called by its whole path, with dots. A field of an RNTuple's records is the column
    ``collection.field``.

    `tree` is the path of a tree, its last part or a pattern (``DF_*/O2jets``): all that match are
    read one after another. Of several cycles the highest is read unless one is named
    (``tree;1``). Raises `InputError` if the file is missing or broken or if `tree` is not in it.
    """

    def __init__(self, path: str | Path, tree: str | None = None) -> None:
        self.path = existing_file(path)
        with readable(self.path, "ROOT"):
            self._file = uproot.open(self.path)
            self.trees = [self._file[key] for key in self._choose(tree)]
        self._fields: list[dict[str, Any]] = []
        each: list[dict[str, Kind]] = []
        with readable(self.path, "ROOT"):
            for one in self.trees:
                fields, kinds = contents(one)
                self._fields.append(fields)
                each.append(kinds)
        # What all trees have in the same form; where there is one, that is all.
        self.columns: dict[str, Kind] = {
            name: kind for name, kind in each[0].items() if all(k.get(name) == kind for k in each)
        }
        sizes = [int(one.num_entries) for one in self.trees]
        self._edges = np.concatenate([[0], np.cumsum(sizes)])
        self.rows = int(self._edges[-1])
        self.step = max(self.rows, 1)

    def _choose(self, tree: str | None) -> list[str]:
        """Return the keys, with their cycles, of the trees that are read."""
        cycles: dict[str, list[int]] = {}
        classes = self._file.classnames()
        for key, kind in classes.items():
            if kind in KINDS:
                name, _, cycle = key.rpartition(";")
                cycles.setdefault(name, []).append(int(cycle))
        wanted, _, cycle = (tree or "").partition(";")
        chosen = self._named(list(cycles), wanted) if tree else self._only(list(cycles), classes)
        if cycle:
            name = chosen[0]
            if not cycle.isdigit() or int(cycle) not in cycles[name]:
                have = ", ".join(map(str, sorted(cycles[name])))
                raise InputError(f"{self.path}: tree '{name}' has no cycle {cycle}, but {have}.")
            return [f"{name};{cycle}"]
        for name in chosen:
            if len(cycles[name]) > 1:
                have = ", ".join(map(str, sorted(cycles[name])))
                self._say(f"of the cycles {have} of tree '{name}' the highest is read")
        if len(chosen) > 1:
            self._say(f"the trees {shorten(chosen)} are read one after another")
        return [f"{name};{max(cycles[name])}" for name in chosen]

    def _say(self, what: str) -> None:
        warnings.warn(f"{self.path}: {what}", UserWarning, stacklevel=5)

    def _named(self, trees: list[str], wanted: str) -> list[str]:
        if wanted in trees:
            return [wanted]
        found = [name for name in trees if name.rsplit("/", 1)[-1] == wanted]
        found = found or [name for name in trees if fnmatch.fnmatchcase(name, wanted)]
        if not found:
            have = ", ".join(trees) or "none"
            raise InputError(f"{self.path}: no tree '{wanted}'; its trees are: {have}.")
        return found

    def _only(self, trees: list[str], classes: dict[str, str]) -> list[str]:
        usual = [name for name in TREES if name in trees]
        if usual or len(trees) == 1:
            return (usual or trees)[:1]
        if not trees:
            raise InputError(f"{self.path}: holds no tree, only {sorted(set(classes.values()))}.")
        lasts = {name.rsplit("/", 1)[-1] for name in trees}
        all_of = f"; '{next(iter(lasts))}' reads them one after another" if len(lasts) == 1 else ""
        raise InputError(
            f"{self.path}: name one of its trees ({shorten(trees)}) by 'tree'{all_of}."
        )

    def awkward(self, names: Iterable[str], start: int, stop: int) -> dict[str, ak.Array]:
        """Read branches as they are, nested ones too, for layouts that unpack events."""
        names = list(names)
        parts: list[dict[str, ak.Array]] = []
        for tree, fields, first, last in zip(
            self.trees, self._fields, self._edges[:-1], self._edges[1:], strict=True
        ):
            low, high = max(start, first) - first, min(stop, last) - first
            if low < high or (first == 0 and start >= stop):
                with readable(self.path, "ROOT"):
                    parts.append(arrays_of(tree, fields, names, int(low), int(max(high, low))))
        if len(parts) == 1:
            return parts[0]
        return {name: ak.concatenate([part[name] for part in parts]) for name in names}

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


def contents(tree: Any) -> tuple[dict[str, Any], dict[str, Kind]]:
    """Return the branches of a tree, or the paths of an RNTuple's fields, and their kinds."""
    if not isinstance(tree, uproot.TTree):
        form = tree.arrays(entry_start=0, entry_stop=0).layout.form
        paths: dict[str, tuple[str, ...]] = {}
        kinds = {}
        for path, kind in leaves((), form, 0):
            paths[".".join(path)], kinds[".".join(path)] = path, kind
        return dict(paths), kinds
    branches = dict(tree.iteritems(recursive=True))
    lasts = Counter(key.rsplit("/", 1)[-1] for key in branches)
    names = {
        key: last if lasts[last := key.rsplit("/", 1)[-1]] == 1 else key.replace("/", ".")
        for key in branches
    }
    return (
        {names[key]: branch for key, branch in branches.items()},
        {names[key]: kind_of(branch) for key, branch in branches.items()},
    )


def leaves(path: tuple[str, ...], form: Any, depth: int) -> Iterator[tuple[tuple[str, ...], Kind]]:
    """Yield the paths and kinds of the numbers of an RNTuple."""
    while getattr(form, "is_list", False):
        form, depth = form.content, depth + 1
    if form.is_record and form.fields:
        for name in form.fields:
            yield from leaves((*path, name), form.content(name), depth)
        return
    kind = str(form.type)
    level = depth if form.is_numpy and depth < 2 else None
    yield path, Kind(f"{kind}{'[]' * depth}", level, nesting=depth if form.is_numpy else 0)


def arrays_of(
    tree: Any, fields: Mapping[str, Any], names: Sequence[str], start: int, stop: int
) -> dict[str, ak.Array]:
    """Read columns of one tree."""
    if not isinstance(tree, uproot.TTree):
        tops = list(dict.fromkeys(fields[name][0] for name in names))
        inside = tuple(f"{top}." for top in tops)
        # By a function: names given as text are patterns, in which brackets mean something.
        wanted = lambda name: name in tops or name.startswith(inside)  # noqa: E731
        table = tree.arrays(filter_name=wanted, entry_start=start, entry_stop=stop)
        return {name: table[fields[name]] for name in names}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return {
            name: fields[name].array(
                entry_start=start, entry_stop=stop, decompression_executor=pool
            )
            for name in names
        }


def kind_of(branch: Any) -> Kind:
    """Describe a branch."""
    kind = str(branch.typename)
    interpretation = branch.interpretation
    if VECTORS.fullmatch(kind):
        return Kind(kind, None, nesting=2)
    flat = getattr(interpretation, "content", interpretation)  # AsJagged holds an AsDtype
    if branch.branches or not isinstance(flat, uproot.AsDtype) or flat.to_dtype.names:
        return Kind(kind, None)
    depth = len(flat.to_dtype.shape) + (flat is not interpretation)
    return Kind(kind, depth if depth < 2 else None, nesting=depth)


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
