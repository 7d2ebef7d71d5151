"""Stack (ensemble) of perceptrons of the same shape side by side, in one tensor a layer."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from colliderkit.networks.dense import linear

__all__ = ["Stack"]


class Stack(nn.Module):
    """Map a table to K numbers for each of M perceptrons with ReLU that share nothing.

    An ensemble, or the replicas of a bootstrap, trained as one batch of matrix products: for
    small networks most of the time goes into starting operations, which are as many for ten
    members as for one. The last layer begins at zero: each member begins as the function 0.
    """

    def __init__(
        self, members: int, inputs: int, hidden: Sequence[int] = (64, 64, 64), outputs: int = 1
    ) -> None:
        super().__init__()
        sizes = [*pairwise((inputs, *hidden, outputs))]
        self.members = members
        self.outputs = outputs
        self.weights = nn.ParameterList([torch.empty(members, b, a) for a, b in sizes])
        self.biases = nn.ParameterList([torch.zeros(members, 1, b) for _, b in sizes])
        nn.init.zeros_(self.weights[-1])

    def reset(self, seeds: Sequence[int]) -> None:
        """Draw He-uniform weights for member m from seed m alone (1502.01852)."""
        for member, seed in enumerate(seeds):
            random = torch.Generator().manual_seed(seed)
            for weight in list(self.weights)[:-1]:
                nn.init.kaiming_uniform_(weight.data[member], nonlinearity="relu", generator=random)

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate each member, at its own events (M, B, C) or all at the same (B, C).

        Returns (M, B) of one output and (M, B, K) of several.
        """
        return self._walk(x, len(self.weights))

    def features(self, x: Tensor) -> Tensor:
        """Return what the last layer sees, at events as of `forward`, (M, B, last hidden width)."""
        return self._walk(x, len(self.weights) - 1).relu()

    def _walk(self, x: Tensor, layers: int) -> Tensor:
        """Return what the first layers give; of all of them one output alone is squeezed away."""
        pairs = list(zip(self.weights, self.biases, strict=True))[:layers]
        if self.members == 1:
            h = x.flatten(0, -2)
            for i, (weight, bias) in enumerate(pairs):
                h = linear(h if i == 0 else h.relu(), weight[0], bias[0, 0])
            h = h[None]
        else:
            h = x if x.ndim == 3 else x.expand(self.members, *x.shape)
            for i, (weight, bias) in enumerate(pairs):
                h = torch.baddbmm(bias, h if i == 0 else h.relu(), weight.transpose(1, 2))
        return h.squeeze(2) if layers == len(self.weights) and self.outputs == 1 else h
