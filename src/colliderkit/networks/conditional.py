"""Conditional multi-layer perceptron, for generators, critics and encoders."""

import torch
from torch import Tensor, nn

from colliderkit.networks.dense import dense

__all__ = ["ConditionalMLP"]


class ConditionalMLP(nn.Module):
    """Map (x, c), (B, inputs) and (B, context), to (B, outputs) by `layers` hidden layers.

    LeakyReLU with slope 0.2 below zero, without normalisation: the output of a row depends on
    that row alone, as the gradient penalty of 1704.00028 needs.
    """

    def __init__(
        self, inputs: int, context: int, outputs: int, *, width: int = 128, layers: int = 3
    ) -> None:
        super().__init__()
        widths = (inputs + context, *(width,) * layers)
        self.hidden = nn.ModuleList(
            dense(before, after) for before, after in zip(widths[:-1], widths[1:], strict=True)
        )
        self.last = dense(widths[-1], outputs)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        h = torch.cat([x, c], 1)
        for layer in self.hidden:
            h = nn.functional.leaky_relu(layer(h), 0.2)
        y: Tensor = self.last(h)
        return y
