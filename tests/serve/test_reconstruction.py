"""ONNX files of tracking and pileup mitigation: the answers of the methods, element by element."""

from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.pileup import Particles
from colliderkit.methods.reconstruction.edge_tracks import EdgeTracks
from colliderkit.methods.reconstruction.embedded_tracks import EmbeddedTracks
from colliderkit.methods.reconstruction.learned import ragged
from colliderkit.methods.reconstruction.learned_tracks import inputs
from colliderkit.methods.reconstruction.pileup_graph import PileupGraph
from colliderkit.networks.radius_graph import DELAY
from colliderkit.serve.pileup import COLUMNS, export_pileup
from colliderkit.serve.tracks import export_tracks, feed_of
from colliderkit.serve.translation import session
from colliderkit.sources.detector.timing import Timing
from colliderkit.sources.toys.pileup import pileup_toy
from colliderkit.sources.toys.tracker import helix_hits
from colliderkit.training.settings import Training

SHORT = Training(epochs=1, batch_size=4)


@pytest.mark.parametrize("kind", [EdgeTracks, EmbeddedTracks])
def test_scores_and_places_of_a_graph_are_those_of_the_method(kind, tmp_path: Path) -> None:
    events = helix_hits(8, vertices=2, particles=6, seed=4)
    method = kind(width=8, rounds=2, training=SHORT).fit(events, progress=False)
    path = tmp_path / "tracks.onnx"
    assert export_tracks(method, path, events) < 1e-4
    # A graph of other numbers of hits, doublets and triplets than that it was traced with.
    graph = next(method.graphs(events.at([0, 1, 2, 3]).overlaid(4)))
    feed = {k: v.numpy() for k, v in feed_of(inputs(graph, method.map_), graph.hits).items()}
    answer = session(path.read_bytes()).run(None, feed)
    np.testing.assert_allclose(answer[0], method._scores(graph), atol=1e-3)
    if kind is EmbeddedTracks:
        place, beta, _ = method._embedded(graph)
        np.testing.assert_allclose(answer[1], place, atol=1e-3)
        np.testing.assert_allclose(answer[2], beta, atol=1e-4)
    with pytest.raises(InputError, match="no event has triplets"):
        export_tracks(method, tmp_path / "none.onnx", events.where(events.r < 40))
    assert not (tmp_path / "none.onnx").exists()


def test_weights_of_particles_are_those_of_the_method(tmp_path: Path) -> None:
    events = pileup_toy(12, 4, seed=3)
    method = PileupGraph(channels=2, width=8, training=SHORT).fit(events, progress=False)
    path = tmp_path / "pileup.onnx"
    assert export_pileup(method, path, events) < 1e-4
    one = events[:1]
    seen = ragged(Particles.of(one))
    values = seen.values[:, [seen.columns.index(name) for name in COLUMNS]].numpy()
    (weight,) = session(path.read_bytes()).run(None, {"constituents": values[None]})
    wanted = ak.flatten(method.weights(one)).to_numpy()
    np.testing.assert_allclose(weight[0], wanted, atol=1e-4)


def test_with_times_the_file_takes_one_column_more(tmp_path: Path) -> None:
    events = pileup_toy(12, 4, timing=Timing(), seed=3)
    method = PileupGraph(channels=2, width=8, training=SHORT).fit(events, progress=False)
    path = tmp_path / "pileup.onnx"
    assert export_pileup(method, path, events) < 1e-4
    one = events[:1]
    seen = ragged(Particles.of(one), timed=True)
    values = seen.values[:, [seen.columns.index(name) for name in (*COLUMNS, DELAY)]].numpy()
    (weight,) = session(path.read_bytes()).run(None, {"constituents": values[None]})
    np.testing.assert_allclose(weight[0], ak.flatten(method.weights(one)).to_numpy(), atol=1e-4)
    with pytest.raises(InputError, match="give events with times"):
        export_pileup(method, tmp_path / "none.onnx", pileup_toy(4, 4, seed=3))
