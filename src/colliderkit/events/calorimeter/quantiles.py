"""Numbers of calorimeters on a normal scale, with what is missing apart from what is there."""

from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Quantiles"]

REACH = 3.0  # the knots of x lie within
KNOTS, STEP = 31, 0.2
FEWEST = 100  # values of a group, for quantiles of its own


class Quantiles(nn.Module):
    """Turn numbers y of G groups, given some u of their own, into x, and back:

        x = Phi^-1(F_g(y - b_g u)),

    b the slope and F the distribution of what is left, by `fit`, between 31 knots from -3 to 3 and
    straight on beyond, until x is cut at +-`limit`. Over the values that were fitted x is standard
    normal in each group, up to what else it depends on.

    Args:
        groups: of each column (V,), int64, from 0 to G - 1.
        usual: y where a group has fewer than 100 values to fit.
        limit: of x.
    """

    groups: Tensor
    slope: Tensor
    table: Tensor

    def __init__(self, groups: Tensor, *, usual: float = 0.0, limit: float = REACH) -> None:
        super().__init__()
        self.usual, self.limit = usual, limit
        self.register_buffer("groups", groups, persistent=False)
        count = int(groups.max()) + 1
        self.register_buffer("slope", torch.zeros(count))
        self.register_buffer("table", torch.zeros(count, KNOTS))

    def fit(self, y: Tensor, u: Tensor, there: Tensor) -> Self:
        """Take slopes and quantiles from the values y with u, where they are `there`, (N, V)."""
        grid = torch.arange(KNOTS, dtype=torch.float64) * STEP - REACH
        chances = 0.5 * (1 + torch.erf(grid / 2**0.5))
        for group in range(len(self.slope)):
            own = self.groups == group
            among = there[:, own]
            value, given = y[:, own][among].double(), u[:, own][among].double()
            if len(value) < FEWEST:
                value, given = self.usual + grid, torch.zeros(KNOTS, dtype=torch.float64)
            far = given - given.mean()
            slope = (far * value).mean() / far.square().mean().clamp(min=1e-12)
            rest = torch.from_numpy(np.quantile((value - slope * given).numpy(), chances.numpy()))
            self.slope[group] = slope
            # Rising by more than float32 rounds, so that it can be inverted.
            self.table[group] = rest + 1e-4 * torch.arange(KNOTS)
        return self

    def normal(self, y: Tensor, u: Tensor) -> Tensor:
        """Return x (N, V) of y and u (N, V)."""
        rest = (y - self.slope[self.groups] * u).t().contiguous()
        table = self.table[self.groups].to(y.dtype)
        upper = torch.searchsorted(table, rest).clamp(1, KNOTS - 1)
        low, high = (table.gather(1, index) for index in (upper - 1, upper))
        part = (rest - low) / (high - low)
        return (STEP * (upper - 1 + part) - REACH).clamp(-self.limit, self.limit).t()

    def forward(self, x: Tensor, u: Tensor) -> Tensor:
        """Return y (N, V) of x and u (N, V)."""
        place = (x.clamp(-self.limit, self.limit) + REACH) / STEP
        lower = place.floor().clamp(0.0, KNOTS - 2.0).long()
        first = self.groups * KNOTS + lower
        flat = self.table.flatten()
        low, high = flat[first], flat[first + 1]
        return low + (place - lower) * (high - low) + self.slope[self.groups] * u
