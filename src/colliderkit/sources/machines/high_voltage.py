"""High voltage of a gas detector: gain held while pressure drifts and wires age, without trips."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from colliderkit.seeds import derive
from colliderkit.sources.machines.machine import Floats, Limits, Machine, Seen, State

__all__ = ["HighVoltage"]

NOMINAL, FOLD = 1_800.0, 60.0  # volts; of a factor e in gain
TURN_ON, WIDTH = -1.0, 0.25  # of the efficiency, in the logarithm of the gain
HAZARD, STEEPNESS = 2e-3, 0.2  # trips a step at the nominal gain, and how they grow with it
DOWN = 6  # steps that a trip lasts
DAY = 144.0  # steps of ten minutes
ACCURACY = 0.03  # of the gain that is read


class HighVoltage(Machine):
    """Set the voltage of a gas detector, once in ten minutes, while its gain drifts.

    The logarithm of the gain is g = (V - 1800) / 60 + drift - ageing: a daily wave and a random
    walk, and an ageing that grows with the charge, exp(g) a step. The efficiency is
    1 / (1 + exp(-(g + 1) / 0.25)). A step trips with the probability 0.002 exp(g / 0.2); then the
    detector is off for an hour. The value is the efficiency while it is on; the loss is minus
    that, with the hour that a trip will cost by its probability. Read are g, with an error of 3%,
    and whether the detector is on.

    Args:
        limits: {voltage: [low, high]} in volts, within 1600 to 1950.
    """

    name: ClassVar[str] = "high-voltage"
    settings = ("voltage",)
    units = ("V",)
    readings = ("log_gain", "on")
    conditions: ClassVar[tuple[str, ...]] = ("wave", "phase", "walk", "ageing", "offset")
    judged: ClassVar[str] = "value"
    higher: ClassVar[bool] = True
    steady: ClassVar[bool] = False
    unit: ClassVar[tuple[str, float]] = ("", 1.0)
    targets: ClassVar[tuple[float, ...]] = tuple(-0.6 + 0.05 * i for i in range(17))

    def __init__(self, *, limits: Limits | None = None) -> None:
        self.horizon = 200
        self.low, self.high, self.table = (1_600.0,), (1_950.0,), (NOMINAL,)
        self.change = (10.0,)
        self._limit(limits)

    def draw(self, count: int, seed: int | Sequence[int]) -> Floats:
        """Return the conditions of `count` weeks of running, (count, 5)."""
        parts = [seed] if isinstance(seed, int) else list(seed)
        random = np.random.default_rng(derive(parts[0], "high-voltage", *parts[1:]))
        return random.uniform(
            (0.1, 0, 0.005, 5e-4, -0.4), (0.4, 2 * math.pi, 0.03, 2e-3, 0.4), (count, 5)
        )

    def fresh(self, conditions: Tensor, noise: torch.Generator | None) -> dict[str, Tensor]:
        """Return a detector that has not aged and is on."""
        zero = torch.zeros_like(conditions[:, 0])
        return {"walk": zero, "aged": zero, "down": zero}

    def respond(self, state: State, settings: Tensor) -> State:
        """Return the next ten minutes at this voltage."""
        time = state.seen.time + 1
        wave, phase, step, ageing, offset = state.conditions.T
        walk = state.hidden["walk"] + step * self.normal(wave, state.noise)
        drift = offset + wave * torch.sin(2 * math.pi * time / DAY + phase) + walk
        gain = (settings[:, 0] - NOMINAL) / FOLD + drift - state.hidden["aged"]
        down = (state.hidden["down"] - 1).clamp_min(0)
        on = (down == 0).to(gain.dtype)
        efficiency = torch.sigmoid((gain - TURN_ON) / WIDTH)
        hazard = 1 - torch.exp(-HAZARD * torch.exp((gain / STEEPNESS).clamp_max(20.0)))
        chance = (
            torch.ones_like(gain)  # without noise nothing trips
            if state.noise is None
            else torch.rand(gain.shape, generator=state.noise, dtype=gain.dtype)
        )
        trips = on * (chance < hazard).to(gain.dtype)
        hidden = {
            "walk": walk,
            "aged": state.hidden["aged"] + on * ageing * torch.exp(gain.clamp_max(5.0)),
            "down": down + DOWN * trips,
        }
        value = on * efficiency * (1 - trips)
        reading = torch.stack([gain + ACCURACY * self.normal(gain, state.noise), on - trips], 1)
        # While it is off a charge is not seen.
        reading = torch.cat([reading[:, :1] * reading[:, 1:], reading[:, 1:]], 1)
        loss = on * (DOWN * hazard - efficiency)
        figures = {"value": value, "trips": trips, "efficiency": efficiency}
        seen = Seen(settings, reading, state.seen.goal, time)
        return replace(state, seen=seen, hidden=hidden, loss=loss, figures=figures)

    def observe(self, seen: Seen) -> Tensor:
        """Return voltage, gain and whether it is on, and the time of the day, (B, 6)."""
        angle = 2 * math.pi * seen.time / DAY
        rest = seen.reading.new_tensor(
            [math.sin(angle), math.cos(angle), seen.time / self.horizon]
        ).expand(len(seen.reading), -1)
        return torch.cat([self.scaled(seen.settings), seen.reading, rest], 1)

    def usual(self, seen: Seen) -> Tensor:
        """Return the voltage of the nominal gain, by the gain that was read."""
        missing = self.correction(seen, torch.zeros_like(seen.settings))
        return self._towards(seen.settings + missing, seen.settings)

    def correction(self, seen: Seen, target: Tensor) -> Tensor:
        """Return the voltage that is missing to a logarithm of the gain; 0 while it is off."""
        gain, on = seen.reading.T
        return (FOLD * on * (target[:, 0] - gain))[:, None]

    def cost(self, seen: Seen) -> Tensor:
        """Return what the loss would be by the gain that was read, (B,)."""
        gain, on = seen.reading.T
        hazard = 1 - torch.exp(-HAZARD * torch.exp((gain / STEEPNESS).clamp_max(20.0)))
        return on * (DOWN * hazard - torch.sigmoid((gain - TURN_ON) / WIDTH))
