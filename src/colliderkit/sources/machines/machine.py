"""What a machine is that is operated: settings in limits, what is read, and what it costs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from colliderkit.errors import InputError

__all__ = ["Machine", "Seen", "State"]

Floats = NDArray[np.float64]
Limits = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Seen:
    """Hold what an operator knows: `settings` (B, S), the last `reading` (B, R), `goal` (B, G).

    `time` counts the readings before this one.
    """

    settings: Tensor
    reading: Tensor
    goal: Tensor
    time: int


@dataclass(frozen=True)
class State:
    """Hold B machines at one time: what is seen of them, and what is true.

    - `conditions` (B, C): what a trial has drawn, in force but not seen;
    - `hidden`: what else the machine carries from step to step;
    - `loss` (B,): what an operator should keep low, of the truth; differentiable in the settings;
    - `figures`: what is judged, (B,) each, of the truth;
    - `outside`, `fallback` (B,): whether limits cut what was asked for, and whether the fallback
      replaced it.
    """

    seen: Seen
    conditions: Tensor
    hidden: Mapping[str, Tensor]
    loss: Tensor
    figures: Mapping[str, Tensor]
    outside: Tensor
    fallback: Tensor
    noise: torch.Generator | None = field(default=None, repr=False)


class Machine:
    """Respond to settings, B machines at once, in torch; the base of what is operated.

    A subclass names `settings`, `readings`, `goals` and `conditions`, and has

    - ``draw(count, seed) -> (N, C)``: conditions of trials;
    - ``respond(state, settings) -> State``: one step;
    - ``observe(seen) -> (B, O)``: what a network is given, of order one;
    - ``cost(seen) -> (B,)``: what an operator can estimate of the loss from the readings.

    Safety is here and not in a controller. `step` clips what is asked for to `low` and `high`, and
    a `slewed` machine moves by `change` at most. What is not finite sets the machine to its table,
    `table`, with the same slew. Nothing that a controller asks for goes around it.

    Args:
        limits: {setting: [low, high]} in place of the machine's own; narrower only.
    """

    name: ClassVar[str]
    goals: ClassVar[tuple[str, ...]] = ()
    conditions: ClassVar[tuple[str, ...]]
    judged: ClassVar[str]  # the figure that compares controllers
    higher: ClassVar[bool]  # whether more of it is better
    steady: ClassVar[bool]  # whether the best settings stay while a trial lasts
    slewed: ClassVar[bool] = True
    unit: ClassVar[tuple[str, float]]  # of the figure that is judged: its name, and one in SI
    targets: ClassVar[tuple[float, ...]] = ()  # that a controller of a target may hold

    units: tuple[str, ...]  # of the settings

    settings: tuple[str, ...]
    readings: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    table: tuple[float, ...]
    change: tuple[float, ...]
    horizon: int

    def _limit(self, limits: Limits | None) -> None:
        """Take limits of a user's; raise `InputError` for those that make no sense."""
        low, high, table = list(self.low), list(self.high), list(self.table)
        for name, ends in (limits or {}).items():
            if name not in self.settings:
                raise InputError(
                    f"limits names the setting '{name}'; {self.name} has"
                    f" {', '.join(self.settings)}."
                )
            i = self.settings.index(name)
            if len(ends) != 2 or not all(math.isfinite(end) for end in ends):
                raise InputError(
                    f"the limits of {name} are {list(ends)}; give two numbers, [low, high]."
                )
            if not ends[0] < ends[1]:
                raise InputError(
                    f"the limits of {name} are inverted, {ends[0]:g} is not below {ends[1]:g};"
                    " give [low, high]."
                )
            if ends[0] < low[i] or ends[1] > high[i]:
                raise InputError(
                    f"the limits of {name} are {ends[0]:g} to {ends[1]:g}, and the machine's own"
                    f" {low[i]:g} to {high[i]:g}; narrow them."
                )
            low[i], high[i] = float(ends[0]), float(ends[1])
            table[i] = min(max(table[i], low[i]), high[i])
        self.low, self.high, self.table = tuple(low), tuple(high), tuple(table)

    def draw(self, count: int, seed: int | Sequence[int]) -> Floats:
        """Return the conditions of `count` trials, (count, C)."""
        raise NotImplementedError

    def checked(self, trials: object) -> Floats:
        """Return trials as a table (N, C) of numbers; raise `InputError` where they are none."""
        table: Floats = np.asarray(trials, dtype=np.float64)
        if table.ndim != 2 or table.shape[1] != len(self.conditions) or not len(table):
            raise InputError(
                f"trials have the shape {table.shape}; {self.name} takes (N,"
                f" {len(self.conditions)}), the columns {', '.join(self.conditions)}."
            )
        bad = np.argwhere(~np.isfinite(table))
        if len(bad):
            row, column = bad[0]
            raise InputError(
                f"'{self.conditions[column]}' of trial {row} (counted from 0) is"
                f" {table[row, column]:g}; drop the trial."
            )
        return table

    def begin(self, trials: Tensor | Floats, seed: int | None = None, *, time: int = 0) -> State:
        """Return B machines that have the settings of the table, read once, at a `time` of a trial.

        `trials` (B, C) are their conditions; the dtype is theirs. With a `seed` readings are
        noisy, and the noise repeats; without one there is none.
        """
        conditions = torch.as_tensor(trials)
        count = len(conditions)
        start = conditions.new_tensor(self.table).expand(count, -1)
        noise = None if seed is None else torch.Generator().manual_seed(seed & (2**63 - 1))
        nothing = conditions.new_zeros(count)
        seen = Seen(
            start,
            conditions.new_zeros(count, len(self.readings)),
            self.goal(conditions),
            time - 1,
        )
        no = torch.zeros(count, dtype=torch.bool)
        state = State(seen, conditions, self.fresh(conditions, noise), nothing, {}, no, no, noise)
        return self.respond(state, start)

    def goal(self, conditions: Tensor) -> Tensor:
        """Return what is wanted, (B, G): the conditions of the names in `goals`."""
        return conditions[:, [self.conditions.index(name) for name in self.goals]]

    def fresh(self, conditions: Tensor, noise: torch.Generator | None) -> dict[str, Tensor]:
        """Return what a machine carries at the beginning of a trial."""
        return {}

    def step(self, state: State, wanted: Tensor) -> State:
        """Set what is safe of `wanted` (B, S), and return the machines after they respond."""
        settings, outside, fallback = self.safe(wanted, state.seen.settings)
        after = self.respond(state, settings)
        return replace(after, outside=outside, fallback=fallback)

    def safe(self, wanted: Tensor, now: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is set of `wanted` (B, S), whether it was cut, and whether it fell back.

        The gradient is that of `wanted`, as if nothing had been cut.
        """
        (low, high), table = self.allowed(now), now.new_tensor(self.table)
        fallback = ~torch.isfinite(wanted).all(1)
        asked = torch.where(fallback[:, None], table, wanted)
        settings = torch.minimum(torch.maximum(asked, low), high)
        slack = 1e-9 * (now.new_tensor(self.high) - now.new_tensor(self.low))
        outside = ((asked - settings).abs() > slack).any(1)
        if asked.requires_grad:
            # At a limit too the gradient says where the loss falls; else who is there stays there.
            settings = settings.detach() + (asked - asked.detach())
        return settings, outside, fallback

    def allowed(self, now: Tensor) -> tuple[Tensor, Tensor]:
        """Return the lowest and the highest settings (B, S) that the next step may have."""
        low, high = now.new_tensor(self.low), now.new_tensor(self.high)
        if not self.slewed:
            return low.expand_as(now), high.expand_as(now)
        change = now.new_tensor(self.change)
        # Of a setting that cannot be read the table is the best guess.
        known = torch.where(torch.isfinite(now), now, now.new_tensor(self.table))
        within = torch.minimum(torch.maximum(known, low), high)
        return torch.maximum(low, within - change), torch.minimum(high, within + change)

    def respond(self, state: State, settings: Tensor) -> State:
        """Return the machines one step later, with these settings."""
        raise NotImplementedError

    def observe(self, seen: Seen) -> Tensor:
        """Return what a network is given of what is seen, (B, O)."""
        raise NotImplementedError

    def cost(self, seen: Seen) -> Tensor:
        """Estimate from the readings what an operator should keep low, (B,)."""
        raise NotImplementedError

    def correction(self, seen: Seen, target: Tensor) -> Tensor:
        """Return the change of the settings (B, S) that mends a deviation from targets (B, 1)."""
        raise NotImplementedError

    def usual(self, seen: Seen) -> Tensor:
        """Return the settings (B, S) that a policy corrects: what is set, or what a loop would.

        Where the settings are recomputed from readings, the gradient passes where slew binds alone.
        """
        return seen.settings

    def _towards(self, wanted: Tensor, now: Tensor) -> Tensor:
        """Return what a slewed machine reaches of `wanted`, as seen from its settings `now`."""
        low, high = self.allowed(now)
        return torch.minimum(torch.maximum(wanted.detach(), low), high)

    def scaled(self, settings: Tensor) -> Tensor:
        """Return settings as -1 at the low end and 1 at the high."""
        low, high = settings.new_tensor(self.low), settings.new_tensor(self.high)
        return 2 * (settings - low) / (high - low) - 1

    def unscaled(self, scaled: Tensor) -> Tensor:
        """Undo `scaled`."""
        low, high = scaled.new_tensor(self.low), scaled.new_tensor(self.high)
        return low + (scaled + 1) / 2 * (high - low)

    def normal(self, like: Tensor, noise: torch.Generator | None) -> Tensor:
        """Return standard normal numbers of the shape of `like`, zeros without noise."""
        if noise is None:
            return torch.zeros_like(like)
        return torch.randn(like.shape, generator=noise, dtype=like.dtype)
