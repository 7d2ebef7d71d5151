"""Quantile transform of voxel energies to N(0, 1), and their occupancy."""

import math
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Occupancy", "QuantileTransform", "inverse_survival", "survival"]

HALF_WIDTH = 3.0  # the knots of x lie within
KNOTS, STEP = 31, 0.2
LIMIT = 3.4  # of x, which one value in 1,500 is beyond
FEWEST = 10  # values of a group, for quantiles of its own
STAGES = 12  # of u, between which a frequency is interpolated
RAREST = 1e-6  # of a frequency and of one less it
# Of the inverse of the error function: in w - 5/2 with w = -ln(1 - x^2) below 5, else in w^1/2 - 3.
NEAR = (
    *(2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 2.1858087e-4),
    *(-1.25372503e-3, -4.17768164e-3, 0.246640727, 1.50140941),
)
FAR = (
    *(-2.00214257e-4, 1.00950558e-4, 1.34934322e-3, -3.67342844e-3, 5.73950773e-3),
    *(-7.6224613e-3, 9.43887047e-3, 1.00167406, 2.83297682),
)


class QuantileTransform(nn.Module):
    """Transform numbers y of G groups to normal x, given some u of their own, and back:

        x = Phi^-1(F_g(y - b_g u)),

    b the slope and F the distribution of what is left, by `fit`, between 31 knots from -3 to 3 and
    straight on beyond, until x is cut at +-3.4. Over the values that were fitted x is standard
    normal in each group, up to what else it depends on.

    Args:
        groups: of each column (V,), int64, from 0 to G - 1.
        usual: y where a group has fewer than 10 values to fit.
    """

    groups: Tensor
    slope: Tensor
    table: Tensor

    def __init__(self, groups: Tensor, *, usual: float = 0.0) -> None:
        super().__init__()
        self.usual = usual
        self.register_buffer("groups", groups, persistent=False)
        count = int(groups.max()) + 1
        self.register_buffer("slope", torch.zeros(count))
        self.register_buffer("table", torch.zeros(count, KNOTS))

    def fit(self, y: Tensor, u: Tensor, mask: Tensor) -> Self:
        """Fit slopes and quantiles to the values y with u, where `mask` is True, (N, V)."""
        grid = torch.arange(KNOTS, dtype=torch.float64) * STEP - HALF_WIDTH
        chances = 0.5 * (1 + torch.erf(grid / 2**0.5))
        for group in range(len(self.slope)):
            columns = self.groups == group
            present = mask[:, columns]
            values, conditions = y[:, columns][present].double(), u[:, columns][present].double()
            if len(values) < FEWEST:
                values, conditions = self.usual + grid, torch.zeros(KNOTS, dtype=torch.float64)
            centred = conditions - conditions.mean()
            slope = (centred * values).mean() / centred.square().mean().clamp(min=1e-12)
            rest = (values - slope * conditions).numpy()
            quantiles = torch.from_numpy(np.quantile(rest, chances.numpy()))
            self.slope[group] = slope
            # Rising by more than float32 rounds, so that it can be inverted.
            self.table[group] = quantiles + 1e-4 * torch.arange(KNOTS)
        return self

    def normal(self, y: Tensor, u: Tensor) -> Tensor:
        """Return x (N, V) of y and u (N, V)."""
        rest = (y - self.slope[self.groups] * u).t().contiguous()
        table = self.table[self.groups].to(y.dtype)
        upper = torch.searchsorted(table, rest).clamp(1, KNOTS - 1)
        low, high = (table.gather(1, index) for index in (upper - 1, upper))
        part = (rest - low) / (high - low)
        return (STEP * (upper - 1 + part) - HALF_WIDTH).clamp(-LIMIT, LIMIT).t()

    def forward(self, x: Tensor, u: Tensor) -> Tensor:
        """Return y (N, V) of x and u (N, V)."""
        position = (x.clamp(-LIMIT, LIMIT) + HALF_WIDTH) / STEP
        return _between(self.table, self.groups, position) + self.slope[self.groups] * u


class Occupancy(nn.Module):
    """Occupancy: the probability p_g(u) that a number of G groups is there at all, given some u.

    Between 13 values of u, evenly spread over those of the group, ln p / (1 - p) is a straight
    line, beyond them constant.

    Args:
        groups: of each column (V,), int64, from 0 to G - 1.
    """

    groups: Tensor
    first: Tensor
    width: Tensor
    odds: Tensor

    def __init__(self, groups: Tensor) -> None:
        super().__init__()
        self.register_buffer("groups", groups, persistent=False)
        count = int(groups.max()) + 1
        self.register_buffer("first", torch.zeros(count))
        self.register_buffer("width", torch.ones(count))
        self.register_buffer("odds", torch.full((count, STAGES + 1), math.log(RAREST)))

    def fit(self, u: Tensor, mask: Tensor, among: Tensor) -> Self:
        """Fit p to `mask` (N, V), True where a column is there, at u (N, V).

        Those `among` (N, V) count.
        """
        for group in range(len(self.first)):
            columns = self.groups == group
            counted = among[:, columns]
            conditions = u[:, columns][counted].double()
            present = mask[:, columns][counted].double()
            if len(conditions) == 0:
                continue
            low, high = conditions.min(), conditions.max()
            self.first[group], self.width[group] = low, ((high - low) / STAGES).clamp(min=1e-6)
            position = ((conditions - low) / self.width[group]).clamp(0, STAGES)
            lower = position.floor().clamp(max=STAGES - 1).long()
            part = position - lower
            # One entry more at each, as rare as all: nowhere is p 0 or 1 by chance.
            entries = torch.ones(STAGES + 1).double()
            hits = entries * present.mean()
            for index, weight in ((lower, 1 - part), (lower + 1, part)):
                entries.index_add_(0, index, weight)
                hits.index_add_(0, index, weight * present)
            self.odds[group] = (hits / entries).clamp(RAREST, 1 - RAREST).logit()
        return self

    def forward(self, u: Tensor) -> Tensor:
        """Return p (N, V) at u (N, V)."""
        position = (u - self.first[self.groups]) / self.width[self.groups]
        return torch.sigmoid(_between(self.odds, self.groups, position.clamp(0.0, float(STAGES))))


def _between(table: Tensor, groups: Tensor, position: Tensor) -> Tensor:
    """Read the rows of groups (V,) in a table (G, K) at places (N, V), 0 to K - 1, by lines.

    The first and the last line go on beyond.
    """
    knots = table.shape[1]
    lower = position.floor().clamp(0.0, knots - 2.0).long()
    at = groups * knots + lower
    flat = table.flatten()
    low, high = flat[at], flat[at + 1]
    return low + (position - lower) * (high - low)


def survival(x: Tensor) -> Tensor:
    """Return the probability that a normal number is above x."""
    return 0.5 * torch.special.erfc(x * 0.5**0.5)


def inverse_survival(p: Tensor) -> Tensor:
    """Return x with the probability p, 0 < p < 1, that a normal number is above it.

    To 5e-7 for p in float64 between 1e-7 and 1 - 1e-7, by Giles's polynomials (in GPU Computing
    Gems, 2011); ONNX has no inverse of the error function.
    """
    w = -(4 * p * (1 - p)).log()
    near = _polynomial(NEAR, w - 2.5)
    far = _polynomial(FAR, w.clamp(min=5.0).sqrt() - 3)
    return 2**0.5 * torch.where(w < 5, near, far) * (1 - 2 * p)


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    """Return the polynomial of x with these coefficients, that of the highest power first."""
    value = torch.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value
