"""Coverage against Clopper and Pearson's definition."""

import numpy as np
import pytest
from scipy.stats import binom

from colliderkit.errors import InputError
from colliderkit.metrics.coverage import coverage


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
