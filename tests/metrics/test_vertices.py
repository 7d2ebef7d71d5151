"""Metrics of vertices, exact on vertices made by hand."""

import numpy as np
import pytest

from colliderkit.events.vertices import Vertices
from colliderkit.metrics.vertices import (
    adjusted_rand,
    efficiency,
    false_rate,
    match_vertices,
    mean_over_jets,
    perfect,
    resolution,
    strength_at,
)


def vertices(z, counts, strength=None, error=0.02) -> Vertices:
    z = np.array(z, dtype=float)
    strength = np.ones(len(z)) if strength is None else np.array(strength, dtype=float)
    return Vertices(z, strength, np.full(len(z), error), np.array(counts))


TRUE = vertices([-10.0, 0.0, 0.3, 5.0], [3, 1])


def test_a_vertex_is_found_by_its_mutual_nearest():
    # Two beside 0, of which one is nearer; one between 0 and 0.3; the second event's in the first.
    found = vertices([-10.05, 0.04, 0.08, 5.0], [4, 0])
    matched = match_vertices(TRUE, found)
    assert matched.partner.tolist() == [0, 1, -1, -1]
    assert matched.false.tolist() == [False, False, True, True]
    assert efficiency(TRUE, found).value == 0.5
    assert false_rate(TRUE, found).value == 1.0


@pytest.mark.parametrize(
    ("away", "error", "near"),
    [(0.09, 0.001, True), (0.11, 0.001, False), (0.45, 0.1, True), (0.55, 0.1, False),
     (0.9, 1.0, True), (1.1, 1.0, False)],
)  # fmt: skip
def test_five_errors_at_least_a_tenth_and_at_most_one_millimetre(away, error, near):
    matched = match_vertices(vertices([0.0], [1], error=error), vertices([away], [1]))
    assert (matched.partner[0] == 0) == near


def test_nothing_is_found_of_nothing():
    none = vertices([], [0, 0])
    assert efficiency(TRUE, none).value == 0
    assert false_rate(TRUE, none).value == 0
    assert match_vertices(none, TRUE).false.all()
    assert np.isnan(resolution(TRUE, none).value)


def test_the_threshold_leaves_so_many_false_ones():
    found = vertices([-10, 0, 20, 30, 40, 5], [5, 1], [9, 8, 1, 2, 3, 7])
    for false, kept in ((0.0, 0), (0.5, 1), (1.0, 2), (5.0, 3)):
        cut = strength_at(TRUE, found, false)
        left = found.where(found.strength > cut)
        assert match_vertices(TRUE, left).false.sum() == kept


def test_resolution_is_half_of_the_central_interval():
    true = vertices(100.0 * np.arange(1001), [1001])
    away = np.linspace(-0.05, 0.05, 1001)
    found = vertices(100.0 * np.arange(1001) + away, [1001])
    assert resolution(true, found).value == pytest.approx(0.05 * 0.6827, abs=1e-4)


def test_partitions_by_hand():
    """Alike, one merged with another, all apart, a single track and an empty jet."""
    counts = np.array([3, 4, 3, 1, 0])
    true = np.array([0, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0])
    found = np.array([5, 5, 2, 0, 0, 0, 0, 0, 1, 2, 3])
    # Of one part of four: a = 2, b = 0, c = 4, d = 0, so that the index is 0.
    np.testing.assert_allclose(adjusted_rand(true, found, counts), [1, 0, 0, 1, 1])
    assert perfect(true, found, counts).tolist() == [True, False, False, True, True]
    # a = 1, b = 1, c = 2, d = 2 of six pairs: 2 (2 - 2) / ... = 0; and one with a half.
    index = adjusted_rand(np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 1]), np.array([5]))
    np.testing.assert_allclose(index, 2 * (2 * 4 - 2 * 2) / (4 * 6 + 4 * 6))


def test_the_index_is_that_of_scikit_learn():
    from sklearn.metrics import adjusted_rand_score

    random = np.random.default_rng(0)
    counts = random.integers(1, 12, 50)
    total = counts.sum()
    true, found = random.integers(0, 4, total), random.integers(0, 3, total)
    mine = adjusted_rand(true, found, counts)
    edges = np.cumsum(counts)[:-1]
    theirs = [
        adjusted_rand_score(a, b)
        for a, b in zip(np.split(true, edges), np.split(found, edges), strict=True)
    ]
    np.testing.assert_allclose(mine, theirs, atol=1e-12)
    mean = mean_over_jets(mine)
    assert mean.value == pytest.approx(np.mean(theirs))
    assert mean.error == pytest.approx(np.std(theirs, ddof=1) / 50**0.5)
