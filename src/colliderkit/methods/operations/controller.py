"""What all controllers share: fit to trials of a machine, a session, advice to a person."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.methods.method import Method
from colliderkit.seeds import derive
from colliderkit.sources.machines import MACHINES
from colliderkit.sources.machines.machine import Machine, Seen, State

__all__ = ["Advice", "Advisor", "Controller", "Session"]

# What a controller is while a session lasts: what is seen (B machines) -> settings (B, S).
Advisor = Callable[[Seen], Tensor]
BINS = 8  # of the cost, in which an expected gain is known


@dataclass(frozen=True)
class Session:
    """Hold what happened in T readings of B machines.

    - `settings` (T, B, S), `readings` (T, B, R), `goals` (B, G); the first are those of the table;
    - `costs` (T, B): what an operator can estimate from the readings;
    - `losses` (T, B) and `figures`, {name: (T, B)}: the truth;
    - `outside`, `fallback` (T, B): where limits cut what was asked for, or the table replaced it;
    - `violations` (B,): settings that were in force outside of the limits.
    """

    settings: Floats
    readings: Floats
    goals: Floats
    costs: Floats
    losses: Floats
    figures: Mapping[str, Floats]
    outside: NDArray[np.bool_]
    fallback: NDArray[np.bool_]
    violations: NDArray[np.int64]

    def best(self, figure: str) -> Floats:
        """Return a figure of the settings whose reading was the best until then, (T, B).

        This is what an operator has who goes back to these settings: chosen by the readings, with
        their noise, and judged by the truth.
        """
        time = np.arange(len(self.costs))[:, None]
        reached = np.minimum.accumulate(self.costs, axis=0)
        is_best = self.costs == reached
        place = np.maximum.accumulate(np.where(is_best, time, 0), axis=0)
        best: Floats = np.take_along_axis(self.figures[figure], place, axis=0)
        return best


@dataclass(frozen=True)
class Advice:
    """Recommend settings to a person, one row for each reading.

    - `settings` (N, S): what to set next; `now` (N, S): what is set; `low`, `high` (N, S): between
      which the next settings may lie;
    - `gain` ± `spread` (N,): by how much the cost falls then, as in simulated trials at such a
      cost; NaN where that is not known;
    - `cost` (N,): estimated from the readings;
    - `clipped` (N,): whether limits or the fallback changed what the controller asked for.
    """

    settings: Floats
    now: Floats
    low: Floats
    high: Floats
    cost: Floats
    gain: Floats
    spread: Floats
    clipped: NDArray[np.bool_]


class Controller(Method):
    """Choose the next settings of a machine from what was read; the base of all controllers.

    `fit` takes trials, the conditions of the machine that a controller should be ready for; what
    it learns of them is the subclass's: nothing, a margin, or the weights of a network. Then

    - `session` lets it operate simulated machines, which is how it is judged;
    - `recommend` says what a person should set next, with the gain to expect; nothing is set;
    - `operate` is for a real machine: it asks before each step, and decides by itself only with
      ``decide=True``.

    The safe limits and the fallback are the machine's (`sources.machines.machine`), the same for
    each controller. A subclass has ``advisor(count, seed)``, and may have ``_learn``.

    Args:
        machine: "beam-tuning", "prescales" or "high-voltage".
        options: of the machine, by name.
    """

    takes: ClassVar[tuple[str, ...]] = ("beam-tuning", "prescales", "high-voltage")
    rehearsed: ClassVar[int] = 200  # trials that tell the gain to expect

    trials_: int
    cpu_: float  # seconds that the fit took
    levels_: Floats  # of the cost
    gains_: Floats  # (BINS, 2): mean and spread of the gain between these

    machine: str
    options: dict[str, Any] | None

    @property
    def built(self) -> Machine:
        """The machine that is operated."""
        machine: Machine = MACHINES.build(self.machine, **(self.options or {}))
        return machine

    def fit(
        self,
        trials: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Learn from trials (N, C), the `conditions` of the machine in their order; return self.

        Raises `InputError` for a machine that the controller is not for, limits that are inverted,
        a table of another shape, a number that is not finite, and for weights.
        """
        begin = process_time()
        self._begin(seed=seed, folder=folder, resume=resume, trials=trials)
        if self.machine not in self.takes:
            raise InputError(
                f"{self.name} is not for the machine '{self.machine}'; it is for"
                f" {', '.join(self.takes)}."
            )
        if weight is not None:
            raise InputError(
                "a controller is trained on trials as they are drawn; repeat a trial instead of"
                " giving it a weight."
            )
        machine = self.built
        conditions = machine.checked(trials)
        self._learn(machine, conditions, seed, progress)
        self.trials_, self.cpu_ = len(conditions), process_time() - begin
        self._rehearse(conditions[: self.rehearsed], derive(seed, "rehearsal"))
        return self

    def _learn(self, machine: Machine, trials: Floats, seed: int, progress: bool) -> None:
        """Set what is learned of trials (N, C)."""

    def advisor(self, count: int, seed: int = 0) -> Advisor:
        """Return what advises `count` machines while a session lasts, and remembers it."""
        raise NotImplementedError

    def session(
        self, trials: ArrayLike, *, seed: int = 0, measurements: int | None = None
    ) -> Session:
        """Operate simulated machines of these conditions (B, C); return what happened.

        There are `measurements` readings, that of the table first; the machine's own number if not
        given. `seed` is that of the noise.
        """
        assert self.trials_ >= 0  # is fitted
        machine = self.built
        return operated(
            machine,
            self.advisor(len(np.asarray(trials)), derive(seed, "advisor")),
            machine.checked(trials),
            seed=derive(seed, "noise"),
            measurements=measurements or machine.horizon,
        )

    def recommend(self, settings: ArrayLike, readings: ArrayLike, goals: ArrayLike) -> Advice:
        """Say what to set next after each of N readings of one session, in order of time.

        `settings` (N, S) were in force, `readings` (N, R) read with them, `goals` (N, G) wanted.
        Row i uses the rows until i. Nothing is set.
        """
        assert self.trials_ >= 0
        machine = self.built
        now = _table(settings, machine.settings, "settings")
        seen = _table(readings, machine.readings, "readings", len(now))
        wanted = _table(goals, machine.goals, "goals", len(now))
        advise = self.advisor(1, derive(self.seed_, "advisor"))
        rows, clipped, costs = [], [], []
        with torch.no_grad():
            for time in range(len(now)):
                at = Seen(now[[time]], seen[[time]], wanted[[time]], time)
                asked = advise(at)
                safe, outside, fallback = machine.safe(asked, at.settings)
                rows.append(safe[0])
                clipped.append(bool(outside | fallback))
                costs.append(float(machine.cost(at)))
        cost = np.array(costs)
        gain, spread = self._gain(cost)
        settled = torch.stack(rows).numpy()
        low, high = (end.numpy() for end in machine.allowed(now))
        return Advice(settled, now.numpy(), low, high, cost, gain, spread, np.array(clipped))

    def operate(
        self,
        read: Callable[[], tuple[Sequence[float], Sequence[float], Sequence[float]]],
        write: Callable[[dict[str, float]], object],
        *,
        steps: int,
        decide: bool = False,
        ask: Callable[[Advice], bool] | None = None,
    ) -> list[Advice]:
        """Advise a real machine for some steps, and set what a person accepts.

        `read` returns what is set, read and wanted now; `ask` shows an advice to a person and
        returns whether it is accepted; only then `write` gets {setting: value}. With
        ``decide=True`` nobody is asked: the controller takes the decision. Without either nothing
        is ever written.
        """
        advise = self.advisor(1, derive(self.seed_, "advisor"))
        machine, given = self.built, []
        for time in range(steps):
            now, reading, goal = (
                torch.tensor([list(part)], dtype=torch.float64) for part in read()
            )
            at = Seen(now, reading, goal, time)
            with torch.no_grad():
                safe, outside, fallback = machine.safe(advise(at), now)
            cost = machine.cost(at).numpy()
            changed = (outside | fallback).numpy()
            low, high = (end.numpy() for end in machine.allowed(now))
            gain, spread = self._gain(cost)
            advice = Advice(safe.numpy(), now.numpy(), low, high, cost, gain, spread, changed)
            given.append(advice)
            if decide or (ask is not None and ask(advice)):
                write(dict(zip(machine.settings, safe[0].tolist(), strict=True)))
        return given

    def _rehearse(self, trials: Floats, seed: int) -> None:
        """Keep the gain of a step at each level of the cost, in trials of the fit."""
        self.levels_, self.gains_ = np.zeros(0), np.zeros((0, 2))
        if not self.rehearsed:
            return
        done = self.session(trials, seed=seed)
        before, gain = done.costs[:-1].ravel(), -np.diff(done.costs, axis=0).ravel()
        self.levels_ = np.unique(np.quantile(before, np.linspace(0, 1, BINS + 1)[1:-1]))
        of = np.searchsorted(self.levels_, before)
        known = [gain[of == i] for i in range(len(self.levels_) + 1)]
        self.gains_ = np.array([[k.mean(), k.std()] if len(k) else [np.nan] * 2 for k in known])

    def _gain(self, cost: Floats) -> tuple[Floats, Floats]:
        """Return the gain to expect at a cost (N,), and its spread."""
        if not len(self.gains_):
            return np.full(len(cost), np.nan), np.full(len(cost), np.nan)
        gain, spread = self.gains_[np.searchsorted(self.levels_, cost)].T
        return gain, spread


def operated(
    machine: Machine, advise: Advisor, trials: Floats, *, seed: int | None, measurements: int
) -> Session:
    """Return what happens in a number of readings if machines are set as `advise` says."""
    states: list[State] = []
    with torch.no_grad():
        states.append(machine.begin(trials, seed))
        for _ in range(measurements - 1):
            wanted = advise(states[-1].seen).to(states[-1].conditions.dtype)
            states.append(machine.step(states[-1], wanted))

    def stacked(part: Callable[[State], Tensor]) -> Any:
        return torch.stack([part(state) for state in states]).numpy()

    settings = stacked(lambda s: s.seen.settings)
    slack = 1e-9 * (np.array(machine.high) - machine.low)
    beyond = (settings < np.array(machine.low) - slack) | (
        settings > np.array(machine.high) + slack
    )
    return Session(
        settings,
        stacked(lambda s: s.seen.reading),
        states[0].seen.goal.numpy(),
        stacked(lambda s: machine.cost(s.seen)),
        stacked(lambda s: s.loss),
        {
            name: torch.stack([state.figures[name] for state in states]).numpy()
            for name in states[0].figures
        },
        stacked(lambda s: s.outside),
        stacked(lambda s: s.fallback),
        beyond.any(2).sum(0),
    )


def _table(values: ArrayLike, names: Sequence[str], what: str, count: int | None = None) -> Tensor:
    """Return a table (N, columns) as a tensor; raise `InputError` where it is none."""
    table = np.asarray(values, dtype=np.float64)
    if not names and count is not None:
        return torch.zeros(count, 0, dtype=torch.float64)
    if table.ndim != 2 or table.shape[1] != len(names) or len(table) != (count or len(table)):
        rows = "a row a reading" if count is None else f"{count} rows, one a reading"
        raise InputError(
            f"{what} have the shape {table.shape}; give {rows}, of {', '.join(names)}."
        )
    return torch.from_numpy(table.copy())
