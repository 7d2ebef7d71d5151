"""Calibrations of what is known: lines, a curve, the Gaussian example, and features that matter."""

import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.losses.calibration import (
    absolute,
    contrast,
    contrasts,
    donsker_varadhan,
    leaky_kernel,
    log_spread,
    squared,
)
from colliderkit.methods.calibration import (
    FlowCalibration,
    GaussianAnsatz,
    GeneralisedInversion,
    NumericalInversion,
    Posterior,
    SequentialCalibration,
    TruthRegression,
)
from colliderkit.networks import gaussian_ansatz
from colliderkit.training.settings import Training

SHORT = Training(epochs=2, batch_size=512, learning_rate=2e-3, devices=1)


def gaussian(count: int, seed: int, mean: float = 0.0, width: float = 1.0):
    random = np.random.default_rng(seed)
    truth = random.normal(mean, width, count)
    return truth + 2 * random.normal(size=count), truth


def with_feature(count: int, seed: int):
    """Return X = Z + T^2 - 1 + .5 N, T a feature: its square is the offset of the response."""
    random = np.random.default_rng(seed)
    truth, feature = random.normal(size=(2, count))
    measured = truth + feature**2 - 1 + 0.5 * random.normal(size=count)
    return measured, truth, feature[:, None]


def test_a_line_is_inverted_exactly() -> None:
    truth = np.linspace(0, 10, 4001)
    noise = 0.3 * np.tile([1.0, -1.0, 0.0], 1334)[:4001]
    method = NumericalInversion(statistic="mean", bins=40).fit(5 + 2 * truth + noise, truth)
    at = np.array([-10.0, 0.0, 12.0, 60.0])
    found = method.predict(5 + 2 * at)
    # Each bin has 100 events: the three values are there 33 or 34 times each.
    assert found.estimate == pytest.approx(at, abs=0.3 / 100)
    assert found.resolution == pytest.approx(0.3 * (2 / 3) ** 0.5 / 2, rel=0.02)


@pytest.mark.parametrize("name", ["mean", "median", "mode"])
def test_the_bias_of_numerical_inversion_is_that_of_its_curvature(name: str) -> None:
    # f = z + .05 z^2, f' = 1 + .1 z, f'' = .1, sigma = .5: -f'' sigma^2 / 2 f'^3 for the mean.
    random = np.random.default_rng(1)
    truth = random.uniform(-2, 4, 100_000 if name == "mode" else 400_000)
    measured = truth + 0.05 * truth**2 + 0.5 * random.normal(size=len(truth))
    method = NumericalInversion(statistic=name).fit(measured, truth)
    response = method.response_
    at = np.linspace(-0.25, 2.75, 7)  # 3 sigma from the ends
    # 4,000 events a bin know a mean to .008, a median to .010; a curve through 100 of them knows
    # it several times better. The mode of 1,000 is known to .06.
    tolerance = {"mean": 0.005, "median": 0.006, "mode": 0.03}[name]
    assert response.location(at) == pytest.approx(at + 0.05 * at**2, abs=tolerance)
    assert response.location.slope(at) == pytest.approx(1 + 0.1 * at, abs=8 * tolerance)
    grid = np.linspace(-6, 6, 601)
    normal = np.exp(-(grid**2) / 2)
    normal /= normal.sum()
    middle = at + 0.05 * at**2
    bias = method.predict((middle[:, None] + 0.5 * grid).ravel()).estimate.reshape(7, -1)
    mean_bias = bias @ normal - at
    assert mean_bias == pytest.approx(-0.5 * 0.1 * 0.25 / (1 + 0.1 * at) ** 3, abs=1.2 * tolerance)
    if name == "median":  # which closes for the median, whatever the curvature
        assert bias[:, 300] == pytest.approx(at, abs=1.2 * tolerance)


def test_regression_is_drawn_to_its_prior() -> None:
    measured, truth = gaussian(100_000, 2)
    method = TruthRegression(hidden=(16,), training=SHORT).fit(measured, truth)
    found = method.predict(np.array([-5.0, 0.0, 5.0]))
    # The slope is known to .894 / 2.236 / sqrt(100,000) = .0013.
    assert found.estimate == pytest.approx([-1, 0, 1], abs=0.025)
    assert found.resolution == pytest.approx(0.8**0.5, rel=0.02)


def test_the_posterior_has_the_mean_of_the_regression() -> None:
    measured, truth = gaussian(20_000, 3)
    method = Posterior(
        hidden=(16,), transforms=1, training=Training(epochs=4, batch_size=512, learning_rate=5e-3)
    ).fit(measured, truth)
    found = method.predict(np.array([-2.0, 0.0, 2.0]))
    assert found.estimate == pytest.approx([-0.4, 0, 0.4], abs=0.12)
    assert found.resolution == pytest.approx(0.8**0.5, rel=0.1)


@pytest.mark.parametrize(
    "method",
    [
        NumericalInversion(),
        NumericalInversion(statistic="median"),
        GeneralisedInversion(hidden=(16,), training=SHORT),
        FlowCalibration(hidden=(16,), transforms=1, bins=4, training=SHORT),
        GaussianAnsatz(hidden=(16,), others=4, training=SHORT),
    ],
    ids=lambda method: method.name,
)
def test_the_gaussian_example_closes_under_another_prior(method) -> None:
    method.fit(*gaussian(40_000, 4))
    measured, truth = gaussian(100_000, 5, 0.5, 1.5)
    found = method.closure(measured, truth, bins=np.linspace(-2, 2, 5))
    # The line is known to 2 sqrt((1 + 4) / 40,000) = .022 at |z| = 2, the median a quarter less.
    assert np.abs(found.bias).max() < 3 * 0.028
    assert found.resolution == pytest.approx(2, rel=0.04)
    assert method.predict(measured[:1000]).resolution.mean() == pytest.approx(2, rel=0.04)


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        SequentialCalibration(slices=20, bins=20),
        GeneralisedInversion(hidden=(32, 32)),
        GaussianAnsatz(training=Training(epochs=12, batch_size=512, learning_rate=3e-3)),
        FlowCalibration(transforms=1, training=Training(epochs=6, learning_rate=5e-3)),
    ],
    ids=lambda method: method.name,
)
def test_a_feature_is_used(method) -> None:
    method.fit(*with_feature(20_000, 6))
    measured, truth, feature = with_feature(20_000, 7)
    found = method.closure(measured, truth, feature, bins=[-1.5, -0.5, 0.5, 1.5])
    # Without the feature the resolution is 1.5, with its exact use .5 and the bias 0; this asks
    # for more than a half of the way, from 20,000 events.
    assert np.abs(found.bias).max() < 0.25
    assert found.resolution.max() < 1.0


def of_two_numbers(seed: list[int]):
    """Return x = W z + noise and z, 50,000 of each, with W^-1 and the covariance of the noise."""
    random = np.random.default_rng(seed)
    w = np.array([[1.0, 0.5], [0.0, 2.0]])
    noise = np.array([[0.5, 0.0], [0.3, 0.4]])
    truth = random.normal(size=(50_000, 2)) * [1, 3] + [5, 10]
    measured = truth @ w.T + random.normal(size=truth.shape) @ noise.T
    return measured, truth, np.linalg.inv(w), noise @ noise.T


@pytest.mark.statistical
def test_truths_of_two_numbers_have_a_covariance(seed: int) -> None:
    # z_hat = W^-1 x, covariance W^-1 S W^-T: what the fit begins with, and hardly leaves here.
    measured, truth, inverse, noise = of_two_numbers([seed, 8])
    still = Training(epochs=1, batch_size=5000, learning_rate=1e-7, devices=1)
    method = GaussianAnsatz(hidden=(8,), others=2, training=still)
    method.fit(measured[:, 0], truth, measured[:, 1])
    some = measured[:500]
    found = method.predict(some[:, 0], some[:, 1])
    # The line is known to sigma / sqrt(50,000) at the middle: .003, and four times that far out.
    assert found.estimate == pytest.approx(some @ inverse.T, abs=0.05)
    exact = inverse @ noise @ inverse.T
    # A variance is known to sqrt(2 / 50,000) = .6%.
    covariance = method.covariance(some[:, 0], some[:, 1])
    assert covariance.mean(0) == pytest.approx(exact, abs=0.01)
    assert found.resolution[0] == pytest.approx(np.sqrt(np.diag(exact)), rel=0.05)


@pytest.mark.statistical
def test_a_training_that_can_gain_nothing_costs_little(seed: int) -> None:
    """A network that is kept gains a standard error by chance, and wavers from event to event."""
    measured, truth, inverse, noise = of_two_numbers([seed, 9])
    method = GaussianAnsatz(hidden=(8,), others=2, training=SHORT)
    method.fit(measured[:, 0], truth, measured[:, 1])
    some = measured[:500]
    away = method.predict(some[:, 0], some[:, 1]).estimate - some @ inverse.T
    exact = np.sqrt(np.diag(inverse @ noise @ inverse.T))
    # In quadrature: a tenth of a resolution makes it half a percent wider.
    assert (np.sqrt((away**2).mean(0)) < 0.1 * exact).all()


def test_the_ansatz_has_its_maximum_and_curvature_where_it_says() -> None:
    torch.manual_seed(0)
    network = gaussian_ansatz.GaussianAnsatzNetwork(3, 2, (8,)).double()
    precision = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    network.start(torch.randn(2, 3), torch.randn(2), precision)
    x = torch.randn(5, 3, dtype=torch.float64)
    assert network.covariance(x).detach().numpy() == pytest.approx(
        np.broadcast_to(torch.linalg.inv(precision).numpy(), (5, 2, 2)), abs=1e-6
    )
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    top = network.estimate(x)[:, None]
    others = top + torch.randn(5, 200, 2)
    scores = network(x, None, torch.cat([top, others], 1))
    assert bool((scores[:, 1:] < scores[:, :1]).all())
    step = torch.tensor([1e-3, 0.0], dtype=torch.float64)
    left, middle, right = (network(x, None, top + k * step)[:, 0] for k in (-1, 0, 1))
    c = torch.linalg.inv(network.covariance(x))[:, 0, 0]
    second = (left - 2 * middle + right) / 1e-6
    assert bool(torch.isclose(second, -c, rtol=1e-2).all())


def test_mutual_information_of_the_gaussian_example() -> None:
    measured, truth = gaussian(40_000, 9)
    method = GaussianAnsatz(hidden=(8,), others=4, training=SHORT).fit(measured, truth)
    found = method.information(measured[:8000], truth[:8000])
    # (x - z)^2 / 8 and x^2 / 10 of normal numbers: T has a spread of .447.
    assert found.error == pytest.approx(0.447 / 8000**0.5, rel=0.1)
    assert found.value == pytest.approx(0.5 * np.log(1.25), abs=4 * found.error)


def test_a_measurement_of_nothing_is_named() -> None:
    random = np.random.default_rng(10)
    truth, x, other = random.normal(size=(3, 2000))
    with pytest.raises(InputError, match="does not"):
        GaussianAnsatz(training=SHORT).fit(x, truth)
    with pytest.raises(InputError, match="does not depend on the truth"):
        GaussianAnsatz(training=SHORT).fit(truth, np.stack([truth, other], 1), x)


def test_each_loss_is_least_at_its_location() -> None:
    # Gamma(3): mean 3, median 2.674, mode 2; E[(y - 3)^2] = 3.
    y = torch.from_numpy(np.random.default_rng(11).gamma(3, size=200_000))
    grid = torch.linspace(1, 4, 301, dtype=torch.float64)
    found = {
        loss.__name__: float(grid[torch.stack([loss(f, y).mean() for f in grid]).argmin()])
        for loss in (squared, absolute, leaky_kernel)
    }
    assert found["squared"] == pytest.approx(3, abs=0.015)
    assert found["absolute"] == pytest.approx(2.674, abs=0.02)
    assert 2 < found["leaky_kernel"] < 2.3
    spread = torch.stack([log_spread(f, y - 3).mean() for f in grid - 1])
    assert float(grid[spread.argmin()] - 1) == pytest.approx(np.log(3), abs=0.02)


def test_both_bounds_find_the_mutual_information() -> None:
    # With the exact T = ln p(x | z) / p(x), the contrast of K others is below I, that of all
    # events at I.
    random = torch.Generator().manual_seed(12)
    z = torch.randn(4000, generator=random)
    x = z + 2 * torch.randn(4000, generator=random)
    others = torch.stack([z.roll(shift) for shift in range(401)], 1)
    t = 0.5 * np.log(1.25) + x[:, None] ** 2 / 10 - (x[:, None] - others) ** 2 / 8
    nothing, ones = torch.zeros(4000), torch.ones(4000)
    exact = 0.5 * np.log(1.25)
    # The spread of T over the joint events is .47: the error of the mean is .0075.
    assert -float(contrast(t, nothing, ones)) == pytest.approx(exact, abs=0.025)
    assert -float(donsker_varadhan(t, nothing, ones)) == pytest.approx(exact, abs=0.03)
    shifted = t + x[:, None] ** 2  # a function of x changes the contrast by nothing
    assert contrasts(shifted) == pytest.approx(contrasts(t), abs=1e-4)
    assert -float(donsker_varadhan(shifted, nothing, ones)) < 0
