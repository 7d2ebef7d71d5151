"""Clustering by a network: what it learns of a small toy, and events that are hardly any."""

from dataclasses import replace

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.methods.reconstruction.shower_clustering import ShowerClustering, features
from colliderkit.metrics.clustering import match_clusters
from colliderkit.training.settings import Training
from contracts.cases.clustering import small_events


def fitted(seed: int, epochs: int = 10) -> ShowerClustering:
    training = Training(epochs=epochs, batch_size=16, learning_rate=1e-2)
    method = ShowerClustering(
        dimensions=2, width=16, blocks=1, neighbours=6, validation=0.2, training=training
    )
    return method.fit(small_events(120, 10 + seed), seed=seed, progress=False)


@pytest.mark.statistical
def test_separate_showers_are_found_with_their_energies(seed: int) -> None:
    events = small_events(60, 1000 + seed)
    found = [match_clusters(events, fitted(s).predict(events)) for s in (seed, seed + 1, seed + 2)]
    assert np.median([m.efficiency().value for m in found]) > 0.8
    assert np.median([m.purity().value for m in found]) > 0.8
    assert np.median([m.response()[0].value for m in found]) == pytest.approx(1, abs=0.1)


def test_moving_an_event_across_the_axis_changes_nothing() -> None:
    events = small_events(3, 1)
    moved = replace(events, position=events.position + np.array([50.0, -20.0, 0.0]))
    np.testing.assert_allclose(features(moved), features(events), atol=1e-9)


def test_no_hits_and_one_hit_have_an_answer() -> None:
    method = fitted(1, epochs=1)
    hits = CalorimeterHits.checked([0, 0, 1, 1], [[0.0, 0.0, 10.0]], [2.0])
    found = method.predict(hits)
    assert len(found.label) == 1
    assert len(found.energy) <= 1
    assert len(method.predict(hits.at([0])).energy) == 0
    # One event at a time says what all together say.
    events = small_events(4, 2)
    together = method.outputs(events)
    alone = np.concatenate([method.outputs(events.at([i])) for i in range(4)])
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_without_truth_nothing_is_learned() -> None:
    events = small_events(20, 1)
    bare = CalorimeterHits.checked(events.offsets, events.position, events.energy)
    with pytest.raises(InputError, match="no true particles to learn from"):
        ShowerClustering().fit(bare)
