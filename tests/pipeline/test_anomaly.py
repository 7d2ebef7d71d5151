"""Files in, report out: a search without a model in a table of the public (N, 6) layout."""

import json
from pathlib import Path

import numpy as np
import pytest

from colliderkit.cli import main
from colliderkit.methods.method import load
from colliderkit.sources.toys.resonance import Resonance

FEATURES = "mj_min,dm,tau21_1,tau21_2"
TREES = ("--options", "{rounds: 30, leaves: 8}", "--efficiency", "0.02", "--members", "1")


def run(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a user's file: mass of the pair, lighter mass and difference in TeV, tau21, label."""
    out = tmp_path_factory.mktemp("lhco")
    events = Resonance(distance=(2.0, 2.0, -1.5, -1.5)).events(12_000, 120, 1)
    masses = 0.08 + 0.02 * events.features[:, :2]
    # Logistic, as tau21 lies between 0 and 1.
    tau = 1 / (1 + np.exp(-events.features[:, 2:] / 2))
    table = np.column_stack([events.mass / 1000, np.abs(masses), tau, events.label])
    np.save(out / "events.npy", table)
    return out


def test_from_a_public_table_to_a_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "run"
    assert run(
        "fit", "anomaly", "--data", folder / "events.npy", "--resonant", "mjj",
        "--features", FEATURES, "--signal-region", "3300,3700", "--method", "cwola-hunting",
        "--label", "label", *TREES, "--out", out,
    ) == 0  # fmt: skip
    assert "TeV, given in GeV" in "".join(capsys.readouterr())
    search = load(out)
    # 120 signal events in about 1,500: what is found is 4 standard deviations or more.
    assert search.excess_.significance > 4
    assert search.before_.significance < search.excess_.significance
    assert run("report", out) == 0
    page = (out / "report.html").read_text()
    for said in ("Spectrum", "By the labels", "supervised", "idealised", "local p"):
        assert said in page
    results = json.loads((out / "account.json").read_text())
    assert results["read"]


def test_a_scan_has_a_global_p_value(folder: Path) -> None:
    out = folder / "scan"
    assert run(
        "fit", "anomaly", "--data", folder / "events.npy", "--resonant", "mjj", "--features",
        FEATURES, "--method", "cwola-hunting", "--scan", "--null", "2", *TREES, "--folds", "3",
        "--edges", ",".join(f"{edge:.0f}" for edge in np.geomspace(2510, 4800, 10)),
        "--selection", "label == 0", "--out", out,
    ) == 0  # fmt: skip
    scan = load(out)
    assert scan.null_.shape == (2, 3)
    # Without a signal: 3 windows, of which none is far from all others.
    assert scan.bound_ > 1e-3
