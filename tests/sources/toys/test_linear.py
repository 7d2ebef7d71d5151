"""The linear toy's closed forms against samples and against each other."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources.toys.linear import LinearToy, angle_toy, pair_toy


def test_combinations_of_two_estimates():
    toy = pair_toy()
    # Unit-slope estimates have covariance [[.64, -.48], [-.48, 1]]: the best weights by hand.
    v = np.array([[0.64, -0.48], [-0.48, 1.0]])
    by_hand = np.linalg.inv(v).sum(0) / np.linalg.inv(v).sum()
    np.testing.assert_allclose(toy.unbiased * [1, 0.5], by_hand, rtol=1e-12)
    variance = 1 / np.linalg.inv(v).sum()
    assert toy.residual(toy.unbiased) == pytest.approx(variance / (1 + variance), rel=1e-12)
    # With one latent quantity the regression is the same observable up to its scale.
    ratio = toy.regression / toy.unbiased
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-12)
    assert toy.information(toy.regression) > toy.information([1, 0])


@pytest.mark.parametrize("toy", [pair_toy(), angle_toy(0.3)])
def test_sample_has_the_stated_covariance(toy):
    x, z = toy.sample(200_000, 1)
    # A covariance of n Gaussian events is known to sqrt(2 / n) of the variances: 5 of those.
    scale = np.sqrt(np.outer(np.diag(toy.covariance), np.diag(toy.covariance)))
    assert (np.abs(np.cov(x.T) - toy.covariance) < 5 * scale * np.sqrt(2 / 200_000)).all()
    for combination in (toy.regression, toy.unbiased):
        f = x @ combination
        left = z - np.cov(f, z)[0, 1] / f.var() * f
        expected = toy.residual(combination)
        assert left.var() == pytest.approx(expected, rel=5 * np.sqrt(2 / 200_000))


def test_bias_in_another_nature():
    toy, shift = angle_toy(0.5), np.array([0.0, 1.0])
    assert toy.bias([1, 0], shift) == pytest.approx(0.6)
    assert toy.bias(toy.unbiased, shift) == pytest.approx(0, abs=1e-12)
    # E[u | x] knows the simulation's u as far as the angle is not measured.
    biases = [angle_toy(r).bias(angle_toy(r).regression, shift) for r in (0.01, 0.1, 0.5, 2.0)]
    assert biases[0] == pytest.approx(0, abs=1e-3)
    assert (np.diff(biases) > 0).all()
    assert biases[-1] < 0.6


def test_bad_input():
    with pytest.raises(InputError, match="do not belong together"):
        LinearToy(np.ones((2, 1)), np.eye(3), np.zeros(1), np.ones(1))
    with pytest.raises(InputError, match="not positive"):
        LinearToy(np.ones((1, 1)), np.eye(1), np.zeros(1), np.zeros(1))
