"""The report: one HTML file that needs nothing else, and results.json beside it."""

import base64
import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import jinja2
import matplotlib
from matplotlib.figure import Figure

from colliderkit.files import atomic_file, refuse_existing
from colliderkit.methods.method import versions
from colliderkit.report.plots import style
from colliderkit.report.results import Result, write_results
from colliderkit.report.table import Better, Table, results_table
from colliderkit.report.verdict import Aim, Claim, Line, Ranking, worse_than_guessing
from colliderkit.report.words import prose
from colliderkit.training.settings import Epoch

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

    The page begins with a `banner` (a warning), a line of `facts` and the verdict, made of
    `claims` and `findings`; then come the blocks in their order, the figure that says most first.
    Definitions, folded, and stand-ins follow. `command` repeats the run, `configuration` is its
    YAML, `changes` are its differences from the defaults, `attachments` further text by its title,
    `timing` gives the seconds of each step: they end the page, folded, with the versions of the
    software. `note` is the user's own text.
    """

    title: str
    summary: str
    command: str = ""
    configuration: str = ""
    seeds: Sequence[int] = ()
    timing: Mapping[str, float] = field(default_factory=dict)
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
        return [*self.findings, *(claim.line for claim in self.claims)]

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
        self, figure: Figure, caption: str, wide: bool = False, tall: bool = False
    ) -> None:
        """Add a matplotlib figure; two stand side by side unless `wide`; `tall` is of rows."""
        number = 1 + sum(isinstance(block, Drawing) for block in self.blocks)
        self.blocks.append(Drawing(_address(figure), caption, wide, number, tall))

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
            "facts": self.facts,
            "verdict": [str(line) for line in self.verdict],
            "claims": [claim.plain() for claim in self.claims],
        }
        write_results(data, self.results, about, force)
        with atomic_file(page, force) as part:
            part.write_text(html, encoding="utf-8")
        return page

    def html(self) -> str:
        """Return the page; all text is escaped, symbols are signs, papers are links."""
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
            prose=prose,
        )


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
