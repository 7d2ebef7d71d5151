"""Exponential-family likelihood ratio: a logistic regression on x, x^2 and logarithms.

It has few parameters, and is the part that a network need not learn.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["ExponentialFamily"]

STEPS = 25  # of Newton's method; it converges in about six
RIDGE = 1e-6
FAR = 100.0  # widths from a bound, beyond which its logarithm is a straight line


class ExponentialFamily(nn.Module):
    """Model ln p1/p0 = b_0 + b . T(x) with T of x, x^2, ln(x - low) and ln(high - x).

    Exact where p1 and p0 belong to one exponential family: normal (x, x^2), gamma (x, ln x),
    beta (ln x, ln(1 - x)), log-normal and the like. Of several families of statistics the one of
    the smallest BIC is taken, n <cross-entropy> + k/2 ln n, k coefficients and n events by their
    effective number. The logarithms are there for columns whose values stop at a bound: zero,
    or one for values in (0, 1). Far from the bound, where its distance varies by less than a
    hundredth, a logarithm is a straight line and is left out.

    `coefficients` (1 + 4 C,) are those of 1, x, x^2, ln x, ln(1 - x), zero where not used.
    """

    coefficients: Tensor
    centre: Tensor
    width: Tensor
    positive: Tensor
    unit: Tensor

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.columns = columns
        self.register_buffer("coefficients", torch.zeros(1 + 4 * columns, dtype=torch.float64))
        self.register_buffer("centre", torch.zeros(columns, dtype=torch.float64))
        self.register_buffer("width", torch.ones(columns, dtype=torch.float64))
        self.register_buffer("positive", torch.zeros(columns, dtype=torch.bool))
        self.register_buffer("unit", torch.zeros(columns, dtype=torch.bool))

    def statistics(self, x: Tensor) -> Tensor:
        """Return 1 and T(x), (N, C) -> (N, 1 + 4 C) float64; logarithms not taken are zero."""
        x = x.double()
        standard = (x - self.centre) / self.width
        tiny = 1e-12
        low = torch.where(self.positive, x.clamp(min=tiny), 1.0).log()
        high = torch.where(self.unit, (1 - x).clamp(min=tiny), 1.0).log()
        one = torch.ones_like(x[:, :1])
        return torch.cat([one, standard, standard.square(), low, high], 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ln p1/p0 of events (N, C) -> (N,), float32."""
        return (self.statistics(x) @ self.coefficients).float()

    @torch.no_grad()
    def fit(self, x: Tensor, target: Tensor, weight: Tensor) -> "ExponentialFamily":
        """Fit to events (N, C) of target (N,) 0 or 1 and weight (N,); return self."""
        self.centre.copy_(x.double().mean(0))
        spread = x.double().std(0, correction=0)
        self.width.copy_(torch.where(spread > 0, spread, 1.0))
        far = FAR * self.width
        self.positive.copy_((x.amin(0) > 0) & (self.centre < far))
        self.unit.copy_(self.positive & (x.amax(0) < 1) & (1 - self.centre < far))
        features, w = self.statistics(x), weight.double()
        count = float(w.sum().square() / w.square().sum())
        lowest = float("inf")
        for family in self._families():
            coefficients = newton(features[:, family], target, w)
            if coefficients is None:
                continue
            loss = _cross_entropy(features[:, family] @ coefficients, target) * w
            bic = float(loss.sum() / w.sum()) * count + 0.5 * len(family) * math.log(count)
            if bic < lowest:
                lowest = bic
                self.coefficients.zero_()
                self.coefficients[family] = coefficients
        return self

    def _families(self) -> list[list[int]]:
        c = self.columns
        linear = [1 + i for i in range(c)]
        square = [1 + c + i for i in range(c)]
        low = [1 + 2 * c + i for i in range(c) if self.positive[i]]
        high = [1 + 3 * c + i for i in range(c) if self.unit[i]]
        families: list[Sequence[int]] = [[], linear]
        if low:
            families.append([*low, *high])
        families.append([*linear, *square])
        if low:
            families.append([*linear, *square, *low, *high])
        return [[0, *family] for family in families]


def newton(features: Tensor, target: Tensor, weight: Tensor) -> Tensor | None:
    """Fit a logistic regression (F,) to features (N, F); None if it does not converge."""
    y, w = target.double(), weight.double()
    b = features.new_zeros(features.shape[1])
    for _ in range(STEPS):
        p = torch.sigmoid(features @ b)
        gradient = features.t() @ (w * (y - p))
        hessian = (features * (w * p * (1 - p))[:, None]).t() @ features
        hessian.diagonal().add_(RIDGE * hessian.diagonal().abs().mean())
        step, info = torch.linalg.solve_ex(hessian, gradient)
        # A step that is too long in ln p1/p0 is shortened, not refused.
        longest = (features @ step).abs().max()
        if info != 0 or not bool(torch.isfinite(longest)):
            return None
        b = b + step * (4 / longest).clamp(max=1)
        if longest < 1e-8:
            return b
    return b if bool(longest < 1e-3) else None


def _cross_entropy(z: Tensor, target: Tensor) -> Tensor:
    return nn.functional.softplus(z) - target.double() * z
