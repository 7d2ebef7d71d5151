"""Constrained optimisation of a loss, by the modified differential method of multipliers (MDMM).

Platt and Barr (NeurIPS 1987): "minimise f while g keeps to a bound" instead of f + weight * g with
a guessed weight. A fixed weight reaches the ends of a concave Pareto front alone, whatever its
value; a constraint reaches the point that it names.
"""

import math
from collections.abc import Callable, Mapping
from typing import Self

import torch
from torch import Tensor, nn

from colliderkit.errors import InputError

__all__ = ["Constrained", "Constraint"]

NEAR = 0.5  # of the bound: a running mean farther outside raises lambda no faster

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


class Constraint(nn.Module):
    """Constraint of the value v of a loss between `low` and `high`, by a Lagrange multiplier.

    With the gap g = (v - bound) / scale and the multiplier lambda,

        lambda g + damping g^2 / 2

    is added to the loss. The optimiser that lowers the loss raises it in lambda, whose gradient
    carries a minus; without `damping` the two would circle around the solution for ever. It must
    exceed what the primary loss bends down by along the bound, in units of `scale`, for that to
    attract. Of an inequality lambda >= 0, g counts outwards, and the force lambda + damping g on
    the loss is never negative: inside the bounds it dies away.

    At the solution lambda is the Lagrange multiplier, the price of the bound: d(primary)/d(bound)
    = -lambda / scale at an upper one.

    Values scatter from batch to batch. Lambda follows each of them, and so their mean; the damping
    follows their running mean, for rectified scatter would be a force of its own.

    Use `equal`, `at_most`, `at_least` or `between`.

    Args:
        loss: what is constrained, ``(outputs, target, weight) -> scalar``.
        low, high: the bounds, -inf and inf for none; equal for an equality.
        scale: the size that a gap is measured by; if not given, the larger |bound|, its root where
            that is below 1, and 1 if it is 0.
            Where the running mean of |v| is larger, it takes the place of `scale`.
            Best such that gaps and the primary loss are of order 1 where training begins: what is
            much larger then is long remembered by Adam, and what is much smaller is not heard.
        damping: of the oscillation between the loss and lambda.
        rate: by how much lambda moves faster than a weight of the network.
        memory: the share of the past in the running mean.
    """

    bounds: Tensor
    signs: Tensor
    average: Tensor

    def __init__(
        self,
        loss: Loss,
        low: float,
        high: float,
        *,
        scale: float | None = None,
        damping: float = 3.0,
        rate: float = 1.0,
        memory: float = 0.9,
    ) -> None:
        super().__init__()
        finite = [abs(bound) for bound in (low, high) if math.isfinite(bound)]
        if not finite or not low <= high:
            raise InputError(f"bounds {low:g} to {high:g} constrain nothing; give a low <= high.")
        self.unit = max(finite) or 1.0
        # Gaps of a tight bound in its own units would be drowned by the primary loss, or drown it.
        scale = max(self.unit, self.unit**0.5) if scale is None else scale
        for name, number in (("scale", scale), ("damping", damping), ("rate", rate)):
            if not number > 0:
                raise InputError(f"the {name} of a constraint is {number:g}; it must be positive.")
        self.loss = loss
        self.low, self.high = low, high
        self.scale = scale
        self.damping = damping
        self.rate = rate
        self.memory = memory
        self.equality = low == high
        sides = [(-1.0, low), (1.0, high)][self.equality :]
        sides = [side for side in sides if math.isfinite(side[1])]
        signs, bounds = zip(*sides, strict=True)
        self.register_buffer("signs", torch.tensor(signs), persistent=False)
        self.register_buffer("bounds", torch.tensor(bounds), persistent=False)
        self.register_buffer("average", torch.tensor(math.nan))
        # Adam moves each parameter by the learning rate: these stand for lambda / rate.
        self.slow_multipliers = nn.Parameter(torch.zeros(len(sides)))

    @classmethod
    def equal(cls, loss: Loss, target: float, **options: float) -> Self:
        """Return the constraint loss = `target`."""
        return cls(loss, target, target, **options)

    @classmethod
    def at_most(cls, loss: Loss, target: float, **options: float) -> Self:
        """Return the constraint loss <= `target`."""
        return cls(loss, -math.inf, target, **options)

    @classmethod
    def at_least(cls, loss: Loss, target: float, **options: float) -> Self:
        """Return the constraint loss >= `target`."""
        return cls(loss, target, math.inf, **options)

    @classmethod
    def between(cls, loss: Loss, low: float, high: float, **options: float) -> Self:
        """Return the constraint `low` <= loss <= `high`."""
        return cls(loss, low, high, **options)

    @property
    def multiplier(self) -> float:
        """The present lambda; positive where an upper bound binds, negative where a lower one."""
        return self.rate * float((self.signs * self._slow().detach()).sum())

    def violation(self, value: float) -> float:
        """Return how far `value` lies outside the bounds, in units of the larger; 0 inside."""
        return max(self.low - value, value - self.high, 0.0) / self.unit

    def penalty(self, value: Tensor) -> Tensor:
        """Return lambda g of a value v (), whose gradients are those of the docstring, ().

        In training mode the value enters the running mean.
        """
        now = value.detach()
        if self.training:
            self.average = torch.where(
                self.average.isnan(), now, self.memory * self.average + (1 - self.memory) * now
            )
        slow = self._slow()
        # Of value lambda, with a gradient that is turned round: descent becomes ascent.
        multipliers = self.rate * (2 * slow.detach() - slow)
        gaps = self._gaps(value)
        # Adam remembers for a thousand steps how far outside the training began, and would not
        # hear the last percent. Not cut: scatter around the bound must keep its mean.
        far = self._gaps(self.average).abs()
        near = NEAR * self.unit / self.scale
        rise = gaps.detach() * (near / far.clamp(min=near))
        force = slow.detach() * self.rate + self.damping * self._gaps(self.average)
        if not self.equality:
            force = force.clamp(min=0)
            # Adam would remember that lambda was pulled at where it cannot go.
            rise = torch.where((slow > 0) | (rise > 0), rise, 0.0)
        return (multipliers * rise + force * (gaps - gaps.detach())).sum()

    def _gaps(self, value: Tensor) -> Tensor:
        # Far outside, in units of the value itself: a gap of a hundred would drown the rest.
        scale = torch.where(self.average.isnan(), value.detach(), self.average).abs()
        return self.signs * (value - self.bounds) / scale.clamp(min=self.scale)

    def _slow(self) -> Tensor:
        """Return lambda / rate of each side, of an inequality cut at 0, where it stays."""
        if self.equality:
            return self.slow_multipliers
        if self.training:
            self.slow_multipliers.data.clamp_(min=0)
        return self.slow_multipliers.clamp(min=0)

    def forward(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the penalty of a batch, to be added to the loss, ()."""
        return self.penalty(self.loss(outputs, target, weight))


class Constrained(nn.Module):
    """Minimise a primary loss under named constraints: an objective of `training.fit.fit`.

    `fit` optimises, checkpoints and resumes the multipliers with the model. Its validation loss is
    the primary loss alone, and it keeps the last epoch in which every constraint holds on the
    validation events within `tolerance`, as a share of the larger |bound| (of 1 if that is 0), or
    within twice the error that its batches' spread implies: a training that keeps to its bound is
    above it on half of all validation samples. If no epoch is good, it is the one that comes
    nearest. The value of a constraint on many events is the mean over their batches,
    as in training: a loss that depends on how many events it sees, such as a distance of samples,
    means batches of the training's size. With `strict` no error excuses a violation: for limits
    that are smaller than the error of a mean over the few batches of validation.

    >>> objective = Constrained(cross_entropy, {"DisCo": Constraint.at_most(disco, 0.01)})
    """

    def __init__(
        self,
        primary: Loss,
        constraints: Mapping[str, Constraint],
        *,
        tolerance: float = 0.05,
        strict: bool = False,
    ) -> None:
        super().__init__()
        if not constraints:
            raise InputError("no constraint is given; take the primary loss as the objective.")
        self.primary = primary
        self.constraints = nn.ModuleDict(constraints)
        self.tolerance = tolerance
        self.strict = strict

    def parts(
        self, outputs: Tensor, target: Tensor, weight: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the primary loss () and the value () of each constraint."""
        values = {
            name: constraint.loss(outputs, target, weight)
            for name, constraint in self._constraints().items()
        }
        return self.primary(outputs, target, weight), values

    def total(self, primary: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """Return the primary loss plus the penalties, ()."""
        for name, constraint in self._constraints().items():
            primary = primary + constraint.penalty(values[name])
        return primary

    def forward(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return what is minimised in the weights and maximised in the multipliers, ()."""
        return self.total(*self.parts(outputs, target, weight))

    def violation(
        self, values: Mapping[str, float], errors: Mapping[str, float] | None = None
    ) -> float:
        """Return the largest violation beyond the tolerance, as a share; 0 if all hold.

        The tolerance is the larger of the share and, unless `strict`, of twice the `errors` of the
        values.
        """
        violations = [0.0]
        for name, constraint in self._constraints().items():
            error = 0.0 if errors is None or self.strict else errors[name]
            allowed = max(self.tolerance, 2 * error / constraint.unit)
            violations.append(constraint.violation(values[name]) - allowed)
        return max(violations)

    @property
    def multipliers(self) -> dict[str, float]:
        """The present lambda of each constraint."""
        return {name: c.multiplier for name, c in self._constraints().items()}

    @property
    def prices(self) -> dict[str, float]:
        """The present lambda / scale of each constraint: what a unit of its bound costs."""
        return {name: c.multiplier / c.scale for name, c in self._constraints().items()}

    def _constraints(self) -> dict[str, Constraint]:
        return dict(self.constraints.items())  # type: ignore[arg-type]
