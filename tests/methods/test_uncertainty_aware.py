"""Ratios with nuisance parameters as inputs, against Gaussians."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.intervals import profile, profile_intervals
from colliderkit.methods.nuisances import Nuisance
from colliderkit.methods.uncertainty_aware import UncertaintyAware
from colliderkit.training.fit import Training

SHIFT = Nuisance("theta", "shift", column=0, width=0.3)
YIELD = Nuisance("b", "yield", nominal=900.0, width=30.0)
SHORT = Training(epochs=12, batch_size=1000, learning_rate=3e-3)


def sample(count, seed):
    """100 signal N(2, 1) on 900 background N(0, 1)."""
    random = np.random.default_rng(seed)
    x = np.concatenate([random.normal(0, 1, count), random.normal(2, 1, count)])[:, None]
    weight = np.repeat([900 / count, 100 / count], count)
    return x, np.repeat([0, 1], count), weight


def exact_log_ratio(x, theta):
    return 0.5 * (x[:, 0] - theta) ** 2 - 0.5 * (x[:, 0] - 2) ** 2


@pytest.fixture(scope="module")
def model():
    return fitted()


def fitted(nuisances=(SHIFT, YIELD), count=100_000, training=SHORT):
    model = UncertaintyAware(nuisances, options={"hidden": (32, 32)}, training=training)
    return model.fit(*sample(count, 1), seed=0, progress=False)


@pytest.mark.slow
def test_the_ratio_is_exact_at_each_theta(model):
    """Within 0.2 on average where events are, and far better than a ratio blind to theta."""
    x = sample(2000, 5)[0]
    for theta in (-0.4, 0.0, 0.4):
        exact = exact_log_ratio(x, theta)
        error = np.abs(model.log_ratio(x, [theta, 900.0]) - exact).mean()
        assert error < 0.2
        if theta:
            assert error < 0.5 * np.abs(exact_log_ratio(x, 0.0) - exact).mean()
    assert model.shaping_ == [0]
    assert model.yield_slopes_[1] == [pytest.approx(1 / 900), 0.0]


@pytest.mark.slow
def test_the_profile_is_that_of_the_exact_densities(model):
    x, _, weight = sample(5000, 7)
    scan = np.linspace(60, 140, 9)

    def exact(s, u):
        theta, b = 0.3 * u[0], 900 + 30 * u[1]
        densities = s * np.exp(-0.5 * (x[:, 0] - 2) ** 2) + b * np.exp(
            -0.5 * (x[:, 0] - theta) ** 2
        )
        return (weight * np.log(densities)).sum() - s - b - 0.5 * (u**2).sum()

    found = profile_intervals(scan, model.profile(scan, x, weight))
    truth = profile_intervals(scan, profile(exact, scan, [0.0, 0.0]))
    sigma = (truth.high - truth.low) / 2
    np.testing.assert_allclose((found.high - found.low) / 2, sigma, rtol=0.1)
    # A learned ratio is biased; by less than a third of the error here.
    assert abs(found.best - truth.best) < sigma / 3
    known = profile_intervals(scan, model.profile(scan, x, weight, floating=False))
    assert known.high - known.low < found.high - found.low


def test_without_nuisances_it_is_a_classifier():
    model = fitted((), 20_000)
    x = sample(2000, 5)[0]
    assert np.abs(model.log_ratio(x) - exact_log_ratio(x, 0.0)).mean() < 0.15
    np.testing.assert_allclose(model.predict_proba(x).sum(1), 1.0)
    with pytest.raises(InputError, match="no likelihood"):
        model.profile([90.0, 100.0], x)


def test_saving_keeps_ratio_and_likelihood(tmp_path):
    model = fitted(count=500, training=Training(epochs=1, batch_size=250))
    model.save(tmp_path / "ratio")
    loaded = UncertaintyAware.load(tmp_path / "ratio")
    x, _, weight = sample(100, 3)
    np.testing.assert_array_equal(loaded.log_ratio(x, [0.2, 900]), model.log_ratio(x, [0.2, 900]))
    scan = [95.0, 100.0]
    curves = [m.profile(scan, x, weight, floating=False) for m in (model, loaded)]
    np.testing.assert_array_equal(*curves)
