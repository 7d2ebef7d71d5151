"""From paired events to unfolded spectra: the study, end to end at the smallest size."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.report.results import read_results
from colliderkit.studies import reproduce
from colliderkit.studies.unfolding import OBSERVABLES, coarse, edges_of


def test_bins_hold_enough_events_and_end_where_the_observable_does() -> None:
    zg = OBSERVABLES[5]
    random = np.random.default_rng(1)
    values = np.concatenate([np.zeros(100), random.uniform(0.1, 0.5, 4_000)])
    edges = edges_of(zg, values)
    # Nothing lies between 0 and 0.1: one bin, with the zeros, ends where the next events begin.
    assert edges[0] == 0
    assert edges[-1] == 0.5
    assert edges[1] == pytest.approx(0.01)
    assert edges[2] == pytest.approx(0.11)
    assert np.histogram(values, edges)[0].min() >= 20
    with pytest.raises(InputError, match="zg: 30 events fill less than two bins"):
        edges_of(zg, values[:30])


def test_coarse_bins_keep_the_ends() -> None:
    assert coarse(np.arange(51.0)).tolist() == [*range(0, 51, 5)]
    assert coarse(np.array([0.0, 1.0, 2.0])).tolist() == [0, 1, 2]


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
        assert weights.sum() == pytest.approx(600, rel=0.1)
    page = (out / "report.html").read_text()
    assert "Choice of the iteration" in page
    with pytest.raises(InputError, match="exists already"):
        reproduce("unfolding", scale="smoke", out=out, workers=1)
