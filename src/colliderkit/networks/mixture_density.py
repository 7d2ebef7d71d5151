"""Mixture density network: p(y | x) of several numbers as a mixture of normal densities."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from colliderkit.networks.mlp import MLP

__all__ = ["MixtureDensity", "mixture_log_prob"]

NARROWEST = 1e-3  # of a component, in units of y


class MixtureDensity(nn.Module):
    """Model p(y | x), x (inputs,) and y (features,), both of order 1 (Bishop, NCRG/94/004).

        p(y | x) = sum_k pi_k(x) prod_d N(y_d; mu_kd(x), sigma_kd(x))

    A perceptron gives the parameters (B, components * (1 + 2 features)).
    """

    def __init__(
        self, inputs: int, features: int, *, components: int = 5, hidden: Sequence[int] = (64, 64)
    ) -> None:
        super().__init__()
        self.network = MLP(inputs, components * (1 + 2 * features), hidden=tuple(hidden))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return ln p(y | x) of rows (B, inputs) and (B, features), (B,)."""
        return mixture_log_prob(self.network(x), y)


def mixture_log_prob(parameters: Tensor, y: Tensor) -> Tensor:
    """Return ln p(y) of rows (B, D) with parameters (B or 1, K (1 + 2 D)), (B,).

    A component's parameters are the logit of its share, D means and D numbers whose softplus is
    the width.
    """
    size = y.shape[1]
    each = parameters.unflatten(1, (-1, 1 + 2 * size))
    share, mean, width = each.split([1, size, size], 2)
    sigma = nn.functional.softplus(width) + NARROWEST
    square = ((y[:, None] - mean) / sigma).square() + math.log(2 * math.pi)
    ln_p = -0.5 * square.sum(2) - sigma.log().sum(2)
    return torch.logsumexp(ln_p + share[..., 0].log_softmax(1), 1)
