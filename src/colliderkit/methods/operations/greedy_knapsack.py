"""Greedy knapsack: the budget of a trigger is filled with the paths of most value a Hz."""

from typing import Any, ClassVar

from torch import Tensor

from colliderkit.methods.operations.controller import Advisor
from colliderkit.methods.operations.target_controller import TargetController
from colliderkit.sources.machines.machine import Machine, Seen
from colliderkit.sources.machines.prescales import Prescales

__all__ = ["GreedyKnapsack"]


class GreedyKnapsack(TargetController):
    """Invert what was counted to rates without prescales, and fill the budget by value a Hz.

    Of the paths in the order of v_k / sqrt(rate_k) each gets all its rate until `target` times
    the budget is full; the path at the edge gets the rest, those beyond the highest prescale. The
    counts are one section old, and prescales move by their limit, so that it is late where rates
    jump. `fit` tunes the target.

    Args:
        machine: "prescales".
        options: of the machine, by name.
        target: what is held, as a share of the budget; tuned by fit if not given.
    """

    name: ClassVar[str] = "greedy-knapsack"
    takes: ClassVar[tuple[str, ...]] = ("prescales",)

    def __init__(
        self,
        *,
        machine: str = "prescales",
        options: dict[str, Any] | None = None,
        target: float | None = None,
    ) -> None:
        self.machine = machine
        self.options = options
        self.target = target

    def holding(self, machine: Machine, target: Tensor) -> Advisor:
        """Return the knapsack for shares of the budget."""
        assert isinstance(machine, Prescales)

        def advise(seen: Seen) -> Tensor:
            return machine.knapsack(seen, target)

        return advise
