"""Flow matching: a velocity that carries noise to data (2210.02747)."""

import math

import torch
from torch import Tensor, nn

from colliderkit.events.scaling import Standardise
from colliderkit.networks.dense import dense

__all__ = ["FlowMatching", "ResidualVelocity"]

PIECE = 4096  # rows sampled at a time
FREQUENCIES = 16


class ResidualVelocity(nn.Module):
    """Map (x (B, F), t (B, 1), c (B, C)) to a velocity (B, F) by residual blocks.

    Time as sines and cosines, and the condition, are added before each block's nonlinearity.
    """

    def __init__(self, features: int, context: int, *, width: int = 512, blocks: int = 4) -> None:
        super().__init__()
        self.first = dense(features, width)
        self.condition = dense(context + 2 * FREQUENCIES, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(blocks))
        self.conditions = nn.ModuleList(dense(width, width) for _ in range(blocks))
        self.inner = nn.ModuleList(dense(width, width) for _ in range(blocks))
        self.outer = nn.ModuleList(dense(width, width) for _ in range(blocks))
        self.last = dense(width, features)
        for layer in (*self.outer, self.last):
            nn.init.zeros_(layer.weight)

    def forward(self, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
        angle = t * (2.0 ** torch.arange(FREQUENCIES, device=x.device) * math.pi / 2)
        c = nn.functional.silu(self.condition(torch.cat([c, angle.sin(), angle.cos()], 1)))
        h = self.first(x)
        for norm, condition, inner, outer in zip(
            self.norms, self.conditions, self.inner, self.outer, strict=True
        ):
            h = h + outer(nn.functional.silu(inner(norm(h)) + condition(c)))
        v: Tensor = self.last(nn.functional.silu(h))
        return v


class FlowMatching(nn.Module):
    """Model p(x | c), x (F,) and c (C,), by straight paths from noise to data.

    With z normal and x_t = (1 - t) z + t x, the network v minimises

        < |v(x_t, t, c) - (x - z)|^2 >,

    and a sample is the end of dx/dt = v(x, t, c), from z at t = 0 to t = 1.

    Args:
        features, context: F and C.
        width, blocks: of `ResidualVelocity`.
        symmetry: (G, F) permutations of the features under which p(x | c) does not change; in
            training each row is permuted by one of them, at random.
    """

    symmetry: Tensor

    def __init__(
        self,
        features: int,
        context: int,
        *,
        width: int = 512,
        blocks: int = 4,
        symmetry: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.features = features
        self.context = context
        self.scaling = Standardise(features)
        self.context_scaling = Standardise(context)
        self.velocity = ResidualVelocity(features, context, width=width, blocks=blocks)
        group = torch.arange(features)[None] if symmetry is None else symmetry
        self.register_buffer("symmetry", group, persistent=False)

    def fit_scaling(self, x: Tensor, context: Tensor) -> "FlowMatching":
        """Take mean and standard deviation of x (N, F), over its symmetry, and of c (N, C)."""
        self.scaling.fit(x)
        mean, square = self.scaling.mean, self.scaling.std**2 + self.scaling.mean**2
        mean, square = (value[self.symmetry].mean(0) for value in (mean, square))
        self.scaling.mean.copy_(mean)
        self.scaling.std.copy_((square - mean**2).clamp(min=1e-12).sqrt())
        self.context_scaling.fit(context)
        return self

    def forward(self, values: Tensor, mask: Tensor | None, context: Tensor) -> Tensor:
        """Return the loss of rows (B, F) with their conditions (B, C), the mean over F: (B, 1)."""
        x = (values - self.scaling.mean) / self.scaling.std
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

    def path_end(self, z: Tensor, context: Tensor, steps: int) -> Tensor:
        """Follow the velocity from noise (B, F) to data in `steps` midpoint steps of two calls."""
        c = self.context_scaling(context)
        x, h = z, 1.0 / steps
        for i in range(steps):
            t = x.new_full((len(x), 1), i * h)
            half = x + 0.5 * h * self.velocity(x, t, c)
            x = x + h * self.velocity(half, t + 0.5 * h, c)
        return x * self.scaling.std + self.scaling.mean

    @torch.no_grad()
    def sample(self, context: Tensor, *, steps: int = 8, seed: int = 0) -> Tensor:
        """Draw one x for each row of the context, (N, C) -> (N, F)."""
        random = torch.Generator().manual_seed(seed)
        parts = [
            self.path_end(torch.randn(len(c), self.features, generator=random), c, steps)
            for c in context.split(PIECE)
        ]
        return torch.cat(parts)
