"""Rows of results.json."""

import json
import math

import pytest

from colliderkit.errors import InputError
from colliderkit.metrics import Value
from colliderkit.report import Result, read_results, write_results

PUBLISHED = {"published": 891.0, "published_error": 18.0, "source": "arXiv:1902.09914"}


def test_over_seeds_keeps_both_errors():
    result = Result.over_seeds("PFN", "R30", [Value(900, 60), Value(1000, 70)], **PUBLISHED)
    assert result.value == 950
    assert result.seeds == pytest.approx(math.sqrt(5000))
    assert result.counting == 65
    # The error of the mean over two seeds is 50; the counting error is common to both.
    assert result.error == pytest.approx(math.hypot(50, 65))
    assert result.ours() == "950 ± 71 ± 65"
    assert result.theirs() == "891 ± 18"


def test_one_seed_has_its_counting_error_alone():
    result = Result.over_seeds("PFN", "AUC", [Value(0.98123, 0.00041)])
    assert (result.error, result.seeds, result.counting) == (0.00041, None, 0.00041)
    assert result.ours() == "0.98123 ± 0.00041"
    assert result.theirs() == ""


def test_an_exact_value_stands_alone():
    for error in (None, 0.0, math.nan):
        assert Result("shower", "calls of the network", 16.0, error).ours() == "16"
        assert Result("shower", "time", 0.123456, error, None, error).ours() == "0.1235"


def test_a_limit_among_the_seeds_makes_a_limit():
    result = Result.over_seeds("PFN", "R30", [Value(900, 60), Value(66.8, math.nan, True)])
    assert result.lower_limit
    assert result.value == 66.8
    assert result.error is None
    assert result.ours() == "> 66.8"


def test_file_is_read_back_as_written(tmp_path):
    rows = [
        Result.over_seeds("PFN", "R30", [Value(900, 60), Value(1000, 70)], **PUBLISHED),
        Result("Zürich", "width", 1.5, float("nan"), unit="GeV", setup="same"),
    ]
    path = write_results(tmp_path / "results.json", rows, {"title": "t", "seeds": [0, 1]})
    first, second = read_results(path)
    assert first == rows[0]
    assert second.error is None
    content = json.loads(path.read_text())
    assert content["format"] == 2
    assert content["seeds"] == [0, 1]
    assert content["rows"][0]["setup"] == "stand-in"
    assert content["rows"][1]["error"] is None


def test_nothing_is_overwritten_without_force(tmp_path):
    path = write_results(tmp_path / "results.json", [], {})
    with pytest.raises(InputError, match="exists already"):
        write_results(path, [], {})
    write_results(path, [Result("a", "b", 1.0)], {}, force=True)
    assert len(read_results(path)) == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is no results.json"),
        ('{"rows": []}', "is no results.json"),
        ('{"format": 9, "rows": []}', "has format 9"),
        ('{"format": 2, "rows": [{"what": 1}]}', "is no results.json"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content, sentence):
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(InputError, match=sentence) as error:
        read_results(path)
    assert str(path) in str(error.value)


def test_a_published_value_needs_its_source():
    with pytest.raises(InputError, match="R30 of PFN needs its source"):
        Result("PFN", "R30", 1.0, published=2.0)
    with pytest.raises(InputError, match="neither 'same' nor 'stand-in'"):
        Result("PFN", "R30", 1.0, setup="similar")
