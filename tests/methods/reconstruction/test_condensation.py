"""Condensation points: what they take, event by event."""

import numpy as np

from colliderkit.methods.reconstruction.condensation import condensed


def test_the_largest_takes_what_is_near_and_the_next_what_is_left() -> None:
    beta = [0.3, 0.9, 0.5, 0.05, 0.8, 0.2]
    place = np.array([0.0, 0.4, 0.8, 0.9, 0.0, 5.0])[:, None]
    label, points = condensed(beta, place, [0, 4, 6, 6], threshold=0.1, distance=0.45)
    # Hit 1 takes 0 and 2; hit 3 is below the threshold, and of nobody.
    assert label.tolist() == [0, 0, 0, -1, 0, 1]
    assert points.tolist() == [1, 4, 5]


def test_rounds_of_all_events_together_are_those_of_each() -> None:
    random = np.random.default_rng(2)
    counts = [0, 30, 1, 50, 0]
    offsets = np.cumsum([0, *counts])
    beta, place = random.random(81), random.uniform(0, 3, (81, 2))
    label, points = condensed(beta, place, offsets, threshold=0.2, distance=0.5)
    for low, high in zip(offsets, offsets[1:], strict=False):
        alone, own = condensed(beta[low:high], place[low:high], [0, high - low], threshold=0.2)
        assert label[low:high].tolist() == alone.tolist()
        assert [p - low for p in points if low <= p < high] == own.tolist()


def test_nothing_is_nothing_and_hits_at_one_place_are_one() -> None:
    label, points = condensed([], np.zeros((0, 2)), [0, 0])
    assert (label.tolist(), points.tolist()) == ([], [])
    label, points = condensed([0.9, 0.8], np.zeros((2, 2)), [0, 2], distance=0.1)
    assert (label.tolist(), points.tolist()) == ([0, 0], [0])
