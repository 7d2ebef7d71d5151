"""Base of conditional generators p(x | c): scaling, loss, decoding and sampling."""

from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from colliderkit.events.scaling import Standardise
from colliderkit.losses.rows import own_loss

__all__ = ["Generator", "own_loss", "rows_at_once"]

NUMBERS = 1 << 26  # of noise held at a time, 256 MB


class Generator(nn.Module):
    """Conditional generator of p(x | c), x (F,) and c (C,).

    A subclass gives ``forward``, its loss row by row, and ``decode``, the deterministic map from
    noise to x in which its sampler is contained; it may change how much noise that takes. Both are
    in units of the data: a generator scales x and c itself, by buffers that are saved with it.

    Args:
        features, context: F and C.

    Attributes:
        adversarial: whether a discriminator trains it, and not its own loss alone; by this
            `training.adversarial.fit_generator` chooses the loop.
    """

    adversarial: ClassVar[bool] = False

    def __init__(self, features: int, context: int) -> None:
        super().__init__()
        self.features = features
        self.context = context
        self.scaling = Standardise(features)
        self.context_scaling = Standardise(context)

    def fit_scaling(self, x: Tensor, context: Tensor) -> Self:
        """Take mean and standard deviation of x (N, F) and of the context (N, C)."""
        self.scaling.fit(x)
        self.context_scaling.fit(context)
        return self

    def scaled(self, x: Tensor) -> Tensor:
        """Return x (B, F) in units of its standard deviation; not clipped, unlike the context."""
        return self.scaling.unclipped(x)

    def unscaled(self, x: Tensor) -> Tensor:
        """Return x (B, F) in units of the data, float64."""
        return self.scaling.restored(x)

    def forward(self, values: Tensor, mask: Tensor | None, context: Tensor) -> Tensor:
        """Return the loss of rows (B, F) with their conditions (B, C), (B, 1); for `own_loss`."""
        raise NotImplementedError

    @property
    def noise_size(self) -> int:
        """Z, the normal numbers that one x is made of."""
        return self.features

    def decode(self, noise: Tensor, context: Tensor) -> Tensor:
        """Return x (B, F) of standard normal noise (B, Z) and conditions (B, C)."""
        raise NotImplementedError

    @torch.no_grad()
    def sample(self, context: Tensor, *, seed: int = 0) -> Tensor:
        """Draw one x for each row of the context, (N, C) -> (N, F)."""
        random = torch.Generator().manual_seed(seed)
        parts = [
            self.decode(torch.randn(len(piece), self.noise_size, generator=random), piece)
            for piece in context.split(rows_at_once(self.noise_size))
        ]
        return torch.cat(parts)


def rows_at_once(noise_size: int, most: int = 4096) -> int:
    """Return how many rows are sampled at a time: fewer where one takes much noise."""
    return max(1, min(most, NUMBERS // noise_size))
