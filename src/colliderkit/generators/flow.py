"""Conditional normalising flow: autoregressive neural splines for the density p(x | c)."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.generators.generator import Generator

__all__ = ["ConditionalFlow", "splines"]


class ConditionalFlow(Generator):
    """Normalising flow for p(x | c), x (T,) and c (C,), of autoregressive splines (1906.04032).

        ln p(x | c) = ln N(f(x; c); 0, 1) + ln |det df/dx|

    with f a sequence of monotonic rational-quadratic splines on [-5, 5], in units of the standard
    deviation, and the identity beyond. The density takes one call of each spline's network, a
    sample T of them (CaloFlow's teacher, 2106.05285; for its student see `student`). Needs zuko.

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
        super().__init__(features, context)
        self.flow = splines(features, context, transforms, bins, hidden)

    def log_prob(self, x: Tensor, context: Tensor) -> Tensor:
        """Return ln p(x | c) of rows (N, T) and (N, C), (N,)."""
        ln_p: Tensor = self.flow(self.context_scaling(context)).log_prob(self.scaled(x))
        return ln_p - self.scaling.std.log().sum()

    def decode(self, noise: Tensor, context: Tensor) -> Tensor:
        """Return f^-1(z; c) of noise (B, T), one feature after the other."""
        return self.unscaled(self.flow(self.context_scaling(context)).transform.inv(noise))

    def encode(self, x: Tensor, context: Tensor) -> Tensor:
        """Return f(x; c) of rows (B, T) and (B, C), standard normal where x follows p(x | c)."""
        noise: Tensor = self.flow(self.context_scaling(context)).transform(self.scaled(x))
        return noise

    def forward(self, values: Tensor, mask: Tensor | None, context: Tensor) -> Tensor:
        """Return -ln p(x | c) of rows (B, T) and (B, C), (B, 1)."""
        return -self.log_prob(values, context)[:, None]


def splines(features: int, context: int, transforms: int, bins: int, hidden: Sequence[int]) -> Any:
    """Return zuko's flow of autoregressive splines; raise `InputError` where zuko is missing."""
    try:
        from zuko.flows import NSF  # type: ignore[import-untyped]
    except ImportError as error:
        raise InputError("zuko is not installed; pip install 'colliderkit[flows]'.") from error
    return NSF(features, context, transforms=transforms, bins=bins, hidden_features=tuple(hidden))
