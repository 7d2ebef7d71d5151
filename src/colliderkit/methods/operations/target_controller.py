"""What controllers share that hold a target: which target is tuned on the trials of the fit."""

from typing import ClassVar

import numpy as np

from colliderkit.events.tables import Floats
from colliderkit.methods.operations.controller import Advisor, Controller, operated
from colliderkit.seeds import derive
from colliderkit.sources.machines.machine import Machine

__all__ = ["TargetController"]


class TargetController(Controller):
    """Hold what is read at a `target`; without one `fit` takes that of the least mean loss.

    A subclass has ``holding(machine, target, count)``, an `Advisor` for one target. Candidates
    are those of the machine, `targets`.
    """

    takes: ClassVar[tuple[str, ...]] = ("prescales", "high-voltage")

    target: float | None

    target_: float

    def holding(self, machine: Machine, target: float, count: int) -> Advisor:
        """Return what holds a target in `count` machines."""
        raise NotImplementedError

    def _learn(self, machine: Machine, trials: Floats, seed: int, progress: bool) -> None:
        if self.target is not None:
            self.target_ = self.target
            return
        some = trials[: self.rehearsed]
        losses = [
            operated(
                machine,
                self.holding(machine, target, len(some)),
                some,
                seed=derive(seed, "noise"),
                measurements=machine.horizon,
            ).losses.mean()
            for target in machine.targets
        ]
        self.target_ = float(machine.targets[int(np.argmin(losses))])

    def advisor(self, count: int, seed: int = 0) -> Advisor:
        """Return what holds the target that was found."""
        return self.holding(self.built, self.target_, count)
