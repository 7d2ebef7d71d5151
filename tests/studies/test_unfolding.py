"""From paired events to unfolded spectra: the study, end to end at the smallest size."""

import json
from pathlib import Path

import h5py
import pytest

from colliderkit.errors import InputError
from colliderkit.report.results import read_results
from colliderkit.sources.datasets.zjets import OBSERVABLES
from colliderkit.studies import reproduce
from colliderkit.studies.unfolding import STUDY


@pytest.mark.slow
def test_study_runs_and_its_files_are_read_without_it(tmp_path: Path) -> None:
    pytest.importorskip("pythia8mc")
    pytest.importorskip("fastjet")
    out = tmp_path / "run"
    reproduce("unfolding", scale="smoke", out=out, workers=1)
    content = json.loads((out / "results.json").read_text())
    assert content["command"] == "colliderkit study unfolding --scale smoke --seeds 1"
    subjects = {row.subject for row in read_results(out / "results.json")}
    assert {"simulation", "data", "floor", "MultiFold", "UniFold", "IBU"} <= subjects
    with h5py.File(out / "unfolded.h5") as file:
        weights = file["weights"][:]
        names = list(file["observables"].attrs["names"])
        assert names == [o.name for o in OBSERVABLES]
        assert len(file["observables"]) == len(weights)
        # The yield is that of the data but for misses and fakes, some percent.
        assert weights.sum() == pytest.approx(STUDY.scales["smoke"].nature, rel=0.1)
    page = (out / "report.html").read_text()
    assert "Choice of the iteration" in page
    with pytest.raises(InputError, match="exists already"):
        reproduce("unfolding", scale="smoke", out=out, workers=1)
