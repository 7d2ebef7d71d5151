"""Tables of a page: cells aligned at the decimal point, the best one marked, with a caption."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from markupsafe import Markup

from colliderkit.metrics.value import Value, number
from colliderkit.report.results import Result
from colliderkit.report.words import prose, symbols

__all__ = ["Better", "Cell", "Table", "results_table"]

# What makes a value the best of its column; a number is one to be near to.
Better = Literal["higher", "lower"] | float

# A number with all that may stand around it: sign, limit, errors, unit, factor, floor.
NUMERIC = re.compile(r"[-−+<>≥≤(]{0,2} ?\d[-−+±×%\d.,\u202f ()⁰¹²³⁴⁵⁶⁷⁸⁹⁻]*x?(?:\(floor [^)]*\))?")
SPLIT = re.compile(r"([^\d]*[\d\u202f,]+)(.*)", re.DOTALL)
# Widths of characters over that of a digit.
NARROW, WIDE = ".,:()- \u202f", "±×−+>%"
NARROW_WIDTH, WIDE_WIDTH = 0.55, 1.35


@dataclass(frozen=True)
class Cell:
    """Cell as it is printed: `head` up to the decimal point and `tail` from there on.

    `published` stands below, `foreign` if it is of another set-up.
    """

    head: Markup
    tail: str = ""
    is_number: bool = False
    best: bool = False
    published: str = ""
    foreign: bool = False


@dataclass(frozen=True)
class Table:
    """Table: `rows` of cells (text, numbers, `Value`, `Result`) under `columns`, and a caption.

    `best` says by column what makes a value the best; it is printed in bold. Rows whose first cell
    is in `aside` (floors, exact answers) are no candidates.
    """

    kind: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""
    best: Mapping[str, Better] = field(default_factory=dict)
    aside: Collection[str] = ()

    def is_words(self, column: int) -> bool:
        """Whether a column has text alone."""
        return all(isinstance(row[column], str) and not _numeric(row[column]) for row in self.rows)

    def cells(self) -> list[list[Cell]]:
        """Return the cells of all rows."""
        best = {self._best(i, better) for i, better in self._wanted()}
        return [
            [_cell(value, (j, i) in best) for i, value in enumerate(row)]
            for j, row in enumerate(self.rows)
        ]

    def widths(self) -> list[float]:
        """Return the width of the longest tail of each column, in digits."""
        columns = zip(*self.cells(), strict=True) if self.rows else [() for _ in self.columns]
        return [max((_width(cell.tail) for cell in column), default=0.0) for column in columns]

    def _wanted(self) -> list[tuple[int, Better]]:
        return [(i, self.best[name]) for i, name in enumerate(self.columns) if name in self.best]

    def _best(self, column: int, better: Better) -> tuple[int, int]:
        """Return the place of the best value, (-1, -1) without two numbers or with a limit."""
        cells = {j: row[column] for j, row in enumerate(self.rows) if row[0] not in self.aside}
        values = {j: _value(cell) for j, cell in cells.items() if _value(cell) is not None}
        if len(values) < 2 or any(getattr(cell, "lower_limit", False) for cell in cells.values()):
            return -1, -1
        loss = {j: _loss(value, better) for j, value in values.items() if value is not None}
        return min(loss, key=lambda j: loss[j]), column


def results_table(
    results: Sequence[Result],
    caption: str,
    *,
    best: Mapping[str, Better],
    order: str = "",
    aside: Collection[str] = (),
) -> Table:
    """Return the table of results: a row a subject, a column a quantity.

    With `order` the rows are sorted by that quantity, the best first, and those `aside` last. A
    column of sources is there if anything is published.
    """
    quantities = list(dict.fromkeys(result.quantity for result in results))
    subjects = list(dict.fromkeys(result.subject for result in results))
    cells = {(result.subject, result.quantity): result for result in results}
    if order:
        better = best[order]

        def place(subject: str) -> tuple[bool, float]:
            result = cells.get((subject, order))
            loss = float("inf") if result is None else _loss(result.value, better)
            return subject in aside, loss

        subjects.sort(key=place)
    units = {r.quantity: f" [{r.unit}]" if r.unit else "" for r in results}
    columns = ["", *(q + units[q] for q in quantities)]
    rows: list[list[Any]] = [
        [subject, *(cells.get((subject, quantity), "") for quantity in quantities)]
        for subject in subjects
    ]
    notes = [_caption(results, caption)]
    published = [result for result in results if result.published is not None]
    if published:
        columns.append("published in")
        for row in rows:
            theirs = [r for r in published if r.subject == row[0]]
            row.append(", ".join(dict.fromkeys(_source(result) for result in theirs)))
        if any(result.setup == "same" for result in published):
            notes.append("Below ours stands the published value, and how far ours is from it.")
        if any(result.setup != "same" for result in published):
            notes.append(
                "† Published for another set-up, as the last column says: a scale, not a target."
            )
    named = {q + units[q]: better for q, better in best.items() if q in units}
    return Table(columns, rows, " ".join(note for note in notes if note), named, aside)


def _caption(results: Sequence[Result], caption: str) -> str:
    if caption:
        return caption
    counting, seeds = (any(getattr(r, name) for r in results) for name in ("counting", "seeds"))
    if counting and seeds:
        return (
            "Mean over seeds ± standard deviation of one training over seeds ± counting error of"
            " the test events."
        )
    return "± counting error of the test events; one training." if counting else ""


def _source(result: Result) -> str:
    if result.setup == "same":
        return result.source
    return f"{result.source} † {result.difference or 'other set-up'}"


def _cell(value: Any, best: bool) -> Cell:
    if isinstance(value, Result):
        published = value.theirs()
        if value.tension is not None:
            published += f" ({abs(value.tension):.1f}σ)"
        foreign = bool(published) and value.setup != "same"
        return _number(value.ours(), best, published, foreign)
    text = written(value)
    if isinstance(value, str) and not _numeric(text):
        return Cell(prose(text))
    return _number(text, best)


def _number(text: str, best: bool, published: str = "", foreign: bool = False) -> Cell:
    split = SPLIT.fullmatch(text.replace("-", "−") if text.startswith("-") else text)
    head, tail = split.groups() if split else (text, "")
    return Cell(Markup.escape(head), tail, True, best, published, foreign)


def written(cell: Any) -> str:
    """Write a cell; text keeps its words."""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return number(cell) if isinstance(cell, int | float) else str(cell)


def _numeric(text: str) -> bool:
    return NUMERIC.fullmatch(symbols(text)) is not None


def _value(cell: Any) -> float | None:
    if isinstance(cell, Result | Value):
        return float(cell.value)
    return float(cell) if isinstance(cell, int | float) and not isinstance(cell, bool) else None


def _loss(value: float, better: Better) -> float:
    if isinstance(better, int | float):
        return abs(value - better)
    return -value if better == "higher" else value


def _width(text: str) -> float:
    return sum(
        NARROW_WIDTH if sign in NARROW else WIDE_WIDTH if sign in WIDE else 1.0 for sign in text
    )
