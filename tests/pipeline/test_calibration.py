"""Files in, report out: a calibration through the command line, closing under another prior."""

from pathlib import Path

import numpy as np
import pytest

from colliderkit.cli import main
from colliderkit.report.results import read_results
from colliderkit.sources import write
from colliderkit.sources.files.rows import read_rows

COUNT = 20_000


def sample(path: Path, seed: int, mean: float) -> Path:
    """Write X = 1 + 2 Z + N(0, .5), Z ~ N(mean, 1), and a feature that says nothing."""
    random = np.random.default_rng(seed)
    truth = random.normal(mean, 1, COUNT)
    measured = 1 + 2 * truth + 0.5 * random.normal(size=COUNT)
    return write(path, {"x": measured, "z": truth, "eta": random.normal(size=COUNT)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("calibration")
    sample(out / "train.root", 1, 0.0)
    sample(out / "test.root", 2, 0.3)
    argv = ["fit", "calibration", out / "train.root", "--measured", "x", "--truth", "z"]
    argv += ["--method", "numerical-inversion", "--out", out / "run"]
    assert main([str(a) for a in argv]) == 0
    return out


def test_the_estimate_closes_under_another_prior(folder: Path) -> None:
    argv = ["evaluate", folder / "run", folder / "test.root", "--truth", "z", "--bins", "6"]
    assert main([str(a) for a in [*argv, "--out", folder / "evaluation"]]) == 0
    results = {r.quantity: r for r in read_results(folder / "evaluation" / "results.json")}
    worst = results["largest |bias| of all bins"]
    # Noise of .25 in the truth; of six bins the largest is some 1.5 errors.
    assert worst.value < 5 * worst.error
    assert results["resolution, mean of the bins"].value == pytest.approx(0.25, rel=0.05)
    assert results["pull width"].value == pytest.approx(1, abs=0.05)
    assert main(["report", str(folder / "evaluation")]) == 0
    assert "Closure" in (folder / "evaluation" / "report.html").read_text()


def test_apply_writes_estimate_and_resolution(folder: Path) -> None:
    out = folder / "applied.root"
    argv = ["apply", folder / "run", folder / "test.root", "--out", out]
    assert main([str(a) for a in argv]) == 0
    rows = read_rows(out, ["(x - 1) / 2", "estimate", "resolution"], own=True)
    assert set(rows.own) == {"x", "z", "eta", "estimate", "resolution"}
    inner = np.abs(rows.columns["estimate"]) < 2
    off = rows.columns["estimate"] - rows.columns["(x - 1) / 2"]
    assert np.abs(off[inner]).max() < 0.05


def test_several_truths_are_refused_where_one_is_meant(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["fit", "calibration", folder / "train.root", "--measured", "x", "--truth", "z,eta"]
    argv += ["--method", "numerical-inversion", "--out", folder / "two"]
    assert main([str(a) for a in argv]) == 2
    assert "--truth is z,eta; numerical-inversion takes one number" in capsys.readouterr().err
