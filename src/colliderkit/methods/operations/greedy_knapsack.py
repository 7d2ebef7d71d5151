"""Greedy knapsack: the budget of a trigger is filled with the paths of most value a Hz."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from colliderkit.events.tables import Floats
from colliderkit.methods.operations.controller import Advisor
from colliderkit.methods.operations.target_controller import TargetController
from colliderkit.sources.machines.machine import Machine, Seen
from colliderkit.sources.machines.prescales import Prescales

__all__ = ["GreedyKnapsack", "clairvoyant"]

EXCESS = 41  # totals above the budget that the bound tries


class GreedyKnapsack(TargetController):
    """Invert what was counted to rates without prescales, and fill the budget by value a Hz.

    Of the paths in the order of v_k / sqrt(rate_k) each gets all its rate until `target` times
    the budget is full; the path at the edge gets the rest, those beyond the highest prescale. The
    counts are one section old, and prescales move by their limit, so that it is late where rates
    jump. `fit` tunes the target.

    Args:
        machine: "prescales".
        options: of the machine, by name.
    """

    name: ClassVar[str] = "greedy-knapsack"
    takes: ClassVar[tuple[str, ...]] = ("prescales",)

    def __init__(
        self, *, machine: str = "prescales", options: dict[str, Any] | None = None
    ) -> None:
        self.machine = machine
        self.options = options

    def holding(self, machine: Machine, target: float, count: int) -> Advisor:
        """Return the knapsack for one share of the budget."""
        assert isinstance(machine, Prescales)

        def advise(seen: Seen) -> Tensor:
            raw = (seen.reading * torch.exp(seen.settings)).clamp_min(1)
            worth = machine.values(raw) / raw.sqrt()
            kept = filled(raw, worth, raw.new_full((len(raw),), target * machine.budget))
            most = raw.new_tensor(machine.high)
            return torch.minimum((raw / kept.clamp_min(1e-9)).log(), most)

        return advise


def filled(rates: Tensor, worth: Tensor, budget: Tensor) -> Tensor:
    """Return how much of each rate (B, K) is kept if a budget (B,) is filled by `worth` a Hz."""
    order = worth.argsort(1, descending=True)
    sorted_rates = rates.gather(1, order)
    before = sorted_rates.cumsum(1) - sorted_rates
    kept = torch.minimum((budget[:, None] - before).clamp_min(0), sorted_rates)
    return torch.zeros_like(rates).scatter(1, order, kept)


def clairvoyant(machine: Prescales, trials: Floats, *, seed: int) -> Floats:
    """Return the most value that any controller could have had in each section, (T, B).

    It knows the rates of the section before it happens, and which of them is hot, without noise,
    and prescales jump: at each total T from the budget to 5% above the knapsack is filled by true
    value a Hz, and (1 - dead(T)) value(T) is largest at one of them. (Above the 5% a section is
    over.) As the value is concave in T the grid is below the maximum by its step alone, 0.1%.
    """
    best = []
    with torch.no_grad():
        state = machine.begin(trials, seed)
        for _ in range(machine.horizon):
            raw, hotter = state.hidden["raw"], state.hidden["hotter"]
            value = machine.values(raw) / raw.clamp_min(1).sqrt()
            # A Hz of a hot path is worth less, by what it is hotter.
            found = []
            for total in torch.linspace(1.0, 1.05, EXCESS, dtype=raw.dtype) * machine.budget:
                budget = total.expand(len(raw))
                kept = filled(raw * hotter, value / hotter, budget)
                found.append(machine.worth(kept.sum(1), (value * kept / hotter).sum(1)))
            best.append(torch.stack(found).amax(0))
            state = machine.step(state, state.seen.settings)
    bound: Floats = torch.stack(best).numpy()
    return bound
