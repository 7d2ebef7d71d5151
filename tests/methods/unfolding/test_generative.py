"""Generative unfolding of the Gaussian toy, whose posterior is known."""

import numpy as np
import pytest
from sklearn.base import clone

from colliderkit.errors import InputError
from colliderkit.methods.ratio import Ratio
from colliderkit.methods.unfolding.generative import GenerativeUnfolding
from colliderkit.sources.toys.unfolding import gaussian_weight, posterior, turn_on, unfolding_toy
from colliderkit.training.settings import Training

pytest.importorskip("zuko")

QUICK = Training(epochs=4, batch_size=512, learning_rate=5e-3, schedule="cosine")
SMALL = {"transforms": 1, "hidden": (32, 32), "training": QUICK}
RATIO = Ratio(hidden=(32, 32), training=Training(epochs=3, batch_size=1024, schedule="cosine"))


def unfolded(toy, nature, seed=0, **given):
    method = GenerativeUnfolding(ratio=RATIO, **{**SMALL, **given})
    return method.fit(
        nature.seen,
        toy.reco,
        toy.truth,
        pass_reco=toy.pass_reco,
        pass_truth=toy.pass_truth,
        seed=seed,
    )


@pytest.fixture(scope="module")
def shifted():
    """Truth N(0, 1) simulated, N(.5, 1) in nature, smearing N(0, .75)."""
    toy = unfolding_toy(30_000, smear=0.75, seed=1)
    nature = unfolding_toy(30_000, mean=0.5, smear=0.75, seed=2)
    return toy, nature, unfolded(toy, nature, iterations=5)


def test_first_iteration_is_the_posterior():
    toy = unfolding_toy(30_000, smear=0.75, seed=1)
    method = unfolded(toy, toy, iterations=1)
    at = np.linspace(-1.5, 1.5, 7)
    mean, sigma = posterior(at, mean=0, sigma=1, smear=0.75)
    drawn = method.sample(at, draws=4000, seed=3)
    assert drawn.shape == (4000, 7, 1)
    # Means of 4000 draws are known to .01; the flow's, from some hundred events, to about .03.
    np.testing.assert_allclose(drawn[:, :, 0].mean(0), mean, atol=0.1)
    np.testing.assert_allclose(drawn[:, :, 0].std(0), sigma, rtol=0.1)
    peak = method.log_prob(mean, at)
    np.testing.assert_allclose(peak, -np.log(sigma * np.sqrt(2 * np.pi)), atol=0.15)


def test_prior_pulls_the_first_iteration_as_computed(shifted):
    toy, _, method = shifted
    # With prior N(0, 1) the mean of the unfolded sample is .5 / (1 + .75^2) = .320.
    z = toy.truth[:, 0]
    assert np.average(z, weights=method.weights(1)) == pytest.approx(0.320, abs=0.04)


def test_iterations_take_the_prior_out(shifted):
    toy, nature, method = shifted
    z = toy.truth[:, 0]
    means = [np.average(z, weights=push) for push in method.pushes_]
    # Each iteration keeps .75^2 / (1 + .75^2) = .36 of what is missing: .5 (1 - .36^k).
    expected = 0.5 * (1 - 0.36 ** np.arange(6))
    # 30,000 events a sample give .006; the networks .02 from seed to seed.
    np.testing.assert_allclose(means, expected, atol=0.04)
    drawn = method.sample(nature.seen, draws=2, seed=5)
    assert drawn.mean() == pytest.approx(0.5, abs=0.05)
    assert drawn.std() == pytest.approx(1, abs=0.05)
    exact = gaussian_weight(z, mean=0, sigma=1, to_mean=0.5, to_sigma=1)
    inside = np.abs(z) < 2
    assert np.abs(method.weights() - exact)[inside].mean() < 0.05


def test_efficiency_and_fakes():
    given = {"smear": 0.5, "efficiency": turn_on(), "fakes": 0.1}
    toy = unfolding_toy(30_000, seed=1, **given)
    nature = unfolding_toy(15_000, mean=0.3, seed=2, **given)
    method = unfolded(toy, nature, iterations=3)
    true = toy.pass_truth
    push, z = method.weights(), toy.truth[true, 0]
    assert (push[~true] == 0).all()
    # 15,000 true events, seen or not; .3 lacks .3 (.2)^3 = .002 after three iterations, and the
    # misses are not measured where the efficiency turns on: .03 from seed to seed.
    assert push[true].sum() == pytest.approx(15_000, rel=0.02)
    assert np.average(z, weights=push[true]) == pytest.approx(0.3, abs=0.06)


def test_seed_repeats_and_a_saved_method_is_the_same(tmp_path):
    toy = unfolding_toy(3_000, seed=1)
    first, second = (unfolded(toy, toy, seed=4, iterations=2) for _ in range(2))
    np.testing.assert_array_equal(first.pushes_, second.pushes_)
    again = GenerativeUnfolding.load(first.save(tmp_path / "fit"))
    x = toy.seen[:50]
    np.testing.assert_array_equal(again.sample(x, draws=3), first.sample(x, draws=3))
    np.testing.assert_array_equal(again.weights(), first.weights())
    assert clone(again).get_params(deep=False)["iterations"] == 2


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ({"iterations": 0}, {}, "at least 1"),
        ({}, {"weight": np.array([1.0, -1, 1, 1])}, "weight of event 1 .* is -1"),
        ({}, {"data_weight": np.zeros(4)}, "must be positive"),
    ],
)
def test_errors(given, options, message):
    x = np.arange(4.0)
    with pytest.raises(InputError, match=message):
        GenerativeUnfolding(**given).fit(x, x, x, **options)


def test_unfitted_says_so():
    with pytest.raises(InputError, match="GenerativeUnfolding is not fitted"):
        GenerativeUnfolding().sample([0.0])
