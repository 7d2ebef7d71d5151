"""Intervals against closed forms: Gaussian, Gaussian at a boundary, Poisson."""

import numpy as np
import pytest
from scipy.special import ndtri

from colliderkit.errors import InputError
from colliderkit.metrics.intervals import profile, profile_intervals, profile_path

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


def test_what_cannot_be_answered_is_a_sentence():
    with pytest.raises(InputError, match="increase"):
        profile_intervals([0.0, 2.0, 1.0], [[1.0, 2.0, 3.0]])
    with pytest.raises(InputError, match="experiment 1 at 1"):
        profile_intervals([0.0, 1.0, 2.0], [[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]])
