"""Flow matching: a velocity that carries noise to data (2210.02747)."""

from typing import Self

import torch
from torch import Tensor, nn

from colliderkit.generators.generator import Generator
from colliderkit.networks.denoising import ResidualDenoiser

__all__ = ["FlowMatching"]


class FlowMatching(Generator):
    """Model p(x | c), x (F,) and c (C,), by straight paths from noise to data.

    With z normal and x_t = (1 - t) z + t x, the network v minimises

        < |v(x_t, t, c) - (x - z)|^2 >,

    and a sample is the end of dx/dt = v(x, t, c), from z at t = 0 to t = 1, in `steps` midpoint
    steps of two calls.

    Args:
        features, context: F and C.
        network: of the velocity, see `networks.denoising`; residual blocks of `width` if not given.
        steps: of a sample.
        symmetry: (G, F) permutations of the features under which p(x | c) does not change; in
            training each row is permuted by one of them, at random.
    """

    symmetry: Tensor

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
        super().__init__(features, context)
        self.steps = steps
        self.velocity = network or ResidualDenoiser(features, context, width=width, blocks=blocks)
        group = torch.arange(features)[None] if symmetry is None else symmetry
        self.register_buffer("symmetry", group, persistent=False)

    def fit_scaling(self, x: Tensor, context: Tensor) -> Self:
        """Take mean and standard deviation of x (N, F), over its symmetry, and of c (N, C)."""
        super().fit_scaling(x, context)
        mean, square = self.scaling.mean, self.scaling.std**2 + self.scaling.mean**2
        mean, square = (value[self.symmetry].mean(0) for value in (mean, square))
        self.scaling.mean.copy_(mean)
        self.scaling.std.copy_((square - mean**2).clamp(min=1e-12).sqrt())
        return self

    def forward(self, values: Tensor, mask: Tensor | None, context: Tensor) -> Tensor:
        """Return the loss of rows (B, F) with their conditions (B, C), the mean over F: (B, 1)."""
        x = self.scaled(values)
        if self.training:
            if len(self.symmetry) > 1:
                chosen = torch.randint(len(self.symmetry), (len(x),))
                x = x.gather(1, self.symmetry[chosen])
            z, t = torch.randn_like(x), torch.rand(len(x), 1)
        else:
            # The same noise for every epoch, so that they can be compared.
            random = torch.Generator().manual_seed(len(x))
            z = torch.randn(x.shape, generator=random)
            t = torch.rand(len(x), 1, generator=random)
        v = self.velocity((1 - t) * z + t * x, t, self.context_scaling(context))
        return (v - (x - z)).square().mean(1, keepdim=True)

    def decode(self, noise: Tensor, context: Tensor) -> Tensor:
        """Follow the velocity from noise (B, F) to data."""
        c = self.context_scaling(context)
        x, h = noise, 1.0 / self.steps
        for i in range(self.steps):
            t = x.new_full((x.shape[0], 1), i * h)
            half = x + 0.5 * h * self.velocity(x, t, c)
            x = x + h * self.velocity(half, t + 0.5 * h, c)
        return self.unscaled(x)
