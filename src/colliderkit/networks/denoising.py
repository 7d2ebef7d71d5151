"""Denoising networks of diffusion and flow matching: (x_t, time, condition) to the shape of x.

Each is called as ``forward(x (B, F), t (B, 1), c (B, C)) -> (B, F)``, t between 0 and 1.
"""

import math

import torch
from torch import Tensor, nn

from colliderkit.networks.dense import dense

__all__ = ["ResidualDenoiser", "waves"]

# Times differ by 1/400 at the finest; an octave more doubles what the rounding of t comes to, which
# is 5e-5 in the highest wave as it is.
OCTAVES = 9
FREQUENCIES = OCTAVES + 1


def waves(t: Tensor, frequencies: int = FREQUENCIES) -> Tensor:
    """Return sines and cosines of time, (B, 1) -> (B, 2 frequencies).

        sin(w_k t pi / 2), cos(w_k t pi / 2),   w_k = 2^(9 k / (frequencies - 1)),

    by default octave by octave.
    """
    powers = torch.linspace(0, OCTAVES, frequencies, device=t.device)
    angle = t * (2.0**powers * (math.pi / 2))
    return torch.cat([angle.sin(), angle.cos()], 1)


class ResidualDenoiser(nn.Module):
    """Denoise by residual blocks of dense layers.

    Time and the condition are added before each block's nonlinearity. The last layer begins at
    zero.
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
        c = nn.functional.silu(self.condition(torch.cat([c, waves(t)], 1)))
        h = self.first(x)
        for norm, condition, inner, outer in zip(
            self.norms, self.conditions, self.inner, self.outer, strict=True
        ):
            h = h + outer(nn.functional.silu(inner(norm(h)) + condition(c)))
        v: Tensor = self.last(nn.functional.silu(h))
        return v
