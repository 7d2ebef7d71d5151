"""Files in, report out: a regression with conformal intervals through the command line."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from colliderkit.cli import main
from colliderkit.methods.method import load
from colliderkit.report.results import read_results
from colliderkit.sources import write
from colliderkit.sources.files.rows import read_rows

COUNT, SIGMA = 4000, 0.5
QUICK = ("--training.epochs", "30", "--training.learning_rate", "5e-3", "--hidden", "[16]")


def sample(path: Path, seed: int) -> Path:
    """Write a line with Gaussian noise, of which everything is known; one column is a logarithm."""
    random = np.random.default_rng(seed)
    a, b = random.normal(size=(2, COUNT))
    y = 10 + 2 * a - b + SIGMA * random.normal(size=COUNT)
    return write(path, {"a": a, "exp_b": np.exp(b), "y": y, "number": np.arange(COUNT) // 2})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("regression")
    for name, seed in (("train", 1), ("test", 2)):
        sample(out / f"{name}.root", seed)
    argv = ["fit", "regression", out / "train.root", "--features", "a,log(exp_b)", "--target", "y"]
    argv += ["--event", "number", "--conformal", "scaled", "--members", "2", "--out", out / "run"]
    assert main([*map(str, argv), *QUICK]) == 0
    return out


def test_intervals_cover_and_pulls_are_one(folder: Path) -> None:
    argv = ["evaluate", folder / "run", folder / "test.root", "--target", "y"]
    assert main([str(a) for a in [*argv, "--out", folder / "evaluation"]]) == 0
    results = {r.quantity: r for r in read_results(folder / "evaluation" / "results.json")}
    # A quarter of the events calibrates, and as many as were fitted are tested.
    error = np.sqrt(0.68 * 0.32 * (1 / (COUNT / 4) + 1 / COUNT))
    assert results["coverage of 68%"].value == pytest.approx(0.68, abs=3 * error)
    assert results["resolution"].value == pytest.approx(SIGMA, rel=0.1)
    assert abs(results["bias"].value) < 0.1 * SIGMA
    assert main(["report", str(folder / "evaluation")]) == 0
    assert "Coverage" in (folder / "evaluation" / "report.html").read_text()


def test_apply_writes_what_the_method_predicts(folder: Path) -> None:
    out = folder / "applied.parquet"
    argv = ["apply", folder / "run", folder / "test.root", "--level", "0.95", "--out", out]
    assert main([str(a) for a in argv]) == 0
    rows = read_rows(out, ["a", "log(exp_b)", "estimate", "std", "low", "high"], own=True)
    assert {"y", "number", "epistemic"} <= set(rows.own)
    method = load(folder / "run")
    x = rows.table(method.names_)
    assert rows.columns["estimate"] == pytest.approx(method.predict(x).estimate)
    assert rows.columns["high"] == pytest.approx(method.interval(x, 0.95)[1])


def test_the_exported_file_answers_alike(folder: Path) -> None:
    out = folder / "regression.onnx"
    argv = ["export", folder / "run", folder / "test.root", "--out", out]
    assert main([str(a) for a in argv]) == 0
    method = load(folder / "run")
    x = read_rows(folder / "test.root", method.names_).table(method.names_)
    session = onnxruntime.InferenceSession(out)
    estimate, std = session.run(None, {"table": x.astype(np.float32)})
    prediction = method.predict(x)
    assert estimate == pytest.approx(prediction.estimate, abs=1e-3)
    assert std == pytest.approx(prediction.std, rel=1e-3)
    assert "factors" in session.get_modelmeta().custom_metadata_map


def test_what_cannot_be_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit = ["fit", "regression", folder / "train.root", "--features", "a", "--target", "y"]
    variational = [*fit, "--method", "variational-regression", "--out", folder / "drawn"]
    assert main([*map(str, variational), "--training.epochs", "1"]) == 0
    argv = ["export", folder / "drawn", folder / "test.root", "--out", folder / "drawn.onnx"]
    assert main([str(a) for a in argv]) == 2
    assert "draws its weights anew" in capsys.readouterr().err
    argv = ["evaluate", folder / "run", folder / "test.root", "--target", "y"]
    words = [str(a) for a in [*argv, "--intervals", "[0.5]", "--out", folder / "other"]]
    assert main(words) == 2
    assert "level 0.5 is not calibrated" in capsys.readouterr().err
