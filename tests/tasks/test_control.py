"""Control from the command line: advice beside a log, who decides, and what is refused."""

import json

import awkward as ak
import numpy as np
import pytest

from colliderkit.cli import main
from colliderkit.sources import write
from colliderkit.sources.machines import MACHINES
from contracts.cases.control import write_logs

BEAM = MACHINES.build("beam-tuning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("control")
    write_logs(made)
    words = ("--method", "fixed-settings", "--trials", "20", "--draws", "20")
    assert main(["fit", "control", *words, "--out", str(made / "model")]) == 0
    return made


def refused(capsys, *words) -> str:
    assert main([str(word) for word in words]) == 2
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    return printed


def test_advice_stands_beside_what_was_read(folder, tmp_path):
    words = (
        "apply",
        folder / "model",
        folder / "log.parquet",
        "--out",
        tmp_path / "advice.parquet",
    )
    assert main([str(word) for word in words]) == 0
    log = ak.from_parquet(folder / "log.parquet")
    advice = ak.from_parquet(tmp_path / "advice.parquet")
    assert set(log.fields) < set(advice.fields)
    for name in log.fields:
        assert np.array_equal(advice[name], log[name])
    for name, low, high in zip(BEAM.settings, BEAM.low, BEAM.high, strict=True):
        wanted = np.asarray(advice[f"next_{name}"])
        assert ((wanted >= low) & (wanted <= high)).all()
        assert len(set(wanted)) == 1  # fixed settings
        assert (advice[f"low_{name}"][0], advice[f"high_{name}"][0]) == (low, high)
    assert np.isfinite(np.asarray(advice["gain"])).all()


def test_settings_are_written_for_a_machine_only_where_that_is_asked(folder, tmp_path, capsys):
    decided = tmp_path / "set.json"
    words = ["apply", folder / "model", folder / "log.parquet", "--out", tmp_path / "a.parquet"]
    assert main([str(word) for word in words]) == 0
    assert not decided.exists()
    assert main([str(word) for word in [*words, "--force", "--decide", decided]]) == 0
    advice = ak.from_parquet(tmp_path / "a.parquet")
    settings = json.loads(decided.read_text())
    assert settings == {name: float(advice[f"next_{name}"][-1]) for name in BEAM.settings}
    # What is there is not overwritten, and then no advice is written either.
    other = tmp_path / "b.parquet"
    words = [*words[:4], other, "--decide", decided]
    assert "exists" in refused(capsys, *words)
    assert not other.exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--options", "{limits: {q1: [20, -20]}}"), "the limits of q1 are inverted"),
        (("--options", "{limits: {q1: [-90, 90]}}"), "narrow them"),
        (("--options", "{limit: {q1: [-9, 9]}}"), "machine 'beam-tuning' has no option 'limit'"),
        (("--machine", "reactor"), "reactor"),
        (("--machine", "prescales", "--options", "{budget: -1}"), "budget is -1"),
        (("--files", "FOLDER/beam.parquet", "--trials", "5"), "leave one out"),
        (("--files", "FOLDER/fills.parquet"), "mean_x"),
        (("--trials", "0"), "trials is 0"),
    ],
)
def test_what_makes_no_sense_is_refused(words, sentence, folder, tmp_path, capsys):
    words = [word.replace("FOLDER", str(folder)) for word in words]
    out = tmp_path / "model"
    common = ("fit", "control", "--method", "fixed-settings", "--out", out)
    assert sentence in refused(capsys, *common, *words)
    assert not out.exists()


def test_a_condition_that_is_not_finite_is_named(folder, tmp_path, capsys):
    table = {name: np.ones(3) for name in BEAM.conditions}
    table["q1_x"] = np.array([0.0, np.nan, 0.0])
    write(tmp_path / "bad.parquet", table)
    words = ("fit", "control", "--method", "nelder-mead", "--files", tmp_path / "bad.parquet")
    printed = refused(capsys, *words, "--out", tmp_path / "model")
    assert "q1_x" in printed
    assert "event 1" in printed


def test_a_page_is_drawn_of_each_machine(folder, tmp_path):
    for machine, method in (("prescales", "greedy-knapsack"), ("high-voltage", "pi-controller")):
        model, test = tmp_path / machine, tmp_path / f"{machine}-test"
        words = ("fit", "control", "--method", method, "--machine", machine, "--trials", "5")
        assert main([*words, "--out", str(model)]) == 0
        assert main(["evaluate", str(model), "--trials", "3", "--out", str(test)]) == 0
        assert main(["report", str(test)]) == 0
        assert "No setting left its limits" in (test / "report.html").read_text()
