"""What every study promises: its smoke scale runs, and leaves results and a page."""

import importlib
import inspect
import json
from html import unescape

import pytest

from colliderkit.cli import main
from colliderkit.report import Report
from colliderkit.report.results import Result, read_results
from colliderkit.report.verdict import Aim
from colliderkit.report.words import symbols
from colliderkit.studies import STUDIES


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_the_smoke_scale_runs_from_the_command_line(name, tmp_path, capsys):
    out = tmp_path / name
    code = main(["study", name, "--scale", "smoke", "--out", str(out)])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert read_results(out / "results.json")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert f"colliderkit study {name}" in page
    assert "smoke" in page
    # It concludes something, and says that it means nothing.
    assert 'class="verdict' in page
    assert "no number means anything" in page
    claims = json.loads((out / "results.json").read_text(encoding="utf-8"))["claims"]
    assert any("at this scale" not in claim["reason"] for claim in claims), claims
    # The folder is somebody's now: it is not overwritten.
    assert main(["study", name, "--scale", "smoke", "--out", str(out)]) == 2
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_says_what_it_reproduces(name):
    module = importlib.import_module(STUDIES[name].partition(":")[0])
    assert module.__doc__
    assert len(inspect.getsource(module).splitlines()) <= 300


# The verdicts in the order of how far an estimate is on the side of its claim.
SIDES = {"holds": 1, "not decided": 0, "does not hold": -1}


def made(aim: Aim, side: int) -> list[Result]:
    """Return rows that an aim should judge so: made numbers on one side of its bound."""
    subject, quantity = aim.subject.replace("*", "a"), aim.quantity.replace("*", "b")
    rows = []
    bound = aim.bound
    if aim.against or aim.over:
        bound = 10.0
        other = aim.against.replace("*", "c") or subject
        rows.append(Result(other, aim.over or quantity, bound / aim.times, 0.0))
    if aim.relation == "within":
        low, high = bound
        error = (high - low) / 20
        value = {1: (low + high) / 2, 0: high, -1: high + 10 * error}[side]
    else:
        error = 0.01 * (abs(bound) or 1.0)
        if aim.tolerance is not None:
            error = min(error, aim.tolerance / 20)
        away = {"above": 10 * side, "below": -10 * side, "equal": (10, 2.5, 0)[side + 1]}
        value = bound + away[aim.relation] * error
    return [*rows, Result(subject, quantity, value, error)]


@pytest.mark.parametrize("name", STUDIES)
def test_the_opposite_numbers_give_the_opposite_words(name):
    study = STUDIES.load(name)
    assert all(
        study.size(scale) and "{" not in study.size(scale) for scale in study.scales.values()
    )
    every = [study.aims_at(scale) for scale in study.scales.values()]
    for aims in every:
        assert aims
        assert len({aim.text for aim in aims}) == len(aims)
    aims = list(dict.fromkeys(aim for each in every for aim in each))
    for words, side in SIDES.items():
        report = Report(study.title, study.summary)
        for aim in aims:
            report.results = made(aim, side)
            report.conclude([aim])
        page = unescape(report.html())
        for aim, claim in zip(aims, report.claims, strict=True):
            assert claim.verdict == words, claim.sentence
            assert f"{symbols(aim.text)}: {words} (" in page


@pytest.mark.parametrize("name", STUDIES)
def test_the_best_depends_on_the_numbers(name):
    for ranking in STUDIES.load(name).rankings:
        among = ranking.among[0].replace("*", "")
        rows = [Result(among + "a", ranking.quantity, 1.0, 0.01)]
        rows.append(Result(among + "b", ranking.quantity, 2.0, 0.01))
        found = [ranking.lines(each)[0].text for each in (rows, [rows[0], rows[0]])]
        assert f"{rows[ranking.better == 'higher'].subject}, " in found[0]
        assert "ahead of" in found[0]
        assert "is not decided" in found[1]
