"""From files of a stream to a trigger, its rate on a page, and a file of integers."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from colliderkit.cli import main
from colliderkit.methods.method import load
from colliderkit.sources import read_table
from colliderkit.sources.toys.trigger import signal, stream

FEATURES = "log(1 + met_pt),log(1 + e1_pt),log(1 + mu1_pt),log(1 + j1_pt),log(1 + j2_pt)"


def write(path: Path, events: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["Particles"] = events


def test_from_files_to_decisions(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in (1, 2):
        write(tmp_path / f"stream{seed}.h5", stream(6_000, seed=seed))
    write(tmp_path / "signal.h5", signal("leptoquark", 500, seed=3))
    small = ("--training.epochs", "2", "--training.batch_size", "256", "--latent", "2")
    rate = ("--target", "20", "--input_rate", "1000")
    assert main(["fit", "trigger", "stream1.h5", "--features", FEATURES, *rate, *small,
                 "--out", "trigger"]) == 0  # fmt: skip
    assert "score above" in capsys.readouterr().out
    assert main(["evaluate", "trigger", "--stream", "stream2.h5", "--signals",
                 "{leptoquark: signal.h5}", "--out", "test"]) == 0  # fmt: skip
    rows = json.loads((tmp_path / "test" / "results.json").read_text())["rows"]
    found = {(row["subject"], row["quantity"]): row for row in rows}
    measured = found["stream", "rate / target"]
    assert abs(measured["value"] - 1) < 5 * measured["error"]
    assert 0 <= found["leptoquark", "efficiency"]["value"] <= 1
    assert main(["report", "test"]) == 0
    assert main(["apply", "trigger", "stream2.h5", "--out", "kept.parquet"]) == 0
    kept = read_table("kept.parquet", "kept, anomaly")
    assert kept["kept"].mean() == found["stream", "rate"]["value"] / 1000
    assert kept["anomaly"][kept["kept"] == 1].min() > kept["anomaly"][kept["kept"] == 0].max()
    assert main(["export", "trigger", "stream2.h5", "--bits", "8", "--out", "t.onnx"]) == 0
    assert "in common" in capsys.readouterr().out
    first = load("trigger")
    update = ["update", "trigger", "stream2.h5", "--target", "30", "--out", "second"]
    assert main(update) == 0
    assert "rate 30" in capsys.readouterr().out
    second = load("second")
    assert (second.target, second.input_rate) == (30, 1000)
    assert len(second.updates_) == len(first.updates_) + 1
    assert second.updates_[-1].before == pytest.approx(found["stream", "rate"]["value"])
    x = np.random.default_rng(1).normal(size=(9, 5))
    np.testing.assert_array_equal(first.score(x), second.score(x))
    assert (tmp_path / "second" / "update.yaml").exists()
    assert main(["evaluate", "second", "--stream", "stream1.h5", "--out", "test2"]) == 0
    assert main(update) == 2
    assert "second" in capsys.readouterr().err
    assert main([*update[:3], "--target", "2000", "--out", "no"]) == 2
    assert "a trigger keeps less than it sees" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
    assert main(["fit", "trigger", "stream1.h5", "--features", FEATURES, "--target", "2000",
                 "--input_rate", "1000", "--out", "no"]) == 2  # fmt: skip
    assert "a trigger keeps less than it sees" in capsys.readouterr().err


def test_topologies_beside_a_menu(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in (1, 2):
        write(tmp_path / f"stream{seed}.h5", stream(3_000, seed=seed))
    fit = ["fit", "trigger", "stream1.h5", "--features", FEATURES, "--target", "50",
           "--input_rate", "1000", "--training.epochs", "1", "--latent", "2",
           "--topologies.objects", "{leptons: [e1_pt, mu1_pt], jets: [j?_pt]}",
           "--topologies.smallest", "100", "--prior", "even", "--out", "trigger"]  # fmt: skip
    assert main(fit) == 0
    menu = ["evaluate", "trigger", "--stream", "stream2.h5",
            "--menu", "{muon: mu1_pt > 40, loose: (j1_pt > 60) & (j2_pt > 40)}"]  # fmt: skip
    assert main([*menu, "--prescales", "{loose: 10}", "--out", "test"]) == 0
    rows = json.loads((tmp_path / "test" / "results.json").read_text())["rows"]
    found = {(row["subject"], row["quantity"]): row["value"] for row in rows}
    trigger = load("trigger")
    of_topologies = [found[name, "rate"] for name in trigger.groups_.names]
    assert sum(of_topologies) == pytest.approx(found["stream", "rate"])
    assert found["this trigger", "rate"] == pytest.approx(found["stream", "rate"])
    assert 0 < found["this trigger", "pure rate"] < found["this trigger", "rate"]
    events = stream(3_000, seed=2)
    muon = events[:, 5, 0] > 40
    assert found["muon", "rate"] == pytest.approx(1000 * muon.mean())
    loose = (events[:, 9, 0] > 60) & (events[:, 10, 0] > 40)
    assert found["loose", "rate"] == pytest.approx(100 * loose.mean())
    assert main(["report", "test"]) == 0
    assert main(["export", "trigger", "stream2.h5", "--out", "t.onnx"]) == 0
    records = ["apply", "trigger", "stream2.h5", "--records", "j1_pt,j1_eta", "--out"]
    assert main([*records, "kept.parquet"]) == 0
    assert read_table("kept.parquet", "kept")["kept"].mean() == pytest.approx(
        found["stream", "rate"] / 1000
    )
    small = read_table("kept.records.h5", "j1_pt,event")
    np.testing.assert_allclose(small["j1_pt"], events[:, 9, 0], rtol=2**-11)
    assert len(small["event"]) == 3_000
    records[4] = "1e6 * j1_pt"
    assert main([*records, "other.parquet"]) == 2
    assert "two bytes hold numbers up to 65504" in capsys.readouterr().err
    assert not list(tmp_path.glob("other*"))
    capsys.readouterr()
    for words, sentence in (
        (["--prescales", "{muno: 3}"], "the menu has no item 'muno'"),
        (["--prescales", "{muon: 0}"], "prescales"),
        (["--menu", "{x: nothing > 3}"], "nothing"),
        (["--menu", "{this trigger: met_pt > 3}"], "this trigger's own name"),
    ):
        assert main([*menu, *words, "--out", "no"]) == 2
        assert sentence in capsys.readouterr().err
    assert main([*menu[:4], "--prescales", "{muon: 3}", "--out", "no"]) == 2
    assert "there is none; give menu" in capsys.readouterr().err
    assert main([*fit[:-1], "no", "--topologies.objects", "{leptons: [tau?_pt]}",
                 "--topologies.edges", "{leptons: [1]}"]) == 2  # fmt: skip
    assert "no column is one of the leptons (tau?_pt)" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
