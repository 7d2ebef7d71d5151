"""A file as a table of columns: numbers, one a row or one a particle of a row."""

import difflib
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError

__all__ = [
    "Column",
    "Kind",
    "TableFile",
    "check_single",
    "family",
    "missing",
    "one_length",
    "readable",
    "say_empty",
    "shorten",
    "signed",
    "starts",
    "unit_in",
]

# How the files of each format begin, for those that bear another's name.
MAGIC = {
    "HDF5": (b"\x89HDF\r\n\x1a\n",),
    "ROOT": (b"root",),
    "Parquet": (b"PAR1",),
    "npz": (b"PK\x03\x04", b"PK\x05\x06"),
    "npy": (b"\x93NUMPY",),
}
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Column:
    """Column of one number a row (`counts` None), or of the particles of each row, flat.

    - `values`: (N,) or (P,);
    - `counts`: (N,) int64, the particles of each row, summing to P. Columns of one collection
      share the array, so that equality is usually seen without comparing;
    - `padded`: True where rows were filled up to equal length with zeros.
    """

    values: NDArray[Any]
    counts: NDArray[np.int64] | None = None
    padded: bool = False

    def take(self, keep: NDArray[np.bool_]) -> "Column":
        """Return the rows where `keep` (N,) is True."""
        if self.counts is None:
            return Column(self.values[keep])
        return Column(self.values[np.repeat(keep, self.counts)], self.counts[keep], self.padded)


class Kind(NamedTuple):
    """Type of a column as the file names it, and its level.

    Level 0 is one number a row, 1 one number a particle; None cannot be read as numbers. `unit` is
    what the file itself says: "MeV", "GeV", or nothing. `nesting` is how deep numbers stand in
    lists; 2 is one number a particle of a jet of an event, where rows are events.
    """

    type: str
    level: int | None
    unit: str = ""
    nesting: int | None = None


class TableFile(Protocol):
    """File opened as a table of columns: what each format offers to the layouts."""

    path: Path
    rows: int
    step: int  # rows to read at once when all are wanted

    @property
    def columns(self) -> Mapping[str, Kind]:
        """The names and kinds of the columns."""

    def chunks(
        self, names: Iterable[str], start: int, stop: int, size: int
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, Column]]]:
        """Yield the file's row number of each record, and the columns, `size` rows at a time."""


@contextmanager
def readable(path: Path, form: str) -> Iterator[None]:
    """Turn whatever a reading library throws at a broken file into one sentence with its cause."""
    try:
        yield
    except (InputError, MemoryError, GeneratorExit):
        raise
    except PermissionError as error:
        raise InputError(f"{path}: may not be read; ask its owner for the permission.") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            f"{path}: cannot be read as {form}, {_cause(path, form, reason)}"
        ) from error


def _cause(path: Path, form: str, reason: str) -> str:
    """Say what is the matter with a file: of another format, cut off, a codec, or damaged."""
    head, tail = b"", b""
    with suppress(OSError), path.open("rb") as file:
        head = file.read(8)
        file.seek(-min(4, path.stat().st_size), 2)
        tail = file.read(4)
    if form in MAGIC and not head.startswith(MAGIC[form]):
        other = next((name for name, marks in MAGIC.items() if head.startswith(marks)), None)
        what = f"it is {other} by its content" if other else "it is not of this format"
        return f"{what} ({reason}); give it the extension of what it is."
    if (form == "Parquet" and tail != b"PAR1") or "truncated" in reason.lower():
        return f"it is truncated ({reason}); copy or write it again."
    if re.search(r"codec|not (built|supported|implemented)|unsupported", reason, re.IGNORECASE):
        return (
            f"it is sound, but made with what the library here does not know ({reason}); write it"
            " with another compression or type."
        )
    # A ROOT file that is cut off shows it only by where reading it fails.
    what = "truncated or damaged" if form == "ROOT" else "damaged"
    return f"it is {what} ({reason}); copy or write it again."


def one_length(path: Path, sizes: Mapping[str, int], noun: str = "data set") -> int:
    """Return the number of rows of the tables of one file; `sizes` has those of each.

    A single row beside many is a note, not a table. Raises `InputError` where two lengths are left:
    the longest or the commonest need not be what is meant.
    """
    lengths = set(sizes.values())
    if len(lengths) > 1:
        lengths -= {0, 1}
    if len(lengths) > 1:
        each = [
            f"{', '.join(name for name in sizes if sizes[name] == length)[:200]} ({length} rows)"
            for length in sorted(lengths, reverse=True)[:4]
        ]
        raise InputError(
            f"{path}: its {noun}s are of several lengths, {'; '.join(each)}; name those that are"
            f" meant by 'tree', such as {next(iter(sizes)).replace('.', '/')} (several with commas"
            " between)."
        )
    return next(iter(lengths)) if lengths else 0


def check_single(path: Path, name: str, column: Column, row: NDArray[np.int64]) -> None:
    """Raise `InputError` for a finite number that single precision cannot hold.

    `row` has the row of each event in its file.
    """
    values = column.values
    if values.dtype.kind != "f" or values.dtype.itemsize <= 4:
        return
    if values.min(initial=0) >= -LARGEST and values.max(initial=0) <= LARGEST:
        return
    large = np.isfinite(values) & (np.abs(values) > LARGEST)
    if large.any():
        event = wrong = int(np.argmax(large))
        if column.counts is not None:
            event = int(np.searchsorted(np.cumsum(column.counts), wrong, side="right"))
        raise InputError(
            f"{path}: column '{name}' is {values[wrong]:g} in event {row[event]} (counted from 0),"
            f" more than single precision holds ({LARGEST:.2g}), in which networks compute; drop"
            " the event with a selection, or give another unit or a logarithm."
        )


def say_empty(path: Path) -> None:
    """Say that one file of a chain is passed over."""
    warnings.warn(f"{path}: holds no events and is passed over", UserWarning, stacklevel=3)


def unit_in(name: str) -> str:
    """Return the unit of energy that stands in a column's name, "MeV" or "GeV", or nothing."""
    match = re.search(r"(?:^|[\W_])(mev|gev)(?:$|[\W_])", name, re.IGNORECASE)
    return {"mev": "MeV", "gev": "GeV"}[match[1].lower()] if match else ""


def signed(path: Path, name: str, values: NDArray[Any], row: NDArray[np.int64]) -> None:
    """Raise `InputError` for an unsigned integer that 64 bits with a sign do not hold."""
    if values.dtype == np.uint64 and (values > np.iinfo(np.int64).max).any():
        wrong = int(np.argmax(values > np.iinfo(np.int64).max))
        raise InputError(
            f"{path}: column '{name}' is {values[wrong]} in event {row[wrong]} (counted from 0),"
            f" beyond the integers of 64 bits with a sign; give its remainder ({name} %"
            " 9223372036854775807)."
        )


def missing(path: Path, name: str, known: Iterable[str], why: str = "") -> InputError:
    """Return the error of a column that `path` does not have, with the names that come close."""
    names = list(known)
    lower = {other.lower(): other for other in names}
    close = [lower[key] for key in difflib.get_close_matches(name.lower(), lower, 5, 0.6)]
    hint = f"did you mean {', '.join(close)}?" if close else f"it has {shorten(names)}."
    return InputError(f"{path}: no column '{name}'{why}; {hint}")


def shorten(names: Iterable[str], most: int = 12) -> str:
    """List the first names and the number of the others."""
    listed = list(names)
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return (", ".join(listed[:most]) or "none") + rest


def starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each list starts, given their lengths (N,)."""
    return np.cumsum(counts) - counts


def family(columns: Mapping[str, Kind]) -> dict[str, list[str]]:
    """Find columns numbered from 0 without a gap (``E_0, E_1, ...``): {"E": [...]}.

    Padded files keep a particle a column; each family reads as one column of particles.
    """
    numbers: dict[str, dict[int, str]] = {}
    for name, kind in columns.items():
        if kind.level == 0 and (members := re.fullmatch(r"(.+?)_(0|[1-9]\d*)", name)):
            numbers.setdefault(members[1], {})[int(members[2])] = name
    return {
        stem: [members[i] for i in range(len(members))]
        for stem, members in numbers.items()
        if len(members) > 1 and set(members) == set(range(len(members))) and stem not in columns
    }
