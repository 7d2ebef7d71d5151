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


def timed(events: CalorimeterHits, seed: int) -> CalorimeterHits:
    """Give showers times of their own, 200 ps apart in the mean, and every fifth hit none."""
    random = np.random.default_rng(seed)
    arrival = random.normal(0, 200.0, len(events.pdg))
    first = np.searchsorted(events.share_hit, np.arange(len(events.energy)))
    time = arrival[events.share_particle[first]] + random.normal(0, 30.0, len(first))
    return replace(events, time=np.where(np.arange(len(first)) % 5 == 0, np.nan, time))


@pytest.mark.statistical
def test_showers_at_one_place_are_told_apart_by_their_times(seed: int) -> None:
    """All showers in the middle: without times there is nothing to tell them apart by."""

    def mixed(count: int, seed: int) -> CalorimeterHits:
        events = timed(small_events(count, seed), seed)
        return replace(
            events, position=np.random.default_rng(seed).normal(0, 6, (len(events.energy), 3))
        )

    training = Training(epochs=12, batch_size=16, learning_rate=1e-2)
    test, found = mixed(60, 1000 + seed), {True: [], False: []}
    for with_times, efficiencies in found.items():
        for s in (seed, seed + 1, seed + 2):
            train, judged = mixed(120, 10 + s), test
            if not with_times:
                train, judged = (replace(hits, time=None) for hits in (train, test))
            method = ShowerClustering(
                dimensions=2, width=16, blocks=1, neighbours=6, validation=0.2, training=training
            ).fit(train, seed=s, progress=False)
            efficiencies.append(match_clusters(judged, method.predict(judged)).efficiency().value)
    assert np.median(found[True]) > np.median(found[False]) + 0.1


def test_times_are_beside_the_mean_of_the_event_and_are_needed() -> None:
    events = timed(small_events(20, 3), 3)
    columns = features(events, timed=True)
    later = replace(events, time=events.time + 1e3)
    np.testing.assert_allclose(features(later, timed=True), columns, atol=1e-9)
    assert (columns[::5, 4:] == 0).all()
    training = Training(epochs=1, batch_size=8)
    method = ShowerClustering(dimensions=2, width=8, blocks=1, neighbours=4, training=training)
    method.fit(events, progress=False)
    with pytest.raises(InputError, match="was fitted with times of hits"):
        method.predict(replace(events, time=None))
    with pytest.raises(InputError, match="not one finite number of ps"):
        method.fit(replace(events, time=events.time[:3]))
