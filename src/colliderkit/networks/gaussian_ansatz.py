"""Gaussian Ansatz: a log ratio of x and z whose maximum over z, and curvature, are outputs."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from colliderkit.networks.mlp import MLP

__all__ = ["GaussianAnsatzNetwork"]

FEW = (32, 32)  # widths for C: it is evaluated for each pair of x and z, and varies slowly
UNIT = 0.5413248546129181  # softplus(UNIT) = 1


class GaussianAnsatzNetwork(nn.Module):
    """Model ln p(x | z) / p(x), x (C,) and z (D,), by the Gaussian Ansatz (2205.03413):

        T(x, z) = A(x) + 1/2 (z - B(x))^T C(x, z) (z - B(x)),    C = -L L^T,

    with L lower triangular of positive diagonal. As C is negative definite by construction, B(x)
    is the maximum over z, and -C(x, B)^-1 the covariance. The published form has a term
    (z - B) . D(x) besides, which is driven to zero while it learns; any function with one maximum
    can be written without.

    B = M x + m + b(x), L = L0 l(x, z), where M, m and L0 (`start`) are the answer for a normal p(x
    | z) with a mean that is linear in z, and the perceptrons b and l, `hidden`, begin at 0 and 1.

    Args:
        columns, truths: C and D, both in units of their spread.
    """

    slope: Tensor
    shift: Tensor
    root: Tensor

    def __init__(self, columns: int, truths: int, hidden: Sequence[int] = (64, 64)) -> None:
        super().__init__()
        self.truths = truths
        self.level = MLP(columns, 1, hidden=hidden)
        self.maximum = MLP(columns, truths, hidden=hidden)
        self.curvature = MLP(columns + truths, truths * (truths + 1) // 2, hidden=FEW)
        for network in (self.level, self.maximum, self.curvature):
            nn.init.zeros_(network.layers[-1].weight)  # type: ignore[arg-type]
        self.register_buffer("slope", torch.zeros(truths, columns))
        self.register_buffer("shift", torch.zeros(truths))
        self.register_buffer("root", torch.eye(truths))

    def start(self, slope: Tensor, shift: Tensor, precision: Tensor) -> None:
        """Begin with B = M x + m, M (D, C) and m (D,), and C = -P, P (D, D)."""
        self.slope.copy_(slope)
        self.shift.copy_(shift)
        self.root.copy_(torch.linalg.cholesky(precision))

    def estimate(self, x: Tensor) -> Tensor:
        """Return B(x) of rows (B, C), (B, D)."""
        b: Tensor = x @ self.slope.T + self.shift + self.maximum(x)
        return b

    def factor(self, x: Tensor, z: Tensor) -> Tensor:
        """Return L of rows (B, C) and (B, D), (B, D, D)."""
        raw = self.curvature(torch.cat([x, z], 1))
        d = self.truths
        diagonal = nn.functional.softplus(raw[:, :d] + UNIT)
        if d == 1:
            return self.root * diagonal[:, :, None]
        rows, columns = torch.tril_indices(d, d, -1)
        lower = diagonal.diag_embed().index_put(
            (torch.arange(len(raw))[:, None], rows, columns), raw[:, d:]
        )
        return self.root @ lower

    def covariance(self, x: Tensor) -> Tensor:
        """Return -C(x, B)^-1 of rows (B, C), (B, D, D)."""
        inverse = torch.linalg.inv(self.factor(x, self.estimate(x)))
        return inverse.mT @ inverse

    def forward(self, values: Tensor, mask: Tensor | None, context: Tensor) -> Tensor:
        """Return T of each row x (B, C) with K + 1 truths, (B, K + 1, D) -> (B, K + 1)."""
        count = context.shape[1]
        x = values[:, None].expand(-1, count, -1).flatten(0, 1)
        away = (context - self.estimate(values)[:, None]).flatten(0, 1)
        factor = self.factor(x, context.flatten(0, 1))
        pulls = (factor * away[:, :, None]).sum(1).square().sum(1)
        return self.level(values) - 0.5 * pulls.view(-1, count)
