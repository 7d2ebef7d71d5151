"""Pulls against the exact beta-binomial of scipy, and what they say of equal and other runs."""

import numpy as np
import pytest
from scipy.stats import betabinom, chi2

from colliderkit.errors import InputError
from colliderkit.events.monitors import MonitorRuns
from colliderkit.methods.operations.beta_binomial import (
    BetaBinomial,
    log_relative_probability,
    pulls,
)


@pytest.mark.parametrize(
    ("n", "a", "b"), [(30, 3.0, 8.0), (7, 1.0, 5.0), (50, 20.5, 1.0), (9, 1, 1)]
)
def test_the_mode_and_the_ratio_are_those_of_scipy(n, a, b):
    k = np.arange(n + 1)
    exact = betabinom.logpmf(k, n, a, b)
    np.testing.assert_allclose(
        log_relative_probability(k, n, a, b), exact - exact.max(), atol=1e-10
    )


def test_a_pull_is_that_of_the_definition():
    data, reference, tolerance = np.array([[12.0, 88.0]]), np.array([[30.0, 270.0]]), 0.01
    shrink = 1 / np.sqrt(1 + (reference[0] * tolerance**2) ** 2)
    alpha, beta = shrink * reference[0] + 1, shrink * (300 - reference[0]) + 1
    expected = []
    for i in range(2):
        pmf = betabinom.pmf(np.arange(101), 100, alpha[i], beta[i])
        expected.append(np.sqrt(chi2.isf(pmf[int(data[0, i])] / pmf.max(), 1)))
    np.testing.assert_allclose(pulls(data, reference, tolerance), [[expected[0], -expected[1]]])


def test_large_counts_have_normal_pulls():
    """Many entries are z errors off with p = exp(-z^2 / 2), whose pull is a little below z."""
    reference = np.full((1, 1000), 1e7)
    data = np.full((1, 1000), 1e4)
    data[0, 3] += 400  # four errors
    found = pulls(data, reference, tolerance=0.0)
    assert found[0, 3] == pytest.approx(chi2.isf(np.exp(-8), 1) ** 0.5, abs=0.04)
    assert np.abs(np.delete(found[0], 3)).max() < 0.05


def test_a_tolerance_widens():
    reference = np.full((1, 100), 1e8)
    data = np.full((1, 100), 1e6)
    data[0, 0] *= 1.03  # 3% with a tolerance of 1%: three errors
    expected = chi2.isf(np.exp(-4.5), 1) ** 0.5
    assert pulls(data, reference, tolerance=0.01)[0, 0] == pytest.approx(expected, abs=0.1)


def test_empty_edges_count_for_nothing():
    random = np.random.default_rng(0)
    counts = random.poisson(40, (12, 10))
    padded = np.concatenate([np.zeros((12, 7), int), counts, np.zeros((12, 5), int)], axis=1)
    found = []
    for values in (counts, padded):
        runs = MonitorRuns.checked(np.arange(12), np.ones(12, int), {"h": values})
        test = BetaBinomial.learned(runs.at(slice(0, 8)), "h", count=8, tolerance=0.01)
        found.append(test.measure(runs.at(slice(8, None))).statistics)
    np.testing.assert_allclose(found[0], found[1])


def test_a_reference_without_entries_is_named():
    counts = np.ones((3, 4), int)
    counts[1] = 0
    runs = MonitorRuns.checked([5, 6, 7], [1, 1, 1], {"h": counts})
    with pytest.raises(InputError, match=r"reference run 6 has no entries in monitor 'h'"):
        BetaBinomial.learned(runs, "h", count=3, tolerance=0.01)
