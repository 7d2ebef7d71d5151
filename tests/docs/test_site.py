"""The site without a build: links lead somewhere, tables are whole, pages name all there is."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from PIL import Image

from colliderkit.studies import STUDIES
from colliderkit.tasks import TASKS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(DOCS.glob("*.md")),
    *sorted((DOCS / "tutorials").glob("*.md")),
]
FENCED = re.compile(r"^```.*?^```", re.S | re.M)


def script(path: Path) -> ModuleType:
    """Import a script that stands in no package."""
    spec = importlib.util.spec_from_file_location(f"site_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    lines = FENCED.sub("", page.read_text(encoding="utf-8")).splitlines()
    titles = [line.lstrip("# ").lower() for line in lines if line.startswith("#")]
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "") for title in titles)
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    text = re.sub(r"`[^`]*`", "", FENCED.sub("", page.read_text(encoding="utf-8")))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if file.startswith(("http:", "https:")):
            continue
        there = (page.parent / file).resolve() if file else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(target)
    assert not dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_rows_of_a_table_have_as_many_cells_as_its_head(page: Path) -> None:
    lines = FENCED.sub("", page.read_text(encoding="utf-8")).splitlines()
    wrong, cells = [], 0
    for line in lines:
        if not line.startswith("|"):
            cells = 0
            continue
        count = len(re.findall(r"(?<!\\)\|", line))
        cells = cells or count
        if count != cells:
            wrong.append(line)
    assert not wrong


def test_the_gallery_has_all_studies() -> None:
    text = (DOCS / "gallery.md").read_text(encoding="utf-8")
    assert {name for name in STUDIES if f"`{name}`" not in text} == set()


def test_small_pictures_are_of_studies_and_say_their_scale(tmp_path: Path, monkeypatch) -> None:
    thumbnails = script(DOCS / "thumbnails.py")
    known = sorted((DOCS / "thumbnails").glob("*.png"))
    assert known
    for picture in known:
        assert picture.stem in STUDIES
        assert picture.stat().st_size < 30_000
        assert f"{thumbnails.scale_of(picture)} scale" in thumbnails.markdown(picture.stem)
    assert thumbnails.markdown("no-such-study") == ""
    monkeypatch.setattr(thumbnails, "HERE", tmp_path / "thumbnails")
    for scale, written in (("laptop", True), ("smoke", False), ("night", True)):
        run = tmp_path / scale
        (run / "figures").mkdir(parents=True)
        (run / "study.json").write_text(json.dumps({"study": "pivot", "scale": scale}))
        Image.new("RGB", (720, 480)).save(run / "figures" / "01-front.png")
        assert bool(thumbnails.write(run)) == written
    assert "night scale" in thumbnails.markdown("pivot")


def test_every_task_is_an_answer_to_a_question() -> None:
    text = (DOCS / "which-method.md").read_text(encoding="utf-8")
    text += (DOCS / "reweighting.md").read_text(encoding="utf-8")
    named = {name for name in TASKS if re.search(rf"(fit|evaluate) {re.escape(name)}\b", text)}
    assert set(TASKS) - named <= {"shower-comparison"}  # `evaluate showers` fits it


def test_the_page_of_the_lectures_has_every_published_number(tmp_path: Path) -> None:
    lectures = script(DOCS / "lectures.py")
    for lecture in yaml.safe_load((DOCS / "lectures.yaml").read_text(encoding="utf-8")):
        for entry in lecture["figures"]:
            page = lectures.figure(entry)  # raises for a row of results that is not there
            assert entry["state"] in lectures.STATES
            assert "study" not in entry or entry["study"] in STUDIES
            assert ("setup" in entry) == (entry["state"] == "measured"), entry["figure"]
            numbers = [row for name, row in entry.get("table", {}).items() if name != "columns"]
            assert all(value in page for row in numbers for value in row)


def test_the_page_of_benchmarks_says_what_is_met() -> None:
    table = script(ROOT / "benchmarks" / "table.py")
    row = {"quantity": "|bias| of .5", "ours": 1.5, "met": False, "command": "c", "date": "d"}
    assert table.table([row]).splitlines()[-1] == "| \\|bias\\| of 0.5 | 1.5 | **no** |"
    topics = {"Speed": {"x": ("It is fast", "it is not")}}
    assert "| It is fast | **1 of 2** | it is not |" in table.summary(
        topics, {"x": [row, row | {"met": True}]}
    )
    assert "| It is fast | 1 of 1 |  |" in table.summary(topics, {"x": [row | {"met": True}]})
