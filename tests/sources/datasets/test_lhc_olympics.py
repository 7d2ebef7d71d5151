"""Events like those of the LHC Olympics: made once, read back, mixed, moved."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources.datasets.lhc_olympics import (
    Dijets,
    inject,
    make_dijets,
    read_dijets,
    shift,
)


def sample(count, label, first=0):
    random = np.random.default_rng(label)
    event = first + np.arange(count)
    features, mass = random.random((count, 4)), random.uniform(3000, 4000, count)
    return Dijets(features, mass, np.full(count, label), np.ones(count), event)


def test_events_are_made_once_and_read_back(tmp_path):
    paths = [make_dijets(tmp_path, label, 20, seed=2) for label in (0, 1)]
    first = paths[0].stat().st_mtime_ns
    assert make_dijets(tmp_path, 0, 20, seed=2).stat().st_mtime_ns == first
    events = read_dijets(paths, least=0.0)
    assert np.bincount(events.label).tolist() == [20, 20]
    assert len(np.unique(events.event)) == 40
    assert np.isfinite(events.features).all()
    assert (events.features[:, :2] >= 0).all()
    assert (events.weight == 1).all()
    above = read_dijets(paths, least=3300.0)
    assert len(above) == (events.mass > 3300).sum()


def test_signal_is_injected_without_repetition():
    mixed = inject(sample(50, 0), sample(30, 1, first=100), 20, seed=1)
    assert np.bincount(mixed.label).tolist() == [50, 20]
    assert len(np.unique(mixed.event)) == 70
    with pytest.raises(InputError, match="31 signal events are asked for, and there are 30"):
        inject(sample(50, 0), sample(30, 1), 31, seed=1)


def test_shifted_masses_know_the_mass_of_the_pair():
    events = sample(50, 0)
    moved = shift(events)
    np.testing.assert_allclose(moved.features[:, 0] - events.features[:, 0], 0.1 * events.mass)
    np.testing.assert_allclose(moved.features[:, 1] - events.features[:, 1], 0.1 * events.mass)
    np.testing.assert_array_equal(moved.features[:, 2:], events.features[:, 2:])
