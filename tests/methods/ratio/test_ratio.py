"""The learned likelihood ratio against exact ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.methods.method import load
from colliderkit.methods.ratio import Ratio
from colliderkit.networks.exponential_family import ExponentialFamily, newton
from colliderkit.networks.stack import Stack
from colliderkit.sources.toys.ratios import RATIO_TOYS, ratio_toy
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Training

SHORT = Training(epochs=6, batch_size=500, learning_rate=3e-3, schedule="cosine")


def mean_error(ratio: Ratio, name: str, seed: int = 9) -> float:
    toy = ratio_toy(name)
    events = np.concatenate([toy.numerator(5000, [seed, 0]), toy.denominator(5000, [seed, 1])])
    return float(np.abs(ratio.weights(events) - toy.ratio(events)).mean())


@pytest.mark.parametrize("name", RATIO_TOYS)
def test_toys_know_their_ratio(name: str) -> None:
    # E_0[p1/p0 g(x)] = E_1[g(x)] for any g.
    toy = ratio_toy(name)
    x1, x0 = toy.numerator(400_000, 1), toy.denominator(400_000, 2)
    g1, g0 = (np.clip(x[:, 0], 0.1, 3) for x in (x1, x0))
    weight = np.minimum(toy.ratio(x0), 200)
    error = np.sqrt(g1.var() / len(g1) + (weight * g0).var() / len(g0))
    assert (weight * g0).mean() == pytest.approx(g1.mean(), abs=4 * error + 1e-3)


@pytest.mark.parametrize("name", RATIO_TOYS)
def test_an_exponential_family_is_learned_to_the_precision_of_the_events(name: str) -> None:
    toy = ratio_toy(name)
    ratio = Ratio(training=SHORT).fit(toy.numerator(20_000, 1), toy.denominator(20_000, 2), seed=3)
    # Three times the error of a fit of two coefficients to 32,000 events.
    limit = {"beta": 0.3, "gamma": 0.05}.get(name, 0.04)
    assert mean_error(ratio, name) < limit


def test_a_network_learns_what_no_family_holds() -> None:
    # p1 = a mixture of two normals, p0 = normal: no exponential family in x, x^2.
    random = np.random.default_rng(5)
    x1 = random.choice([-1.5, 1.5], 30_000)[:, None] + random.normal(0, 0.5, (30_000, 1))
    x0 = random.normal(0, 2, (30_000, 1))
    training = Training(epochs=20, batch_size=500, learning_rate=3e-3, schedule="cosine")
    x = np.linspace(-3, 3, 61)[:, None]

    def normal(mean: float, width: float) -> np.ndarray:
        return np.exp(-0.5 * ((x - mean) / width) ** 2)[:, 0] / width

    exact = 0.5 * (normal(-1.5, 0.5) + normal(1.5, 0.5)) / normal(0, 2)
    found = Ratio(training=training).fit(x1, x0, seed=1).weights(x)
    assert np.abs(found - exact).mean() < 0.08 * exact.max()


@pytest.mark.parametrize("loss", ["mse", "mlc", "sqr", "exponential-mlc", "exponential-sqr"])
def test_every_loss_gives_the_ratio(loss: str) -> None:
    toy = ratio_toy("gaussian-0.5")
    # A ratio that rises exponentially takes longer to learn as f than as ln f.
    epochs = 6 if loss in ("mse", "exponential-mlc", "exponential-sqr") else 40
    training = replace(SHORT, epochs=epochs)
    ratio = Ratio(loss=loss, family=False, training=training, members=2)
    ratio.fit(toy.numerator(20_000, 1), toy.denominator(20_000, 2), seed=3)
    assert mean_error(ratio, "gaussian-0.5") < 0.2


def test_weights_of_events_change_the_ratio_as_they_must() -> None:
    # p0 weighted by x's exact ratio is p1 itself: the ratio left to learn is 1.
    toy = ratio_toy("gaussian-0.5")
    x1, x0 = toy.numerator(20_000, 1), toy.denominator(20_000, 2)
    ratio = Ratio(training=SHORT).fit(x1, x0, weight=(None, toy.ratio(x0)), seed=2)
    x = np.linspace(-2, 2, 41)[:, None]
    assert np.abs(ratio.log_ratio(x)).max() < 0.1


def test_negative_weights_keep_their_sign() -> None:
    # p1 = 1.5 N(0.5) - 0.5 U where U cancels a share of p1's own events: the ratio is unchanged.
    toy = ratio_toy("gaussian-0.5")
    x1, x0 = toy.numerator(30_000, 1), toy.denominator(30_000, 2)
    extra = toy.numerator(10_000, 4)
    numerator = np.concatenate([x1, extra, extra])
    weight = np.concatenate([np.ones(30_000), np.full(10_000, 1.0), np.full(10_000, -1.0)])
    ratio = Ratio(training=SHORT).fit(numerator, x0, weight=(weight, None), seed=2)
    assert mean_error(ratio, "gaussian-0.5") < 0.08


def test_theta_is_an_input() -> None:
    # p(x | mu) = N(mu, 1) over N(0, 1): ln r = mu x - mu^2 / 2.
    random = np.random.default_rng(8)
    mu = random.uniform(-1, 1, (60_000, 1))
    training = Training(epochs=12, batch_size=1000, learning_rate=3e-3, schedule="cosine")
    ratio = Ratio(parameters=["mu"], training=training)
    ratio.fit(random.normal(mu, 1), random.normal(0, 1, (60_000, 1)), theta=mu, seed=1)
    x = np.linspace(-2, 2, 21)[:, None]
    for value in (-0.6, 0.0, 0.8):
        exact = value * x[:, 0] - value**2 / 2
        assert np.abs(ratio.log_ratio(x, theta=value) - exact).mean() < 0.08
    with pytest.raises(InputError, match=r"mu = 1\.5 is outside the trained range"):
        ratio.log_ratio(x, theta=1.5)


def test_calibration_mends_an_estimate_that_is_too_steep() -> None:
    toy = ratio_toy("gaussian-0.3")
    x1, x0 = toy.numerator(20_000, 1), toy.denominator(20_000, 2)
    ratio = Ratio(training=SHORT, calibrate=True).fit(x1, x0, seed=1)
    # The same network made twice too steep is brought back by the same regression.
    ratio.model_.family.coefficients.mul_(2)
    held = torch.from_numpy(np.concatenate([x1, x0]).astype(np.float32))
    target = torch.cat([torch.ones(len(x1)), torch.zeros(len(x0))])
    ratio.calibration_ = torch.zeros(2, 0)
    before = mean_error(ratio, "gaussian-0.3")
    ratio._calibrate(Dataset(held, target, torch.ones(len(held))))
    assert mean_error(ratio, "gaussian-0.3") < 0.2 * before


def test_members_do_not_depend_on_each_other() -> None:
    toy = ratio_toy("beta")
    x1, x0 = toy.numerator(3000, 1), toy.denominator(3000, 2)
    one = Ratio(training=SHORT, family=False, members=1).fit(x1, x0, seed=4)
    three = Ratio(training=SHORT, family=False, members=3).fit(x1, x0, seed=4)
    x = torch.from_numpy(x0[:100].astype(np.float32))
    assert torch.allclose(one.model_(x)[0], three.model_(x)[0], atol=2e-4)


def test_a_stack_begins_as_zero_and_holds_plain_perceptrons() -> None:
    stack = Stack(3, 4, (8, 6))
    stack.reset([0, 1, 2])
    x = torch.randn(5, 4)
    assert float(stack(x).abs().max()) == 0
    torch.nn.init.normal_(stack.weights[-1])
    torch.nn.init.normal_(stack.biases[1])
    h = x
    for i in range(3):
        h = (h.relu() if i else h) @ stack.weights[i][2].T + stack.biases[i][2]
    assert torch.allclose(stack(x)[2], h[:, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "expected"),
    # ln p1/p0 in terms of 1, x, x^2, ln x, ln(1 - x).
    [("beta", [0, 0, 0, -1, 1]), ("gamma", [np.log(5), 0, 0, -1, 0])],
)
def test_the_family_of_the_densities_is_found(name: str, expected: list[float]) -> None:
    toy = ratio_toy(name)
    x = torch.from_numpy(np.concatenate([toy.numerator(40_000, 1), toy.denominator(40_000, 2)]))
    target = torch.cat([torch.ones(40_000), torch.zeros(40_000)])
    found = ExponentialFamily(1).fit(x, target, torch.ones(80_000)).coefficients
    # Four errors of a logistic regression with 80,000 events.
    assert found.numpy() == pytest.approx(expected, abs=0.12)


def test_newton_finds_the_minimum() -> None:
    random = torch.Generator().manual_seed(0)
    features = torch.cat([torch.ones(500, 1), torch.randn(500, 2, generator=random)], 1).double()
    target = (torch.rand(500, generator=random) < 0.4).double()
    weight = torch.rand(500, generator=random).double()
    b = newton(features, target, weight)
    assert b is not None
    gradient = features.T @ (weight * (target - torch.sigmoid(features @ b)))
    assert float(gradient.abs().max()) < 1e-6


def test_separable_samples_leave_the_family_at_a_constant() -> None:
    x = torch.linspace(-1, 1, 200)[:, None]
    target = (x[:, 0] > 0).float()
    family = ExponentialFamily(1).fit(x, target, torch.ones(200))
    assert torch.isfinite(family(x)).all()


def test_a_saved_ratio_gives_the_same(tmp_path: Path) -> None:
    toy = ratio_toy("gamma")
    ratio = Ratio(training=SHORT, members=2, combine="median", columns=["t"], calibrate=True)
    ratio.fit(toy.numerator(3000, 1), toy.denominator(3000, 2), seed=1)
    again = load(ratio.save(tmp_path / "ratio"))
    x = toy.numerator(50, 3)
    assert np.array_equal(ratio.log_ratio(x), again.log_ratio(x))


def test_diagnostics_tell_of_closure() -> None:
    toy = ratio_toy("gaussian-0.4")
    x1, x0 = toy.numerator(20_000, 1), toy.denominator(20_000, 2)
    found = Ratio(training=SHORT, columns=["x"]).fit(x1, x0, seed=1).diagnostics_
    assert found.agreement["x"].chi2 < found.agreement["x"].ndf + 4 * np.sqrt(
        2 * found.agreement["x"].ndf
    )
    # E[r]^2 / E[r^2] = exp(-(2 mean)^2) of a normal ratio.
    assert found.effective_size / found.events == pytest.approx(np.exp(-0.64), rel=0.1)


def test_errors_name_what_is_wrong() -> None:
    x = np.random.default_rng(0).normal(size=(400, 2))
    ratio = Ratio(columns=["pt", "eta"], training=SHORT)
    spoiled = x.copy()
    spoiled[7, 1] = np.nan
    with pytest.raises(InputError, match="the denominator: column 'eta' is nan in event 7"):
        ratio.fit(x, spoiled)
    with pytest.raises(InputError, match="do not overlap in pt"):
        ratio.fit(x, x + np.array([50, 0]))
    with pytest.raises(InputError, match="the numerator: the weights sum to -400"):
        ratio.fit(x, x, weight=(-np.ones(400), None))
    with pytest.raises(InputError, match=r"denominator: weight has shape \(3,\) for 400"):
        ratio.fit(x, x, weight=(None, np.ones(3)))
    with pytest.raises(InputError, match=r"give a pair \(numerator, denominator\)"):
        ratio.fit(x, x, weight=np.ones(400))
    with pytest.raises(InputError, match="not fitted"):
        Ratio().weights(x)
    wide = np.concatenate([x, x + np.array([10, 0])])
    with pytest.warns(UserWarning, match="no events at pt in"):
        ratio.fit(wide, x)
