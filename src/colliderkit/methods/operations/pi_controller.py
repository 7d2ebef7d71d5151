"""PI controller: settings follow the deviation from a target, and its sum."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from colliderkit.methods.operations.controller import Advisor
from colliderkit.methods.operations.target_controller import TargetController
from colliderkit.sources.machines.machine import Machine, Seen

__all__ = ["PIController"]


class PIController(TargetController):
    """Change settings by a part of the deviation from the target, and of its sum.

        change_t = proportional * c_t + integral * sum_(s <= t) c_s,

    where c is the change that would mend the deviation at once: of all prescales alike, by
    log(rate / (target * budget)); of the voltage by the missing logarithm of the gain. The sum
    forgets with a time of 20 steps, so that it does not wind up while limits hold.

    Args:
        machine: "prescales" or "high-voltage".
        options: of the machine, by name.
        target: what is held, a share of the budget or a logarithm of the gain; tuned by fit if
            not given.
        proportional: part of the deviation that is mended at once.
        integral: weight of its sum.
    """

    name: ClassVar[str] = "pi-controller"

    def __init__(
        self,
        *,
        machine: str = "prescales",
        options: dict[str, Any] | None = None,
        target: float | None = None,
        proportional: float = 0.7,
        integral: float = 0.02,
    ) -> None:
        self.machine = machine
        self.options = options
        self.target = target
        self.proportional = proportional
        self.integral = integral

    def holding(self, machine: Machine, target: Tensor) -> Advisor:
        """Return the loops."""
        total: Tensor = torch.zeros(len(target), len(machine.settings), dtype=torch.float64)

        def advise(seen: Seen) -> Tensor:
            nonlocal total
            deviation = machine.correction(seen, target)
            total = 0.95 * total + deviation
            return seen.settings + self.proportional * deviation + self.integral * total

        return advise
