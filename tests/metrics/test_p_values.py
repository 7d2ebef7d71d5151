"""p-values by rank, their combinations and Benjamini-Hochberg against scipy."""

import numpy as np
import pytest
from scipy.stats import combine_pvalues, false_discovery_control

from colliderkit.errors import InputError
from colliderkit.metrics.p_values import benjamini_hochberg, fisher, ranked, sidak_share
from colliderkit.metrics.turn_on import _isotonic, efficiency_of, size_at


def test_ranks():
    np.testing.assert_allclose(ranked([0.5, 3, 9], [1, 2, 3, 4]), [1.0, 3 / 5, 1 / 5])


def test_the_share_of_independent_tests():
    share = sidak_share(0.05, 7)
    assert 1 - (1 - share) ** 7 == pytest.approx(0.05)
    assert sidak_share(0.3, 1) == pytest.approx(0.3)


def test_fisher_is_that_of_scipy():
    p = np.array([0.2, 0.01, 0.7])
    assert fisher(p) == pytest.approx(combine_pvalues(p).statistic)


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3])
def test_benjamini_hochberg_is_that_of_scipy(rate):
    p = np.random.default_rng(1).uniform(size=(20, 50)) ** 3
    expected = false_discovery_control(p, axis=1) <= rate
    np.testing.assert_array_equal(benjamini_hochberg(p, rate), expected)
    assert not benjamini_hochberg(np.ones(5), 0.1).any()
    with pytest.raises(InputError, match="within 0 and 1"):
        benjamini_hochberg([0.1, 1.2], 0.1)


def test_the_size_at_a_level_is_between_its_points():
    found = size_at([1, 2, 3, 4], [10, 40, 80, 100], 100, 0.6)
    assert found.value == pytest.approx(2.5)
    # The slope is 0.4 a step, and both ends fluctuate by about 0.045.
    assert 0.03 < found.error < 0.15
    assert size_at([1, 2], [10, 40], 100, 0.95).lower_limit
    assert size_at([1, 2], [99, 100], 100, 0.5).value == 1
    with pytest.raises(InputError, match="sizes do not rise"):
        size_at([2, 1], [1, 2], 3, 0.5)


def test_the_nearest_rising_shares_are_those_of_scikit_learn():
    from sklearn.isotonic import isotonic_regression

    shares = np.random.default_rng(2).uniform(size=(30, 6))
    expected = [isotonic_regression(row) for row in shares]
    np.testing.assert_allclose(_isotonic(shares), expected, atol=1e-12)


def test_a_share_of_none_has_an_error():
    assert efficiency_of(0, 100).error == pytest.approx(0.0007**0.5 / 7**0.5 * 7 / 10, rel=0.4)
    assert efficiency_of(50, 100).error == pytest.approx(0.05)
