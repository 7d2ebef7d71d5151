"""The triangular discriminator against closed forms, and its floor and error by repetition."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.metrics.separation import binned_separation, separation

EDGES = np.array([-np.inf, *np.linspace(-2, 2, 19), np.inf])


def repeated(count, other, shift, weighted=False, times=600):
    """D, error and floor of many pairs of samples N(0, 1) and N(shift, 1)."""
    random = np.random.default_rng(7)
    rows = []
    for _ in range(times):
        x, y = random.normal(size=count), random.normal(shift, 1, other)
        # Weights that are independent of x leave the density and lower the effective counts.
        w = random.exponential(size=count) if weighted else None
        d = separation(x, y, EDGES, weight=w)
        rows.append([d.value.value, d.value.error, d.floor, d.floor_spread])
    return np.array(rows).T


def test_by_hand():
    # p = (1/2, 1/2), q = (1, 0): 1/2 ((1/4) / (3/2) + (1/4) / (1/2)) = 1/3.
    d = separation([0.5, 1.5], [0.5, 0.5, 0.5], [0, 1, 2])
    assert d.value.value == pytest.approx(1 / 3, rel=1e-12)
    assert d.bins == 2


def test_is_zero_for_equal_and_one_for_disjoint_samples():
    x = np.random.default_rng(0).normal(size=500)
    assert separation(x, x, EDGES).value.value == 0
    assert separation([0.5] * 9, [1.5] * 4, [0, 1, 2]).value.value == pytest.approx(1)


def test_is_symmetric_and_does_not_know_the_normalisation():
    random = np.random.default_rng(1)
    x, y, w = random.normal(size=400), random.normal(0.3, 1, 300), random.exponential(size=400)
    one = separation(x, y, EDGES, weight=w)
    other = separation(y, x, EDGES, other_weight=17 * w)
    assert one.value.value == pytest.approx(other.value.value, rel=1e-12)
    assert one.value.error == pytest.approx(other.value.error, rel=1e-9)
    assert one.floor == pytest.approx(other.floor, rel=1e-9)


def test_floor_of_unit_weights_is_bins_less_one():
    counts = np.array([40.0, 100, 60])
    d = binned_separation(counts, counts, 3 * counts, 3 * counts)
    assert d.floor == pytest.approx((3 - 1) / 4 * (1 / 200 + 1 / 600), rel=1e-12)
    # D / floor is chi^2 / 2: its standard deviation is sqrt(2 / 2).
    assert d.floor_spread == pytest.approx(d.floor, rel=1e-12)


@pytest.mark.parametrize(("count", "other", "weighted"), [(4000, 4000, False), (3000, 9000, True)])
def test_floor_is_the_mean_for_equal_densities(count, other, weighted):
    value, _, floor, spread = repeated(count, other, 0.0, weighted)
    # The mean of 600 values is known to spread / 24; 3% are allowed for what lies beyond the
    # second order in 1/N, some of it from exponential weights in the outer bins.
    assert value.mean() == pytest.approx(
        floor.mean(), abs=3 * spread.mean() / 24 + 0.03 * floor.mean()
    )
    assert value.std() == pytest.approx(spread.mean(), rel=0.1)


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.15, 0.6])
def test_error_is_the_standard_deviation(shift):
    value, error, _, _ = repeated(4000, 6000, shift)
    # The spread of 600 values is known to 3%; near the floor the error is never below its own.
    low, high = (0.9, 1.3) if shift < 0.1 else (0.9, 1.1)
    assert low * value.std() < np.sqrt((error**2).mean()) < high * value.std()


def test_covariance_is_used():
    # Only the normalisation of the first histogram is uncertain: the shares are exact.
    counts = np.array([3.0, 5, 2])
    d = binned_separation(counts, 0.04 * np.outer(counts, counts), [4.0, 4, 2], np.zeros(3))
    assert d.value.error == pytest.approx(0, abs=1e-9)  # the root of what float64 rounds
    assert d.floor == pytest.approx(0, abs=1e-15)


def test_reads_as_thousandths():
    counts = np.full(10, 1000.0)
    assert str(binned_separation(counts, counts, counts, counts)) == "0.00 ± 0.21 (floor 0.45)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: separation([0.5, np.nan], [0.5], [0, 1]), "NaN in event 1"),
        (lambda: separation([0.5], [5.0], [0, 1]), "second histogram sums to 0"),
        (lambda: separation([0.5], [0.5], [1, 0]), "must rise"),
        (lambda: separation([0.5], [0.5], [0, 1], weight=[1, 2]), "its weights"),
        (lambda: binned_separation([5, -1], [5, 1], [5, 0.1], [5, 1]), "bin 1"),
        (lambda: binned_separation([5, 1], [5, 1], [5, 1, 1], [5, 1, 1]), "2 and 3 bins"),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()
