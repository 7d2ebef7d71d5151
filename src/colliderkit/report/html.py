"""The report: one HTML file that needs nothing else, and results.json beside it."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import jinja2
import matplotlib
from matplotlib.figure import Figure

from colliderkit.files import atomic_files, refuse_existing
from colliderkit.methods.method import versions
from colliderkit.report.plots import style
from colliderkit.report.results import Result, write_results

__all__ = ["Drawing", "Heading", "Report", "Table", "Text"]


@dataclass(frozen=True)
class Heading:
    """Begin a section."""

    kind: ClassVar[str] = "heading"
    title: str
    anchor: str


@dataclass(frozen=True)
class Text:
    """Paragraphs, parted by empty lines; with `code` the text is kept as it is."""

    kind: ClassVar[str] = "text"
    text: str
    code: bool = False

    @property
    def paragraphs(self) -> list[str]:
        """The paragraphs, without the line breaks inside them."""
        return [" ".join(part.split()) for part in self.text.split("\n\n") if part.strip()]


@dataclass(frozen=True)
class Table:
    """Table: `rows` of cells under `columns`; numbers and values stand to the right."""

    kind: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""


@dataclass(frozen=True)
class Drawing:
    """Plot as SVG in a data address, with its caption.

    `wide` takes the page's width, up to a height that `tall` lifts.
    """

    kind: ClassVar[str] = "drawing"
    address: str
    caption: str
    wide: bool
    number: int
    tall: bool = False


@dataclass
class Report:
    """Collect text, tables, figures and results, and write them as one page.

    >>> report = Report("Top tagging", "Four taggers on jets from Pythia 8.")
    >>> report.add_heading("Data")
    >>> report.add_table(["class", "jets"], [["top", 10000], ["QCD", 10000]])
    >>> report.add_results([Result("PFN", "AUC", 0.98, 0.01)])
    >>> path = report.write("runs/top")  # runs/top/report.html and runs/top/results.json

    `command` repeats the run, `configuration` is its YAML, `timing` gives the seconds of each
    step: they end the page, with the versions of the software.
    """

    title: str
    summary: str
    command: str = ""
    configuration: str = ""
    seeds: Sequence[int] = ()
    timing: Mapping[str, float] = field(default_factory=dict)
    blocks: list[Heading | Text | Table | Drawing] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    def add_heading(self, title: str) -> None:
        """Begin a section; it enters the list of contents."""
        anchor = re.sub(r"\W+", "-", title.lower()).strip("-")
        self.blocks.append(Heading(title, anchor))

    def add_text(self, text: str, code: bool = False) -> None:
        """Add paragraphs, parted by empty lines; with `code` verbatim."""
        self.blocks.append(Text(text, code))

    def add_table(
        self, columns: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = ""
    ) -> None:
        """Add a table; cells are text, numbers or `Value`."""
        self.blocks.append(Table(columns, rows, caption))

    def add_figure(
        self, figure: Figure, caption: str, wide: bool = False, tall: bool = False
    ) -> None:
        """Add a matplotlib figure; two stand side by side unless `wide`; `tall` is of rows."""
        number = 1 + sum(isinstance(block, Drawing) for block in self.blocks)
        self.blocks.append(Drawing(_address(figure), caption, wide, number, tall))

    def add_results(self, results: Sequence[Result], caption: str = "") -> None:
        """Add a table of quantities and published values: a row a subject, a column a quantity."""
        self.results += results
        quantities = list(dict.fromkeys(result.quantity for result in results))
        subjects = list(dict.fromkeys(result.subject for result in results))
        rows = []
        for subject in subjects:
            by_quantity = {r.quantity: r for r in results if r.subject == subject}
            published = [r for r in by_quantity.values() if r.published is not None]
            sources = dict.fromkeys(f"{r.source} ({r.setup})" for r in published)
            cells = [by_quantity.get(quantity, "") for quantity in quantities]
            rows.append([subject, *cells, ", ".join(sources)])
        units = {r.quantity: f" [{r.unit}]" if r.unit else "" for r in results}
        columns = ["", *(q + units[q] for q in quantities), "published in (our set-up)"]
        self.blocks.append(Table(columns, rows, caption or RESULTS_CAPTION))

    def write(self, folder: str | Path, force: bool = False) -> Path:
        """Write ``report.html`` and ``results.json`` to `folder`; return the page's path.

        Each appears whole or not at all; raises `InputError` if one exists, without `force`.
        """
        folder = Path(folder)
        page, data = folder / "report.html", folder / "results.json"
        for path in (page, data):
            refuse_existing(path, force)
        html = self.html()
        about = {
            "title": self.title,
            "command": self.command,
            "seeds": list(self.seeds),
            "versions": versions(),
            "timing": dict(self.timing),
            "configuration": self.configuration,
        }
        with atomic_files(page.parent, page.name, force) as part:
            write_results(part / data.name, self.results, about)
            (part / page.name).write_text(html, encoding="utf-8")
        return page

    def html(self) -> str:
        """Return the page; all text is escaped."""
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        return environment.get_template("page.jinja").render(
            report=self,
            groups=_grouped(self.blocks),
            headings=[block for block in self.blocks if isinstance(block, Heading)],
            versions=versions(),
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            is_result=lambda cell: isinstance(cell, Result),
            is_text_column=lambda table, i: all(isinstance(row[i], str) for row in table.rows),
            is_text=lambda cell: isinstance(cell, str),
            written=_written,
        )


RESULTS_CAPTION = (
    "Ours: mean over seeds ± standard deviation of one training over seeds ± counting error of"
    " the test events (one error only: a single seed, counting). Below it, in grey, the"
    " published value. Set-up: “same” if ours was made as the published one, “stand-in” if events,"
    " detector or training differ, so that the two are not expected to agree."
)


def _written(cell: Any) -> str:
    """Write a cell: whole numbers of five digits and more in groups of three."""
    if isinstance(cell, int) and not isinstance(cell, bool) and abs(cell) >= 10_000:
        return f"{cell:,}".replace(",", "\u202f")
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _grouped(blocks: Sequence[Any]) -> list[list[Any]]:
    """Put drawings that follow one another into one group: the page sets them side by side."""
    groups: list[list[Any]] = []
    for block in blocks:
        if groups and isinstance(block, Drawing) and isinstance(groups[-1][-1], Drawing):
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups


def _address(figure: Figure) -> str:
    """Return the figure as a data address; the same figure gives the same bytes."""
    file = io.StringIO()
    with style(), matplotlib.rc_context({"svg.hashsalt": "colliderkit"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    content = base64.b64encode(file.getvalue().encode()).decode()
    return f"data:image/svg+xml;base64,{content}"
