"""Intervals against closed forms: Gaussian, Gaussian at a boundary, Poisson."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from colliderkit.errors import InputError
from colliderkit.methods.inference.intervals import (
    NeymanConstruction,
    profile,
    profile_intervals,
    profile_path,
)
from colliderkit.metrics.coverage import coverage

SCAN = np.linspace(-3.0, 5.0, 81)


def gaussian(data, scan):
    """ln L of the mean of unit Gaussian measurements (E, n)."""
    return -0.5 * ((data[:, :, None] - scan) ** 2).sum(1)


@pytest.mark.parametrize("confidence", [0.6827, 0.95])
def test_gaussian_intervals_are_mean_and_standard_error(confidence):
    data = np.random.default_rng(1).normal(1.0, 1.0, (50, 4))
    found = profile_intervals(SCAN, gaussian(data, SCAN), confidence)
    z = ndtri((1 + confidence) / 2)
    np.testing.assert_allclose(found.best, data.mean(1), atol=1e-9)
    # Straight lines are interpolated; across the maximum itself no end ever lies.
    np.testing.assert_allclose(found.low, data.mean(1) - z / 2, atol=1e-9)
    np.testing.assert_allclose(found.high, data.mean(1) + z / 2, atol=1e-9)


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
    neyman = NeymanConstruction.build(
        simulate, gaussian, SCAN, confidence=confidence, experiments=2000
    )
    found = neyman.intervals(rows)
    assert coverage(found.low, found.high, truth, confidence=0.997).holds(confidence)
    # The critical value is the quantile of chi^2; its error from 2000 draws is 5% or less here.
    exact = ndtri((1 + confidence) / 2) ** 2
    inner = (SCAN > -1) & (SCAN < 3)
    np.testing.assert_allclose(neyman.critical[inner].mean(), exact, rtol=0.02)


def test_coverage_with_a_nuisance_profiled():
    """Unknown width: n ln L of the mean is -n/2 ln sum (x - mu)^2, in closed form."""
    data = np.random.default_rng(3).normal(0.5, 2.0, (1, 12))[0]
    scan = np.linspace(-2.0, 3.0, 26)

    def log_likelihood(mu, nu):
        return -len(data) * nu[0] - 0.5 * ((data - mu) ** 2).sum() * np.exp(-2 * nu[0])

    found = profile(log_likelihood, scan, [0.0])
    exact = -0.5 * len(data) * np.log(((data[:, None] - scan) ** 2).mean(0)) - 0.5 * len(data)
    np.testing.assert_allclose(found, exact, atol=1e-6)


def test_a_profile_goes_outwards_with_gradients_and_stops_at_bounds():
    """-ln L = (theta - nu)^2 + (nu - 1)^2: nu = (theta + 1) / 2 within [0.2, 1.5]."""
    begun = []

    def minus(nu, theta):
        begun.append(theta)
        value = (theta - nu[0]) ** 2 + (nu[0] - 1) ** 2
        return value, np.array([2 * (nu[0] - theta) + 2 * (nu[0] - 1)])

    scan = np.linspace(-2.0, 4.0, 7)
    found, places = profile_path(minus, scan, [0.5], begin=1.2, bounds=[[0.2, 1.5]])
    exact = np.clip((scan + 1) / 2, 0.2, 1.5)
    np.testing.assert_allclose(places[:, 0], exact, atol=1e-6)
    np.testing.assert_allclose(found, -((scan - exact) ** 2) - (exact - 1) ** 2, atol=1e-9)
    assert list(dict.fromkeys(begun)) == [1, 2, 3, 4, 0, -1, -2]


def test_a_flat_side_leaves_the_scan_unless_it_is_bounded():
    rows = -0.5 * np.minimum(SCAN, 0.0) ** 2
    found = profile_intervals(SCAN, rows, 0.95)
    assert found.high[0] == np.inf
    # The kink at zero costs the parabola h^2 / 16 of height.
    assert found.low[0] == pytest.approx(-ndtri(0.975), abs=1e-3)
    assert profile_intervals(SCAN, rows, 0.95, bounded=True).high[0] == SCAN[-1]


def test_neyman_intervals_of_a_gaussian_are_exact_on_a_coarse_scan():
    """With the critical values of chi^2 the ends are x +- z sigma, whatever the steps."""
    scan = np.linspace(-3.0, 5.0, 9)
    x = np.random.default_rng(1).normal(1.0, 1.0, 50)
    for confidence in (0.6827, 0.95):
        z = ndtri((1 + confidence) / 2)
        exact = NeymanConstruction(scan, np.full(9, z**2), confidence)
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

    neyman = NeymanConstruction.build(
        simulate, log_likelihood, scan, confidence=0.9, experiments=10_000
    )
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

    neyman = NeymanConstruction.build(
        lambda theta, count, random: random.poisson(theta, count),
        log_likelihood,
        scan,
        confidence=0.9,
        experiments=5000,
    )
    found = neyman.intervals(log_likelihood([0, 1, 3], scan))
    # Counts are discrete: at an end the share of a whole count is accepted or not, and the grid
    # of 0.1 and the draws decide within about a step.
    np.testing.assert_allclose(found.low, [0.0, 0.11, 1.10], atol=0.15)
    np.testing.assert_allclose(found.high, [2.44, 4.36, 7.42], atol=0.15)


def test_what_cannot_be_answered_is_a_sentence():
    with pytest.raises(InputError, match="increase"):
        profile_intervals([0.0, 2.0, 1.0], [[1.0, 2.0, 3.0]])
    with pytest.raises(InputError, match="experiment 1 at 1"):
        profile_intervals([0.0, 1.0, 2.0], [[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]])
    with pytest.raises(InputError, match="draw more"):
        NeymanConstruction.build(
            lambda *a: np.zeros(5), lambda d, s: np.zeros((5, 3)), [0.0, 1.0, 2.0], experiments=20
        )
