"""What controllers share that hold a target: which target is tuned on the trials of the fit."""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from colliderkit.events.tables import Floats
from colliderkit.methods.operations.controller import Advisor, Controller, operated
from colliderkit.seeds import derive
from colliderkit.sources.machines.machine import Machine

__all__ = ["TargetController"]


class TargetController(Controller):
    """Hold what is read at a `target`; without one `fit` takes that of the least mean loss.

    A subclass has ``holding(machine, target)``, an `Advisor` of machines for a target each (B, 1).
    Candidates are those of the machine, `targets`.
    """

    takes: ClassVar[tuple[str, ...]] = ("prescales", "high-voltage")

    target: float | None

    target_: float

    def holding(self, machine: Machine, target: Tensor) -> Advisor:
        """Return what holds the targets (B, 1) in B machines."""
        raise NotImplementedError

    def _learn(self, machine: Machine, trials: Floats, seed: int, progress: bool) -> None:
        if self.target is not None:
            self.target_ = self.target
            return
        some = trials[: self.rehearsed]
        # All candidates at once, each in all trials.
        candidates = torch.tensor(machine.targets, dtype=torch.float64)
        done = operated(
            machine,
            self.holding(machine, candidates.repeat_interleave(len(some))[:, None]),
            np.tile(some, (len(candidates), 1)),
            seed=derive(seed, "noise"),
            measurements=machine.horizon,
        )
        losses = done.losses.mean(0).reshape(len(candidates), -1).mean(1)
        self.target_ = float(machine.targets[int(np.argmin(losses))])

    def advisor(self, count: int, seed: int = 0) -> Advisor:
        """Return what holds the target that was found."""
        target = torch.full((count, 1), self.target_, dtype=torch.float64)
        return self.holding(self.built, target)
