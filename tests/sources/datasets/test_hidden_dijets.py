"""A resonance hidden in dijets: what is divided, injected and moved."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources.datasets.hidden_dijets import HiddenDijets, in_region, toy_dijets
from colliderkit.sources.toys.resonance import Resonance


@pytest.fixture(scope="module")
def hidden():
    return HiddenDijets.made("nowhere", 20_000, 2_000, (0.5, 0.2), toy=True)


def test_events_are_divided_and_none_stands_twice(hidden):
    parts = [hidden.background, hidden.template, hidden.signal]
    assert [len(part) for part in parts] == [10_000, 4_000, 1_000]
    assert in_region(hidden.test).all()
    numbers = np.concatenate([part.event for part in (*parts, hidden.test)])
    assert len(np.unique(numbers)) == len(numbers)
    # Of the tests, those that are signal are the other half of it.
    assert 900 < hidden.test.label.sum() <= 1_000
    assert not hidden.template.label.any()


def test_the_strength_is_that_of_the_window(hidden):
    for strength in (1.0, 3.0):
        data = hidden.data(strength, seed=4)
        inside = in_region(data)
        background = (data.label[inside] == 0).sum()
        assert background == in_region(hidden.background).sum()
        # Which of the signal events are drawn decides how many lie inside.
        signal = data.label[inside].sum()
        assert signal / background**0.5 == pytest.approx(strength, abs=4 / background**0.5)
    with pytest.raises(InputError, match="signal events are asked for, and there are 1000"):
        hidden.data(50.0, seed=4)


def test_masses_follow_the_pair_where_they_are_moved(hidden):
    moved = hidden.moved()
    for before, after in ((hidden.test, moved.test), (hidden.signal, moved.signal)):
        np.testing.assert_allclose(
            after.features[:, :2] - before.features[:, :2], np.tile(before.mass / 10, (2, 1)).T
        )
        np.testing.assert_array_equal(after.features[:, 2:], before.features[:, 2:])


def test_events_of_the_toy_keep_their_order_of_likelihood():
    toy = Resonance()
    events = toy.events(500, 500, 1)
    dijets = toy_dijets(events)
    scale, middle = np.array([30.0, 60.0, 0.1, 0.1]), np.array([120.0, 150.0, 0.6, 0.6])
    np.testing.assert_allclose((dijets.features - middle) / scale, events.features)
    np.testing.assert_array_equal(dijets.label, events.label)
