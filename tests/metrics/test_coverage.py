"""Coverage against Clopper and Pearson's definition."""

import numpy as np
import pytest
from scipy.stats import binom, norm

from colliderkit.errors import InputError
from colliderkit.metrics.coverage import coverage, coverage_curve, coverage_in_bins, pulls


def test_the_ends_of_an_interval_and_open_ends_hold_the_truth() -> None:
    found = coverage([0.0, 1.0, -np.inf, 2.0, np.nan], [1.0, 2.0, 0.5, np.inf, np.nan], 1.0)
    assert (found.inside, found.experiments) == (2, 5)
    assert found.share == 0.4


@pytest.mark.parametrize(("k", "n"), [(3, 10), (205, 300), (99, 100)])
def test_limits_are_those_at_which_the_tail_has_the_probability_left_out(k: int, n: int) -> None:
    low = np.where(np.arange(n) < k, -1.0, 1.0)
    found = coverage(low, 2.0, 0.0, confidence=0.9)
    assert binom.sf(k - 1, n, found.low) == pytest.approx(0.05, rel=1e-9)
    assert binom.cdf(k, n, found.high) == pytest.approx(0.05, rel=1e-9)
    assert found.low < k / n < found.high
    assert found.holds(k / n)


def test_all_or_nothing_has_one_limit_in_closed_form() -> None:
    every = coverage(np.zeros(20), 2.0, 1.0, confidence=0.9)
    assert every.high == 1.0
    assert every.low == pytest.approx(0.05 ** (1 / 20))
    none = coverage(np.zeros(20), 0.5, 1.0, confidence=0.9)
    assert none.low == 0.0
    assert none.high == pytest.approx(1 - 0.05 ** (1 / 20))
    assert not none.holds(0.68)


def test_nothing_to_count_is_a_sentence() -> None:
    with pytest.raises(InputError, match="no intervals"):
        coverage([], [], 0.0)
    with pytest.raises(InputError, match="between 0 and 1"):
        coverage([0.0], [1.0], 0.5, confidence=68.0)


def test_bins_part_intervals_by_a_variable() -> None:
    x = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 5.0])
    high = np.where(x < 1, 1.0, -1.0)
    found = coverage_in_bins(np.full(6, -2.0), high, np.zeros(6), x, [0, 1, 2])
    # The last edge belongs to the last bin, and what is beyond to none.
    assert [(c.inside, c.experiments) for c in found] == [(2, 2), (0, 3)]
    with pytest.raises(InputError, match="no events between 3 and 4"):
        coverage_in_bins(np.zeros(6), high, np.zeros(6), x, [0, 3, 4])


def test_the_curve_of_right_intervals_is_the_diagonal() -> None:
    # Evenly spaced in probability: the shares are the levels, but for one event.
    truth = norm.ppf((np.arange(1000) + 0.5) / 1000)
    levels = [0.1, 0.5, 0.9]

    def interval(level: float) -> tuple[float, float]:
        return norm.interval(level)

    shares = [c.share for c in coverage_curve(interval, truth, levels)]
    np.testing.assert_allclose(shares, levels, atol=1e-12)


def test_pulls_have_the_moments_of_their_numbers() -> None:
    found = pulls([1.0, 3.0, 1.0, 3.0], [0.5, 1.0, 0.5, 1.0], [0.0, 0.0, 0.0, 0.0])
    assert (found.mean.value, found.width.value) == (2.5, 0.5)
    assert found.mean.error == 0.25
    # All as far from the mean: the width is known.
    assert found.width.error == 0
    random = np.random.default_rng(1)
    normal = pulls(random.normal(size=40_000), np.ones(40_000), np.zeros(40_000))
    assert normal.width.error == pytest.approx(1 / np.sqrt(80_000), rel=0.05)
    assert abs(normal.width.value - 1) < 3 * normal.width.error
    with pytest.raises(InputError, match="deviation of estimate 1 is 0"):
        pulls([1.0, 2.0], [1.0, 0.0], [0.0, 0.0])
