"""What searches for good settings share: they measure, and remember each cost."""

from collections.abc import Generator
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from colliderkit.events.tables import Floats
from colliderkit.methods.operations.controller import Advisor, Controller
from colliderkit.seeds import derive
from colliderkit.sources.machines.machine import Machine, Seen

__all__ = ["Search", "Searching"]

# Yields scaled settings (S,) to measure next; is sent what was measured: settings and log cost.
Searching = Generator[Floats, tuple[Floats, float], None]


class Search(Controller):
    """Search for the settings of the least cost, trial by trial; nothing is learned before.

    A subclass has ``searching(settings, cost, random)``, a generator: it begins with the measured
    settings of the table, -1 to 1 of the limits, and their log cost, yields what to measure next,
    and is sent what was measured. Searches jump within the limits; a policy moves by steps.

    Args:
        machine: "beam-tuning"; the best settings of the others do not stay while a trial lasts.
        options: of the machine, by name.
    """

    takes: ClassVar[tuple[str, ...]] = ("beam-tuning",)
    rehearsed: ClassVar[int] = 20

    def __init__(
        self, *, machine: str = "beam-tuning", options: dict[str, Any] | None = None
    ) -> None:
        self.machine = machine
        self.options = options

    def searching(self, settings: Floats, cost: float, random: np.random.Generator) -> Searching:
        """Yield what to measure, and take what was measured."""
        raise NotImplementedError

    def advisor(self, count: int, seed: int = 0) -> Advisor:
        """Return a search for each of `count` machines."""
        machine: Machine = self.built
        running: list[Searching] = []

        def advise(seen: Seen) -> Tensor:
            measured = machine.scaled(seen.settings).double().numpy()
            costs = np.log(np.maximum(machine.cost(seen).double().numpy(), 1e-12))
            if not running:
                for i in range(count):
                    random = np.random.default_rng(derive(seed, i))
                    running.append(self.searching(measured[i], costs[i], random))
                wanted = [next(search) for search in running]
            else:
                answers = zip(measured, costs, strict=True)
                wanted = [s.send(answer) for s, answer in zip(running, answers, strict=True)]
            return machine.unscaled(torch.from_numpy(np.stack(wanted)))

        return advise
