"""A file as a table of columns: numbers, one a row or one a particle of a row."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError

__all__ = ["Column", "Kind", "TableFile", "family", "missing", "readable"]


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

    Level 0 is one number a row, 1 one number a particle; None cannot be read as numbers.
    """

    type: str
    level: int | None


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
    """Turn whatever a reading library throws at a broken file into one sentence."""
    try:
        yield
    except (InputError, MemoryError, GeneratorExit):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            f"{path}: cannot be read as {form}, it is truncated or not of this format"
            f" ({reason}); copy or write it again."
        ) from error


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
