"""Claims on all three sides: by errors, limits, exact values and what is not known."""

import math

import pytest

from colliderkit.metrics import Value
from colliderkit.report import Result
from colliderkit.report.verdict import Aim, Claim, Ranking, worse_than_guessing
from colliderkit.training.settings import Epoch

UNKNOWN = math.nan


def limit(value):
    return Value(value, math.nan, True)


@pytest.mark.parametrize(
    ("estimate", "relation", "bound", "verdict"),
    [
        (Value(1.0, 0.1), "below", 1.3, "holds"),
        (Value(1.0, 0.1), "below", 1.1, "not decided"),
        (Value(1.0, 0.1), "below", 0.7, "does not hold"),
        (Value(1.0, 0.1), "above", 0.7, "holds"),
        (Value(1.0, 0.1), "above", 1.3, "does not hold"),
        (Value(1.0, 0.1), "equal", 1.15, "holds"),
        (Value(1.0, 0.1), "equal", 1.25, "not decided"),
        (Value(1.0, 0.1), "equal", 1.35, "does not hold"),
        (Value(1.0, 0.1), "within", (0.7, 1.3), "holds"),
        (Value(1.0, 0.1), "within", (0.9, 1.3), "not decided"),
        (Value(1.0, 0.1), "within", (1.3, 2.0), "does not hold"),
        (Value(1.0, 0.0), "below", 1.1, "holds"),
        (Value(1.0, UNKNOWN), "below", 1000.0, "not decided"),
        (Value(math.nan, 0.1), "below", 1.0, "not decided"),
        (Value(1.0, 0.3), "above", Value(0.0, 0.4), "holds"),
        (Value(1.0, 0.3), "above", Value(0.1, 0.4), "not decided"),
        # A lower limit is no value: it decides what lies below it.
        (limit(5.0), "above", 4.0, "holds"),
        (limit(5.0), "above", 6.0, "not decided"),
        (limit(5.0), "below", 4.0, "does not hold"),
        (limit(5.0), "below", 6.0, "not decided"),
        (limit(5.0), "equal", 4.0, "does not hold"),
        (limit(5.0), "within", (1.0, 4.0), "does not hold"),
        (limit(5.0), "within", (1.0, 6.0), "not decided"),
        (limit(5.0), "above", Value(4.5, 0.4), "not decided"),
        (limit(5.0), "above", Value(4.5, UNKNOWN), "not decided"),
        (Value(4.0, 0.1), "above", limit(5.0), "does not hold"),
        (Value(4.0, 0.1), "below", limit(5.0), "holds"),
        (Value(6.0, 0.1), "above", limit(5.0), "not decided"),
        (limit(6.0), "above", limit(5.0), "not decided"),
        # Of few events the error is larger upwards.
        (Value(10.0, 3.0, up=9.0, down=2.0), "above", 5.0, "holds"),
        (Value(10.0, 3.0, up=9.0, down=2.0), "below", 20.0, "not decided"),
    ],
)
def test_a_claim_is_judged(estimate, relation, bound, verdict):
    bound = Value(bound, 0.0) if isinstance(bound, float) else bound
    claim = Claim("It is so", estimate, relation, bound)
    assert claim.verdict == verdict
    assert claim.sentence.startswith(f"It is so: {verdict} (")
    assert claim.line.mark == {"holds": "✓", "does not hold": "✗", "not decided": "?"}[verdict]
    assert claim.plain()["verdict"] == verdict


def test_the_numbers_are_said():
    low = Claim("Small", Value(1.0, 0.1), "below", Value(0.7, 0.0), about="PFN")
    assert low.sentence == "Small: does not hold (PFN: 1.00 ± 0.10, 3.0σ above 0.7)."
    alike = Claim("Alike", Value(1.0, 0.1), "equal", Value(1.05, 0.0))
    assert alike.reason == "1.00 ± 0.10, 0.5σ from 1.05"
    unknown = Claim("Known", Value(1.0, UNKNOWN), "below", Value(2.0, 0.0))
    assert unknown.reason == "1 against 2, and no error is known"
    exact = Claim("Exact", Value(1.0, 0.0), "below", Value(2.0, 0.0))
    assert exact.reason == "1, below 2"
    assert exact.plain()["sigma"] is None
    inside = Claim("Inside", Value(1.0, 0.1), "within", (0.7, 1.3))
    assert inside.reason == "1.00 ± 0.10, 3.0σ inside of 0.7 to 1.3"


ROWS = [
    Result("PFN", "AUC", 0.90, 0.01),
    Result("EFN", "AUC", 0.85, 0.01),
    Result("cut", "AUC", 0.80, 0.01),
    Result("PFN", "time", 2.0, 0.1),
    Result("EFN", "time", 1.0, 0.1),
]


def test_an_aim_picks_its_rows():
    every = Aim("All beat the cut", "AUC", "*", "above", against="cut").judge(ROWS)
    assert (every.verdict, every.about, every.than) == ("holds", "EFN", "of cut")
    assert every.among == 2
    some = Aim("One is good", "AUC", "*", "above", 0.88, which="some").judge(ROWS)
    # 2 sigma of one of three is too little.
    assert (some.verdict, some.about) == ("not decided", "PFN")
    last = Aim("The last is bad", "AUC", "?FN*", "below", 0.88, which="last").judge(ROWS)
    assert last.estimate is None
    last = Aim("The last is bad", "AUC", "*", "below", 0.88, which="last").judge(ROWS)
    assert (last.verdict, last.about) == ("holds", "cut")
    twice = Aim("Half the time", "time", "EFN", "below", against="PFN", times=0.9).judge(ROWS)
    assert (twice.verdict, twice.than) == ("holds", "(0.9 times that of PFN)")
    other = Aim("Fast", "time", "PFN", "above", over="AUC").judge(ROWS)
    assert (other.verdict, other.than) == ("holds", "of AUC")
    nothing = Aim("Beats what is not there", "AUC", "PFN", "above", against="LSTM").judge(ROWS)
    assert nothing.verdict == "not decided"
    assert "nothing to compare" in nothing.sentence


def test_the_worst_of_many_needs_more():
    rows = [Result(f"bin {i}", "pull", 0.0 if i else 2.5, 1.0) for i in range(20)]
    claim = Aim("All are right", "pull", "*", "equal", 0.0).judge(rows)
    assert claim.verdict == "holds"
    assert claim.needed > 3
    assert Aim("The first is", "pull", "bin 0", "equal", 0.0).judge(rows).verdict == "not decided"


def test_the_best_has_its_lead_and_baselines_are_missed():
    ranking = Ranking("AUC", "higher", aside=("floor",), baselines=("cut",))
    rows = [*ROWS, Result("floor", "AUC", 1.0), Result("LSTM", "AUC", 0.60, 0.02)]
    assert [str(line) for line in ranking.lines(rows)] == [
        "★ Best AUC: PFN, 0.900 ± 0.010, 3.5σ ahead of EFN (0.850 ± 0.010).",
        "✗ Worse than the baseline cut (0.800 ± 0.010) in AUC: LSTM (0.600 ± 0.020, 8.9σ).",
    ]
    near = [Result("a", "AUC", 0.9, 0.1), Result("b", "AUC", 0.85, 0.1)]
    (line,) = ranking.lines(near)
    assert line.text.endswith("its lead over b (0.85 ± 0.10) is not decided (0.4σ).")
    limits = [Result("a", "R30", 90.0, lower_limit=True), Result("b", "R30", 20.0, 1.0)]
    (line,) = Ranking("R30", "higher").lines(limits)
    assert line.text == "Best R30: a, > 90.0, ahead of b (20.0 ± 1.0)."
    assert Ranking("AUC", "higher").lines(ROWS[:1]) == []


def test_a_training_worse_than_guessing_is_named():
    good = [Epoch(1, 0.5, 0.6, 1.0, guess=0.69), Epoch(2, 0.4, 0.9, 1.0, guess=0.69)]
    bad = [Epoch(1, 0.45, 0.699, 1.0, guess=0.693)]
    other = [Epoch(1, 0.45, 5.0, 1.0)]
    (line,) = worse_than_guessing({"PFN": good, "ParticleNet": bad, "flow": other})
    assert line.kind == "alarm"
    assert line.text.startswith("ParticleNet learned nothing")
    assert "0.699" in line.text


@pytest.mark.parametrize(
    ("error", "tolerance", "verdict"),
    [
        (0.1, None, "holds"),
        (0.1, 0.2, "holds"),
        (0.3, 0.2, "not decided"),
        (5.0, 0.2, "not decided"),
        (0.02, 0.2, "does not hold"),
    ],
)
def test_equal_within_any_error_says_nothing(error, tolerance, verdict):
    rows = [Result("a", "closure", 1.1, error)]
    claim = Aim("It closes", "closure", "a", "equal", 1.0, tolerance=tolerance).judge(rows)
    assert claim.verdict == verdict
    loose = verdict == "not decided"
    assert ("the error is larger than the tolerance, 0.2" in claim.sentence) == loose


def test_a_large_error_does_not_hide_a_larger_difference():
    claim = Claim("It closes", Value(9.0, 0.5), "equal", Value(1.0, 0.0), tolerance=0.1)
    assert claim.verdict == "does not hold"
    assert "tolerance" not in claim.sentence
