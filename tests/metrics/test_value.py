"""Values, seeds and the bootstrap."""

import math
from functools import partial

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.metrics import Value, auc, bootstrap, over_seeds, rejection
from colliderkit.metrics.value import binomial_variance


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Value(1298.3, 46.2), "1298 ± 46"),
        (Value(0.984812, 0.000321), "0.98481 ± 0.00032"),
        (Value(12983.0, 460.0), "12980 ± 460"),
        (Value(0.5, math.nan), "0.5"),
        (Value(1.0, 0.0), "1 ± 0"),
        (Value(1001.4, math.nan, True), "> 1001"),
    ],
)
def test_rounding_follows_the_error(value, text):
    assert str(value) == text


def test_the_error_of_a_share_is_binomial_also_with_weights():
    assert binomial_variance(0.3, 0.3 / 50, 1 / 50) == pytest.approx(0.3 * 0.7 / 50)
    # Two of three events of weights 2 and 1, and 3, pass: p = 1/2.
    assert binomial_variance(0.5, 5 / 36, 14 / 36) == pytest.approx((5 + 9) / 4 / 36)


def test_over_seeds():
    seeds = over_seeds([Value(1.0, 0.1), 2.0, 3.0, 4.0])
    assert seeds.mean == 2.5
    assert seeds.std == pytest.approx(math.sqrt(5 / 3))
    assert seeds.error == pytest.approx(math.sqrt(5 / 12))


def test_one_seed_has_no_spread():
    mean, std, error = over_seeds([7.0])
    assert mean == 7
    assert math.isnan(std)
    assert math.isnan(error)


def test_limits_and_nothing_are_not_averaged():
    with pytest.raises(InputError, match="lower limit"):
        over_seeds([Value(3.0, math.nan, True), 2.0])
    with pytest.raises(InputError, match="no values"):
        over_seeds([])


def test_bootstrap_of_a_mean_is_the_standard_error():
    x = np.random.default_rng(0).normal(size=400)
    value = bootstrap(np.mean, x, replicas=2000, seed=1)
    assert value.value == x.mean()
    # The standard deviation of 2000 replicas is known to 1 / sqrt(4000) = 1.6%.
    assert value.error == pytest.approx(x.std() / 20, rel=0.07)
    assert bootstrap(np.mean, x, replicas=50, seed=1) == bootstrap(np.mean, x, replicas=50, seed=1)
    assert bootstrap(np.mean, x, replicas=50, seed=1) != bootstrap(np.mean, x, replicas=50, seed=2)


def test_bootstrap_agrees_with_the_errors_from_formulas():
    random = np.random.default_rng(3)
    label = np.repeat([0, 1], 3000)
    score = random.normal(size=6000) + 1.5 * label
    for metric in (auc, partial(rejection, signal_efficiency=0.5)):
        formula = metric(score, label)
        resampled = bootstrap(metric, score, label, replicas=400, seed=4)
        assert resampled.value == formula.value
        assert resampled.error == pytest.approx(formula.error, rel=0.15)


def test_bootstrap_needs_replicas():
    with pytest.raises(InputError, match="1 bootstrap replicas"):
        bootstrap(np.mean, np.ones(3), replicas=1)
