"""Inverse autoregressive flow by probability density distillation (CaloFlow, 2110.11377)."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn

from colliderkit.generators.flow import ConditionalFlow, splines
from colliderkit.generators.generator import Generator

__all__ = ["StudentFlow"]


class StudentFlow(Generator):
    """Flow for p(x | c), x (F,) and c (C,), with the density of a teacher and a student's samples.

    The teacher is a masked autoregressive flow f = f_K ... f_1 from x to noise z, as
    `ConditionalFlow`: its density takes one call of each network, its samples F of them. The
    student is an inverse autoregressive flow g = g_1 ... g_K from z to x, whose samples take one.
    Each g_k has the splines of f_k, backwards, and can be its inverse. By probability density
    distillation the student learns where the teacher goes, and neither is ever inverted:

        loss = 1/2 < |g(f(x)) - x|^2 > + 1/2 < |f(g(z)) - z|^2 >,

    x and c the data's, z normal, with the places between the K steps compared as well and the mean
    taken over the K (CaloFlow, 2106.05285 and 2110.11377, without its comparison of the knots).

    Without a fitted teacher one is learned at the same time: -ln p(x | c) is added to the loss,
    and the student's part of it leaves the teacher alone.

    Args:
        features, context: F and C.
        transforms: K.
        bins: of each spline.
        hidden: widths of the networks.
        teacher: a fitted flow of the same x and c, which is left as it is and copied; it has K
            and the units of x and c. The student's other sizes may be its own.
    """

    def __init__(
        self,
        features: int,
        context: int,
        *,
        transforms: int = 3,
        bins: int = 8,
        hidden: Sequence[int] = (64, 64),
        teacher: ConditionalFlow | None = None,
    ) -> None:
        super().__init__(features, context)
        self.fitted = teacher is not None
        if teacher is None:
            self.teacher = splines(features, context, transforms, bins, hidden)
        else:
            self.teacher = copy.deepcopy(teacher.flow).requires_grad_(False)
            self.scaling.load_state_dict(teacher.scaling.state_dict())
            self.context_scaling.load_state_dict(teacher.context_scaling.state_dict())
        self.student = _backwards(
            features, context, len(self.teacher.transform.transforms), bins, hidden
        )

    def fit_scaling(self, x: Tensor, context: Tensor) -> Self:
        """Take mean and standard deviation of x (N, F) and c (N, C), or those of the teacher."""
        return self if self.fitted else super().fit_scaling(x, context)

    def log_prob(self, x: Tensor, context: Tensor) -> Tensor:
        """Return the teacher's ln p(x | c) of rows (N, F) and (N, C), (N,)."""
        ln_p: Tensor = self.teacher(self.context_scaling(context)).log_prob(self.scaled(x))
        return ln_p - self.scaling.std.log().sum()

    def decode(self, noise: Tensor, context: Tensor) -> Tensor:
        """Return g(z; c) of noise (B, F), in one pass."""
        return self.unscaled(self._made(noise, self.context_scaling(context))[-1])

    def forward(self, values: Tensor, mask: Tensor | None, context: Tensor) -> Tensor:
        """Return the loss of rows (B, F) with their conditions (B, C), sums over F: (B, 1)."""
        x, c = self.scaled(values), self.context_scaling(context)
        with _still(self.teacher):
            seen = self._seen(x, c)
            back = self._made(seen[-1], c)
            made = self._made(self._noise(x), c)
            again = self._seen(made[-1], c)
        loss = (_apart(back, seen) + _apart(again, made)) / 2
        if not self.fitted:
            loss = loss - self.log_prob(values, context)
        return loss[:, None]

    def _seen(self, x: Tensor, c: Tensor) -> list[Tensor]:
        """Return x and what the teacher makes of it step by step, the last of them noise."""
        path = [x]
        for step in self.teacher.transform.transforms:
            path.append(step(c)(path[-1]))
        return path

    def _made(self, z: Tensor, c: Tensor) -> list[Tensor]:
        """Return noise and what the student makes of it step by step."""
        path = [z]
        for step in self.student:
            path.append(step(c)(path[-1]))
        return path

    def _noise(self, x: Tensor) -> Tensor:
        if self.training:
            return torch.randn_like(x)
        # The same noise for every epoch, so that they can be compared.
        return torch.randn(x.shape, generator=torch.Generator().manual_seed(len(x))).to(x.device)


def _apart(path: list[Tensor], other: list[Tensor]) -> Tensor:
    """Return |a - b|^2 of a path and one that goes the other way, the mean over its steps: (B,).

    They begin at one place, which does not count.
    """
    pairs = zip(path[1:], other[-2::-1], strict=True)
    return torch.stack([(a - b).square().sum(1) for a, b in pairs]).mean(0)


def _backwards(
    features: int, context: int, transforms: int, bins: int, hidden: Sequence[int]
) -> nn.ModuleList:
    """Return steps from noise to data, the inverses of those of `splines` in their families."""
    from zuko.flows.autoregressive import (  # type: ignore[import-untyped]
        MaskedAutoregressiveTransform,
    )

    # zuko's flow goes through the features up in its first step, down in the second, and so on.
    up = torch.arange(features)
    orders = [up if k % 2 == 0 else up.flip(0) for k in range(transforms)]
    return nn.ModuleList(
        MaskedAutoregressiveTransform(
            features,
            context,
            order=order,
            univariate=_inverse_spline,
            shapes=[(bins,), (bins,), (bins - 1,)],
            hidden_features=tuple(hidden),
        )
        for order in reversed(orders)
    )


def _inverse_spline(*knots: Tensor) -> Any:
    from zuko.transforms import MonotonicRQSTransform  # type: ignore[import-untyped]

    return MonotonicRQSTransform(*knots).inv


@contextmanager
def _still(module: nn.Module) -> Iterator[None]:
    """Leave the parameters of a module out of the gradients of what is computed within."""
    learned = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in learned:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learned:
            parameter.requires_grad_(True)
