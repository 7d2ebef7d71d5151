"""A conditional normalising flow: the density p(x | c), to be evaluated and sampled from."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.scaling import Standardise
from colliderkit.losses.classification import weighted_mean

__all__ = ["ConditionalFlow", "negative_log_likelihood"]

PIECE = 1 << 16  # rows evaluated at a time


class ConditionalFlow(nn.Module):
    """Model p(x | c), x (T,) and c (C,), by autoregressive neural splines (1906.04032).

        ln p(x | c) = ln N(f(x; c); 0, 1) + ln |det df/dx|

    with f a sequence of monotonic rational-quadratic splines on [-5, 5], in units of the standard
    deviation, and the identity beyond. Needs zuko.

    Args:
        features, context: T and C.
        transforms: splines one after the other, each with a network (C + T -> its knots).
        bins: of each spline.
        hidden: widths of the networks.
    """

    def __init__(
        self,
        features: int,
        context: int,
        *,
        transforms: int = 3,
        bins: int = 8,
        hidden: Sequence[int] = (64, 64),
    ) -> None:
        super().__init__()
        try:
            from zuko.flows import NSF  # type: ignore[import-untyped]
        except ImportError as error:
            raise InputError("zuko is not installed; pip install 'colliderkit[flows]'.") from error
        self.features = features
        self.context = context
        self.scaling = Standardise(features)
        self.context_scaling = Standardise(context)
        self.flow = NSF(
            features, context, transforms=transforms, bins=bins, hidden_features=tuple(hidden)
        )

    def fit_scaling(self, x: Tensor, context: Tensor) -> "ConditionalFlow":
        """Take mean and standard deviation of x (N, T) and of the context (N, C)."""
        self.scaling.fit(x)
        self.context_scaling.fit(context)
        return self

    def log_prob(self, x: Tensor, context: Tensor) -> Tensor:
        """Return ln p(x | c) of rows (N, T) and (N, C), (N,)."""
        # Not clipped, unlike the context: a density must not be flat in x.
        scaled = (x - self.scaling.mean) / self.scaling.std
        ln_p: Tensor = self.flow(self.context_scaling(context)).log_prob(scaled)
        return ln_p - self.scaling.std.log().sum()

    @torch.no_grad()
    def sample(self, context: Tensor, *, seed: int = 0) -> Tensor:
        """Draw one x for each row of the context, (N, C) -> (N, T)."""
        random = torch.Generator().manual_seed(seed)
        parts = []
        for piece in context.split(PIECE):
            z = torch.randn(len(piece), self.features, generator=random)
            x = self.flow(self.context_scaling(piece)).transform.inv(z)
            parts.append(x * self.scaling.std + self.scaling.mean)
        return torch.cat(parts)

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return -ln p(x | c) of rows (x, c) side by side, (B, T + C) -> (B, 1)."""
        x, context = values.split([self.features, self.context], dim=1)
        return -self.log_prob(x, context)[:, None]


def negative_log_likelihood(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean of -ln p (B, 1); the target is part of the input and not used."""
    return weighted_mean(outputs[:, 0], weight)
