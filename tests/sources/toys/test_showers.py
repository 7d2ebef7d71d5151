"""The toy showers: samples have the moments that are stated, and distortions change no others."""

import numpy as np
import pytest

from colliderkit.sources.toys.showers import COLUMNS, ShowerToy

TRUTH = ShowerToy()
MOVED = COLUMNS.index("energy 2")


@pytest.mark.statistical
@pytest.mark.parametrize("toy", [TRUTH, ShowerToy(0.3, 1.4, 0.5, 0.3)])
def test_samples_have_the_stated_moments(toy: ShowerToy, seed: int) -> None:
    x = toy.sample(100_000, [seed, 1])
    mean, covariance = toy.moments()
    error = np.sqrt(covariance.diagonal() / len(x))
    assert np.abs((x.mean(0) - mean) / error).max() < 5
    each = (x - mean)[:, :, None] * (x - mean)[:, None, :]
    pulls = (each.mean(0) - covariance) / (each.std(0) / np.sqrt(len(x)))
    assert np.abs(pulls).max() < 5


def test_a_lost_correlation_changes_no_column() -> None:
    mean, covariance = TRUTH.moments()
    mean2, covariance2 = TRUTH.distorted("correlation", 0.7).moments()
    np.testing.assert_array_equal(mean, mean2)
    np.testing.assert_array_equal(covariance.diagonal(), covariance2.diagonal())
    assert np.abs(covariance - covariance2).max() > 0.3


def test_a_distortion_of_one_column_leaves_the_others() -> None:
    mean, covariance = TRUTH.moments()
    moved = TRUTH.distorted("mean", 0.2).moments()
    np.testing.assert_allclose(moved[0] - mean, 0.2 * (np.arange(8) == MOVED), atol=1e-12)
    np.testing.assert_array_equal(moved[1], covariance)
    stretched = TRUTH.distorted("width", 0.5).moments()[1]
    assert stretched[MOVED, MOVED] - covariance[MOVED, MOVED] == pytest.approx(1.25)
    others = np.delete(np.delete(stretched - covariance, MOVED, 0), MOVED, 1)
    np.testing.assert_array_equal(others, 0)
    assert TRUTH.distorted("mode", 1.0) == ShowerToy(late=0.0)
