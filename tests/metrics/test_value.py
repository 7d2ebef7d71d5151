"""Values, seeds and the bootstrap."""

import math
from functools import partial

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.metrics import Value, auc, bootstrap, over_seeds, rejection
from colliderkit.metrics.value import binomial_variance, number, with_errors


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Value(1298.3, 46.2), "1298 ± 46"),
        (Value(0.984812, 0.000321), "0.98481 ± 0.00032"),
        (Value(12983.0, 460.0), "12\u202f980 ± 460"),
        (Value(0.5, math.nan), "0.5"),
        (Value(1.0, 0.0), "1"),
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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Value(1298.3, 46.2), "1298 ± 46"),
        (Value(0.98123, 0.00041), "0.98123 ± 0.00041"),
        # An error of rounding is none, and neither is zero.
        (Value(10.28646031830060537, 1.3e-16), "10.29"),
        (Value(0.0, 0.0), "0"),
        (Value(0.0, 0.22), "0.00 ± 0.22"),
        (Value(0.123456, math.nan), "0.1235"),
        (Value(170.0, math.nan), "170"),
        (Value(20_070_000.0, 390_000.0), "20\u202f070\u202f000 ± 390\u202f000"),
        (Value(-12_345.6, 7.8), "-12\u202f345.6 ± 7.8"),
        (Value(3.14e-7, 2e-8), "(3.14 ± 0.20) × 10⁻⁷"),
        (Value(5e12, 1e11), "(5.00 ± 0.10) × 10¹²"),
        (Value(334.0, math.nan, True), "> 334"),
        (Value(2500.0, 2500.0, up=12_000.0, down=1700.0), "2500 +12\u202f000 -1700"),
        (Value(0.034, 0.002).percent, "3.40 ± 0.20"),
        (Value(math.nan, math.nan), "–"),
    ],
)
def test_all_that_is_written(value, text):
    assert str(value) == text


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0, 4, "0"),
        (170.0, 2, "170"),
        (0.00012, 2, "0.00012"),
        (3e-7, 4, "3 × 10⁻⁷"),
        (123456, 4, "123\u202f456"),
        (9999, 4, "9999"),
        (9.99996, 4, "10"),
        (1.5, 4, "1.5"),
        (math.inf, 4, "∞"),
    ],
)
def test_a_number_without_an_error(value, digits, text):
    assert number(value, digits) == text


def test_several_errors_are_rounded_alike():
    assert with_errors(950.0, 70.7, 65.0) == "950 ± 71 ± 65"
    assert with_errors(950.0, 70.7, 0.0) == "950 ± 71"
