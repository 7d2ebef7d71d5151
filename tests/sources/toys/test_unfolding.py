"""The unfolding toy is what its closed forms say."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources.toys.unfolding import gaussian_weight, posterior, turn_on, unfolding_toy


def test_levels_hold_what_passes():
    toy = unfolding_toy(10_000, efficiency=turn_on(), fakes=0.2, seed=1)
    assert toy.truth.shape == toy.reco.shape == (12_000, 1)
    assert toy.pass_truth.sum() == 10_000
    assert (~toy.pass_truth & toy.pass_reco).sum() == 2_000
    assert (toy.pass_truth | toy.pass_reco).all()
    np.testing.assert_array_equal(np.isnan(toy.truth[:, 0]), ~toy.pass_truth)
    np.testing.assert_array_equal(np.isnan(toy.reco[:, 0]), ~toy.pass_reco)
    assert len(toy.seen) == toy.pass_reco.sum()


def test_moments_and_posterior():
    # 400,000 events: means to .002, slopes to .2%.
    toy = unfolding_toy(400_000, mean=0.3, sigma=1.5, smear=0.8, seed=2)
    z, x = toy.truth[:, 0], toy.reco[:, 0]
    assert z.mean() == pytest.approx(0.3, abs=0.01)
    assert x.std() == pytest.approx(np.hypot(1.5, 0.8), rel=0.01)
    mean, sigma = posterior(x, mean=0.3, sigma=1.5, smear=0.8)
    residual = z - mean
    assert residual.std() == pytest.approx(sigma, rel=0.01)
    assert np.corrcoef(residual, x)[0, 1] == pytest.approx(0, abs=0.01)


def test_efficiency_is_its_curve():
    curve = turn_on(threshold=-0.5, width=0.3, plateau=0.8)
    toy = unfolding_toy(400_000, efficiency=curve, seed=3)
    z = toy.truth[:, 0]
    for low in (-1.0, -0.5, 0.5):
        inside = (z > low) & (z < low + 0.2)
        # Some 20,000 events in each.
        assert toy.pass_reco[inside].mean() == pytest.approx(curve(z[inside]).mean(), abs=0.015)


def test_weight_is_the_ratio_of_the_densities():
    z = np.linspace(-2, 2, 9)
    one = gaussian_weight(z, mean=0, sigma=1, to_mean=1, to_sigma=1)
    np.testing.assert_allclose(one, np.exp(z - 0.5), rtol=1e-12)
    there = gaussian_weight(z, mean=0.2, sigma=1.1, to_mean=-0.3, to_sigma=0.7)
    back = gaussian_weight(z, mean=-0.3, sigma=0.7, to_mean=0.2, to_sigma=1.1)
    np.testing.assert_allclose(there * back, 1, rtol=1e-12)
    drawn = unfolding_toy(200_000, seed=4).truth[:, 0]
    w = gaussian_weight(drawn, mean=0, sigma=1, to_mean=0.5, to_sigma=0.8)
    assert np.average(drawn, weights=w) == pytest.approx(0.5, abs=0.01)
    assert w.mean() == pytest.approx(1, abs=0.01)


def test_seed_repeats():
    one, two, other = (unfolding_toy(50, fakes=0.5, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.reco, two.reco)
    assert not np.array_equal(one.reco, other.reco)


@pytest.mark.parametrize("given", [{"count": 0}, {"sigma": 0}, {"fakes": -1}, {"efficiency": 1.5}])
def test_errors(given):
    with pytest.raises(InputError, match=r"positive count|leaves \[0, 1\]"):
        unfolding_toy(**{"count": 10} | given)
