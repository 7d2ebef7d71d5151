"""The Gaussian example of calibration against its own formulas."""

import numpy as np
import pytest

from colliderkit.sources.toys.gaussian import GaussianExample, with_feature


def test_the_regression_is_that_of_the_sample() -> None:
    example = GaussianExample(0.5, 1.5, 2.0)
    x, z = example.sample(400_000, 1)
    slope, height = np.polyfit(x, z, 1)
    # The slope is known to 1.2 / 2.5 / sqrt(400,000) = .0008, the height to .002.
    assert slope == pytest.approx(example.slope, abs=0.003)
    assert height == pytest.approx(example.regression(0.0), abs=0.008)
    near = np.abs(z - 1) < 0.05
    bias = example.regression(x[near]).mean() - z[near].mean()
    assert bias == pytest.approx(float(example.regression_bias(z[near].mean())), abs=0.03)


def test_the_published_numbers() -> None:
    example = GaussianExample()
    assert example.slope == pytest.approx(0.2)
    assert example.regression_bias([-1, 2]) == pytest.approx([0.8, -1.6])
    assert example.information == pytest.approx(0.1116, abs=5e-5)


def test_the_feature_takes_the_spread_away() -> None:
    x, z, t = with_feature(100_000, 2)
    assert (x - z).std() == pytest.approx(1.5, rel=0.02)
    assert (x - t[:, 0] ** 2 + 1 - z).std() == pytest.approx(0.5, rel=0.01)
