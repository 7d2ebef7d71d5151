"""Conditional flow matching: a velocity field that carries noise to data (2210.02747)."""

import torch
from torch import Tensor, nn

from colliderkit.generators.noising import Noising
from colliderkit.networks.denoising import ResidualDenoiser

__all__ = ["FlowMatching"]


class FlowMatching(Noising):
    """Flow matching for p(x | c), x (F,) and c (C,): straight paths from noise to data.

    With z normal and x_t = (1 - t) z + t x, the network v minimises

        < |v(x_t, t, c) - (x - z)|^2 >,

    and a sample is the end of dx/dt = v(x, t, c), from z at t = 0 to t = 1, in `steps` midpoint
    steps of two calls.

    Args:
        features, context: F and C.
        network: of the velocity, see `networks.denoising`; residual blocks of `width` if not given.
        steps, symmetry: see `Noising`.
    """

    def __init__(
        self,
        features: int,
        context: int,
        *,
        network: nn.Module | None = None,
        width: int = 512,
        blocks: int = 4,
        steps: int = 8,
        symmetry: Tensor | None = None,
    ) -> None:
        super().__init__(features, context, steps=steps, symmetry=symmetry)
        self.velocity = network or ResidualDenoiser(features, context, width=width, blocks=blocks)

    def forward(self, values: Tensor, mask: Tensor | None, context: Tensor) -> Tensor:
        """Return the loss of rows (B, F) with their conditions (B, C), the mean over F: (B, 1)."""
        x, z, t = self.drawn(self.scaled(values))
        v = self.velocity((1 - t) * z + t * x, t, self.context_scaling(context))
        return (v - (x - z)).square().mean(1, keepdim=True)

    def denoise(self, y: Tensor, s: Tensor | float, c: Tensor) -> Tensor:
        """Return <x | y> = x_t + (1 - t) v, with t = 1 / (1 + s) and x_t = t y."""
        t = torch.full_like(y[:, :1], 1 / (1 + s)) if isinstance(s, float) else 1 / (1 + s)
        found: Tensor = t * y + (1 - t) * self.velocity(t * y, t, c)
        return found

    def decode(self, noise: Tensor, context: Tensor) -> Tensor:
        """Follow the velocity from noise (B, F) to data."""
        c = self.context_scaling(context)
        x, h = noise, 1.0 / self.steps
        for i in range(self.steps):
            t = x.new_full((x.shape[0], 1), i * h)
            half = x + 0.5 * h * self.velocity(x, t, c)
            x = x + h * self.velocity(half, t + 0.5 * h, c)
        return self.unscaled(x)
