"""A detector is optimised by its gradient: exact where the surrogate is the closed form."""

import numpy as np
import pytest
import torch
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.methods.simulation.detector_optimisation import (
    DetectorOptimisation,
    finite_difference,
    resolution_of,
)
from colliderkit.methods.simulation.generator import ConditionalGenerator
from colliderkit.training.settings import Training

# sigma / mean = sqrt(A t + B / t) is least at sqrt(B / A).
A, B = 0.004, 0.016


class Exact:
    """A surrogate without training: normal showers of mean 2 and a resolution that is known."""

    noise_size = 1
    generator_: "Exact"

    def __init__(self) -> None:
        self.generator_ = self

    def decode(self, noise: Tensor, theta: Tensor) -> Tensor:
        return 2 + 2 * (A * theta[:, :1] + B / theta[:, :1]).sqrt() * noise


def exact() -> DetectorOptimisation:
    made = DetectorOptimisation(ConditionalGenerator(), draws=4096)
    made.low_, made.high_ = np.array([0.5]), np.array([6.0])
    made.members_ = [Exact(), Exact()]  # type: ignore[list-item]
    return made


def test_value_gradient_and_optimum_of_a_closed_form():
    method = exact()
    for t in (1.0, 2.0, 4.0):
        r = (A * t + B / t) ** 0.5
        # Quasi-random draws: 4096 of them know a variance to 1e-3.
        assert method.value([t]).value == pytest.approx(r, rel=2e-3)
        slope = (A - B / t**2) / (2 * r)
        assert method.gradient([t])[0].value == pytest.approx(slope, rel=2e-3, abs=1e-5)
    (best,) = method.optimum([0.8], steps=80)
    assert best.value == pytest.approx((B / A) ** 0.5, abs=0.05)
    assert best.error == 0
    (way, _) = method.descend([0.8], steps=80)
    assert way.objective.min() == way.objective[(way.parameters == way.best).all(1)][0]


def test_no_step_leaves_the_showers():
    method = exact()
    method.high_ = np.array([1.5])  # the optimum, 2, is outside
    (best,) = method.optimum([0.8], steps=60)
    assert best.value == pytest.approx(1.5)
    for point in ([0.1], [3.0]):
        with pytest.raises(InputError, match="outside of what the showers cover"):
            method.gradient(point)
    with pytest.raises(InputError, match="2 parameters, and the showers have 1"):
        method.value([1.0, 1.0])


@pytest.fixture(scope="module")
def fitted() -> DetectorOptimisation:
    random = np.random.default_rng(1)
    theta = random.uniform(1, 3, 600)
    x = random.normal(theta[:, None] * [1.0, 2.0], 0.2)
    surrogate = ConditionalGenerator(
        options={"transforms": 1, "hidden": [8]},
        training=Training(epochs=6, batch_size=128, learning_rate=3e-2),
    )
    made = DetectorOptimisation(surrogate, members=2, draws=256)
    return made.fit(x, theta, seed=3, progress=False)


def test_the_gradient_is_the_difference_of_the_surrogate(fitted):
    """Through a flow: of the same noise, so that the difference is as exact as its step."""
    step = 1e-3
    ends = [fitted.value([2.0 + sign * step]).value for sign in (-1, 1)]
    numeric = (ends[1] - ends[0]) / (2 * step)
    assert fitted.gradient([2.0])[0].value == pytest.approx(numeric, rel=0.05, abs=1e-3)


def test_the_mean_follows_its_parameter(fitted):
    """The sum has a mean of 3 theta."""
    (slope,) = fitted.mean_gradient([2.0])
    assert abs(slope.value - 3) < 1  # of few steps of training
    assert len({tuple(m.sample([[2.0]], seed=1)[0]) for m in fitted.members_}) == 2


def test_the_same_seed_is_the_same_optimum(fitted):
    one = DetectorOptimisation(fitted.surrogate, members=1, draws=64)
    theta = np.linspace(1, 3, 200)
    values = [one.fit(theta[:, None], theta, seed=4, progress=False).value([2.0]) for _ in "ab"]
    assert values[0].value == values[1].value
    with torch.no_grad():
        assert one.members_[0].generator_.noise_size == 1


def test_one_value_of_a_parameter_has_no_gradient():
    with pytest.raises(InputError, match="parameter 0 is 2 in all showers"):
        DetectorOptimisation(ConditionalGenerator()).fit(np.ones((5, 1)), np.full(5, 2.0))


@pytest.mark.statistical
def test_differences_and_their_errors(seed):
    """Of Gamma distributed sums: pulls of mean 0 and width 1, to what 400 samples know."""
    random = np.random.default_rng(seed)
    pulls = []
    for _ in range(400):
        low, high = random.gamma(20, 1.0, 300), random.gamma(30, 1.0, 300)
        resolution, mean = finite_difference(low, high, 0.5)
        true = 30**-0.5 - 20**-0.5
        pulls.append([(resolution.value - true) / resolution.error, (mean.value - 10) / mean.error])
    spread, centre = np.std(pulls, axis=0), np.mean(pulls, axis=0)
    assert (np.abs(spread - 1) < 4 / 800**0.5 + 0.03).all()
    assert (np.abs(centre) < 4 / 20 + 0.05).all()


@pytest.mark.statistical
def test_the_error_of_a_resolution_of_normal_sums(seed):
    """r / sqrt(2 N) sqrt(1 + 2 r^2) for normal sums."""
    random = np.random.default_rng(seed)
    found = resolution_of(random.normal(5, 1, 20_000))
    exact = 0.2 / 40_000**0.5 * (1 + 2 * 0.04) ** 0.5
    assert found.error == pytest.approx(exact, rel=0.1)
    assert abs(found.value - 0.2) < 4 * exact
