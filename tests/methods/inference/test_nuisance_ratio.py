"""Ratios with nuisance parameters as inputs, against Gaussians."""

import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.methods.inference.nuisance_ratio import UncertaintyAware
from colliderkit.methods.inference.nuisances import Nuisance
from colliderkit.metrics.intervals import profile, profile_intervals
from colliderkit.sources.toys.inferno import BENCHMARKS, Inferno
from colliderkit.training.settings import Training

SHIFT = Nuisance("theta", "shift", column=0, width=0.3)
YIELD = Nuisance("b", "yield", nominal=900.0, width=30.0)
B4 = [Nuisance(**keywords) for keywords in BENCHMARKS["B4"].nuisances]
SHORT = Training(epochs=6, batch_size=1000, learning_rate=3e-3)


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
    x, label, weight = sample(count, 1)
    return model.fit(x, label, weight=weight, seed=0, progress=False)


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


@pytest.mark.slow
def test_the_densities_sum_to_one_at_each_theta(model):
    """Z over other events of the reference; its error from 100,000 is 0.004 or less."""
    x, label, _ = sample(100_000, 11)
    x, label = torch.from_numpy(x).float(), torch.from_numpy(label).float()
    shown = model._random_nuisances()
    random = torch.Generator().manual_seed(1)
    reference, _ = shown.moved(x, label, shown.draw(len(x), random))
    for u in (-1.5, 0.0, 1.0):
        at = torch.full((len(x), 1), u)
        log_r = model.model_(torch.cat([reference, at], 1)).double()
        ratios = (log_r - model._log_norms(at[0].double())).exp()
        error = ratios.std(0) / len(x) ** 0.5 * 2**0.5
        assert ((ratios.mean(0) - 1).abs() < 4 * error).all()


@pytest.mark.slow
def test_the_signal_of_inferno_b4_is_that_of_the_exact_likelihood():
    """r, lambda and b float; evenly spread events, so that what is left is the ratio's own error.

    With N = 80,000 events of the background the mean of ln r_b where the signal is errs by
    sqrt(int p_s^2 / p_b / N), the integral 7.57: 0.97%, which moves s by sigma^2 0.97% = 2.8. The
    reference does as much again, and 2048 events spread evenly half an event: twice their sum.
    """
    toy = Inferno()
    x, _, weight = toy.asimov(2048)
    scan = np.linspace(20, 80, 7)
    training = Training(epochs=4, batch_size=1000, learning_rate=3e-3)
    model = UncertaintyAware(B4, training=training)
    events, label, weights = toy.sample(100_000, 1)
    model.fit(events, label, weight=weights, seed=0, progress=False)
    found = profile_intervals(scan, model.profile(scan, x, weight))
    assert abs(found.best[0] - toy.s) < 2 * (2**0.5 * 2.8 + 0.5)
    np.testing.assert_allclose((found.high - found.low) / 2, toy.expected_error("B4"), rtol=0.1)


def test_a_yield_alone_is_a_likelihood_too():
    """900 +- 30 background: sigma(s)^2 = sigma^2 with b known + what b does, in closed form.

    The ratio itself is learned from 20,000 events; its width is that of the exact densities.
    """
    model = fitted((YIELD,), 10_000)
    assert model.shaping_ == []
    x, _, weight = sample(1000, 7)
    scan = np.linspace(60, 140, 9)

    def exact(s, u):
        b = 900 + 30 * u[0]
        densities = s * np.exp(-0.5 * (x[:, 0] - 2) ** 2) + b * np.exp(-0.5 * x[:, 0] ** 2)
        return (weight * np.log(densities)).sum() - s - b - 0.5 * u[0] ** 2

    found = profile_intervals(scan, model.profile(scan, x, weight))
    truth = profile_intervals(scan, profile(exact, scan, [0.0]))
    np.testing.assert_allclose(found.high - found.low, truth.high - truth.low, rtol=0.1)


def test_no_signal_is_a_value_and_a_negative_one_a_sentence():
    model = fitted((YIELD,), 2000, Training(epochs=1, batch_size=500))
    x, _, weight = sample(500, 7)
    curve = model.profile([0.0, 1.0], x, weight)
    assert np.isfinite(curve).all()
    # Without signal only the background is left: its yield is known to 3% and fits 1000 events.
    known = model.profile([0.0], x, weight, floating=False)
    assert curve[0] > known[0]
    with pytest.raises(InputError, match="begin at 0"):
        model.profile([-1.0, 0.0, 1.0], x, weight)


def test_a_constraint_measured_elsewhere_pulls():
    """b measured 3 sigma high with as many events leaves less room for the signal."""
    model = fitted((YIELD,), 5000, Training(epochs=4, batch_size=500, learning_rate=3e-3))
    x, _, weight = sample(2000, 7)
    scan = np.linspace(20, 140, 13)
    best = [
        profile_intervals(scan, model.profile(scan, x, weight, measured=m)).best[0]
        for m in (None, [900.0], [990.0])
    ]
    assert best[0] == best[1]
    assert best[2] < best[0]


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
