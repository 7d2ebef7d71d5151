"""Losses of regressions: their minima are known, and the densities are scipy's."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm, t

from colliderkit.errors import InputError
from colliderkit.losses.regression import (
    Evidential,
    Gaussian,
    Huber,
    Pinball,
    RegressionLoss,
    Squared,
)

# 0, 1, ..., 10, whose quantiles are themselves.
SAMPLE = torch.arange(11, dtype=torch.float64)


def minimiser(loss: RegressionLoss, target: torch.Tensor) -> torch.Tensor:
    """Return the outputs (K,) of the lowest mean loss over a sample."""
    outputs = torch.zeros(loss.outputs, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [outputs],
        max_iter=500,
        tolerance_grad=1e-12,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )
    one = torch.ones_like(target)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = loss(outputs.expand(len(target), -1), target, one)
        value.backward()
        return value

    optimiser.step(closure)
    return outputs.detach()


def test_the_gaussian_is_the_density_of_scipy() -> None:
    outputs = torch.tensor([[0.3, -1.0], [2.0, 0.5]], dtype=torch.float64)
    target = torch.tensor([0.7, -1.0], dtype=torch.float64)
    expected = -norm.logpdf(target, outputs[:, 0], np.exp(outputs[:, 1] / 2))
    np.testing.assert_allclose(Gaussian().each(outputs, target), expected, rtol=1e-12)


def test_the_gaussian_finds_mean_and_variance() -> None:
    mean, log_variance = minimiser(Gaussian(), SAMPLE)
    assert float(mean) == pytest.approx(5, abs=1e-6)
    assert float(log_variance.exp()) == pytest.approx(10, rel=1e-6)  # (11^2 - 1) / 12


def test_the_squared_loss_finds_the_mean_and_huber_lies_between() -> None:
    skewed = torch.tensor([0.0, 0.0, 0.0, 8.0], dtype=torch.float64)
    assert float(minimiser(Squared(), skewed)) == pytest.approx(2, abs=1e-6)
    # Three pull with z and one with 1: z = 1/3.
    assert float(minimiser(Huber(1.0), skewed)) == pytest.approx(1 / 3, abs=1e-6)


def test_the_pinball_is_lowest_at_the_quantiles() -> None:
    loss = Pinball((0.25, 0.5, 0.75))
    # At levels between k/11 and (k+1)/11 the minimum is the k-th number: 2, 5, 8.
    gap = float(np.log(np.expm1(3.0)))
    best = torch.tensor([gap, 5.0, gap], dtype=torch.float64)
    np.testing.assert_allclose(loss.quantiles(best), [2, 5, 8])
    one = torch.ones(11, dtype=torch.float64)
    lowest = float(loss(best.expand(11, -1), SAMPLE, one))
    for column in range(3):
        for step in (-0.05, 0.05):
            moved = best.clone()
            moved[column] += step
            assert float(loss(moved.expand(11, -1), SAMPLE, one)) > lowest


def test_quantiles_never_cross() -> None:
    outputs = 5 * torch.randn(1000, 6, generator=torch.Generator().manual_seed(1))
    found = Pinball((0.05, 0.16, 0.4, 0.5, 0.84, 0.95)).quantiles(outputs)
    assert bool((found.diff(dim=-1) >= 0).all())


def test_evidence_integrates_to_students_t() -> None:
    random = torch.Generator().manual_seed(2)
    outputs = torch.randn(50, 4, generator=random, dtype=torch.float64)
    target = torch.randn(50, generator=random, dtype=torch.float64)
    gamma, nu, alpha, beta = Evidential.parameters(outputs)
    scale = torch.sqrt(beta * (1 + nu) / (nu * alpha))
    expected = -t.logpdf(target, 2 * alpha, gamma, scale)
    np.testing.assert_allclose(Evidential(0).each(outputs, target), expected, rtol=1e-10)
    extra = Evidential(0.5).each(outputs, target) - Evidential(0).each(outputs, target)
    np.testing.assert_allclose(extra, 0.5 * (target - gamma).abs() * (2 * nu + alpha), atol=1e-12)


@pytest.mark.parametrize("loss", [Squared(), Huber(), Gaussian(), Pinball((0.5,)), Evidential()])
def test_weights_multiply_and_shapes_are_free(loss: RegressionLoss) -> None:
    random = torch.Generator().manual_seed(3)
    outputs = torch.randn(3, 7, loss.outputs, generator=random)
    target = torch.randn(3, 7, generator=random)
    each = loss.each(outputs, target)
    assert each.shape == (3, 7)
    weight = torch.rand(7, generator=random)
    expected = float((each[0] * weight).mean())
    assert float(loss(outputs[0], target[0], weight)) == pytest.approx(expected, rel=1e-6)


def test_bad_options_are_named() -> None:
    for levels in ((), (0.5, 0.5), (0.0, 0.5), (0.5, 1.0), (0.8, 0.2)):
        with pytest.raises(InputError, match="must rise between 0 and 1"):
            Pinball(levels)
    with pytest.raises(InputError, match="must be positive"):
        Huber(0)


def test_a_guess_is_the_best_answer_for_all_events():
    """The variance of y, the likelihood of its mean and variance, its own quantiles."""
    random = torch.Generator().manual_seed(1)
    y = 0.3 + 0.7 * torch.randn(4000, generator=random, dtype=torch.float64)
    w = torch.rand(4000, generator=random, dtype=torch.float64)
    w = w / w.mean()
    mean = (w * y).mean()
    variance = (w * (y - mean).square()).mean()
    assert Squared().guess(y, w) == pytest.approx(float(variance), rel=1e-9)
    best = 0.5 * (float(variance.log()) + 1 + math.log(2 * math.pi))
    assert Gaussian().guess(y, w) == pytest.approx(best, rel=1e-9)
    quantile = torch.quantile(y, 0.2)
    rest = y - quantile
    best = torch.maximum(0.2 * rest, -0.8 * rest).mean()
    found = Pinball([0.2]).guess(y, torch.ones(4000))
    assert found == pytest.approx(float(best), rel=1e-3)
    assert found >= float(best) * (1 - 1e-6)
