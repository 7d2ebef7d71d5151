"""The task of control: train or tune a controller, advise, evaluate in simulation, and page."""

import json
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import atomic_file, existing_file, refuse_existing
from colliderkit.methods.method import load
from colliderkit.methods.operations.controller import Controller, Session
from colliderkit.metrics.value import number
from colliderkit.report import control as plots
from colliderkit.report.html import Report
from colliderkit.report.results import Result, read_results
from colliderkit.report.verdict import Aim
from colliderkit.sources import write
from colliderkit.sources.machines.machine import Machine
from colliderkit.tasks import runs
from colliderkit.tasks.reading import Reading, beside
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["ControlTask", "rows_of"]

Files = list[str] | str
TRIALS, HELD_OUT = 20_000, 50  # drawn for a fit and for an evaluation, if none are given
SHOWN = 3  # trials of which a page has the settings
VIOLATIONS = "settings outside of their limits"


class ControlTask(Task):
    """Tune a beam line, a trigger's prescales or a high voltage: advise, or take the decision."""

    methods = (
        "differentiable-policy",
        "ppo-policy",
        "bayesian-optimisation",
        "nelder-mead",
        "random-search",
        "fixed-settings",
        "pi-controller",
        "greedy-knapsack",
    )

    def read(
        self,
        method: Controller,
        reading: Reading,
        files: Files | None = None,
        *,
        trials: int | None = None,
    ) -> Inputs:
        r"""Train a policy on simulated trials of a machine, or tune a controller on them.

        Args:
            files: tables with the conditions of a trial in each row, in SI units, of any format;
                without them they are drawn by the machine.
            trials: how many are drawn, 20000 if not given.

        Examples:
            colliderkit fit control --machine beam-tuning --out policy
            colliderkit fit control --method greedy-knapsack --trials 500 --out greedy
            colliderkit fit control --machine prescales --files fills.parquet --out prescaler
        """
        machine = method.built
        if files is None:
            return Inputs(method, {"trials": machine.draw(trials or TRIALS, [0, 1])})
        if trials is not None:
            raise InputError("trials is how many are drawn, and files are given; leave one out.")
        return Inputs(method, {"trials": of_files(machine, reading, files)})

    def apply(
        self,
        method: Controller,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        session: str | None = None,
        decide: Path | None = None,
        force: bool = False,
    ) -> None:
        r"""Recommend the next settings after each reading of a log; nothing is set.

        Beside what was read stand `next_NAME` of each setting between its limits `low_NAME` and
        `high_NAME`, the `cost` by the readings, its expected `gain` ± `gain_spread`, and whether
        limits `clipped` what was asked for.

        Args:
            files: logs in order of time: settings, readings and goals of a machine by name, in SI
                units.
            session: a column that parts sessions; a controller remembers within one.
            decide: a JSON file for the settings of the last row, {NAME: value}, that a control
                system may set. Without it the decision is a person's.

        Examples:
            colliderkit apply policy log.parquet --out advice.parquet
        """
        machine = method.built
        columns = [*machine.settings, *machine.readings, *machine.goals]
        names = [*columns, *([session] if session else [])]
        rows = reading.rows(files, names, own=True)
        table = rows.table(columns)
        of = rows.columns[session] if session else np.zeros(len(table))
        parts = np.split(
            table, np.cumsum([len(p) for p in (machine.settings, machine.readings)]), 1
        )
        added: dict[str, NDArray[Any]] = {
            name: np.zeros(len(table))
            for name in (
                *(f"{part}_{s}" for s in machine.settings for part in ("next", "low", "high")),
                *("cost", "gain", "gain_spread"),
            )
        }
        added["clipped"] = np.zeros(len(table), dtype=bool)
        for one in np.unique(of):
            at = np.flatnonzero(of == one)
            advice = method.recommend(*(part[at] for part in parts))
            for i, name in enumerate(machine.settings):
                columns_of = {"next": advice.settings, "low": advice.low, "high": advice.high}
                for part, column in columns_of.items():
                    added[f"{part}_{name}"][at] = column[:, i]
            known = {"cost": advice.cost, "gain": advice.gain, "gain_spread": advice.spread}
            for name, values in {**known, "clipped": advice.clipped}.items():
                added[name][at] = values
        if decide is not None:
            refuse_existing(decide, force)
        write(out, beside(rows.own, added), force=force)
        if decide is not None:
            chosen = {name: float(added[f"next_{name}"][-1]) for name in machine.settings}
            with atomic_file(decide, force=force) as file:
                file.write_text(json.dumps(chosen, indent=1) + "\n")

    def evaluate(
        self,
        method: Controller,
        reading: Reading,
        *,
        files: Files | None = None,
        trials: int | None = None,
        measurements: int | None = None,
    ) -> Evaluation:
        r"""Let a controller operate simulated machines that the fit has not seen.

        Args:
            files: conditions of a trial in each row; without them they are drawn by the machine,
                others than those of a fit.
            trials: how many are drawn, 50 if not given.
            measurements: readings of a trial, the machine's own number if not given.

        Examples:
            colliderkit evaluate policy --trials 20 --out test
        """
        machine = method.built
        if files is not None and trials is not None:
            raise InputError("trials is how many are drawn, and files are given; leave one out.")
        if measurements is not None and measurements < 2:
            raise InputError(f"measurements is {measurements}; it must be at least 2.")
        if files is None:
            conditions = machine.draw(trials or HELD_OUT, [0, 2])
        else:
            conditions = of_files(machine, reading, files)
        done = method.session(conditions, measurements=measurements)
        count = len(conditions)
        length = len(done.costs)
        columns = {
            "trial": np.tile(np.arange(count), length),
            "measurement": np.repeat(np.arange(length), count),
            machine.judged: judged(machine, done).ravel(),
            **{n: done.settings[..., i].ravel() for i, n in enumerate(machine.settings)},
            **{n: done.readings[..., i].ravel() for i, n in enumerate(machine.readings)},
            **{n: v.ravel() for n, v in done.figures.items() if n != machine.judged},
        }
        about = {"trials": count, "measurements": length}
        title = f"{method.name} in {number(count)} trials of {number(length)} measurements"
        return Evaluation(title, rows_of(method.name, machine, done), columns, about)

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an evaluation: what was reached over time, and the settings of some trials.

        Examples:
            colliderkit report test
        """
        method: Controller = load(model)
        machine = method.built
        note = runs.about(evaluation)
        events = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        shape = note["measurements"], note["trials"]
        page = runs.page(
            "A controller",
            f"{method.name} operates the machine '{machine.name}', simulated, in"
            f" {number(shape[1])} trials that the fit has not seen.",
            model,
            note,
        )
        page.add_heading("What was reached")
        page.add_results(read_results(evaluation / runs.RESULTS), "Over the trials.")
        reached = np.asarray(events[machine.judged]).reshape(shape)
        if machine.steady:
            figure = plots.convergence({method.name: reached}, axis_of(machine))
            page.add_figure(figure, "Median and 16 to 84% of the trials.")
        settings = np.stack([np.asarray(events[n]).reshape(shape) for n in machine.settings], 2)
        trials = {f"trial {i}": settings[:, i] for i in range(min(SHOWN, shape[1]))}
        limits = list(zip(machine.low, machine.high, strict=True))
        page.add_figure(
            plots.settings_over_time(trials, machine.settings, machine.units, limits),
            "Settings of some trials; dashed, the limits.",
        )
        page.conclude([SAFE])
        return page

    def summary(self, method: Controller) -> str:
        """Give the machine, its limits, and how a person is advised."""
        machine = method.built
        limits = ", ".join(
            f"{name} {low:g} to {high:g}"
            for name, low, high in zip(machine.settings, machine.low, machine.high, strict=True)
        )
        return (
            f"{method.name}, which recommends and sets nothing, for {machine.name}, fitted to"
            f" {method.trials_} trials; limits: {limits}"
        )


SAFE = Aim("No setting left its limits", VIOLATIONS, "*", "below", 0.5)


def of_files(machine: Machine, reading: Reading, files: Files) -> NDArray[np.float64]:
    """Return the conditions of trials (N, C) from tables."""
    return reading.rows(files, machine.conditions).table(machine.conditions)


def axis_of(machine: Machine) -> str:
    """Return the label of what is judged, with its unit."""
    unit = f" [{machine.unit[0]}]" if machine.unit[0] else ""
    return f"{machine.judged.capitalize()}{unit}"


def judged(machine: Machine, done: Session) -> NDArray[np.float64]:
    """Return what is judged, (T, B), in its unit: of the best settings until then if these stay."""
    figure = done.best(machine.judged) if machine.steady else done.figures[machine.judged]
    scaled: NDArray[np.float64] = figure / machine.unit[1]
    return scaled


def rows_of(name: str, machine: Machine, done: Session) -> list[Result]:
    """Return what a controller reached: quantiles of trials, or means over time; violations."""
    unit = machine.unit[0]
    rows = []
    if machine.steady:
        reached = judged(machine, done)[-1]
        for label, share in (("median", 0.5), ("16%", 0.16), ("84%", 0.84)):
            value = plots.quantile(reached, share)
            rows.append(
                Result(name, f"{machine.judged}, {label}", value.value, value.error, unit=unit)
            )
    else:
        for figure, values in done.figures.items():
            mean = values.mean(0)  # of a trial
            error = float(mean.std(ddof=1) / len(mean) ** 0.5) if len(mean) > 1 else float("nan")
            rows.append(Result(name, f"mean {figure}", float(mean.mean()), error))
    rows.append(Result(name, VIOLATIONS, float(done.violations.sum()), 0.0))
    asked = float(done.outside[1:].mean())
    rows.append(Result(name, "requests cut by limits", asked))
    return rows
