"""Files in, report and ONNX out: an anomaly score of jets and a symmetry of momenta."""

from pathlib import Path

import awkward as ak
import numpy as np
import onnxruntime
import pytest

from colliderkit.cli import main
from colliderkit.methods.method import load
from colliderkit.report.results import read_results
from colliderkit.sources import read, write
from samples import make_jets


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Narrow jets are the background, wide ones the signal."""
    out = tmp_path_factory.mktemp("anomaly")
    for seed, name in enumerate(("train", "background", "signal")):
        jets = make_jets(1200, seed)
        write(out / f"{name}.parquet", jets[jets.label == (name == "signal")])
    run = ["fit", "autoencoder", "--files", out / "train.parquet", "--representation", "set"]
    run += ["--latent", "2", "--training.epochs", "4", "--out", out / "run"]
    assert main([str(word) for word in run]) == 0
    return out


def test_jets_of_another_kind_are_found_and_reported(folder: Path) -> None:
    words = ["evaluate", folder / "run", "--signal", folder / "signal.parquet"]
    words += ["--background", folder / "background.parquet", "--out", folder / "test"]
    assert main([str(word) for word in words]) == 0
    area = next(r for r in read_results(folder / "test" / "results.json") if r.quantity == "AUC")
    # Particles are 2.5 times as far from the axis: even the distance to a mean jet tells.
    assert area.value > 0.8
    assert main(["report", str(folder / "test")]) == 0
    page = (folder / "test" / "report.html").read_text(encoding="utf-8")
    assert "eps_B" in page or "ε" in page


def test_the_exported_score_is_the_method_s(folder: Path, capsys) -> None:
    file = folder / "signal.parquet"
    out = folder / "score.onnx"
    words = ["export", folder / "run", "--files", file, "--out", out]
    assert main([str(word) for word in words]) == 0, capsys.readouterr().err
    jets = read(file)[:50]
    columns = [jets.constituents[name] for name in ("px", "py", "pz", "E")]
    length = int(ak.max(ak.num(columns[0])))
    padded = [ak.to_numpy(ak.fill_none(ak.pad_none(c, length), 0)) for c in columns]
    values = np.stack(padded, 2).astype(np.float32)
    (given,) = onnxruntime.InferenceSession(str(out)).run(None, {"constituents": values})
    np.testing.assert_allclose(given, load(folder / "run").score(jets), rtol=1e-3, atol=1e-4)


def test_scores_stand_beside_what_was_read(folder: Path) -> None:
    words = ["apply", folder / "run", "--files", folder / "signal.parquet"]
    assert main([str(w) for w in (*words, "--out", folder / "scored.parquet")]) == 0
    scored = ak.from_parquet(folder / "scored.parquet")
    assert np.isfinite(np.asarray(scored["anomaly"])).all()


def test_a_triangle_has_its_rotations(tmp_path: Path, capsys) -> None:
    random = np.random.default_rng(1)
    turn = random.integers(0, 3, 6000) * 2 * np.pi / 3
    x = random.normal(0, 0.3, (6000, 2)) + np.stack([np.cos(turn), np.sin(turn)], 1)
    write(tmp_path / "events.root", {"x": x[:, 0], "y": x[:, 1]})
    words = ["fit", "symmetry", "--files", tmp_path / "events.root", "--features", "x,y"]
    assert main([str(w) for w in (*words, "--level", "1e-5", "--out", tmp_path / "run")]) == 0
    assert "2 finite rotations" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "run")]) == 0


def test_one_column_is_refused_in_one_sentence(tmp_path: Path, capsys) -> None:
    write(tmp_path / "events.root", {"x": np.arange(2000.0)})
    words = ["fit", "symmetry", "--files", tmp_path / "events.root", "--features", "x"]
    assert main([str(w) for w in (*words, "--out", tmp_path / "run")]) == 2
    assert "have one column" in capsys.readouterr().err
