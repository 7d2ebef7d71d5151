"""The bound of a VAE against the density that a linear one has in closed form."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from colliderkit.errors import InputError
from colliderkit.generators.generator import own_loss
from colliderkit.generators.vae import VAE
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Training

# Probabilistic principal components (Tipping and Bishop 1999): x = W z + A c + s e, W^T W diagonal.
W = torch.tensor([[1.2, 0.4], [0.9, -0.8], [-0.6, -0.4]])
A = torch.tensor([[0.5], [-1.0], [2.0]])
S = 0.5
COVARIANCE = W @ W.T + S**2 * torch.eye(3)


class Linear(nn.Module):
    """x (B, I) and c (B, C) to M x + K c, and constants appended."""

    def __init__(self, m: Tensor, k: Tensor, constant: Tensor) -> None:
        super().__init__()
        self.m, self.k = nn.Parameter(m), nn.Parameter(k)
        self.constant = nn.Parameter(constant)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        return torch.cat([x @ self.m.T + c @ self.k.T, self.constant.expand(len(x), -1)], 1)


def optimal(beta: float = 1.0) -> VAE:
    """The VAE of these data: q(z | x) = N(M^-1 W^T (x - A c), s^2 M^-1), M = W^T W + s^2."""
    m = torch.linalg.inv(W.T @ W + S**2 * torch.eye(2))
    assert abs(float(m[0, 1])) < 1e-6
    to_z = m @ W.T
    model = VAE(
        3,
        1,
        latent=2,
        beta=beta,
        encoder=Linear(to_z, -to_z @ A, (S**2 * m.diagonal()).log()),
        decoder=Linear(W.clone(), A.clone(), torch.zeros(0)),
    )
    with torch.no_grad():
        model.log_width.fill_(np.log(S))
    return model.eval()


def events(count: int, seed: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    z, e = torch.randn(count, 2, generator=random), torch.randn(count, 3, generator=random)
    c = torch.rand(count, 1, generator=random) * 2 - 1
    return z @ W.T + c @ A.T + S * e, c


def exact(x: Tensor, c: Tensor) -> Tensor:
    return MultivariateNormal(torch.zeros(3), COVARIANCE).log_prob(x - c @ A.T)


def test_the_bound_of_the_optimal_model_is_the_likelihood() -> None:
    x, c = events(50, 0)
    model = optimal()
    # With the true posterior a single draw is exact.
    torch.testing.assert_close(model.log_prob(x, c, draws=1), exact(x, c), rtol=1e-5, atol=1e-4)
    # The bound takes the divergence in closed form and one z: exact on average over z.
    many = 4000
    bound = -model.train()(x.repeat(many, 1), None, c.repeat(many, 1)).detach()[:, 0]
    bound = bound.reshape(many, 50).double()
    pull = (bound.mean(0) - exact(x, c)) / (bound.std(0) / many**0.5)
    assert float(pull.square().sum()) < 50 + 5 * 10  # chi^2 of 50, sigma 10


def test_any_other_model_is_below_and_more_draws_come_closer() -> None:
    x, c = events(2000, 1)
    model = optimal()
    with torch.no_grad():
        model.encoder.constant += 0.7
    truth = float(exact(x, c).mean())
    bound = -float(model(x, None, c).detach().mean())
    few, many = (float(model.log_prob(x, c, draws=n).mean()) for n in (1, 200))
    # KL(q | posterior) of two widths too large by e^.35: (e^.7 - 1 - .7) / 2 each.
    assert truth - bound == pytest.approx(np.exp(0.7) - 1.7, abs=0.1)
    assert bound < many <= truth + 1e-3
    assert few < many
    assert many == pytest.approx(truth, abs=0.01)


def test_units_and_beta() -> None:
    x, c = events(20, 2)
    plain, other = optimal(), optimal()
    with torch.no_grad():
        other.scaling.mean.fill_(5.0)
        other.scaling.std.fill_(1000.0)
    # A density in other units is divided by them.
    moved = other(1000 * x + 5, None, c)
    torch.testing.assert_close(moved, plain(x, None, c) + 3 * np.log(1000), rtol=1e-4, atol=1e-3)
    # The loss is linear in beta, with the divergence as slope.
    mean, log_variance = plain.encoder(x, c).chunk(2, 1)
    divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1, keepdim=True)
    torch.testing.assert_close(optimal(3.0)(x, None, c) - plain(x, None, c), 2 * divergence)


def test_samples_have_the_covariance_of_the_model() -> None:
    drawn = optimal().sample(torch.zeros(40_000, 1), seed=3)
    # Each entry is known to sqrt((C_ii C_jj + C_ij^2) / N).
    error = (COVARIANCE.diagonal().outer(COVARIANCE.diagonal()) + COVARIANCE**2).div(40_000).sqrt()
    assert float(((drawn.T.cov() - COVARIANCE) / error).abs().max()) < 4


def test_a_short_training_approaches_the_likelihood(tmp_path: Path) -> None:
    x, c = events(10_000, 4)
    torch.manual_seed(0)
    model = VAE(3, 1, latent=2, width=32, layers=1).fit_scaling(x, c)
    data = Dataset(x, torch.zeros(len(x)), torch.ones(len(x)), c)
    settings = Training(epochs=15, batch_size=100, learning_rate=1e-2, schedule="cosine")
    fit(
        model, own_loss, data.at(torch.arange(8000)), data.at(torch.arange(8000, 10_000)),
        settings, folder=tmp_path, progress=False,
    )  # fmt: skip
    new_x, new_c = events(10_000, 5)
    found = float(model.log_prob(new_x, new_c, draws=50).mean())
    truth = exact(new_x, new_c)
    # No model is above the truth but by counting, and a good one is close below.
    assert float(truth.mean()) - 0.05 < found < float(truth.mean()) + 3 * float(truth.std()) / 100
    drawn = model.sample(torch.full((20_000, 1), 0.5), seed=1)
    np.testing.assert_allclose(drawn.mean(0), (0.5 * A[:, 0]).numpy(), atol=0.12)
    np.testing.assert_allclose(drawn.std(0), COVARIANCE.diagonal().sqrt().numpy(), rtol=0.08)


def test_senseless_options_are_refused() -> None:
    with pytest.raises(InputError, match="latent is 0 and beta 1"):
        VAE(3, 1, latent=0)
