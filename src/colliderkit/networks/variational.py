"""Variational Bayesian perceptrons: Bayes by backprop with a mean field (1505.05424)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from colliderkit.networks.stack import Stack

__all__ = ["VariationalStack"]

NARROW = 0.1  # the first width of a weight, over that of its prior


class VariationalStack(Stack):
    """A `Stack` whose weights are normal, w ~ N(m, s^2), and drawn anew at each event.

    What a layer adds up is then normal too, with the mean sum_k m_k h_k + b and the variance
    sum_k s_k^2 h_k^2: it is drawn instead of the weights, which makes gradients less noisy
    (1506.02557). The prior is N(0, 2 / inputs of the layer), the He scale at which activations keep
    their size. Biases are numbers.

    `forward` draws from `random`, a generator on the CPU that `reset` seeds.
    """

    def __init__(
        self, members: int, inputs: int, hidden: Sequence[int] = (64, 64, 64), outputs: int = 1
    ) -> None:
        super().__init__(members, inputs, hidden, outputs)
        self.log_widths = nn.ParameterList([torch.empty_like(weight) for weight in self.weights])
        self.random = torch.Generator()
        self._narrow()

    def reset(self, seeds: Sequence[int]) -> None:
        """Draw means as `Stack` does, with narrow widths; noise comes from the first seed."""
        super().reset(seeds)
        self.random.manual_seed(seeds[0])
        self._narrow()

    def _narrow(self) -> None:
        for width, weight in zip(self.log_widths, self.weights, strict=True):
            width.data.fill_(
                0.5 * torch.tensor(2 / weight.shape[2]).log() + torch.tensor(NARROW).log()
            )

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate each member as `Stack` does, with weights drawn for each event."""
        h = x if x.ndim == 3 else x.expand(self.members, *x.shape)
        layers = zip(self.weights, self.biases, self.log_widths, strict=True)
        for i, (weight, bias, log_width) in enumerate(layers):
            h = h if i == 0 else h.relu()
            mean = torch.baddbmm(bias, h, weight.transpose(1, 2))
            variance = h.square() @ (2 * log_width).exp().transpose(1, 2)
            noise = torch.randn(mean.shape, generator=self.random).to(mean.device)
            # The root has no slope at zero, where a dead event stands.
            h = mean + (variance + 1e-12).sqrt() * noise
        return h.squeeze(2)

    def divergence(self) -> Tensor:
        """Return KL(weights || prior) of each member, (M,).

        Of one weight: ln(p / s) + (s^2 + m^2) / (2 p^2) - 1/2, with p^2 = 2 / inputs.
        """
        total = torch.zeros(self.members, device=self.weights[0].device)
        for weight, log_width in zip(self.weights, self.log_widths, strict=True):
            prior = 2 / weight.shape[2]
            log_ratio = log_width - 0.5 * torch.tensor(prior).log()
            each = ((2 * log_width).exp() + weight.square()) / (2 * prior) - log_ratio - 0.5
            total = total + each.sum((1, 2))
        return total
