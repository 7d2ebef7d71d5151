"""The page: complete, self-contained, escaped, written whole."""

import re
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

from colliderkit.errors import InputError
from colliderkit.metrics import Value
from colliderkit.report import Report, Result, read_results
from colliderkit.report.figures import pictures
from colliderkit.report.verdict import Aim, Ranking
from drawings import luminance


def drawn():
    figure = Figure()
    figure.subplots().plot([0, 1], [0, 1])
    return figure


@pytest.fixture
def report():
    """A report with one block of each kind."""
    report = Report(
        "Tops & <QCD>",
        "One paragraph.",
        command="colliderkit study top-tagging --scale smoke",
        configuration="a: <b>\n",
        seeds=[4, 5],
        timing={"training": 12.34, "reading": 1.0},
    )
    report.add_heading("Input & data")
    report.add_text("First\nline.\n\nSecond <script>alert(1)</script>.")
    report.add_text("x = 1\n\ny = 2", code=True)
    report.add_table(["class", "jets", "mean"], [["top", 60000, Value(1.25, 0.1)]], "Jets.")
    report.add_figure(drawn(), "A line.")
    report.add_figure(drawn(), 'Another "line".', wide=True)
    published = {"published": 891.0, "published_error": 18.0, "source": "arXiv:1902.09914"}
    published["difference"] = "Delphes, 1.2M jets"
    report.add_results(
        [
            Result("PFN", "R30", 950, 82, 71, 65, **published),
            Result("PFN", "AUC", 0.98, 0.01, setup="same"),
            Result("EFN", "R30", 600, 30),
        ]
    )
    return report


class Tables(HTMLParser):
    """Collect the text of all cells, and check that tags are closed in order."""

    VOID = ("meta", "img", "br")

    def __init__(self):
        super().__init__()
        self.open, self.rows = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1].append(data)


def tables(html):
    parser = Tables()
    parser.feed(html)
    assert parser.open == []
    return [tuple("".join(cell) for cell in row) for row in parser.rows]


def test_tables_hold_what_was_given(report):
    rows = tables(report.html())
    assert ("class", "jets", "mean") in rows
    assert ("top", "60\u202f000", "1.25 ± 0.10") in rows
    assert ("", "R30", "AUC", "published in") in rows
    source = "arXiv:1902.09914 † Delphes, 1.2M jets"
    assert ("PFN", "950 ± 71 ± 65891 ± 18", "0.980 ± 0.010", source) in rows
    assert ("EFN", "600 ± 30", "", "") in rows
    assert ("training", "12.3") in rows
    assert ("all", "13.3") in rows


def test_page_needs_nothing_from_elsewhere(report):
    html = report.html()
    for address in re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', html):
        papers = "https://arxiv.org/abs/"
        assert address.startswith(("data:image/svg+xml,", "#", papers))
    assert "url(" not in html
    assert "<script" not in html
    assert "@import" not in html


def test_text_is_escaped_and_paragraphs_are_kept(report):
    html = report.html()
    assert "Tops &amp; &lt;QCD&gt;" in html
    assert "<p>First line.</p>" in html
    assert "&lt;script&gt;" in html
    assert "x = 1\n\ny = 2</pre>" in html
    assert "a: &lt;b&gt;" in html


def test_symbols_are_signs_and_papers_are_links():
    report = Report("chi^2 of jets", "After arXiv:2109.08159, eps_B at 0.5.")
    report.add_table([r"$p_T$", "alphaS"], [["a", "x"]], "Zenodo 3606767, +-1.")
    html = report.html()
    assert "χ² of jets</h1>" in html
    assert 'After <a href="https://arxiv.org/abs/2109.08159">arXiv:2109.08159</a>, εB' in html
    assert '<a href="https://zenodo.org/records/3606767">Zenodo 3606767</a>, ±1.' in html
    assert "pT</th>" in html
    assert "αs</th>" in html
    assert "$" not in html


def test_the_verdict_stands_below_the_title(report):
    assert 'class="verdict"' not in report.html()
    report.conclude(
        [
            Aim("PFN beats EFN", "R30", "PFN", "above", against="EFN"),
            Aim("AUC is perfect", "AUC", "PFN", "equal", 1.0),
            Aim("Never measured", "R99", "PFN", "above", 2.0),
        ],
        [Ranking("R30", "higher")],
    )
    report.banner, report.facts = "Smoke run.", ["2 jets"]
    html = report.html()
    lines = [str(line) for line in report.verdict]
    assert lines == [
        "★ Best R30: PFN, 950 ± 82, 4.0σ ahead of EFN (600 ± 30).",
        "✓ PFN beats EFN: holds (950 ± 82, 4.0σ above 600 ± 30 of EFN).",
        "? AUC is perfect: not decided (0.980 ± 0.010, 2.0σ from 1).",
        "? Never measured: not decided (not measured at this scale).",
    ]
    assert report.score == "Aims: 1 met, 2 open."
    places = [html.index(text) for text in ("Smoke run.", "PFN beats EFN: holds", "<nav", "<td")]
    assert places == sorted(places)


def test_definitions_and_stand_ins_follow_the_results(report):
    report.add_definitions("R30 is a rejection.")
    report.add_stand_in("No detector.")
    html = report.html()
    places = [
        html.index(t)
        for t in ("Figure 2.", "<details id", "R30 is a rejection.", "No detector.", 'id="made"')
    ]
    assert places == sorted(places)


def test_contents_lead_to_the_headings(report):
    html = report.html()
    assert '<a href="#input-data">Input &amp; data</a>' in html
    assert '<h2 id="input-data">' in html


def test_figures_are_numbered_and_stand_together(report):
    html = report.html()
    assert html.count('<div class="figures">') == 1
    assert html.index("Figure 1.") < html.index("Figure 2.")
    # A figure that is alone has its caption beside it; two share a row.
    assert html.count('class="lone"') == 2
    report.add_figure(drawn(), "A third.")
    report.add_figure(drawn(), "A fourth.")
    assert report.html().count('class="half"') == 2


def test_the_same_figure_gives_the_same_bytes():
    first, second = Report("a", "b"), Report("a", "b")
    first.add_figure(drawn(), "c")
    second.add_figure(drawn(), "c")
    assert pictures(first.blocks) == pictures(second.blocks)


def test_write_gives_page_and_results_or_neither(report, tmp_path):
    page = report.write(tmp_path / "run")
    assert page == tmp_path / "run" / "report.html"
    assert read_results(tmp_path / "run" / "results.json") == report.results
    names = ["figures", "report.html", "results.json"]
    assert sorted(p.name for p in page.parent.iterdir()) == names
    page.unlink()
    with pytest.raises(InputError, match=r"figures: exists already"):
        report.write(tmp_path / "run")
    assert not page.exists()
    report.write(tmp_path / "run", force=True)
    assert page.exists()


def test_figures_lie_beside_the_page(report, tmp_path):
    def more(folder):
        folder.mkdir()
        (folder / "submission.yaml").write_text("a: 1\n")

    report.add_figure(drawn(), "With a covariance.", beside={"HEPData": more})
    page = report.write(tmp_path / "run")
    html = page.read_text()
    folder = page.parent / "figures"
    links = re.findall(r'href="(figures/[^"]*)"', html)
    assert sorted(links) == sorted(f"figures/{path.name}" for path in folder.iterdir())
    assert (folder / "01-figure.pdf").read_bytes().startswith(b"%PDF")
    assert (folder / "01-figure.png").read_bytes().startswith(b"\x89PNG")
    lines = (folder / "01-figure.csv").read_text().splitlines()
    assert lines[0] == "panel,x axis,y axis,curve,x,x_low,x_high,y,y_low,y_high,value"
    assert lines[1:] == ["1,,,,0,,,0,,,", "1,,,,1,,,1,,,"]
    assert (folder / "03-figure-hepdata" / "submission.yaml").exists()
    bare = Report("a", "b")
    bare.write(page.parent, force=True)
    assert not folder.exists()


def test_a_figure_says_what_it_shows_and_where_it_is_from(report):
    html = report.html()
    assert 'alt="values against position: 0 at 0 to 1 at 1."' in html
    figure = drawn()
    report.source = "Pythia 8, particle level"
    report.add_figure(figure, "A line.")
    report.html()
    assert figure.legends[0].get_title().get_text() == "Pythia 8, particle level"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_of_a_page_have_contrast_on_light_and_dark(report, scheme):
    roots = re.findall(r":root \{(.*?)\}", report.html(), re.S)
    pairs = [re.findall(r"--(\w+): (#\w+)", text) for text in roots]
    colours = dict(pairs[0])
    if scheme == "dark":
        colours |= {name: value for later in pairs[1:] for name, value in later}
    for name in ("ink", "soft", "mark", "good", "bad", "open"):
        for page in ("page", "tint"):
            values = sorted(luminance(colours[each]) + 0.05 for each in (name, page))
            assert values[1] / values[0] >= 4.5, f"{name} on {page}"
