"""Small controllers: few trials, short trainings, and a log to advise on."""

from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.methods.operations.bayesian_optimisation import BayesianOptimisation
from colliderkit.methods.operations.differentiable_policy import DifferentiablePolicy
from colliderkit.methods.operations.fixed_settings import FixedSettings
from colliderkit.methods.operations.greedy_knapsack import GreedyKnapsack
from colliderkit.methods.operations.nelder_mead import NelderMead
from colliderkit.methods.operations.pi_controller import PIController
from colliderkit.methods.operations.ppo_policy import PPOPolicy
from colliderkit.methods.operations.random_search import RandomSearch
from colliderkit.sources import write
from colliderkit.sources.machines import MACHINES
from contracts.cases.case import Case, Data, TaskCase

BEAM, PRESCALES = (MACHINES.build(name) for name in ("beam-tuning", "prescales"))


def trials(machine: Any, count: int = 8) -> Any:
    def draw(seed: int) -> Data:
        return (machine.draw(count, seed),), {}

    return draw


def reached(measurements: int = 12, count: int = 3) -> Any:
    """What a controller sets in the trials, and reads."""

    def answer(method: Any, args: Any) -> Any:
        done = method.session(args[0][:count], measurements=measurements)
        return np.concatenate([done.settings.ravel(), done.readings.ravel()])

    return answer


def advised(method: Any, args: Any) -> Any:
    machine = method.built
    goal = machine.goal(np.asarray(args[0]))
    settings = np.tile(machine.table, (len(goal), 1))
    readings = np.ones((len(goal), len(machine.readings))) * 1e-4
    return method.recommend(settings, readings, goal)


def case(make: Any, machine: Any = BEAM, **more: Any) -> Case:
    return Case(
        make=make,
        data=trials(machine),
        answer=reached(**more),
        verbs={"recommend": advised},
        refuses_weight="repeat a trial instead of giving it a weight",
    )


CASES = {
    "differentiable-policy": case(
        lambda: DifferentiablePolicy(iterations=2, batch_size=4, hidden=4)
    ),
    "ppo-policy": case(lambda: PPOPolicy(steps=100, batch_size=4, hidden=4)),
    "bayesian-optimisation": case(
        lambda: BayesianOptimisation(random=1, restarts=1), measurements=4, count=1
    ),
    "nelder-mead": case(NelderMead),
    "random-search": case(RandomSearch),
    "fixed-settings": case(lambda: FixedSettings(draws=5)),
    "pi-controller": case(PIController, PRESCALES),
    "greedy-knapsack": case(GreedyKnapsack, PRESCALES),
}


def table(names: Any, rows: Any) -> dict[str, Any]:
    return dict(zip(names, np.asarray(rows).T, strict=True))


def write_logs(folder: Path) -> None:
    """Write conditions of each machine, and one log with the columns of both."""
    log: dict[str, Any] = {"session": np.array([0, 0, 0, 1, 1, 1])}
    for name, machine in (("beam", BEAM), ("fills", PRESCALES)):
        write(folder / f"{name}.parquet", table(machine.conditions, machine.draw(8, 1)))
        seen = machine.begin(machine.draw(6, 2), 3).seen
        names = [*machine.settings, *machine.readings, *machine.goals]
        rows = np.concatenate([seen.settings, seen.reading, seen.goal], axis=1)
        log |= table(names, rows)
    write(folder / "log.parquet", log)


FILLS = ("--machine", "prescales", "--files", "FOLDER/fills.parquet")
TASK_CASES = {
    "control": TaskCase(
        write=write_logs,
        fit=lambda folder: ("--files", str(folder / "beam.parquet")),
        methods={
            "differentiable-policy": ("--iterations", "2", "--batch_size", "4", "--hidden", "4"),
            "ppo-policy": ("--steps", "100", "--batch_size", "4", "--hidden", "4"),
            "bayesian-optimisation": ("--restarts", "1", "--random", "4"),
            "fixed-settings": ("--draws", "5"),
            "pi-controller": FILLS,
            "greedy-knapsack": FILLS,
        },
        apply=lambda folder: ("--files", folder / "log.parquet", "--session", "session"),
        evaluate=lambda folder: ("--trials", "3", "--measurements", "6"),
    ),
}
