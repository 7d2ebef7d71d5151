"""The Bayesian last layer against its closed form, and the variational bound against its own."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from colliderkit.methods.regression.last_layer import LinearPosterior
from colliderkit.networks.variational import VariationalStack


def test_the_posterior_is_that_of_a_linear_gaussian_model() -> None:
    random = np.random.default_rng(1)
    phi, b = random.normal(size=(60, 4)), random.uniform(0.5, 2, 60)
    y = phi @ [1.0, -2.0, 0.5, 0.0] + random.normal(size=60) / np.sqrt(b)
    found = LinearPosterior(4).fit(*(torch.from_numpy(a) for a in (phi, y, b)))
    a = float(found.precision)
    covariance = np.linalg.inv(a * np.eye(4) + phi.T @ (b[:, None] * phi))
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.mean, covariance @ phi.T @ (b * y), rtol=1e-9)
    mean, variance = found(torch.from_numpy(phi[:3]))
    np.testing.assert_allclose(mean, phi[:3] @ found.mean.numpy())
    np.testing.assert_allclose(variance, np.diag(phi[:3] @ covariance @ phi[:3].T))

    def evidence(a: float) -> float:
        density = multivariate_normal(np.zeros(60), phi @ phi.T / a + np.diag(1 / b))
        return float(density.logpdf(y))

    # Highest at the precision that was chosen; 1e-5 is what a minimum in floats is known to.
    best = evidence(a)
    assert all(evidence(a * factor) < best + 1e-9 for factor in (0.5, 0.9, 1.1, 2.0))


def test_the_divergence_is_that_of_torch() -> None:
    stack = VariationalStack(2, 3, (5,), outputs=2)
    stack.reset([1, 2])
    expected = torch.zeros(2)
    for weight, log_width in zip(stack.weights, stack.log_widths, strict=True):
        own = torch.distributions.Normal(weight, log_width.exp())
        prior = torch.distributions.Normal(0.0, math.sqrt(2 / weight.shape[2]))
        expected = expected + torch.distributions.kl_divergence(own, prior).sum((1, 2))
    torch.testing.assert_close(stack.divergence(), expected)


def test_a_draw_has_mean_and_variance_of_its_weights() -> None:
    stack = VariationalStack(1, 2, (), outputs=1)
    stack.reset([1])
    with torch.no_grad():
        stack.weights[0].copy_(torch.tensor([[[1.0, -2.0]]]))
        stack.log_widths[0].copy_(torch.tensor([[[0.5, 0.1]]]).log())
        drawn = stack(torch.tensor([[2.0, 1.0]]).expand(20_000, -1))[0]
    variance = 0.5**2 * 4 + 0.1**2
    assert float(drawn.mean()) == pytest.approx(0, abs=4 * math.sqrt(variance / 20_000))
    assert float(drawn.var()) == pytest.approx(variance, rel=4 * math.sqrt(2 / 20_000))
