"""Prescales of a trigger: rates held in a budget while the luminosity decays."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.seeds import derive
from colliderkit.sources.machines.machine import Floats, Limits, Machine, Seen, State

__all__ = ["MENU", "Prescales", "filled"]

SECTION = 23.3  # seconds of a lumi section
PILEUP = 50.0  # at which the rates of a menu are
DEAD = 0.02 / 100  # dead time for a Hz above the budget
OVER = 1.05  # of the budget: above it, a section is over
SHARPNESS = 0.01  # relative, of the step at it in the loss
# A made menu: rate in Hz, its growth with each collision of pileup, and the value of a path.
MENU: dict[str, tuple[float, float, float]] = {
    "electron": (220.0, 1.0, 1.0),
    "muon": (160.0, 0.5, 0.8),
    "tau": (120.0, 3.0, 0.5),
    "jets": (300.0, 4.0, 0.2),
    "diphoton": (90.0, 0.2, 1.5),
    "displaced": (60.0, 0.1, 2.0),
}


class Prescales(Machine):
    """Choose the prescales of a trigger's paths, once a lumi section, in a budget of rate.

    A path k has the rate r_k = L (a_k + b_k mu) x_k / prescale_k, L the luminosity over its
    nominal and mu the pileup, which decay as exp(-t / tau). The value of a section is

        (1 - dead) sum_k v_k (r_k / x_k) / sqrt(L (a_k + b_k mu)),

    and the dead time 2% for each 100 Hz above the budget. A section whose rate is more than 5%
    above the budget is over, and costs `penalty` times 100 of value in the loss. In a trial a
    path is hot for some sections (x_k = 5), and the luminosity dips to a half for four. Rates are
    counted in a section of 23.3 s, and known when the next prescales are chosen.

    A setting is the logarithm of a prescale, from 0 to 6, and moves by 0.25 a section.

    Args:
        menu: {path: [rate in Hz, growth a collision of pileup, value]}.
        budget: the rate in Hz.
        penalty: of a section that is over.
        limits: {log_prescale_PATH: [low, high]}.
    """

    name: ClassVar[str] = "prescales"
    conditions: ClassVar[tuple[str, ...]] = (
        *("lifetime", "pileup", "hot_path", "hot_begin", "hot_sections", "dip_begin"),
    )
    judged: ClassVar[str] = "value"
    higher: ClassVar[bool] = True
    steady: ClassVar[bool] = False
    unit: ClassVar[tuple[str, float]] = ("", 1.0)
    targets: ClassVar[tuple[float, ...]] = tuple(0.8 + 0.02 * i for i in range(13))

    def __init__(
        self,
        *,
        menu: Mapping[str, Sequence[float]] | None = None,
        budget: float = 1_000.0,
        penalty: float = 2.0,
        limits: Limits | None = None,
    ) -> None:
        self.menu = dict(menu or MENU)
        self.budget, self.penalty = budget, penalty
        for name, path in self.menu.items():
            if len(path) != 3 or not all(math.isfinite(part) and part >= 0 for part in path):
                raise InputError(
                    f"the path {name} of the menu is {list(path)}; give its rate, growth with"
                    " pileup and value, 0 or more."
                )
        if not budget > 0:
            raise InputError(f"budget is {budget:g}; it must be positive.")
        count = len(self.menu)
        self.settings = tuple(f"log_prescale_{name}" for name in self.menu)
        self.readings = tuple(f"rate_{name}" for name in self.menu)
        self.units = ("",) * count
        self.horizon = 200
        self.low, self.high = (0.0,) * count, (6.0,) * count
        self.table, self.change = (0.5,) * count, (0.25,) * count
        self._limit(limits)

    def draw(self, count: int, seed: int | Sequence[int]) -> Floats:
        """Return the conditions of `count` fills, (count, 6)."""
        parts = [seed] if isinstance(seed, int) else list(seed)
        random = np.random.default_rng(derive(parts[0], "prescales", *parts[1:]))
        return np.stack(
            [
                random.uniform(300, 900, count),
                random.uniform(45, 62, count),
                random.integers(0, len(self.menu), count),
                random.integers(20, 150, count),
                random.integers(5, 20, count),
                random.integers(20, 180, count),
            ],
            axis=1,
        ).astype(np.float64)

    def fresh(self, conditions: Tensor, noise: torch.Generator | None) -> dict[str, Tensor]:
        """Return the noise of the luminosity of a fill, drawn before any count."""
        return {"swing": self.normal(conditions[:, :1].expand(-1, self.horizon), noise)}

    def respond(self, state: State, settings: Tensor) -> State:
        """Return the next section with these prescales."""
        time = state.seen.time + 1
        lifetime, begin, path, hot, sections, dip = state.conditions.T
        swing = state.hidden["swing"][:, min(time, self.horizon - 1)]
        pileup = begin * torch.exp(-time / lifetime) * (1 + 0.01 * swing)
        pileup = torch.where((time >= dip) & (time < dip + 4), pileup / 2, pileup)
        rate, growth, value = settings.new_tensor([list(p) for p in self.menu.values()]).T
        raw = pileup[:, None] / PILEUP * (rate + growth * pileup[:, None])
        is_hot = ((time >= hot) & (time < hot + sections))[:, None] & (
            path[:, None].long() == torch.arange(len(self.menu))
        )
        hotter = 1 + 4 * is_hot.to(raw.dtype)
        good = raw * torch.exp(-settings)
        total = (good * hotter).sum(1)
        worth = self.worth(total, (value * good / raw.clamp_min(1).sqrt()).sum(1))
        over = total / self.budget - OVER
        loss = self.penalty * torch.sigmoid(over / SHARPNESS) - worth / 100
        rates = good * hotter
        shown = rates
        if state.noise is not None:
            counts = torch.poisson(rates.detach() * SECTION, generator=state.noise) / SECTION
            shown = rates + (counts - rates).detach()
        figures = {"value": worth, "over": (over > 0).to(raw.dtype), "rate": total}
        hidden = {**state.hidden, "raw": raw, "hotter": hotter}
        seen = Seen(settings, shown, state.seen.goal, time)
        return replace(state, seen=seen, hidden=hidden, loss=loss, figures=figures)

    def values(self, like: Tensor) -> Tensor:
        """Return the values of the paths, (K,)."""
        return like.new_tensor([path[2] for path in self.menu.values()])

    def worth(self, total: Tensor, value: Tensor) -> Tensor:
        """Return the value of a section that has this total rate, less its dead time."""
        return (1 - (DEAD * (total - self.budget).clamp_min(0)).clamp_max(0.9)) * value

    def observe(self, seen: Seen) -> Tensor:
        """Return rates, prescales, their product, the room in the budget, and where a knapsack
        would go, (B, 4 K + 3)."""
        rates = seen.reading
        filling = (self.usual(seen) - seen.settings).detach()
        room = rates.sum(1, keepdim=True) / self.budget - 1
        return torch.cat(
            [
                torch.log1p(rates) / 3 - 1,
                torch.log1p(rates * torch.exp(seen.settings)) / 3 - 1.5,
                seen.settings / 3 - 0.5,
                filling / seen.settings.new_tensor(self.change),
                room.clamp(-1, 1),
                (10 * room).clamp(-2, 2),
                torch.full_like(room, seen.time / self.horizon),
            ],
            1,
        )

    def knapsack(self, seen: Seen, target: Tensor) -> Tensor:
        """Return the log prescales that fill shares `target` (B, 1) of the budget by value a Hz."""
        raw = (seen.reading * torch.exp(seen.settings)).clamp_min(1)
        kept = filled(raw, self.values(raw) / raw.sqrt(), target[:, 0] * self.budget)
        return torch.minimum((raw / kept.clamp_min(1e-9)).log(), raw.new_tensor(self.high))

    def usual(self, seen: Seen) -> Tensor:
        """Return what a knapsack of 90% of the budget would set."""
        share = torch.full_like(seen.reading[:, :1], 0.9)
        return self._towards(self.knapsack(seen, share), seen.settings)

    def correction(self, seen: Seen, target: Tensor) -> Tensor:
        """Return the change of all log prescales, alike, to a share of the budget, (B, K)."""
        rate = seen.reading.sum(1, keepdim=True).clamp_min(1)
        return (rate / (target * self.budget)).log().expand_as(seen.settings)

    def cost(self, seen: Seen) -> Tensor:
        """Return minus the value of what was counted, (B,), as if no path were hot."""
        value = self.values(seen.reading)
        raw = (seen.reading * torch.exp(seen.settings)).clamp_min(1)
        return -self.worth(seen.reading.sum(1), (value * seen.reading / raw.sqrt()).sum(1))


def filled(rates: Tensor, worth: Tensor, budget: Tensor) -> Tensor:
    """Return how much of each rate (B, K) is kept if a budget (B,) is filled by `worth` a Hz."""
    order = worth.argsort(1, descending=True)
    sorted_rates = rates.gather(1, order)
    before = sorted_rates.cumsum(1) - sorted_rates
    kept = torch.minimum((budget[:, None] - before).clamp_min(0), sorted_rates)
    return torch.zeros_like(rates).scatter(1, order, kept)
