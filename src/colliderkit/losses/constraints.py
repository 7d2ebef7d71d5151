"""Losses under constraints, by the modified differential method of multipliers (MDMM).

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

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


class Constraint(nn.Module):
    """Keep the value v of a loss between `low` and `high`.

    With the gap g between v and the bounds in units of `scale`, and the multiplier lambda,

        lambda g + damping g^2 / 2,   g = (v - s) / scale,
        s = v + lambda scale / damping, clipped to [low, high],

    is added to the loss: s is the slack of the inequality, at its best in closed form. Outside the
    bounds g is the violation. Inside them g = -lambda / damping: the loss does not feel the
    constraint, and lambda dies away. At the solution lambda is the Lagrange multiplier, the price
    of the bound: d(primary)/d(bound) = -lambda / scale.

    The optimiser that lowers the loss raises it in lambda, whose gradient carries a minus; without
    `damping` the two would circle around the solution for ever. `damping` must exceed what the
    primary loss bends down by along the bound (in units of `scale`), for it to attract.

    A value that scatters from batch to batch by more than lambda scale / damping is held inside
    its bound by a part of the scatter: the penalty sees the batches beyond it alone.

    Use `equal`, `at_most`, `at_least` or `between`.

    Args:
        loss: what is constrained, ``(outputs, target, weight) -> scalar``.
        low, high: the bounds, -inf and inf for none.
        scale: the size that a gap is measured by; the larger |bound| if not given, 1 if that is 0.
        damping: of the oscillation between the loss and lambda.
        rate: by how much lambda moves faster than a weight of the network.
    """

    def __init__(
        self,
        loss: Loss,
        low: float,
        high: float,
        *,
        scale: float | None = None,
        damping: float = 10.0,
        rate: float = 3.0,
    ) -> None:
        super().__init__()
        finite = [abs(bound) for bound in (low, high) if math.isfinite(bound)]
        if not finite or not low <= high:
            raise InputError(f"bounds {low:g} to {high:g} constrain nothing; give a low <= high.")
        scale = (max(finite) or 1.0) if scale is None else scale
        for name, number in (("scale", scale), ("damping", damping), ("rate", rate)):
            if not number > 0:
                raise InputError(f"the {name} of a constraint is {number:g}; it must be positive.")
        self.loss = loss
        self.low, self.high = low, high
        self.scale = scale
        self.damping = damping
        self.rate = rate
        # Adam moves each parameter by the learning rate: this one stands for lambda / rate.
        self.slow_multiplier = nn.Parameter(torch.zeros(()))

    @classmethod
    def equal(cls, loss: Loss, target: float, **options: float) -> Self:
        """Hold the loss at `target`."""
        return cls(loss, target, target, **options)

    @classmethod
    def at_most(cls, loss: Loss, target: float, **options: float) -> Self:
        """Keep the loss at or below `target`."""
        return cls(loss, -math.inf, target, **options)

    @classmethod
    def at_least(cls, loss: Loss, target: float, **options: float) -> Self:
        """Keep the loss at or above `target`."""
        return cls(loss, target, math.inf, **options)

    @classmethod
    def between(cls, loss: Loss, low: float, high: float, **options: float) -> Self:
        """Keep the loss between `low` and `high`."""
        return cls(loss, low, high, **options)

    @property
    def multiplier(self) -> float:
        """The present lambda; positive where the upper bound binds, negative where the lower."""
        return self.rate * float(self.slow_multiplier.detach())

    def violation(self, value: float) -> float:
        """Return how far `value` lies outside the bounds, in units of `scale`; 0 inside."""
        return max(self.low - value, value - self.high, 0.0) / self.scale

    def penalty(self, value: Tensor) -> Tensor:
        """Return lambda g + damping g^2 / 2 of a value v (), ()."""
        parameter = self.slow_multiplier
        # Of value lambda, with a gradient that is turned round: descent becomes ascent.
        multiplier = self.rate * (2 * parameter.detach() - parameter)
        shift = (multiplier / self.damping * self.scale).detach()
        slack = (value.detach() + shift).clamp(self.low, self.high)
        gap = (value - slack) / self.scale
        return multiplier * gap + 0.5 * self.damping * gap.square()

    def forward(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the penalty of a batch, to be added to the loss, ()."""
        return self.penalty(self.loss(outputs, target, weight))


class Constrained(nn.Module):
    """Minimise a primary loss under named constraints: an objective of `training.fit.fit`.

    `fit` optimises, checkpoints and resumes the multipliers with the model. Its validation loss is
    the primary loss alone, and it keeps the epoch of the lowest among those in which every
    constraint holds on the validation events within `tolerance`, in units of the constraint's
    scale; if there is none, the epoch that comes nearest to that. The value of a constraint on
    many events is the mean over their batches, as in training: a loss that depends on how many
    events it sees, such as a distance of samples, means batches of the training's size.

    >>> objective = Constrained(cross_entropy, {"DisCo": Constraint.at_most(disco, 0.01)})
    """

    def __init__(
        self, primary: Loss, constraints: Mapping[str, Constraint], *, tolerance: float = 0.05
    ) -> None:
        super().__init__()
        if not constraints:
            raise InputError("no constraint is given; take the primary loss as the objective.")
        self.primary = primary
        self.constraints = nn.ModuleDict(constraints)
        self.tolerance = tolerance

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

    def violation(self, values: Mapping[str, float]) -> float:
        """Return the largest violation beyond the tolerance, in units of scale; 0 if all hold."""
        found = (c.violation(values[name]) for name, c in self._constraints().items())
        return max(0.0, max(found) - self.tolerance)

    @property
    def multipliers(self) -> dict[str, float]:
        """The present lambda of each constraint."""
        return {name: c.multiplier for name, c in self._constraints().items()}

    def _constraints(self) -> dict[str, Constraint]:
        return dict(self.constraints.items())  # type: ignore[arg-type]
