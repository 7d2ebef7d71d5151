"""Files in, report out: a likelihood ratio through the command line, against exact weights."""

import json
from pathlib import Path

import numpy as np
import pytest

from colliderkit.cli import main
from colliderkit.metrics.closure import effective_size
from colliderkit.sources import write
from colliderkit.sources.files.rows import read_rows
from colliderkit.sources.toys.unfolding import gaussian_weight

COUNT = 10_000
SHIFT = 0.6
# Steps that leave the exponential family as it is, whose error the bounds below are derived from.
QUICK = ("--training.epochs", "2", "--training.batch_size", "512")
QUICK += ("--training.learning_rate", "1e-9")


def exact(x: np.ndarray) -> np.ndarray:
    return gaussian_weight(x, mean=0, sigma=1, to_mean=SHIFT, to_sigma=1)


def sample(path: Path, mean: float, seed: int, *, weighted: bool = False) -> Path:
    """Write N(mean, 1) in `x` and its exponential in `e`; weights of mean 1 that say nothing."""
    random = np.random.default_rng(seed)
    x = random.normal(mean, 1, COUNT)
    weight = random.exponential(1, COUNT) if weighted else np.ones(COUNT)
    write(path, {"e": np.exp(x), "other": random.normal(size=COUNT), "w": weight})
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("ratio")
    for part, seed in (("train", 1), ("test", 3)):
        sample(out / f"nature-{part}.root", SHIFT, seed)
        sample(out / f"simulation-{part}.root", 0.0, seed + 1, weighted=True)
    assert main([*map(str, fitting(out)), *QUICK]) == 0
    return out


def fitting(folder: Path) -> list[object]:
    data = ["--numerator", folder / "nature-train.root"]
    data += ["--denominator", folder / "simulation-train.root"]
    data += ["--columns", "log(e),other", "--weight", "{denominator: w}"]
    return ["fit", "ratio", *data, "--out", folder / "run"]


def test_apply_gives_the_exact_ratio_beside_the_columns(folder: Path) -> None:
    out = folder / "weighted.parquet"
    argv = ["apply", folder / "run", "--files", folder / "simulation-test.root", "--out", out]
    assert main([str(a) for a in argv]) == 0
    rows = read_rows(out, ["log(e)", "ratio", "w"], own=True)
    assert set(rows.own) == {"e", "other", "w", "ratio"}
    error = np.abs(rows.columns["ratio"] - exact(rows.columns["log(e)"]))
    # A fit of two coefficients to 2 x 8,000 events, one sample of half the effective size: each
    # is known to sqrt(3 / 8,000) or better, and the ratio's mean is 1.
    assert error.mean() < 3 * np.sqrt(3 / 8000)


def test_evaluation_and_report_agree_with_the_truth(folder: Path) -> None:
    out = folder / "evaluation"
    argv = ["evaluate", folder / "run", "--numerator", folder / "nature-test.root"]
    argv += ["--denominator", folder / "simulation-test.root", "--weight", "{denominator: w}"]
    assert main([str(a) for a in (*argv, "--out", out)]) == 0
    rows = {(r["subject"], r["quantity"]): r for r in json.loads(read(out))["rows"]}
    for column, before in (("log(e)", 1000), ("other", 0)):
        # chi2 of 19 degrees of freedom, beside the error of the fit itself.
        assert rows[column, "χ²"]["value"] < 19 + 4 * np.sqrt(2 * 19)
        assert rows[column, "χ² before"]["value"] > before
    after = rows["all columns", "AUC"]
    assert abs(after["value"] - 0.5) < 4 * after["error"]
    # Phi(0.6 / sqrt 2) = 0.664 for two normals 0.6 apart.
    assert rows["all columns", "AUC before"]["value"] == pytest.approx(0.664, abs=0.02)
    kept = read_rows(folder / "simulation-test.root", ["log(e)", "w"]).columns
    size = effective_size(kept["w"] * exact(kept["log(e)"]))
    assert rows["all columns", "effective sample size"]["value"] == pytest.approx(size, rel=0.1)
    assert main(["report", str(folder / "run"), str(out)]) == 0
    page = (out / "report.html").read_text()
    assert page.count("data:image/svg+xml") == 3
    assert "AUC before" in page


def read(out: Path) -> str:
    return (out / "results.json").read_text()


def test_the_exported_file_needs_onnxruntime_alone(folder: Path) -> None:
    import onnxruntime

    out = folder / "ratio.onnx"
    files = folder / "simulation-test.root"
    assert main([str(a) for a in ("export", folder / "run", "--files", files, "--out", out)]) == 0
    x = np.linspace(-2, 2, 41)
    table = np.stack([x, np.zeros(41)], 1).astype(np.float32)
    (ln_r,) = onnxruntime.InferenceSession(out).run(None, {"table": table})
    np.testing.assert_allclose(ln_r, np.log(exact(x)), atol=0.1)


def test_a_configuration_repeats_the_fit(folder: Path) -> None:
    again = folder / "again"
    config = folder / "run" / "config.yaml"
    assert main(["fit", "ratio", "--config", str(config), "--out", str(again)]) == 0
    first, second = (p / "weights.safetensors" for p in (folder / "run", again))
    assert first.read_bytes() == second.read_bytes()
