"""The flow is a density, its samples follow it, and training finds a known one."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from colliderkit.generators.flow import ConditionalFlow
from colliderkit.generators.generator import own_loss
from colliderkit.sources.toys.unfolding import posterior
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Training

pytest.importorskip("zuko")


def untrained(features, context, seed=0):
    torch.manual_seed(seed)
    flow = ConditionalFlow(features, context)
    random = torch.Generator().manual_seed(seed)
    # Wide weights, so that f is far from the identity.
    with torch.no_grad():
        for parameter in flow.flow.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=random))
    rows = torch.randn(500, features + context, generator=random) * 3 + 1
    return flow.fit_scaling(rows[:, :features], rows[:, features:]).eval()


def test_density_integrates_to_one():
    flow = untrained(1, 2)
    x = torch.linspace(-40, 40, 40_001)[:, None]
    for c in ([0.0, 0.0], [3.0, -2.0]):
        ln_p = flow.log_prob(x, torch.tensor([c]).expand(len(x), 2)).detach().double()
        assert float(ln_p.exp().sum() * 80 / 40_000) == pytest.approx(1, abs=1e-4)


def test_samples_follow_the_density():
    flow = untrained(1, 1)
    c = torch.full((4000, 1), 0.7)
    drawn = flow.sample(c, seed=1)[:, 0].numpy()
    x = torch.linspace(-40, 40, 200_001)
    p = flow.log_prob(x[:, None], c[:1].expand(len(x), 1)).detach().double().exp().numpy()
    cdf = np.concatenate([[0], np.cumsum(p[1:] + p[:-1]) * 80 / 200_000 / 2])
    # A fixed draw; p < 1e-3 would be one in a thousand.
    assert kstest(drawn, lambda at: np.interp(at, x.numpy(), cdf)).pvalue > 1e-3


def test_each_row_has_its_own_context_and_seed_repeats():
    flow = untrained(2, 1)
    c = torch.linspace(-2, 2, 9)[:, None]
    x = flow.sample(c, seed=3)
    torch.testing.assert_close(flow.sample(c, seed=3), x, rtol=0, atol=0)
    assert not torch.equal(flow.sample(c, seed=4), x)
    alone = torch.stack([flow.log_prob(x[i : i + 1], c[i : i + 1])[0] for i in range(9)])
    torch.testing.assert_close(flow.log_prob(x, c), alone, rtol=1e-4, atol=1e-4)
    outputs = flow(x, None, c)
    torch.testing.assert_close(outputs[:, 0], -flow.log_prob(x, c))


def test_density_in_other_units_is_divided_by_them():
    flow = untrained(2, 1)
    x, c = torch.randn(5, 2), torch.randn(5, 1)
    before = flow.log_prob(x, c)
    with torch.no_grad():
        flow.scaling.mean *= 1000
        flow.scaling.std *= 1000
    torch.testing.assert_close(flow.log_prob(1000 * x, c), before - 2 * np.log(1000))


def test_training_finds_a_gaussian_posterior(tmp_path):
    # z ~ N(0, 1), x = z + N(0, 1/4): p(z | x) is N(.8 x, .447^2).
    random = torch.Generator().manual_seed(0)
    z = torch.randn(20_000, 1, generator=random)
    x = z + 0.5 * torch.randn(20_000, 1, generator=random)
    torch.manual_seed(0)
    flow = ConditionalFlow(1, 1, transforms=1, hidden=(32, 32)).fit_scaling(z, x)
    data = Dataset(z, torch.zeros(len(z)), torch.ones(len(z)), x)
    settings = Training(epochs=6, batch_size=512, learning_rate=5e-3, schedule="cosine")
    fit(
        flow, own_loss, data.at(torch.arange(16_000)),
        data.at(torch.arange(16_000, 20_000)), settings, folder=tmp_path, progress=False,
    )  # fmt: skip
    at = torch.linspace(-1.5, 1.5, 7)
    mean, sigma = posterior(at.numpy(), mean=0, sigma=1, smear=0.5)
    drawn = flow.sample(at[:, None].repeat(4000, 1), seed=1).reshape(4000, 7).double().numpy()
    # The sample's mean is known to .007, its width to 1.1%; the flow saw a few hundred events
    # near each x, of which it knows the mean to about .03.
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.1)
    np.testing.assert_allclose(drawn.std(0), sigma, rtol=0.1)
    # No density has a larger expected ln p than the true one, -1/2 ln(2 pi e sigma^2) = -.614.
    exact = -0.5 * np.log(2 * np.pi * np.e * sigma**2)
    new_z = torch.randn(20_000, 1, generator=random)
    new_x = new_z + 0.5 * torch.randn(20_000, 1, generator=random)
    found = float(flow.log_prob(new_z, new_x).detach().mean())
    assert exact - 0.02 < found < exact + 3 * 0.71 / np.sqrt(20_000)
