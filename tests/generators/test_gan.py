"""The losses of both networks against critics and densities that are known."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from colliderkit.errors import InputError
from colliderkit.generators.gan import GAN, WGANGP, gradient_penalty


class Critic(nn.Module):
    """Call a function of (x, c)."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        return self.function(x, c)


def test_the_penalty_of_a_linear_critic() -> None:
    w = torch.tensor([3.0, -4.0, 12.0])  # |w| = 13
    critic = Critic(lambda x, c: (x @ w)[:, None] + 7 * c)
    x, c = torch.randn(9, 3), torch.randn(9, 1)
    torch.testing.assert_close(gradient_penalty(critic, x, c), torch.full((9, 1), 144.0))
    # And in the loss, between data and samples, whatever they are.
    model = WGANGP(3, 1, penalty=2.0, noise=2, discriminator=critic)
    made = model.train()._judged(x, x + 1, c)
    torch.testing.assert_close(made, torch.full((9, 1), float(w.sum()) + 2 * 144.0))


def test_the_penalty_trains_the_critic() -> None:
    # d/dw of (|w| - 1)^2 is 2 (|w| - 1) w / |w|.
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.3, 0.4]]))
    gradient_penalty(
        Critic(lambda x, c: layer(x)), torch.randn(5, 2), torch.zeros(5, 1)
    ).mean().backward()
    torch.testing.assert_close(layer.weight.grad, torch.tensor([[-0.6, -0.8]]))


def test_the_optimal_discriminator_of_two_gaussians() -> None:
    # Data N(c + 1, 1), samples N(c, 1): ln p/p_G = x - c - 1/2, exactly.
    def loss(shift: float, slope: float) -> float:
        critic = Critic(lambda x, c: slope * (x - c) + shift)
        model = GAN(1, 1, noise=1, network=Critic(lambda z, c: z + c), discriminator=critic)
        torch.manual_seed(1)
        return float(model.train().discriminator_loss(x, c).mean())

    random = torch.Generator().manual_seed(0)
    c = torch.rand(200_000, 1, generator=random)
    x = c + 1 + torch.randn(200_000, 1, generator=random)
    best = loss(-0.5, 1.0)
    # At its best the loss is 2 ln 2 - 2 JSD, by quadrature.
    t = torch.linspace(-10, 11, 20_001, dtype=torch.float64)
    p, q = (Normal(m, 1.0).log_prob(t).exp() for m in (1.0, 0.0))
    exact = -float((p * (p / (p + q)).log() + q * (q / (p + q)).log()).sum()) * 21 / 20_000
    assert best == pytest.approx(exact, abs=4 * 0.7 / math.sqrt(200_000))
    for shift, slope in ((-0.6, 1.0), (-0.4, 1.0), (-0.5, 0.9), (-0.5, 1.1)):
        assert loss(shift, slope) > best


def test_the_losses_of_a_generator() -> None:
    critic = Critic(lambda x, c: torch.full_like(c, 1.5))
    x, c = torch.randn(6, 2), torch.randn(6, 1)
    plain = GAN(2, 1, discriminator=critic)(x, None, c)
    torch.testing.assert_close(plain, torch.full((6, 1), math.log1p(math.exp(-1.5))))
    torch.testing.assert_close(
        WGANGP(2, 1, discriminator=critic)(x, None, c), torch.full((6, 1), -1.5)
    )


def test_the_condition_is_read() -> None:
    # The estimate is the sum of x; both losses gain r |sum - c|.
    critic = Critic(lambda x, c: torch.cat([0 * c, x.sum(1, keepdim=True)], 1))
    network = Critic(lambda z, c: torch.cat([c, c + 3], 1))
    model = GAN(2, 1, network=network, discriminator=critic, regression=0.05, unit=10.0)
    x, c = torch.tensor([[10.0, 20.0]]), torch.tensor([[50.0]])
    model.fit_scaling(x, c)
    # In units of 10: the data have 3 for a condition of 5, the sample 5 + 8.
    assert float(model.discriminator_loss(x, c)) == pytest.approx(2 * math.log(2) + 0.05 * 2)
    assert float(model(x, None, c)) == pytest.approx(math.log(2) + 0.05 * 8)
    made = model.decode(torch.zeros(1, 16), c)
    torch.testing.assert_close(made, torch.tensor([[50.0, 80.0]], dtype=torch.float64))


def test_senseless_options_are_refused() -> None:
    for options, sentence in (
        ({"noise": 0}, "noise is 0"),
        ({"unit": -1.0}, "unit is -1"),
        ({"regression": -0.1}, "regression -0.1"),
    ):
        with pytest.raises(InputError, match=sentence):
            GAN(1, 1, **options)
    with pytest.raises(InputError, match="penalty is -1"):
        WGANGP(1, 1, penalty=-1)
