"""The rows of benchmarks/results: what each says, and that the page holds all of them."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent.parent
spec = importlib.util.spec_from_file_location("table", HERE / "benchmarks" / "table.py")
assert spec is not None
assert spec.loader is not None
page_of = importlib.util.module_from_spec(spec)
spec.loader.exec_module(page_of)
words = page_of.words
FILES = sorted((HERE / "benchmarks" / "results").glob("*.json"))
NEEDED = {
    *("quantity", "ours", "peer", "unit", "ratio", "uncertainty", "bar", "met"),
    *("command", "load", "date"),
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_row_says_what_was_measured_and_how(path: Path) -> None:
    rows = json.loads(path.read_text(), parse_constant=pytest.fail)  # NaN is no JSON
    assert rows
    for row in rows:
        assert set(row) >= NEEDED, row.get("quantity")
        assert isinstance(row["ours"], int | float)
        assert row["command"].startswith("python benchmarks/")
    names = [row["quantity"] for row in rows]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_distance_says_whose_error_it_has(path: Path) -> None:
    """jetnet's errors are those of its draws, and its FPD is above 0 for equal densities."""
    for row in json.loads(path.read_text()):
        # Times, pulls and powers are no distances.
        if re.match(r"(?!pulls)[^:]*\b[FK]PD\b(?!.*(time|memory))", row["quantity"]):
            assert row["quantity"].startswith(("unbiased", "jetnet's"))


def test_the_page_is_made_from_the_files() -> None:
    page = (HERE / "docs" / "benchmarks.md").read_text()
    for path in FILES:
        for row in json.loads(path.read_text()):
            assert f"| {words(row['quantity'])} |" in page, path


def test_names_are_written_for_people() -> None:
    assert words("jets of $p_T$ >= .5 | +-.1, v1.5") == r"jets of pT ≥ 0.5 \| ±0.1, v1.5"


def test_every_claim_stands_under_a_topic_and_says_why_it_is_not_met() -> None:
    known = {name: entry for claims in page_of.TOPICS.values() for name, entry in claims.items()}
    for path in FILES:
        claim, reason = known[path.stem]
        unmet = [row for row in json.loads(path.read_text()) if row["met"] is False]
        assert claim
        assert not unmet or reason, path.stem
