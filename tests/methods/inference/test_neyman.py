"""Neyman construction against closed forms: Gaussian, Gaussian at a boundary, Poisson."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import poisson

from colliderkit.errors import InputError
from colliderkit.methods.inference.neyman import NeymanConstruction
from colliderkit.metrics.coverage import coverage
from colliderkit.metrics.intervals import profile_intervals

SCAN = np.linspace(-3.0, 5.0, 81)


def gaussian(data, scan):
    """ln L of the mean of unit Gaussian measurements (E, n)."""
    return -0.5 * ((data[:, :, None] - scan) ** 2).sum(1)


@pytest.mark.parametrize("confidence", [0.6827, 0.95])
def test_gaussian_coverage_of_profile_and_neyman(confidence):
    """400 experiments: within the 99.7% interval of their counting."""
    truth, experiments = 1.0, 400

    def simulate(theta, count, random):
        return random.normal(theta, 1.0, (count, 2))

    data = simulate(truth, experiments, np.random.default_rng(7))
    rows = gaussian(data, SCAN)
    found = profile_intervals(SCAN, rows, confidence)
    assert coverage(found.low, found.high, truth, confidence=0.997).holds(confidence)
    neyman = NeymanConstruction(confidence=confidence, experiments=2000)
    neyman.fit(SCAN, simulate, gaussian)
    found = neyman.intervals(rows)
    assert coverage(found.low, found.high, truth, confidence=0.997).holds(confidence)
    # The critical value is the quantile of chi^2; its error from 2000 draws is 5% or less here.
    exact = ndtri((1 + confidence) / 2) ** 2
    inner = (SCAN > -1) & (SCAN < 3)
    np.testing.assert_allclose(neyman.critical_[inner].mean(), exact, rtol=0.02)


def test_neyman_intervals_of_a_gaussian_are_exact_on_a_coarse_scan():
    """With the critical values of chi^2 the ends are x +- z sigma, whatever the steps."""
    scan = np.linspace(-3.0, 5.0, 9)
    x = np.random.default_rng(1).normal(1.0, 1.0, 50)
    for confidence in (0.6827, 0.95):
        z = ndtri((1 + confidence) / 2)
        exact = NeymanConstruction(confidence=confidence)
        exact.scan_, exact.critical_ = scan, np.full(9, z**2)
        found = exact.intervals(-0.5 * (x[:, None] - scan) ** 2)
        inner = (x - z > -3) & (x + z < 5)
        np.testing.assert_allclose(found.low[inner], (x - z)[inner], atol=1e-9)
        np.testing.assert_allclose(found.high[inner], (x + z)[inner], atol=1e-9)


def feldman_cousins(x, confidence):
    """Exact upper end for a unit Gaussian of mean mu >= 0 measured at x (physics/9711021).

    mu is accepted as long as the probability of results with a larger ratio than x is below the
    confidence; the ratio is exp(-(y - mu)^2 / 2) for y > 0, exp(y mu - mu^2 / 2) below.
    """

    def log_ratio(y, mu):
        return -0.5 * (y - mu) ** 2 if y >= 0 else y * mu - 0.5 * mu**2

    def excess(mu):
        c = log_ratio(x, mu)
        high = mu + np.sqrt(-2 * c)
        low = mu - np.sqrt(-2 * c)
        if low < 0:
            low = (c + 0.5 * mu**2) / mu
        return ndtr(high - mu) - ndtr(low - mu) - confidence

    return brentq(excess, max(x, 0.0) + 0.3, x + 6)


@pytest.mark.parametrize(("x", "published"), [(-1.0, 0.81), (0.0, 1.64), (1.0, 2.64)])
def test_the_boundary_is_that_of_feldman_and_cousins(x, published):
    """Their table X at 90%; critical values from 10,000 experiments, error about 0.02."""
    exact = feldman_cousins(x, 0.9)
    assert exact == pytest.approx(published, abs=0.006)
    scan = np.linspace(0.0, 4.0, 41)

    def simulate(theta, count, random):
        return random.normal(theta, 1.0, count)

    def log_likelihood(data, scan):
        return -0.5 * (np.asarray(data)[:, None] - scan) ** 2

    neyman = NeymanConstruction(confidence=0.9, experiments=10_000)
    neyman.fit(scan, simulate, log_likelihood)
    found = neyman.intervals(log_likelihood([x], scan))
    assert found.high[0] == pytest.approx(exact, abs=0.05)
    assert found.low[0] == 0.0
    assert found.best[0] == pytest.approx(max(x, 0.0), abs=1e-9)


def test_poisson_without_background_at_90_percent():
    """Published table: n = 0: [0, 2.44], 1: [0.11, 4.36], 3: [1.10, 7.42]."""
    # Beyond what is asked: the maximum of each pseudo-experiment must lie in the scan.
    scan = np.linspace(0.0, 18.0, 181)

    def log_likelihood(counts, scan):
        return np.asarray(counts)[:, None] * np.log(np.maximum(scan, 1e-12)) - scan

    neyman = NeymanConstruction(confidence=0.9, experiments=5000)

    def simulate(theta, count, random):
        # One in each of `count` equal shares of probability: of counts drawn freely, 5000 err by
        # 0.4% of probability, and the ends by two steps of the scan in a third of the seeds.
        return poisson.ppf((np.arange(count) + random.random()) / count, theta)

    neyman.fit(scan, simulate, log_likelihood)
    found = neyman.intervals(log_likelihood([0, 1, 3], scan))
    # Counts are discrete: at an end the share of a whole count is accepted or not, and the grid
    # of 0.1 and the draws decide within about a step.
    np.testing.assert_allclose(found.low, [0.0, 0.11, 1.10], atol=0.15)
    np.testing.assert_allclose(found.high, [2.44, 4.36, 7.42], atol=0.15)


def test_what_cannot_be_constructed_is_a_sentence():
    flat = (lambda *a: np.zeros(5)), (lambda d, s: np.zeros((5, 3)))
    with pytest.raises(InputError, match="draw more"):
        NeymanConstruction(experiments=20).fit([0.0, 1.0, 2.0], *flat)
    with pytest.raises(InputError, match="pseudo-experiments are drawn"):
        NeymanConstruction().fit([0.0, 1.0, 2.0], *flat, weight=np.ones(3))
