"""Fixed settings: the best that stay as they are, which is what a table of a control room has."""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from colliderkit.events.tables import Floats
from colliderkit.methods.operations.controller import Advisor, Controller, operated
from colliderkit.seeds import derive
from colliderkit.sources.machines.machine import Machine, Seen

__all__ = ["FixedSettings"]


class FixedSettings(Controller):
    """Keep the settings that had the least mean cost over the trials, of the table and draws.

    What a person does who looks the settings up: the baseline of all controllers.

    Args:
        machine: "beam-tuning", "prescales" or "high-voltage".
        options: of the machine, by name.
        draws: settings that are tried, uniform within the limits, beside those of the table.
    """

    name: ClassVar[str] = "fixed-settings"

    best_: Floats

    def __init__(
        self,
        *,
        machine: str = "beam-tuning",
        options: dict[str, Any] | None = None,
        draws: int = 300,
    ) -> None:
        self.machine = machine
        self.options = options
        self.draws = draws

    def _learn(self, machine: Machine, trials: Floats, seed: int, progress: bool) -> None:
        random = np.random.default_rng(derive(seed, "draws"))
        low, high = np.array(machine.low), np.array(machine.high)
        drawn = random.uniform(low, high, (self.draws, len(low)))
        candidates = np.concatenate([np.array([machine.table]), drawn])
        some = trials[random.permutation(len(trials))[:20]]
        wanted = torch.from_numpy(np.repeat(candidates, len(some), axis=0))
        steps = 2 if machine.steady else machine.horizon
        done = operated(
            machine,
            lambda seen: wanted,
            np.tile(some, (len(candidates), 1)),
            seed=derive(seed, "noise"),
            measurements=steps,
        )
        # The loss is what is to be kept low, where a cost may not know the penalties.
        loss = done.losses[1:].mean(0).reshape(len(candidates), -1).mean(1)
        self.best_ = candidates[int(np.argmin(loss))]

    def advisor(self, count: int, seed: int = 0) -> Advisor:
        """Return the fixed settings, whatever is seen."""
        best = torch.from_numpy(self.best_).expand(count, -1)

        def advise(seen: Seen) -> Tensor:
            return best.to(seen.settings.dtype)

        return advise
