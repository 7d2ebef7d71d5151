"""Edges of bins: merged until they hold enough, of equal shares, and the bin of each event."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.binning import (
    balanced_edges,
    bins_of,
    coarse_edges,
    merged_edges,
    quantile_edges,
    rising,
)


def test_bins_hold_enough_events_and_end_where_the_range_does():
    random = np.random.default_rng(1)
    values = np.concatenate([np.zeros(100), random.uniform(0.1, 0.5, 4_000)])
    edges = merged_edges(np.linspace(0, 0.5, 51), values, "zg")
    # Nothing lies between 0 and 0.1: one bin, with the zeros, ends where the next events begin.
    assert edges[0] == 0
    assert edges[-1] == 0.5
    assert edges[1] == pytest.approx(0.01)
    assert edges[2] == pytest.approx(0.11)
    assert np.histogram(values, edges)[0].min() >= 20
    with pytest.raises(InputError, match="zg: 30 events fill less than two bins"):
        merged_edges(np.linspace(0, 0.5, 51), values[:30], "zg")


def test_coarse_bins_keep_the_ends():
    assert coarse_edges(np.arange(51.0)).tolist() == [*range(0, 51, 5)]
    assert coarse_edges(np.array([0.0, 1.0, 2.0])).tolist() == [0, 1, 2]


def test_the_bin_of_an_event():
    numbers, inside = bins_of(np.array([-1.0, 0.0, 1.0, 2.0, 3.0]), np.array([0.0, 1.0, 2.0]))
    assert numbers[inside].tolist() == [0, 1, 1]
    assert inside.tolist() == [False, True, True, True, False]
    with pytest.raises(InputError, match="reco_edges must rise"):
        rising([1, 1], "reco_edges")


def test_balanced_bins_have_equal_shares_of_truth_bins():
    random = np.random.default_rng(1)
    truth = random.exponential(size=50_000)
    edges = np.array([0.0, 1.0, 3.0])
    found = balanced_edges(truth, 20, truth, edges)
    # Each truth bin weighs 1, so that the middle of 20 bins is where the first truth bin ends.
    assert found[10] == pytest.approx(1.0, abs=1e-3)
    assert (found[1:-1] <= 3).all()


def test_quantile_edges_hold_equal_shares_and_follow_the_observable():
    x = np.random.default_rng(14).normal(size=10_000)
    edges = quantile_edges(x, 8)
    assert (np.abs(np.histogram(x, edges)[0] - 1250) <= 1).all()
    np.testing.assert_allclose(quantile_edges(np.exp(x), 8)[1:-1], np.exp(edges[1:-1]))
    assert len(quantile_edges(np.zeros(100), 8)) == 3
    w = np.where(x > 0, 3.0, 1.0)
    shares = np.histogram(x, quantile_edges(x, 4, w), weights=w)[0] / w.sum()
    np.testing.assert_allclose(shares, 0.25, atol=1e-3)
    with pytest.raises(InputError, match="bins is 1"):
        quantile_edges(x, 1)
    with pytest.raises(InputError, match="is nan in event 0"):
        quantile_edges([np.nan, 1.0], 2)
