"""Find vertices in a density of tracks: a one-dimensional convolutional network (PV finder)."""

import torch
from torch import Tensor, nn

__all__ = ["VertexDensity"]


class VertexDensity(nn.Module):
    """Turn densities of tracks along the beams to the expected density of vertices (1906.08306).

    Called with (B, 2 T) values, two channels of T bins each one after another, ln(1 + density)
    first; returns (B, T), the expected number of vertices in each bin, not negative:

        density / (1 + density) softplus(convolutions),

    none where no track is. Convolutions keep the number of bins, so that a network goes over any
    length.

    Args:
        channels: of the hidden layers.
        kernels: sizes of the filters, odd, one a layer.
    """

    def __init__(
        self, *, channels: int = 12, kernels: tuple[int, ...] = (25, 15, 15, 9, 5)
    ) -> None:
        super().__init__()
        sizes = [2, *[channels] * (len(kernels) - 1), 1]
        self.layers = nn.ModuleList(
            nn.Conv1d(one, two, size, padding="same")
            for one, two, size in zip(sizes[:-1], sizes[1:], kernels, strict=True)
        )
        with torch.no_grad():
            # Bins with a vertex are rare: begin with few.
            last = self.layers[-1]
            assert isinstance(last.bias, Tensor)
            last.bias.fill_(-4.0)

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        seen = values.view(len(values), 2, -1)
        x = seen
        for layer in self.layers[:-1]:
            x = nn.functional.leaky_relu(layer(x), 0.01)
        answer: Tensor = nn.functional.softplus(self.layers[-1](x))[:, 0]
        # Most bins are empty: without this a training is much about making them so.
        return answer * -torch.expm1(-seen[:, 0])
