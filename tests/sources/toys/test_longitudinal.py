"""The toy of a sampling calorimeter: its closed forms, and draws that follow them."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources.toys.longitudinal import LongitudinalToy

TOY = LongitudinalToy()


def test_the_slope_is_the_derivative_of_the_resolution():
    t, step = np.linspace(0.5, 3, 20), 1e-6
    numeric = (TOY.resolution(t + step) - TOY.resolution(t - step)) / (2 * step)
    np.testing.assert_allclose(TOY.slope(t), numeric, rtol=1e-6, atol=1e-9)


def test_the_best_absorber_is_the_least_of_a_scan():
    t = np.linspace(0.5, 3, 25_001)
    assert TOY.best() == pytest.approx(t[TOY.resolution(t).argmin()], abs=2e-4)
    # Deep calorimeters leak nothing: the resolution is that of sampling.
    deep = LongitudinalToy(layers=10_000)
    assert deep.resolution(1.0) == pytest.approx(deep.c)


@pytest.mark.statistical
def test_draws_have_the_mean_and_the_resolution(seed):
    drawn = TOY.sample(np.full(40_000, 1.3), seed=seed)
    sigma = float(TOY.contained(1.3) * TOY.resolution(1.3))
    assert abs(drawn.mean() - TOY.contained(1.3)) < 4 * sigma / 200
    assert drawn.std() == pytest.approx(sigma, rel=4 / 80_000**0.5)
    with pytest.raises(InputError, match="more than 0"):
        TOY.sample([0.0])
