"""The report: one HTML file that needs nothing else, and results.json beside it."""

import re
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import jinja2
from matplotlib.figure import Figure

from colliderkit.files import atomic_files, refuse_existing
from colliderkit.methods.method import versions
from colliderkit.report.figures import Drawing, grouped, pictures, spans, write_figures
from colliderkit.report.plots import CARD
from colliderkit.report.results import Result, write_results
from colliderkit.report.table import Better, Table, results_table
from colliderkit.report.verdict import Aim, Claim, Line, Ranking, worse_than_guessing
from colliderkit.report.words import prose
from colliderkit.training.settings import Epoch

__all__ = ["PAGE", "Drawing", "Heading", "Report", "Table", "Text"]

PAGE = "report.html"


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


@dataclass
class Report:
    """Collect text, tables, figures and results, and write them as one page.

    >>> report = Report("Top tagging", "Four taggers on jets from Pythia 8.")
    >>> report.add_heading("Data")
    >>> report.add_table(["class", "jets"], [["top", 10000], ["QCD", 10000]])
    >>> report.add_results([Result("PFN", "AUC", 0.98, 0.01)])
    >>> path = report.write("runs/top")  # runs/top/report.html and runs/top/results.json

    The page begins with a `banner` (a warning), a line of `facts` and the verdict, made of
    `claims` and `findings`; then come the blocks in their order, the figure that says most first.
    Definitions, folded, and stand-ins follow. `command` repeats the run, `configuration` is its
    YAML, `changes` are its differences from the defaults, `attachments` further text by its title,
    `timing` gives the seconds of each step: they end the page, folded, with the versions of the
    software. `note` is the user's own text; `source` says where the events of the figures are
    from, small on each of them.
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
    claims: list[Claim] = field(default_factory=list)
    findings: list[Line] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    banner: str = ""
    note: str = ""
    changes: str = ""
    attachments: dict[str, str] = field(default_factory=dict)
    definitions: list[Text] = field(default_factory=list)
    stand_ins: list[Text] = field(default_factory=list)

    def add_heading(self, title: str) -> None:
        """Begin a section; it enters the list of contents."""
        anchor = re.sub(r"\W+", "-", title.lower()).strip("-")
        self.blocks.append(Heading(title, anchor))

    def add_text(self, text: str, code: bool = False) -> None:
        """Add paragraphs, parted by empty lines; with `code` verbatim."""
        self.blocks.append(Text(text, code))

    def add_definitions(self, text: str) -> None:
        """Add paragraphs that define quantities; they are folded, below the results."""
        self.definitions.append(Text(text))

    def add_stand_in(self, text: str) -> None:
        """Add paragraphs on how the set-up differs from the published one, below the results."""
        self.stand_ins.append(Text(text))

    def add_table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        caption: str = "",
        *,
        best: Mapping[str, Better] | None = None,
        aside: Collection[str] = (),
    ) -> None:
        """Add a table; cells are text, numbers or `Value`; see `Table` for `best` and `aside`."""
        self.blocks.append(Table(columns, rows, caption, best or {}, aside))

    def conclude(self, aims: Sequence[Aim], rankings: Sequence[Ranking] = ()) -> None:
        """Judge what was asked for by the results that are there, for the verdict."""
        for ranking in rankings:
            self.findings += ranking.lines(self.results)
        self.claims += [aim.judge(self.results) for aim in aims]

    def warn_of(self, histories: Mapping[str, Sequence[Epoch]]) -> None:
        """Put trainings that ended worse than guessing into the verdict."""
        self.findings += worse_than_guessing(histories)

    @property
    def verdict(self) -> list[Line]:
        """What came out, a line each: the best, what went wrong, and the claims."""
        first = sorted(self.findings, key=lambda line: line.kind != "best")
        return [*first, *(claim.line for claim in self.claims)]

    @property
    def trainings(self) -> str:
        """How many trainings there are, and their seeds."""
        if len(self.seeds) == 1:
            return f"One training, seed {self.seeds[0]}."
        return f"{len(self.seeds)} trainings, seeds {', '.join(map(str, self.seeds))}."

    @property
    def score(self) -> str:
        """How many claims hold, do not, and are open; "" without any."""
        names = {"holds": "met", "does not hold": "missed", "not decided": "open"}
        counts = {verdict: 0 for verdict in names}
        for claim in self.claims:
            counts[claim.verdict] += 1
        texts = [f"{count} {names[verdict]}" for verdict, count in counts.items() if count]
        return f"Aims: {', '.join(texts)}." if texts else ""

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

    def add_results(
        self,
        results: Sequence[Result],
        caption: str = "",
        *,
        best: Mapping[str, Better] | None = None,
        order: str = "",
        aside: Collection[str] = (),
    ) -> None:
        """Add a table of quantities and published values: a row a subject, a column a quantity.

        `best` says by quantity what makes a value the best (printed in bold), `order` names the
        one that sorts the rows, and subjects `aside` (floors, exact answers) stand apart.
        """
        self.results += results
        self.blocks.append(
            results_table(results, caption, best=best or {}, order=order, aside=aside)
        )

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
            "facts": self.facts,
            "verdict": [str(line) for line in self.verdict],
            "claims": [claim.plain() for claim in self.claims],
        }
        with atomic_files(folder, PAGE, force) as part:
            write_results(part / "results.json", self.results, about)
            self._write_page(part)
        self._drop_figures(folder)
        return folder / PAGE

    def write_page(self, folder: str | Path, force: bool = False) -> Path:
        """Write ``report.html`` and ``figures/`` to `folder`; return the path of the page.

        A figure has files of one name: PDF, PNG, and its curves as CSV.
        """
        folder = Path(folder)
        refuse_existing(folder / PAGE, force)
        with atomic_files(folder, PAGE, force) as part:
            self._write_page(part)
        self._drop_figures(folder)
        return folder / PAGE

    def _drop_figures(self, folder: Path) -> None:
        """Remove the figures of a page that this one, which has none, replaced."""
        if not any(isinstance(block, Drawing) for block in self.blocks):
            shutil.rmtree(folder / "figures", ignore_errors=True)

    def _write_page(self, part: Path) -> None:
        addresses: Mapping[int, str] = {}
        if any(isinstance(block, Drawing) for block in self.blocks):
            figures = part / "figures"
            figures.mkdir()
            addresses = write_figures(self.blocks, figures, self.source)
        (part / PAGE).write_text(self._page(addresses, files=True), encoding="utf-8")

    def html(self) -> str:
        """Return the page, without links to files beside it.

        All text is escaped, symbols are signs, papers are links.
        """
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
            prose=prose,
        )
