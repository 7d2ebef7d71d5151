"""The report: one HTML file that needs nothing else, and results.json beside it."""

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import jinja2
from matplotlib.figure import Figure

from colliderkit.files import atomic_file, atomic_folder, refuse_existing
from colliderkit.methods.method import versions
from colliderkit.report.figures import Drawing, grouped, pictures, spans, write_figures
from colliderkit.report.plots import CARD
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


@dataclass
class Report:
    """Collect text, tables, figures and results, and write them as one page.

    >>> report = Report("Top tagging", "Four taggers on jets from Pythia 8.")
    >>> report.add_heading("Data")
    >>> report.add_table(["class", "jets"], [["top", 10000], ["QCD", 10000]])
    >>> report.add_results([Result("PFN", "AUC", 0.98, 0.01)])
    >>> path = report.write("runs/top")  # runs/top/report.html and runs/top/results.json

    `command` repeats the run, `configuration` is its YAML, `timing` gives the seconds of each
    step: they end the page, with the versions of the software. `source` says where the events of
    the figures are from, small on each of them.
    """

    title: str
    summary: str
    command: str = ""
    configuration: str = ""
    seeds: Sequence[int] = ()
    timing: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
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
        self,
        figure: Figure,
        caption: str,
        wide: bool = False,
        *,
        source: str | None = None,
        beside: Mapping[str, Callable[[Path], Any]] | None = None,
    ) -> None:
        """Add a matplotlib figure; two stand side by side unless `wide`, or drawn wide.

        `source` is where its events are from, if not that of the report ("" for none). Each of
        `beside`, by the word of its link, writes a folder with more of the figure.
        """
        number = 1 + sum(isinstance(block, Drawing) for block in self.blocks)
        self.blocks.append(Drawing(figure, caption, number, wide, source, beside or {}))

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
        """Write ``report.html``, ``figures/`` and ``results.json`` to `folder`; return the page.

        Each appears whole or not at all; raises `InputError` if one exists, without `force`.
        """
        folder = Path(folder)
        for name in ("report.html", "figures", "results.json"):
            refuse_existing(folder / name, force)
        about = {
            "title": self.title,
            "command": self.command,
            "seeds": list(self.seeds),
            "versions": versions(),
            "timing": dict(self.timing),
            "configuration": self.configuration,
        }
        write_results(folder / "results.json", self.results, about, force)
        return self.write_page(folder, force)

    def write_page(self, folder: str | Path, force: bool = False) -> Path:
        """Write ``report.html`` and ``figures/`` to `folder`; return the path of the page.

        A figure has files of one name: PDF, PNG, and its curves as CSV.
        """
        page, beside = Path(folder) / "report.html", Path(folder) / "figures"
        refuse_existing(page, force)
        with atomic_file(page, force) as part:
            if any(isinstance(block, Drawing) for block in self.blocks):
                with atomic_folder(beside, force) as figures:
                    addresses = write_figures(self.blocks, figures, self.source)
            else:
                addresses = {}
                shutil.rmtree(refuse_existing(beside, force), ignore_errors=True)
            part.write_text(self._page(addresses, files=True), encoding="utf-8")
        return page

    def html(self) -> str:
        """Return the page, without links to files beside it; all text is escaped."""
        return self._page(pictures(self.blocks, self.source), files=False)

    def _page(self, addresses: Mapping[int, str], *, files: bool) -> str:
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        return environment.get_template("page.jinja").render(
            report=self,
            groups=grouped(self.blocks),
            addresses=addresses,
            spans=spans(self.blocks),
            files=files,
            card=CARD,
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
