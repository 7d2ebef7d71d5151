"""Prescales of a trigger, and a high voltage: policies against loops and a knapsack."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.operations.bounds import clairvoyant
from colliderkit.methods.operations.controller import Controller, Session
from colliderkit.methods.operations.differentiable_policy import DifferentiablePolicy
from colliderkit.methods.operations.fixed_settings import FixedSettings
from colliderkit.methods.operations.greedy_knapsack import GreedyKnapsack
from colliderkit.methods.operations.pi_controller import PIController
from colliderkit.methods.operations.ppo_policy import PPOPolicy
from colliderkit.metrics.value import Value
from colliderkit.report.control import over_fill, settings_over_time
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.sources.machines.high_voltage import HighVoltage
from colliderkit.sources.machines.machine import Machine
from colliderkit.sources.machines.prescales import Prescales
from colliderkit.studies.run import Run, Study

__all__ = ["STUDY"]

Floats = NDArray[np.float64]

SUMMARY = """
Can a network choose the prescales of a trigger while the luminosity decays, a detector becomes
noisy and the machine dips? Each lumi section has a budget of rate, rates are known one section
late and with the noise of counting, and a section above the budget loses data. Beside policies
stand what a control room has: fixed prescales, a loop that follows the rate, and a knapsack that
fills the budget by value a Hz; and the bound of a knapsack that knows the rates before they are
there. The same controllers then hold the high voltage of a detector whose gain drifts, against
trips.
"""
STAND_IN = """
The menu has six made paths, and fills, hot paths, dips, drifts and trips are drawn from ranges of
our own: what is learned holds for them, and a menu of one's own is an option of the machine.
"""
MEASURES = """
"value" of a section: the rate of each path without what is hot in it, over the square root of its
rate without prescale, by the value of the path, less the dead time. "over" is the share of
sections whose rate is more than 5% above the budget. "more than the knapsack" is the difference
in the same fills, with its own error. "share of the gap" is what of the difference between the
tuned knapsack and the bound is closed. Knapsack and loop are tuned on the trials of the training:
for each the target of the least mean loss; policies are trained with a higher penalty of a section
that is over (3 and not 2), to end at fewer of them. "knapsack at 95%" fills 95% of the budget
without tuning. Errors are of the fills, and of the seeds. Of a high
voltage the value is the efficiency while it is on; a trip is an hour off.
"""
POLICY, PPO, FIXED, LOOP = "differentiable policy", "PPO policy", "fixed settings", "PI controller"
GREEDY, PLAIN, BOUND = "greedy knapsack", "knapsack at 95%", "clairvoyant knapsack (bound)"
VALUE, OVER, MORE, GAP = "value", "over", "more than the knapsack", "share of the gap"
LESS, VIOLATIONS = "over, less than the knapsack", "settings outside of their limits"
GAINED = "more than the PI controller"
CAREFUL = 3.0  # the penalty of policies: to end at fewer sections over than a knapsack tuned with 2
AIMS = (
    Aim("A policy has more value than the tuned knapsack", MORE, POLICY, "above", 0.0),
    Aim("With no more sections over", LESS, POLICY, "above", 0.0),
    Aim("And more than the knapsack at 95% of the budget", VALUE, POLICY, "above", against=PLAIN),
    Aim("With no more sections over than that one", OVER, POLICY, "below", against=PLAIN),
    Aim("A policy without a model does too", MORE, PPO, "above", 0.0),
    Aim("No setting leaves its limits", VIOLATIONS, "*", "below", 0.5),
    Aim("The voltage of a policy has more efficiency than that of a loop", GAINED, POLICY, "above",
        0.0),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Fills that train and that are held out, updates of the policy, steps of PPO."""

    train: int
    fills: int
    iterations: int
    batch: int
    ppo_steps: int
    seeds: int = 1


SCALES = {
    "smoke": Scale(20, 4, 1, 4, 200),
    "laptop": Scale(20_000, 200, 300, 128, 1_000_000, seeds=3),
    "night": Scale(100_000, 1_000, 2_000, 256, 10_000_000, seeds=5),
    "paper": Scale(100_000, 5_000, 10_000, 512, 50_000_000, seeds=10),
}


def prescale_control(run: Run[Scale]) -> None:
    """Train and tune on simulated fills, and let all control the same held-out ones."""
    run.report.add_stand_in(STAND_IN)
    run.report.add_definitions(MEASURES)
    of_prescales(run)
    of_voltage(run)


def of_prescales(run: Run[Scale]) -> None:
    """Compare controllers of prescales with each other and with the bound."""
    machine, report = Prescales(), run.report
    extra = {GREEDY: GreedyKnapsack(), PLAIN: GreedyKnapsack(target=0.95)}
    done, costs = operated(run, machine, extra)
    test = machine.draw(run.scale.fills, [0, 2])
    bound = run.arrays(BOUND, lambda: {VALUE: clairvoyant(machine, test)})[VALUE]
    greedy = done[GREEDY][0]
    gap = float((bound.mean(0) - greedy[VALUE].mean(0)).mean())
    rows = [over_trials(BOUND, VALUE, [bound])]
    for name, each in done.items():
        values, over = ([s[figure] for s in each] for figure in (VALUE, OVER))
        rows += [over_trials(name, VALUE, values), over_trials(name, OVER, over)]
        if name not in extra:
            more = over_trials(name, MORE, [v - greedy[VALUE] for v in values])
            rows += [more, over_trials(name, LESS, [greedy[OVER] - o for o in over])]
            error = None if more.error is None else more.error / gap
            rows.append(Result(name, GAP, more.value / gap, error))
    report.add_heading("Prescales")
    first = {name: each[0] for name, each in done.items()}
    chosen = (POLICY, GREEDY, LOOP)
    report.add_figure(
        over_fill(
            {name: first[name]["rate"][:, 0] for name in chosen},
            machine.budget,
            {**{name: first[name][VALUE][:, 0] for name in chosen}, BOUND: bound[:, 0]},
            "Lumi section",
        ),
        "Total rate and value over the first held-out fill.",
        wide=True,
    )
    report.add_results(
        rows,
        f"Means over {run.scale.fills} held-out fills of {machine.horizon} sections.",
        best={VALUE: "higher"},
        order=VALUE,
        aside=[BOUND],
    )
    report.add_figure(
        drawn_settings(machine, first, (POLICY, GREEDY), "Lumi section"),
        "Logarithms of the prescales in that fill; dashed, the limits.",
        wide=True,
    )
    report.add_results(costs, "What was set outside of the limits, and the CPU time of a training.")


def of_voltage(run: Run[Scale]) -> None:
    """Compare controllers of a high voltage."""
    machine, report = HighVoltage(), run.report
    done, _ = operated(run, machine, {})
    loop = done[LOOP][0]
    rows = []
    for name, each in done.items():
        rows += [over_trials(name, f"mean {f}", [s[f] for s in each]) for f in (VALUE, "trips")]
        if name != LOOP:
            rows.append(over_trials(name, GAINED, [s[VALUE] - loop[VALUE] for s in each]))
    report.add_heading("A high voltage")
    report.add_results(rows, "Efficiency while it is on, and trips a step of ten minutes.")
    first = {name: each[0] for name, each in done.items()}
    report.add_figure(
        drawn_settings(machine, first, (POLICY, LOOP, FIXED), "Ten minutes"),
        "The voltage in the first held-out trial; dashed, the limits.",
        wide=True,
    )


def operated(
    run: Run[Scale], machine: Machine, extra: Mapping[str, Controller]
) -> tuple[dict[str, list[dict[str, Floats]]], list[Result]]:
    """Fit all controllers of a machine; return the figures of their sessions, and their costs."""
    scale = run.scale
    train, test = machine.draw(scale.train, [0, 1]), machine.draw(scale.fills, [0, 2])
    of: dict[str, Any] = {"machine": machine.name}
    size: dict[str, Any] = {**of, "batch_size": scale.batch}
    if isinstance(machine, Prescales):
        size["options"] = {"penalty": CAREFUL}
    controllers: dict[str, tuple[Controller, ...]] = {
        POLICY: tuple(
            DifferentiablePolicy(**size, iterations=scale.iterations, window=64) for _ in run.seeds
        ),
        PPO: tuple(PPOPolicy(**size, steps=scale.ppo_steps, learning_rate=3e-4) for _ in run.seeds),
        **{name: (method,) for name, method in extra.items()},
        LOOP: (PIController(**of),),
        FIXED: (FixedSettings(**of),),
    }
    done: dict[str, list[dict[str, Floats]]] = {}
    costs = []
    for name, each in controllers.items():
        spent = []
        for seed, method in enumerate(each):
            what = f"{machine.name}, {name}, seed {seed}"
            fitted = run.fitted(what, method, train, seed=seed, progress=False)
            arrays = run.arrays(what, lambda m=fitted: kept(m.session(test)))  # type: ignore[misc]
            done.setdefault(name, []).append(arrays)
            spent.append(Value(fitted.cpu_, 0.0))
        costs.append(Result.over_seeds(name, "CPU to train [s]", spent))
        wrong = float(sum(arrays["violations"].sum() for arrays in done[name]))
        costs.append(Result(name, VIOLATIONS, wrong, 0.0))
    return done, costs


def kept(session: Session) -> dict[str, NDArray[Any]]:
    """Return what tables and figures need of a session."""
    first = {"settings": session.settings[:, 0], "violations": session.violations}
    return {**session.figures, **first}


def over_trials(subject: str, quantity: str, each: list[Floats]) -> Result:
    """Return a mean over trials (T, B) of each seed, with the errors of trials and of seeds."""
    values = []
    for figure in each:
        mean = figure.mean(0)
        values.append(Value(float(mean.mean()), float(mean.std(ddof=1) / len(mean) ** 0.5)))
    return Result.over_seeds(subject, quantity, values)


def drawn_settings(
    machine: Machine, first: Mapping[str, Mapping[str, Floats]], names: tuple[str, ...], along: str
) -> Any:
    """Draw the settings of one trial."""
    labels = [name.replace("log_prescale_", "ln ") for name in machine.settings]
    return settings_over_time(
        {name: first[name]["settings"] for name in names},
        labels,
        machine.units,
        list(zip(machine.low, machine.high, strict=True)),
        along,
    )


STUDY = Study(
    *("prescale-control", "Prescales under control", SUMMARY, SCALES, prescale_control),
    takes=("seeds",),
    aims=AIMS,
    events="{fills} held-out fills, {train} to train on",
    stand_in="the menu of an experiment",
)
