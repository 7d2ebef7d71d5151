"""ONNX file of a shower clustering: the same answers, for short events too."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.methods.reconstruction.shower_clustering import ShowerClustering
from colliderkit.serve.clustering import export_clustering
from colliderkit.serve.translation import session
from colliderkit.training.settings import Training
from contracts.cases.clustering import small_events


def test_events_shorter_than_the_neighbours_have_the_same_answer(tmp_path: Path) -> None:
    training = Training(epochs=1, batch_size=8)
    method = ShowerClustering(dimensions=2, width=8, blocks=1, neighbours=6, training=training)
    method.fit(small_events(20, 1), progress=False)
    path = tmp_path / "clusters.onnx"
    assert export_clustering(method, path, small_events(4, 2)) < 1e-4
    short = CalorimeterHits.checked([0, 2], [[1.0, 2.0, 3.0], [4.0, 0.0, 3.0]], [0.5, 2.0])
    wanted = method.outputs(short)
    hits = np.concatenate([short.position, short.energy[:, None]], axis=1, dtype=np.float32)
    beta, factor, place = session(path.read_bytes()).run(None, {"constituents": hits[None]})
    np.testing.assert_allclose(beta[0], wanted[:, 0], atol=1e-5)
    np.testing.assert_allclose(factor[0], method.scale_ * np.exp(wanted[:, 1]), rtol=1e-4)
    np.testing.assert_allclose(place[0], wanted[:, 2:], atol=1e-4)
    with pytest.raises(Exception, match="exists already"):
        export_clustering(method, path, short)


def test_with_times_the_file_takes_one_column_more(tmp_path: Path) -> None:
    def timed(seed: int) -> CalorimeterHits:
        hits = small_events(20, seed)
        time = np.random.default_rng(seed).normal(0, 200, len(hits.energy))
        time[::3] = np.nan
        return replace(hits, time=time)

    training = Training(epochs=1, batch_size=8)
    method = ShowerClustering(dimensions=2, width=8, blocks=1, neighbours=6, training=training)
    method.fit(timed(1), progress=False)
    path = tmp_path / "clusters.onnx"
    one = timed(2).at([3])
    assert export_clustering(method, path, timed(2)) < 1e-4
    hits = np.concatenate(
        [one.position, one.energy[:, None], one.time[:, None]], axis=1, dtype=np.float32
    )
    (beta, *_) = session(path.read_bytes()).run(None, {"constituents": hits[None]})
    np.testing.assert_allclose(beta[0], method.outputs(one)[:, 0], atol=1e-5)
