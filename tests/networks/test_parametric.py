"""The ratio as an exponential family in theta of a network's outputs."""

import torch
from torch import nn

from colliderkit.networks.parametric import Parametric


class Given(nn.Module):
    """Give the values themselves as statistics."""

    def forward(self, values, mask):
        return values


def test_the_ratio_begins_at_one():
    for hidden in ((), (8,)):
        model = Parametric(Given(), 3, 2, hidden=hidden)
        z = model(torch.randn(5, 3), None, torch.randn(5, 2))
        assert z.shape == (5, 1)
        assert torch.equal(z, torch.zeros(5, 1))


def test_a_normal_density_is_in_the_family():
    """N(mean, 1) over N(0, 1): ln r = mean x - mean^2 / 2, whatever the standardisation."""
    model = Parametric(Given(), 1, 1)
    theta = torch.linspace(-1, 3, 50)[:, None]
    model.fit(theta)
    shift, scale = theta.mean(), theta.std(correction=0)
    # mean = shift + scale t; the columns are t, t^2, t^3, the rows A and eta.
    with torch.no_grad():
        model.straight.bias.copy_(torch.tensor([shift**2 / 2, shift]))
        model.straight.weight.copy_(
            torch.tensor([[shift * scale, scale**2 / 2, 0.0], [scale, 0.0, 0.0]])
        )
    x = torch.randn(50, 1)
    expected = theta * x - theta**2 / 2
    torch.testing.assert_close(model(x, None, theta), expected, atol=2e-6, rtol=1e-5)


def test_powers_reach_the_third_degree():
    assert Parametric(Given(), 1, 3).straight.in_features == 3 + 6 + 10
