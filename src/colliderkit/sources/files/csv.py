"""csv through pyarrow: a table of numbers, one event a line, streamed."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import existing_file
from colliderkit.sources.files.columns import Column, Kind, family, missing, readable, unit_in
from colliderkit.sources.files.parquet import numbers

__all__ = ["CsvTable"]

SEPARATORS = (",", ";", "\t", "|", " ")
LONGEST_LINE = 1 << 20  # bytes
BLOCK = 1 << 22  # bytes that are parsed at once
KEPT = 1 << 28  # bytes of a file that is parsed once; a larger one is parsed again as it is read


class CsvTable:
    """Read a csv file whose first line names its columns: all are of one number an event.

    The separator (comma, semicolon, tab, bar or blank) is seen from the first line. Lines that
    begin with ``#`` come before the numbers; the last of them may hold the names, as numpy's
    savetxt writes them. Without names the columns are ``column_0``, ``column_1`` ... An empty
    field reads as NaN. Columns numbered from 0 (``E_0``, ``E_1``) are also one of particles, ``E``.

    Raises `InputError` for a file that is empty, not of text, or whose lines differ in length.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = existing_file(path)
        with readable(self.path, "csv"):
            self._begin()
        self._types: dict[str, pa.DataType] = {}
        self._parsed: list[pa.RecordBatch] | None = None
        self.rows = self._count()
        if self.rows == 0:
            self._types = dict.fromkeys(self._names, pa.float64())
        self.step = 100_000
        self.columns: dict[str, Kind] = {}
        for name, kind in self._types.items():
            numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
            level = 0 if numeric or pa.types.is_boolean(kind) else None
            self.columns[name] = Kind(str(kind), level, unit_in(name))
        self._families = family(self.columns)
        for stem, names in self._families.items():
            self.columns[stem] = Kind(f"{len(names)} columns", 1)

    def _begin(self) -> None:
        """Find the separator, the names and the first line of numbers."""
        comments: list[str] = []
        with self.path.open("rb") as file:
            while True:
                raw = file.readline(LONGEST_LINE)
                if len(raw) == LONGEST_LINE or b"\0" in raw:
                    raise InputError(
                        f"{self.path}: is no csv; its first line is not text, or longer than"
                        f" {LONGEST_LINE} bytes."
                    )
                line = raw.decode("utf-8-sig").strip()
                if not raw or not line.startswith("#"):
                    break
                comments.append(line.lstrip("#").strip())
        if not line:
            raise InputError(f"{self.path}: its first line is empty; begin with the names.")
        self._separator = max(SEPARATORS[:-1], key=line.count)
        if not line.count(self._separator):
            self._separator = " " if " " in line else ","
        first = self._fields(line)
        if not all(map(is_number, first)):
            self._names, self._skip = first, len(comments) + 1
        else:
            self._skip = len(comments)
            named = self._fields(comments[-1]) if comments else []
            width = len(first)
            self._names = named if len(named) == width else [f"column_{i}" for i in range(width)]
        for name in self._names:
            if not name or self._names.count(name) > 1:
                raise InputError(
                    f"{self.path}: its first line names the column '{name}'"
                    f" {self._names.count(name)} times; give each its own name."
                )

    def _fields(self, line: str) -> list[str]:
        return [field.strip().strip("\"'").strip() for field in line.split(self._separator)]

    def _open(self, only: list[str] | None = None) -> Any:
        return pyarrow.csv.open_csv(
            self.path,
            read_options=pyarrow.csv.ReadOptions(
                column_names=self._names, skip_rows=self._skip, block_size=BLOCK, use_threads=False
            ),
            parse_options=pyarrow.csv.ParseOptions(delimiter=self._separator),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=self._types, include_columns=only or []
            ),
        )

    def _count(self) -> int:
        """Return the number of rows; a column takes the narrowest type that holds all of it."""
        for _ in range(2 * len(self._names) + 1):
            column = None
            try:
                reader = self._open()
                if not self._types:
                    self._types = {
                        field.name: pa.float64() if pa.types.is_null(field.type) else field.type
                        for field in reader.schema
                    }
                    reader = self._open()
                if self.path.stat().st_size > KEPT:
                    return sum(batch.num_rows for batch in reader)
                self._parsed = list(reader)
                return sum(batch.num_rows for batch in self._parsed)
            except pa.ArrowInvalid as error:
                if "Empty CSV" in str(error):
                    return 0
                column = column_in(str(error), self._names)
                if column is None or not self._types:
                    reason = " ".join(str(error).split())[:160]
                    raise InputError(
                        f"{self.path}: cannot be read as csv ({reason}); mend that line, or choose"
                        " a separator that its fields do not hold."
                    ) from error
            # Whole numbers become others, and what is no number a text, which none can compute.
            whole = pa.types.is_integer(self._types[column])
            self._types[column] = pa.float64() if whole else pa.string()
        raise InputError(f"{self.path}: the types of its columns cannot be told.")

    def chunks(
        self, names: Iterable[str], start: int, stop: int, size: int
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, Column]]]:
        """Yield row numbers and columns, at most `size` rows at a time."""
        names = list(names)
        for name in names:
            if name not in self.columns:
                raise missing(self.path, name, self.columns)
        wanted = [x for name in names for x in self._families.get(name, [name])]
        first = 0
        with readable(self.path, "csv"):
            batches = self._parsed
            if batches is None:
                batches = self._open(list(dict.fromkeys(wanted)) or self._names[:1])
            for batch in batches:
                for begin in range(0, batch.num_rows, size):
                    part = batch.slice(begin, size)
                    low, high = max(start - first, 0), min(stop - first, part.num_rows)
                    if low < high:
                        part = part.slice(low, high - low)
                        yield np.arange(first + low, first + high), self._columns(part, names)
                    first += min(size, batch.num_rows - begin)
                if first >= stop:
                    return

    def lists(self) -> dict[str, list[Any]]:
        """Return all columns as lists, texts and dates among them; an empty field is None."""
        with readable(self.path, "csv"):
            batches = list(self._open()) if self._parsed is None else self._parsed
            table = pa.Table.from_batches(batches)
        columns: dict[str, list[Any]] = table.to_pydict()
        return columns

    def _columns(self, part: pa.RecordBatch, names: list[str]) -> dict[str, Column]:
        counts: dict[int, NDArray[np.int64]] = {}
        columns: dict[str, Column] = {}
        for name in names:
            members = self._families.get(name)
            if members is None:
                columns[name] = Column(
                    numbers(part.column(name), np.nan, f"{self.path}: column '{name}'")
                )
                continue
            values = np.stack([numbers(part.column(x), np.nan) for x in members], axis=1)
            width = len(members)
            counts.setdefault(width, np.full(len(values), width, dtype=np.int64))
            columns[name] = Column(values.reshape(-1), counts[width], padded=True)
        return columns


def is_number(text: str) -> bool:
    """Return whether a field is a number, or empty."""
    try:
        return not text or float(text) is not None
    except ValueError:
        return False


def column_in(message: str, names: list[str]) -> str | None:
    """Return the column that an error of Arrow's conversion names by its number, or None."""
    _, mark, rest = message.partition("In CSV column #")
    number = rest.split(":")[0]
    return names[int(number)] if mark and number.isdigit() and int(number) < len(names) else None
