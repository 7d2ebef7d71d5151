"""Tables of events from files of any format: columns by name or by a safe expression."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Ints, Table, filling
from colliderkit.sources.files.columns import (
    Column,
    TableFile,
    check_single,
    missing,
    say_empty,
    shorten,
    signed,
)
from colliderkit.sources.files.expressions import Expression, split_expressions
from colliderkit.sources.files.formats import Paths, check_pages, open_table, paths_of

__all__ = ["Rows", "read_rows", "read_table"]


@dataclass(frozen=True)
class Rows:
    """Columns of N events with the row of each in its file, so that errors name both.

    What methods take is a `Table`, without files: `events` makes it.

    - `columns`: the numbers (N,) of each expression by its text, floats as float64;
    - `row` (N,): the row of each event in its file, counted from 0, and `file` (N,), which of
      `paths` that is;
    - `own`: all that the files hold of these events, where it was asked for.
    """

    columns: dict[str, NDArray[Any]]
    row: Ints
    file: Ints
    paths: Sequence[Path]
    own: dict[str, ak.Array]

    def __len__(self) -> int:
        return len(self.row)

    def table(self, names: Sequence[str], where: NDArray[np.bool_] | None = None) -> Floats:
        """Return the values (N, C) of some columns, finite where `where` (N,) is True.

        Raises `InputError` naming the file, column and event of a number that is not. Warns of a
        number that stands for none (see `filled`).
        """
        if (found := self.filled(names, where)) is not None:
            name, number, text = found
            warnings.warn(
                f"{text}, and is learned from as a number; drop these events with a selection (as"
                f" '{name} != {number:g}')",
                UserWarning,
                stacklevel=2,
            )
        for name in names:
            bad = ~np.isfinite(self.columns[name])
            if where is not None:
                bad &= where
            if bad.any():
                i = int(np.argmax(bad))
                check_pages(self.paths[self.file[i]])
                raise InputError(
                    f"{self.paths[self.file[i]]}: column '{name}' is {self.columns[name][i]} in"
                    f" event {self.row[i]} (counted from 0); mend the file or drop the event with"
                    " a selection."
                )
            values = self.columns[name] if where is None else self.columns[name][where]
            row, file = (x if where is None else x[where] for x in (self.row, self.file))
            for number in np.unique(file) if len(values) else ():
                mine = file == number
                check_single(self.paths[number], name, Column(values[mine]), row[mine])
        return np.stack([self.columns[name].astype(np.float64) for name in names], axis=1)

    def filled(
        self, names: Sequence[str], where: NDArray[np.bool_] | None = None
    ) -> tuple[str, float, str] | None:
        """Find a column with a number that stands for none, such as -999, where `where` is True.

        Returns its name, the number and a sentence without its end; None if no column has one.
        """
        for name in names:
            values = self.columns[name] if where is None else self.columns[name][where]
            if (number := filling(values)) is not None:
                event = int(np.argmax(self.columns[name] == number))
                text = (
                    f"{self.paths[self.file[event]]}: column '{name}' is {number:g} in"
                    f" {int((values == number).sum())} of {len(values)} events, which seems to"
                    " stand for a value that is not there"
                )
                return name, number, text
        return None

    def events(
        self, names: Sequence[str], *, weight: str | None = None, event: str | None = None
    ) -> Table:
        """Return a table of events: the columns `names`, with the expressions of weight and number.

        Events count one and are numbered by their place where these are not given. Raises
        `InputError` naming the file, column and event of a number that is not finite, or of an
        event number that is not whole, and for weights that sum to nothing.
        """
        return Table.checked(
            self.table(names),
            ", ".join(map(str, self.paths[:3])),
            names=names,
            weight=None if weight is None else self.table([weight])[:, 0],
            event=None if event is None else self.numbers(event),
        )

    def numbers(self, name: str) -> Ints:
        """Return a column of whole numbers (N,) int64, such as those of the events."""
        values = self.columns[name]
        if values.dtype.kind == "f":
            self.table([name])  # is finite
            fractions = values != np.floor(values)
            if fractions.any():
                i = int(np.argmax(fractions))
                raise InputError(
                    f"{self.paths[self.file[i]]}: column '{name}' is {values[i]} in event"
                    f" {self.row[i]} (counted from 0); give whole numbers."
                )
        for number, path in enumerate(self.paths):
            part = self.file == number
            signed(path, name, values[part], self.row[part])
        return values.astype(np.int64)

    def at(self, keep: NDArray[np.bool_]) -> "Rows":
        """Return the events where `keep` (N,) is True."""
        return Rows(
            {name: values[keep] for name, values in self.columns.items()},
            self.row[keep],
            self.file[keep],
            self.paths,
            {name: values[keep] for name, values in self.own.items()},
        )


def read_table(
    path: Paths,
    columns: Sequence[str] | str,
    *,
    weight: str | None = None,
    event: str | None = None,
    selection: str | None = None,
    tree: str | None = None,
    stop: int | None = None,
) -> Table:
    """Read a table of events, as methods take it: values, names, weight and event.

    `columns`, `weight` and `event` are columns of the files or expressions of them; the rest as in
    `read_rows`. ``read_table("jets.root", "mass, log(pt)", weight="w")`` has two columns.

    Raises `InputError` as `read_rows` does, and naming file, column and event for a number that is
    not finite or an event number that is not whole.
    """
    names = split_expressions(columns)
    extra = [text for text in (weight, event) if text is not None]
    rows = read_rows(path, [*names, *extra], selection=selection, tree=tree, stop=stop)
    return rows.events(names, weight=weight, event=event)


def read_rows(
    path: Paths,
    expressions: Iterable[str] = (),
    *,
    optional: Iterable[str] = (),
    selection: str | None = None,
    tree: str | None = None,
    own: bool = False,
    stop: int | None = None,
) -> Rows:
    """Read one number an event for each expression, from files of any format.

    - `path`: a file, a glob, a list of files (``@files.txt``) or several of these, read one after
      another;
    - `optional`: expressions that are left out where a file lacks one of their columns;
    - `selection`: an expression with one truth an event;
    - `own`: keep the files' own columns too, numbers and lists of numbers;
    - `stop`: at most this many events.

    Raises `InputError` for a file that is missing, broken or without events, for a column that is
    absent (with those whose names come close) or not of numbers, for an expression with a number
    a particle, and for files that differ in the columns that are asked for. A file without events
    among several is passed over, and said, and so are own columns that not all files have.
    """
    paths = paths_of(path)
    required = dict.fromkeys(expressions)
    optional = [text for text in dict.fromkeys(optional) if text not in required]
    parts: list[Rows] = []
    left = stop
    for number, file in enumerate(paths):
        table = open_table(file, tree)
        if table.rows == 0 and len(paths) > 1:
            say_empty(file)  # an empty tree often has no branches either
            continue
        present = [
            text for text in optional if all(n in table.columns for n in Expression(text).names)
        ]
        for part in _chunks(table, [*required, *present], selection, own, left):
            size = len(part.row)
            parts.append(Rows(part.columns, part.row, np.full(size, number), paths, part.own))
            left = None if left is None else left - size
        if left == 0:
            break
    name = ", ".join(map(str, paths[:3]))
    if not parts or sum(map(len, parts)) == 0:
        raise InputError(f"{name}: holds no events; check the selection and the file.")
    kept = [n for n in parts[0].own if all(n in part.own for part in parts)]
    dropped = sorted({n for part in parts for n in part.own} - set(kept))
    if dropped:
        warnings.warn(
            f"{name}: not all files have the columns {shorten(dropped)}, which are left out",
            UserWarning,
            stacklevel=2,
        )
    for part in parts:
        differ = sorted(set(part.columns) ^ set(parts[0].columns))
        if differ:
            raise InputError(
                f"{part.paths[parts[0].file[0]]} and {part.paths[part.file[0]]} differ in the"
                f" columns {shorten(differ)}; read them apart."
            )
    return Rows(
        {n: np.concatenate([part.columns[n] for part in parts]) for n in parts[0].columns},
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.file for part in parts]),
        paths,
        {n: ak.concatenate([part.own[n] for part in parts]) for n in kept},
    )


def _chunks(
    table: TableFile, texts: Sequence[str], selection: str | None, own: bool, stop: int | None
) -> Iterator[Rows]:
    condition = None if selection is None else Expression(selection)
    parsed = {text: Expression(text) for text in texts}
    needed: list[str] = []
    for expression in [*parsed.values(), *([] if condition is None else [condition])]:
        needed += expression.names
        _check(table, expression)
    numeric = _numeric(table) if own else []
    # Without any column the readers do not say how many rows there are.
    names = list(dict.fromkeys([*needed, *numeric])) or list(table.columns)[:1]
    last = table.rows if stop is None or condition is not None else min(stop, table.rows)
    left = stop
    for row, raw in table.chunks(names, 0, last, table.step) if last else ():
        columns = {text: _numbers(parsed[text], raw, len(row)) for text in parsed}
        part = Rows(columns, row, row, (), {name: _wrapped(raw[name]) for name in numeric})
        if condition is not None:
            scope = raw if condition.names else {"": Column(np.empty(len(row)))}
            part = part.at(condition.truth(scope, table.path))
        if left is not None:
            part = part.at(np.arange(len(part)) < left)
            left -= len(part)
        if len(part):
            yield part


def _numeric(table: TableFile) -> list[str]:
    """List the columns of numbers and of lists of numbers, each once."""
    level = {name: kind.level for name, kind in table.columns.items()}
    return [
        name
        for name, kind in table.columns.items()
        if kind.level is not None
        # A numbered family is listed one by one too, and ROOT counts each list in a branch.
        and not kind.type.endswith(" columns")
        and not (name.startswith("n") and level.get(name[1:]) == 1)
    ]


def _check(table: TableFile, expression: Expression) -> None:
    for name in expression.names:
        if name not in table.columns:
            why = "" if name == expression.text else f" for '{expression.text}'"
            raise missing(table.path, name, table.columns, why)
        if table.columns[name].level is None:
            raise InputError(
                f"{table.path}: column '{name}' is of type {table.columns[name].type}, not"
                f" numbers; choose another for '{expression.text}'."
            )
    levels = {name: table.columns[name].level or 0 for name in expression.names}
    if expression.level(levels) == 1:
        raise InputError(
            f"{table.path}: '{expression.text}' gives a number a particle where one an event is"
            " due; reduce it with any, all, sum or count."
        )


def _numbers(expression: Expression, raw: dict[str, Column], count: int) -> NDArray[Any]:
    # A number alone is that of every event.
    values = expression(raw if expression.names else {"": Column(np.empty(count))}).values
    # Integers stay: the number of an event may have more digits than a float.
    return values.astype(np.float64) if values.dtype.kind == "f" else values


def _wrapped(column: Column) -> ak.Array:
    if column.counts is None:
        return ak.Array(column.values)
    return ak.unflatten(ak.Array(column.values), column.counts)
