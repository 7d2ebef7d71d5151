"""Jets in files: read, stream and write them, whatever the format and layout."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.schema import CONSTITUENTS, JET_COLUMNS, check_jets
from colliderkit.sources.files.columns import (
    Column,
    TableFile,
    check_single,
    missing,
    say_empty,
    shorten,
    signed,
    starts,
)
from colliderkit.sources.files.expressions import Expression
from colliderkit.sources.files.formats import Paths, blamed_on, open_table, paths_of
from colliderkit.sources.files.layouts import FOUR, LAYOUTS, find_layout
from colliderkit.sources.files.momenta import collection_of
from colliderkit.sources.files.padding import unpadded, validity

__all__ = ["iterate", "read", "write"]

Choice = Mapping[str, str] | Sequence[str] | None
Jets = dict[str, Column]  # by canonical name, `constituents.*` with one number a particle

TYPES: dict[str, Any] = {"label": np.int64, "weight": np.float64, "event": np.int64}
TYPES |= dict.fromkeys(JET_COLUMNS, np.float32)
WHOLE = {"label": "classes", "event": "numbers of events"}


def read(
    path: Paths,
    *,
    layout: str | None = None,
    columns: Choice = None,
    selection: str | None = None,
    start: int | None = None,
    stop: int | None = None,
    tree: str | None = None,
    longest: int | None = None,
) -> ak.Array:
    """Read jets from files of any format into a jet array (see `colliderkit.events.schema`).

    - `path`: a file, a glob, a list of files (``@files.txt``), or several of these, read one after
      another; the format is that of the extension. A file without rows among several is passed
      over, and so are columns that only some files have and nobody named; both are said;
    - `layout`: a published layout (`sources.files.layouts.LAYOUTS`), with the collection
      of jets after a colon where the file has several (``delphes:FatJet``); None to see it from
      the columns;
    - `columns`: canonical names and the expressions that give them, e.g.
      ``{"constituents.log_d0": "log(abs(part_d0val) + 1e-3)", "label": "label_Tbqq"}``, beside
      or in place of the layout's; or a list of canonical names, to keep no others;
    - `selection`: an expression over canonical and file columns with one truth a jet;
    - `start`, `stop`: the rows (jets, or events in NanoAOD and Delphes) of all files together;
    - `tree`: the TTree or the HDF5 key;
    - `longest`: keep this many leading constituents, after the jet's kinematics are known.

    Constituents are ordered by falling pt; ``jet_pt``, ``jet_eta``, ``jet_phi``, ``jet_mass`` are
    those of their sum where the file has none; ``event`` is the row number where the file has
    none. Raises `InputError` for a file that is missing, broken or without jets, for columns that
    are absent, of the wrong type, NaN or infinite, and for files of different layouts.
    """
    parts = list(_chunks(path, None, layout, columns, selection, start, stop, tree, longest))
    name = ", ".join(map(str, paths_of(path)[:3]))
    if not parts:
        raise InputError(f"{name}: holds no jets; check the selection and the file.")
    # Each number was checked with its row in the file at hand, hence columns=().
    return check_jets(_array(parts[0] if len(parts) == 1 else _join(parts)), name, columns=())


def iterate(
    path: Paths,
    *,
    chunk: int = 100_000,
    layout: str | None = None,
    columns: Choice = None,
    selection: str | None = None,
    start: int | None = None,
    stop: int | None = None,
    tree: str | None = None,
    longest: int | None = None,
) -> Iterator[ak.Array]:
    """Yield what `read` returns in parts of at most `chunk` rows, in bounded memory."""
    if chunk < 1:
        raise InputError(f"chunk is {chunk}; it must be at least 1 row.")
    empty = True
    for part in _chunks(path, chunk, layout, columns, selection, start, stop, tree, longest):
        empty = False
        yield _array(part)
    if empty:
        name = ", ".join(map(str, paths_of(path)[:3]))
        raise InputError(f"{name}: holds no jets; check the selection and the file.")


def write(path: str | Path, array: ak.Array | Mapping[str, Any], *, force: bool = False) -> None:
    """Write a jet array, or any table of columns, as Parquet or ROOT (by the extension).

    `array` is an array of records or a mapping of names to columns of one length. ROOT holds
    ``constituents.px`` as the branch ``constituents_px`` of the tree ``jets``. The file appears
    whole or not at all. Raises `InputError` if it exists and `force` is off, if the disk is full,
    or for a column that the format cannot hold.
    """
    path = Path(path)
    names = list(array.fields) if isinstance(array, ak.Array) else list(array)
    # Packed: Arrow takes no strided columns, and what a slice left out is not written.
    columns = {name: ak.to_packed(ak.Array(array[name])) for name in names}
    lengths = {name: len(column) for name, column in columns.items()}
    if not names or min(lengths.values()) == 0:
        raise InputError(f"{path}: there are no rows to write.")
    if len(set(lengths.values())) > 1:
        raise InputError(f"{path}: columns of different lengths cannot be one table: {lengths}.")
    match path.suffix.lower():
        case ".parquet" | ".pq":
            from colliderkit.sources.files.parquet import write_parquet

            write_parquet(path, columns, force)
        case ".root":
            from colliderkit.sources.files.root import write_root

            write_root(path, columns, force)
        case suffix:
            raise InputError(f"{path}: cannot write '{suffix}'; choose .parquet or .root.")


@dataclass(frozen=True)
class Plan:
    """What to read of a table and how to make jets of it."""

    table: TableFile
    layout: str
    expressions: dict[str, Expression]
    selection: Expression | None
    longest: int | None

    @property
    def names(self) -> list[str]:
        """The columns of the file that are needed."""
        used = [name for e in self.expressions.values() for name in e.names]
        if self.selection is not None:
            used += [name for name in self.selection.names if name in self.table.columns]
        if self.valid is not None:
            used.append(self.valid)
        return [name for name in dict.fromkeys(used) if name in self.table.columns]

    @property
    def valid(self) -> str | None:
        """The flag of the filled slots of padded particles, if there is one that nobody names."""
        used = [name for x in FOUR for name in self.expressions[x].names]
        flag = validity(self.table.columns, used)
        named = any(flag in expression.names for expression in self.expressions.values())
        return None if named else flag

    @property
    def computes(self) -> bool:
        """Whether the jets' kinematics are to be summed from their constituents."""
        return any(name not in self.expressions for name in JET_COLUMNS)


def _plan(
    path: Path,
    layout: str | None,
    columns: Choice,
    selection: str | None,
    tree: str | None,
    longest: int | None,
    raw: TableFile | None = None,
) -> Plan:
    own = dict(columns) if isinstance(columns, Mapping) else {}
    raw = raw or open_table(path, tree)
    found, table = find_layout(raw, layout, own)
    known = table.columns
    parsed: dict[str, Expression] = {}
    if found is not None:
        # The layout's optional columns are taken where the file has all that they need.
        for name, text in found.mapping(known).items():
            expression = Expression(text)
            if name in own or not all(x in known for x in expression.names):
                continue
            if name in FOUR or all(known[x].level is not None for x in expression.names):
                parsed[name] = expression
    if columns is not None and not isinstance(columns, Mapping):
        always = (*FOUR, *JET_COLUMNS, *TYPES)
        for name in columns:
            if name not in parsed and name not in always:
                raise missing(path, name, parsed)
        parsed = {name: e for name, e in parsed.items() if name in columns or name in always}
    parsed |= {name: Expression(text) for name, text in own.items()}
    if absent := [four for four in FOUR if four not in parsed]:
        raise InputError(
            f"{path}: its columns fit no known layout ({', '.join(LAYOUTS)}) and nothing says what"
            f" {', '.join(absent)} are; give them in 'columns', made of {shorten(known)}, or read"
            " numbers of events with features and a network on tables (mlp, boosted-trees)."
        )
    # Beside the file's columns an expression may use the kinematics computed here.
    derived = {name: 0 for name in JET_COLUMNS} | {name: 1 for name in FOUR}
    levels: dict[str, int] = derived | {
        name: kind.level for name, kind in known.items() if kind.level is not None
    }
    outputs: dict[str, int] = dict(derived)
    chosen = Expression(selection) if selection is not None else None
    mixed: set[str] = set()  # collections that the user's particles are made of
    for name, e in [*parsed.items(), *([("selection", chosen)] if chosen else [])]:
        scope = levels if e is not chosen else levels | outputs
        for used in e.names:
            if used in scope:
                continue
            if used in known:
                raise InputError(
                    f"{path}: column '{used}' is of type {known[used].type}, not numbers; choose"
                    f" another for '{name}'."
                )
            raise missing(path, used, [*known, *scope], f" for '{name}'")
        level = e.level(scope)
        particle = name.startswith(f"{CONSTITUENTS}.")
        if level == 1 and not particle:
            raise InputError(
                f"{path}: '{name}' ({e.text}) gives a number a particle where one a jet is due;"
                " reduce it with any, all, sum or count."
            )
        if particle and name in own:
            mixed |= {collection_of(x, known) for x in e.names if levels.get(x) == 1} - {""}
        if level == 0 and name in FOUR:
            raise InputError(f"{path}: '{name}' ({e.text}) gives a number a jet, not a particle.")
        outputs[name] = int(particle)
    if len(mixed) > 1:
        warnings.warn(
            f"{path}: particles are made of columns of several collections,"
            f" {', '.join(sorted(mixed))}; they are taken for the same particles, in their order",
            UserWarning,
            stacklevel=2,
        )
    return Plan(table, found.name if found else "", parsed, chosen, longest)


def _chunks(
    path: Paths,
    size: int | None,
    layout: str | None,
    columns: Choice,
    selection: str | None,
    start: int | None,
    stop: int | None,
    tree: str | None,
    longest: int | None,
) -> Iterator[Jets]:
    first, last = start or 0, stop
    if first < 0 or (last is not None and last < first) or (longest is not None and longest < 1):
        raise InputError(
            f"start is {start}, stop {stop} and longest {longest}; rows count from 0, stop is not"
            " before start, and at least 1 constituent is kept."
        )
    begin = 0  # the first row of this file in all of them
    for plan in _plans(paths_of(path), layout, columns, selection, tree, longest):
        rows = plan.table.rows
        low = min(max(first - begin, 0), rows)
        high = rows if last is None else min(max(last - begin, 0), rows)
        if low < high:
            step = size or plan.table.step
            for row, raw in plan.table.chunks(plan.names, low, high, step):
                with blamed_on(plan.table.path):
                    jets = _jets(plan, row, raw, begin)
                if len(jets["event"].values):
                    yield jets
        begin += rows
        if last is not None and begin >= last:
            break


OPENED = 64  # files of a chain that are held open between planning and reading


def _plans(
    paths: list[Path],
    layout: str | None,
    columns: Choice,
    selection: str | None,
    tree: str | None,
    longest: int | None,
) -> Iterator[Plan]:
    """Yield the plan of each file that has rows, all with the same columns.

    Columns that the layout offers and only some files have are left out, and said, unless they
    change what the jets mean: a label, weight or number of the event. What the user names must be
    in all files.
    """
    chain = len(paths) > 1
    plans: list[tuple[Path, Plan | None]] = []
    common: set[str] = set()
    reference: Plan | None = None
    every: set[str] = set()
    for path in paths:
        # An empty tree often has no branches either, so that no layout would fit it.
        if chain and (table := open_table(path, tree)).rows == 0:
            say_empty(path)
            continue
        plan = _plan(path, layout, columns, selection, tree, longest, table if chain else None)
        if reference is None:
            reference, common = plan, set(plan.expressions)
        differ = set(plan.expressions) ^ set(reference.expressions)
        if plan.layout != reference.layout or differ & (set(TYPES) - set(JET_COLUMNS)):
            what = ", ".join(sorted(differ & set(TYPES))) or "their layouts"
            raise InputError(
                f"{reference.table.path} and {path} differ in {what}; read them apart, or say what"
                " they are in 'columns'."
            )
        common &= set(plan.expressions)
        every |= set(plan.expressions)
        plans.append((path, plan if len(plans) < OPENED else None))
    if every - common:
        warnings.warn(
            f"{plans[0][0]} and others: not all files have the columns"
            f" {shorten(sorted(every - common))}, which are left out",
            UserWarning,
            stacklevel=2,
        )
    for path, known in plans:
        plan = known or _plan(path, layout, columns, selection, tree, longest)
        own = {name: e for name, e in plan.expressions.items() if name in common}
        yield replace(plan, expressions=own)


def _jets(plan: Plan, row: NDArray[np.int64], raw: dict[str, Column], begin: int) -> Jets:
    """Make canonical columns of a chunk of the file's."""

    def made(columns: dict[str, Column]) -> list[Column]:
        return [_wide(plan.expressions[name](columns)) for name in FOUR]

    four = made(raw)
    if any(column.padded for column in four):
        used = [name for x in FOUR for name in plan.expressions[x].names if name in raw]
        used = list(dict.fromkeys(used))
        raw, four = unpadded(plan.table.path, raw, four, made, used, row, plan.valid)
    counts = four[0].counts
    assert counts is not None  # _plan has checked the level
    jets: Jets = dict(zip(FOUR, four, strict=True))
    order = _order(four[0].values, four[1].values, counts)
    computed = _kinematics([column.values for column in four], counts) if plan.computes else {}
    scope = {**jets, **computed, **raw}  # the file's own columns come first
    for name, expression in plan.expressions.items():
        if name not in FOUR:
            jets[name] = expression(scope)
            if name in JET_COLUMNS and name not in raw:
                scope[name] = jets[name]
    for name, column in list(jets.items()):
        values, own = column.values, column.counts
        if name.startswith(f"{CONSTITUENTS}."):
            if own is None:
                values = np.repeat(values, counts)
            elif own is not counts and not np.array_equal(own, counts):
                raise InputError(
                    f"{plan.table.path}: column '{name}' has other numbers of particles than the"
                    " four-vectors; choose columns of one collection."
                )
            if values.dtype.kind == "f":
                particle = name.removeprefix(f"{CONSTITUENTS}.")
                check_single(plan.table.path, particle, Column(values, counts), row)
                values = values.astype(np.float32, copy=False)
            jets[name] = Column(values if order is None else values[order], counts)
        else:
            jets[name] = Column(values)
    jets = {**computed, **jets}
    jets.setdefault("event", Column(row + begin))
    if plan.selection is not None:
        truth = plan.selection.truth({**raw, **jets}, plan.table.path)
        if not truth.all():
            jets = {name: column.take(truth) for name, column in jets.items()}
            row = row[truth]
    for name, column in jets.items():
        jets[name] = _typed(plan.table.path, name, column, row)
    if plan.longest is not None:
        jets = _truncated(jets, plan.longest)
    return jets


def _wide(column: Column) -> Column:
    """Return momenta as floats of 32 bits at least: squares of narrow numbers wrap around."""
    values = column.values
    if values.dtype.kind == "f" and values.dtype.itemsize >= 4:
        return column
    wide = np.float32 if values.dtype.kind == "f" else np.float64
    return Column(values.astype(wide), column.counts, column.padded)


def _order(
    px: NDArray[Any], py: NDArray[Any], counts: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """Return the order of falling pt within each jet, or None where it is so already."""
    squared = px * px
    squared += py * py
    # Files in single precision are ordered up to rounding: that is left alone.
    rises = squared[1:] > squared[:-1] * np.float32(1.00001)
    ends = np.cumsum(counts)[:-1]
    rises[ends[(ends > 0) & (ends < len(squared))] - 1] = False
    if not rises.any():
        return None
    ragged = ak.unflatten(squared, counts)
    local = ak.flatten(ak.argsort(ragged, axis=1, ascending=False, stable=True))
    return np.asarray(ak.to_numpy(local)) + np.repeat(starts(counts), counts)


def _kinematics(four: list[NDArray[Any]], counts: NDArray[np.int64]) -> Jets:
    """Return pt, eta, phi and mass of the constituents' sum; all 0 for a jet without any."""
    filled = counts > 0
    total = np.zeros((4, len(counts)))
    if filled.any():
        for i, values in enumerate(four):
            total[i, filled] = np.add.reduceat(values, starts(counts)[filled], dtype=np.float64)
    px, py, pz, energy = total
    pt = np.hypot(px, py)
    with np.errstate(all="ignore"):
        eta = np.arcsinh(pz / np.maximum(pt, 1e-300))
    mass = np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0))
    kinematics = (pt, eta, np.arctan2(py, px), mass)
    return {name: Column(x) for name, x in zip(JET_COLUMNS, kinematics, strict=True)}


def _typed(path: Path, name: str, column: Column, row: NDArray[np.int64]) -> Column:
    """Check that all numbers are finite and give the column its type."""
    values = column.values
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        wrong = int(np.argmin(np.isfinite(values)))
        if column.counts is not None:
            wrong = int(np.searchsorted(np.cumsum(column.counts), wrong, side="right"))
        raise InputError(
            f"{path}: column '{name.removeprefix(CONSTITUENTS + '.')}' is NaN or infinite in event"
            f" {row[wrong]} (counted from 0); mend the file or drop the event with a selection."
        )
    if name in WHOLE and values.dtype.kind == "f" and (values != np.rint(values)).any():
        wrong = int(np.argmax(values != np.rint(values)))
        raise InputError(
            f"{path}: column '{name}' is {values[wrong]:g} in event {row[wrong]} (counted from 0);"
            f" {WHOLE[name]} are whole numbers."
        )
    if name in WHOLE and values.dtype == np.uint64:
        signed(path, name, values, row)
    if name in TYPES:
        if TYPES[name] is np.float32:
            check_single(path, name, column, row)
        values = values.astype(TYPES[name], copy=False)
    return Column(values, column.counts)


def _truncated(jets: Jets, longest: int) -> Jets:
    """Keep the leading constituents of each jet."""
    counts = jets[FOUR[0]].counts
    assert counts is not None
    if counts.max(initial=0) <= longest:
        return jets
    place = np.arange(int(counts.sum())) - np.repeat(starts(counts), counts)
    keep, kept = place < longest, np.minimum(counts, longest)
    return {
        name: column if column.counts is None else Column(column.values[keep], kept)
        for name, column in jets.items()
    }


def _join(parts: list[Jets]) -> Jets:
    """Put chunks one after another."""
    counts = np.concatenate([np.asarray(part[FOUR[0]].counts) for part in parts])
    return {
        name: Column(
            np.concatenate([part[name].values for part in parts]),
            None if parts[0][name].counts is None else counts,
        )
        for name in parts[0]
    }


def _array(jets: Jets) -> ak.Array:
    """Wrap the columns as a jet array, without copying them."""
    counts = np.asarray(jets[FOUR[0]].counts)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    inside = [name for name in jets if name.startswith(f"{CONSTITUENTS}.")]
    outside = [name for name in jets if name not in inside]
    particles = ak.contents.RecordArray(
        [ak.contents.NumpyArray(jets[name].values) for name in inside],
        [name[len(CONSTITUENTS) + 1 :] for name in inside],
    )
    ragged = ak.contents.ListOffsetArray(ak.index.Index64(offsets), particles)
    contents = [ragged, *(ak.contents.NumpyArray(jets[name].values) for name in outside)]
    return ak.Array(ak.contents.RecordArray(contents, [CONSTITUENTS, *outside], len(counts)))
