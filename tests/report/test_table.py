"""Tables: best values, order, published values, and cells that align."""

import pytest

from colliderkit.metrics import Value
from colliderkit.report import Result
from colliderkit.report.table import Table, results_table

PUBLISHED = {"published": 90.0, "published_error": 3.0, "source": "arXiv:1902.09914"}


def text(cell):
    return cell.head + cell.tail


def test_numbers_are_parted_at_the_point():
    rows = [["a", Value(1298.0, 46.0)], ["b", Value(9.25, 0.1)], ["c", 3], ["d", "12.5%"]]
    table = Table(["", "x"], rows)
    heads = [row[1].head for row in table.cells()]
    assert heads == ["1298", "9", "3", "12"]
    assert [row[1].tail for row in table.cells()] == [" ± 46", ".25 ± 0.10", "", ".5%"]
    assert not table.is_words(1)
    assert table.is_words(0)
    assert table.widths()[0] == 0
    assert table.widths()[1] > 5


@pytest.mark.parametrize("cell", ["0.5 ± 0.1", "> 334", "1.2%", "3.4 x", "12 ± 3 (floor 1.7)"])
def test_text_of_numbers_is_a_number(cell):
    assert Table(["", "x"], [["a", cell]]).cells()[0][1].is_number


@pytest.mark.parametrize("cell", ["yes", "PFN", "8 layers", "arXiv:1902.09914", ""])
def test_words_are_words(cell):
    assert not Table(["", "x"], [["a", cell]]).cells()[0][1].is_number


def test_the_best_is_marked():
    rows = [["a", Value(1.0, 0.1)], ["b", Value(2.0, 0.1)], ["floor", Value(9.0, 0.1)]]

    def best(better, rows=rows):
        table = Table(["", "x"], rows, best={"x": better}, aside=["floor"])
        return [row[0].head for row in table.cells() if row[1].best]

    assert best("higher") == ["b"]
    assert best("lower") == ["a"]
    assert best(1.9) == ["b"]
    # A limit is no value: nothing is known to be the best beside it.
    assert best("higher", [*rows, ["c", Value(1.5, float("nan"), True)]]) == []
    assert best("higher", rows[:1]) == []


def test_results_are_sorted_and_stand_aside():
    results = [
        Result("b", "R30", 50.0, 1.0),
        Result("floor", "R30", 99.0),
        Result("a", "R30", 80.0, 2.0),
    ]
    table = results_table(results, "", best={"R30": "higher"}, order="R30", aside=["floor"])
    assert [row[0] for row in table.rows] == ["a", "b", "floor"]
    assert table.columns == ["", "R30"]
    assert table.best == {"R30": "higher"}


def test_a_published_value_says_what_it_is_of():
    same = Result("a", "R30", 80.0, 4.0, counting=4.0, setup="same", **PUBLISHED)
    other = Result("b", "R30", 50.0, 1.0, difference="Delphes, 1.2M jets", **PUBLISHED)
    table = results_table([same, other], "Caption.", best={})
    first, second = table.cells()
    assert first[1].published == "90 ± 3 (2.0σ)"
    assert not first[1].foreign
    assert second[1].published == "90 ± 3"
    assert second[1].foreign
    assert "Delphes, 1.2M jets" in second[2].head
    assert table.columns[-1] == "published in"
    assert "† Published for another set-up" in table.caption
    assert "how far ours is" in table.caption
    alone = results_table([same], "", best={})
    assert "†" not in alone.caption


def test_the_caption_says_the_errors_that_there_are():
    seeds = Result.over_seeds("a", "x", [Value(1.0, 0.1), Value(1.2, 0.1)])
    single = Result.over_seeds("a", "x", [Value(1.0, 0.1)])
    assert results_table([seeds], "", best={}).caption.startswith("Mean over seeds")
    assert results_table([single], "", best={}).caption.startswith("± counting error")
    assert results_table([Result("a", "x", 1.0)], "", best={}).caption == ""
