"""From events to report: a study run end to end at the smallest size."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.tagging.comparison import Plan
from colliderkit.sources import read
from colliderkit.studies.flavour_tagging import discriminant
from colliderkit.studies.top_tagging import STUDY as TOP_TAGGING
from colliderkit.training.settings import Training

pytestmark = pytest.mark.generate

SIZE = 120
QUICK = Training(epochs=2, batch_size=64, learning_rate=3e-3, devices=1)
STUDY = dataclasses.replace(
    TOP_TAGGING,
    scales={
        "smoke": Plan(
            SIZE, SIZE, 2, ("PFN", "boosted trees"), {"PFN": QUICK, "boosted trees": QUICK}
        )
    },
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("study") / "run"
    STUDY.run(scale="smoke", out=out, workers=1)
    return out


def test_results_have_errors_and_published_values(folder: Path) -> None:
    content = json.loads((folder / "results.json").read_text())
    rows = {(row["subject"], row["quantity"]): row for row in content["rows"]}
    pfn = rows["PFN", "AUC"]
    assert 0.6 < pfn["value"] <= 1
    assert pfn["error"] > 0
    assert pfn["seeds"] is not None
    assert (pfn["published"], pfn["source"], pfn["setup"]) == (
        0.9819,
        "arXiv:1902.09914",
        "stand-in",
    )
    assert rows["boosted trees", "AUC"]["value"] > 0.8
    assert content["command"] == "colliderkit study top-tagging --scale smoke --seeds 2"
    assert "torch" in content["versions"]


def test_the_page_needs_no_network(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    # Papers are links; nothing is loaded from elsewhere.
    assert not re.search(r'src\s*=\s*"https?:|<link[^>]*https?:|@import|url\("?https?:', page)
    assert set(re.findall(r'href="https?://([^/"]*)', page)) <= {"arxiv.org", "zenodo.org"}
    assert "PFN" in page
    assert "stand-in" in page


def test_test_jets_never_meet_training(folder: Path) -> None:
    parts = {name: read(folder / "data" / f"{name}.parquet") for name in ("train", "test")}
    assert len(parts["train"]) == len(parts["test"]) == 2 * SIZE
    keys = {
        name: set(
            zip(*(np.asarray(jets[c]).tolist() for c in ("event", "label", "jet_pt")), strict=True)
        )
        for name, jets in parts.items()
    }
    assert not keys["train"] & keys["test"]
    assert not set(np.asarray(parts["train"]["event"])) & set(np.asarray(parts["test"]["event"]))


def test_the_exported_tagger_is_there(folder: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(folder / "PFN.onnx")
    (jet,) = session.run(None, {"constituents": np.array([[[3, 4, 0, 6]]], dtype=np.float32)})
    assert jet.shape == (1, 2)
    assert jet.sum() == pytest.approx(1, abs=1e-5)


def test_what_is_complete_is_kept(folder: Path) -> None:
    weights = folder / "models" / "PFN-seed-1" / "weights.safetensors"
    before = weights.stat().st_mtime_ns
    with pytest.raises(InputError, match=r"report\.html: exists already"):
        STUDY.run(scale="smoke", out=folder, workers=1)
    STUDY.run(scale="smoke", out=folder, workers=1, force=True)
    assert weights.stat().st_mtime_ns == before
    (folder / "report.html").unlink()
    with pytest.raises(InputError, match="holds another study, scale or number of seeds"):
        STUDY.run(scale="smoke", out=folder, seeds=1, workers=1)


def test_flavour_discriminant() -> None:
    probability = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    expected = np.log([0.2 / (0.018 * 0.3 + 0.982 * 0.5), 0.8 / (0.018 * 0.1 + 0.982 * 0.1)])
    np.testing.assert_allclose(discriminant(probability), expected)
