"""Learning to pivot (1611.01046): a score that leaves a nuisance alone, or one that knows it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.methods.decorrelation.objectives import Adversary
from colliderkit.methods.inference.nuisance_ratio import UncertaintyAware
from colliderkit.methods.inference.nuisances import Nuisance
from colliderkit.methods.inference.templates import fill
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.metrics.intervals import expected_significance
from colliderkit.metrics.roc import auc
from colliderkit.metrics.sculpting import efficiency_by_mass
from colliderkit.metrics.value import Value, number
from colliderkit.report.decorrelation import efficiencies
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim, Line
from colliderkit.sources.datasets.w_tagging import INPUTS, generate_w_tagging, halves
from colliderkit.sources.toys.pivot import PivotToy
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Score = Callable[[Floats], Floats]

SUMMARY = """
A score that depends on a nuisance z carries its uncertainty into the background behind a cut. An
adversary that guesses z from the score can train it not to (arXiv:1611.01046), at the price of
performance. The other way is a ratio that is given z, and a likelihood in which z is profiled. Both
stand beside a plain classifier, on the toy of the paper and on jets of an uncertain energy scale.
"""
STAND_IN = """
The paper's physics example, boosted W bosons with and without pileup, is W bosons and QCD jets of
Pythia 8 at particle level here; z is their energy scale, 5% wide: mass, pt and splitting scale.
"""
MEASURES = """
"Response" is half the relative change of the background's efficiency from z = -1 to z = 1, at the
cut that 10% of it pass at z = 0. "Significance" is that of the expected counts themselves (Asimov),
sqrt(2 ln L(s) / L(0)), of ten bins of a score that hold equal shares of the simulation, or of the
unbinned likelihood for a ratio: with z profiled, constrained by N(0, 1), and with z known.
"""

PLAIN, KNOWING = "plain classifier", "ratio that knows z"
PIVOT, EXACT = "exact pivot", "exact likelihood"
RESPONSE, PROFILED, FIXED = "response", "significance, z profiled", "significance, z known"
PASS, BINS, PARTS = 0.1, 10, 5
Z_EDGES = np.linspace(-2, 2, 9)
WIDTH, SCALED = 0.05, ("jet_mass", "pt", "sqrt_d12")  # of the energy scale, and what it moves

AIMS = (
    *(
        aim
        for events in ("toy", "jets")
        for aim in (
            Aim(f"The strongest adversary halves the response at least ({events})",
                f"{events}: {RESPONSE}", "adversary*", "below", against=PLAIN, times=0.5,
                which="last"),
            Aim(f"It costs performance ({events})", f"{events}: AUC", "adversary*", "below",
                against=PLAIN, which="last"),
            Aim(f"With z profiled, the ratio that knows it finds more ({events})",
                f"{events}: {PROFILED}", KNOWING, "above", against="adversary*"),
        )
    ),
    Aim("The ratio that knows z is within a tenth of the exact likelihood (toy)",
        f"toy: {PROFILED}", KNOWING, "above", against=EXACT, times=0.9),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Events of each class, strengths of the adversary, trainings, repetitions."""

    toy: int
    test: int
    w: int
    qcd: int
    strengths: tuple[float, ...]
    tagger: Training
    ratio: Training
    seeds: int = 1


SCALES = {
    "smoke": Scale(2_000, 4_000, 100, 400, (1.0,), Training(2, 256, 3e-3), Training(2, 256, 1e-3)),
    "laptop": Scale(
        50_000, 200_000, 6_000, 24_000, (1.0, 5.0), Training(20, 1_024, 2e-3),
        Training(60, 500, 3e-3),
    ),
    "night": Scale(
        200_000, 1_000_000, 60_000, 200_000, (0.5, 1.0, 3.0, 10.0), Training(50, 2_048, 2e-3),
        Training(40, 1_000, 3e-3), seeds=3,
    ),
    "paper": Scale(
        1_000_000, 4_000_000, 300_000, 1_000_000, (0.5, 1.0, 2.0, 5.0, 10.0),
        Training(100, 4_096, 2e-3), Training(60, 2_000, 1e-3), seeds=10,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """One kind of events: tables (N, C) at z = 0 with labels, a nuisance z, and yields.

    `train` are events to train on and `test` others; `yields` the expected background and signal.
    """

    name: str
    train: tuple[Floats, Labels]
    test: tuple[Floats, Labels]
    nuisance: Nuisance
    yields: tuple[float, float]

    def moved(self, x: Floats, z: float | Floats, label: int | Labels = 0) -> Floats:
        """Return events (N, C) at z, one number or (N,)."""
        kind = np.broadcast_to(label, len(x)).copy()
        tensors = [torch.from_numpy(np.asarray(part)) for part in (x, np.ones(len(x)), kind, z)]
        return np.asarray(self.nuisance.apply(*tensors)[0].numpy())

    def weight(self, label: Labels) -> Floats:
        """Return weights of events by their labels (N,) that sum to the yields, (N,)."""
        return (np.array(self.yields) / np.bincount(label, minlength=2))[label]

    def significances(self, profile: Callable[..., Floats]) -> dict[str, Value]:
        """Return those of the test events, z profiled and known, with their scatter over parts.

        ``profile(x, label, weight, floating)`` gives ln L without the signal and with it, (2,).
        """
        x, label = self.test
        some = [(x, label), *((x[i::PARTS], label[i::PARTS]) for i in range(PARTS))]
        found = np.array(
            [
                [expected_significance(profile(*p, self.weight(p[1]), f)) for f in (True, False)]
                for p in some
            ]
        )
        errors = found[1:].std(0, ddof=1) / PARTS**0.5
        values = map(Value, found[0].tolist(), errors.tolist())
        return dict(zip((PROFILED, FIXED), values, strict=True))


def pivot(run: Run[Scale]) -> None:
    """Train a classifier, adversaries and a ratio for each problem, and compare them."""
    run.report.add_stand_in(STAND_IN)
    run.report.add_definitions(MEASURES)
    scale, toy = run.scale, PivotToy()
    exact = {PIVOT: toy.pivot, EXACT: toy.log_ratio}
    train, test = (
        toy.sample(count, count, seed, 0.0)[:2]
        for seed, count in enumerate((scale.toy, scale.test))
    )
    problem = Problem("toy", train, test, Nuisance("z", "shift", width=1.0, column=1), (1_000, 50))
    whole = dict(zip((PROFILED, FIXED), toy.significance(50, 1_000), strict=True))
    rows = {name: [measure(problem, score)] for name, score in exact.items()}
    # Of the ratio not its bins, but the likelihood itself.
    rows[EXACT][0] |= {quantity: Value(value, 0.0) for quantity, value in whole.items()}
    add(run, problem, rows, "Toy of a pivot")
    make = partial(generate_w_tagging, scale.w, scale.qcd, workers=run.workers, dask=run.dask)
    train, test = halves(run.file("table.parquet", make))
    scaled = torch.tensor([name in SCALED for name in INPUTS], dtype=torch.float64)

    def energy_scale(x: Tensor, weight: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        return x * (1 + WIDTH * value[..., None] * scaled), weight

    nuisance = Nuisance("z", energy_scale, "all", width=1.0)
    problem = Problem("jets", train, test, nuisance, (10_000, 200))
    add(run, problem, {}, "Jets of an uncertain energy scale")


def add(
    run: Run[Scale], problem: Problem, rows: dict[str, list[dict[str, Value]]], title: str
) -> None:
    """Train all methods on a problem; add results, to those in `rows`, and a figure."""
    scores: dict[str, Score] = {}
    for strength in (None, *run.scale.strengths):
        name = PLAIN if strength is None else f"adversary, strength {strength:g}"
        for seed in run.seeds:
            score = trained(run, problem, strength, seed)
            scores.setdefault(name, score)
            rows.setdefault(name, []).append(measure(problem, score))
    for seed in run.seeds:
        found = run.value(
            f"{problem.name}, ratio, seed {seed}", partial(knowing, problem, run.scale.ratio, seed)
        )
        if "failure" in found:
            text = f"{KNOWING}, {problem.name}, seed {seed}: {found['failure']}"
            run.report.findings.append(Line("alarm", text))
            continue
        values = {name: Value(*value) for name, value in found.items()}
        rows.setdefault(KNOWING, []).append(values)
    run.report.add_heading(title)
    x, label = problem.test
    background = x[label == 0]
    z = np.random.default_rng(3).uniform(Z_EDGES.min(), Z_EDGES.max(), len(background))
    moved = problem.moved(background, z)
    curves = {}
    for name, score in scores.items():
        passed = score(moved) >= np.quantile(score(background), 1 - PASS)
        share, error = efficiency_by_mass(z, passed, Z_EDGES)
        curves[name] = share / PASS, error / PASS
    run.report.add_figure(
        efficiencies(curves, Z_EDGES, "Nuisance z [standard deviations]"),
        f"The background's efficiency by z, over the {PASS:.0%} at z = 0; a pivot is flat at 1.",
        wide=True,
        source="Toy of known answer" if problem.name == "toy" else None,
    )
    run.report.add_results(
        [
            Result.over_seeds(name, f"{problem.name}: {quantity}", [one[quantity] for one in each])
            for name, each in rows.items()
            for quantity in each[0]
        ],
        f"On {number(len(label))} test events; {problem.yields[1]:g} signal events on"
        f" {number(problem.yields[0])} of the background are expected.",
        best={f"{problem.name}: {RESPONSE}": "lower", f"{problem.name}: {PROFILED}": "higher"},
        aside=(PIVOT, EXACT),
    )


def table(x: Floats, **more: Floats | Labels) -> ak.Array:
    """Return events (N, C) as a table with columns x0, x1, ..."""
    columns = {f"x{i}": x[:, i] for i in range(x.shape[1])}
    return ak.zip({**columns, "event": np.arange(len(x)), **more})


def trained(run: Run[Scale], problem: Problem, strength: float | None, seed: int) -> Score:
    """Return the score of a tagger trained at random z, with an adversary of some strength."""
    x, label = problem.train
    z = np.random.default_rng([4, seed]).normal(size=len(x))
    columns = [f"x{i}" for i in range(x.shape[1])]
    tagger = Tagger(
        "mlp",
        observables=columns,
        options={"hidden": [64, 64]},
        objective=None if strength is None else Adversary(protect=("z",), strength=strength),
        balance=True,
        training=run.scale.tagger,
    )
    events = table(problem.moved(x, z, label), label=label, z=z)
    title = f"{problem.name}, strength {strength}, seed {seed}"
    fitted = run.fitted(title, tagger, events, seed=seed, progress=False)
    return lambda x: fitted.predict_proba(table(x))[:, 1]


def measure(problem: Problem, score: Score) -> dict[str, Value]:
    """Return area, response and significances of a score on test events."""
    x, label = problem.test
    background = x[label == 0]
    nominal = score(x)
    cut = np.quantile(nominal[label == 0], 1 - PASS)
    low, high = (float((score(problem.moved(background, z)) >= cut).mean()) for z in (-1.0, 1.0))
    error = ((low + high) / len(background)) ** 0.5 / (2 * PASS)
    edges = np.quantile(nominal, np.linspace(0, 1, BINS + 1)[1:-1])
    bounds = np.concatenate([[-np.inf], np.unique(edges), [np.inf]])

    def profile(x: Floats, label: Labels, weight: Floats, floating: bool) -> Floats:
        templates = fill(score, x, label, weight, bounds, [problem.nuisance])
        return templates.profile([0.0, problem.yields[1]], floating=floating)

    return {
        "AUC": auc(nominal, label),
        RESPONSE: Value(abs(high - low) / (2 * PASS), error),
        **problem.significances(profile),
    }


def knowing(problem: Problem, training: Training, seed: int) -> dict[str, Any]:
    """Return significances of a ratio that knows z, with their errors, or why there are none."""
    method = UncertaintyAware([problem.nuisance], options={"hidden": [64, 64]}, training=training)
    x, label = problem.train
    method.fit(x, label, weight=problem.weight(label), seed=seed, progress=False)

    def profile(x: Floats, _: Labels, weight: Floats, floating: bool) -> Floats:
        return method.profile([0.0, problem.yields[1]], x, weight, floating=floating)

    try:
        found = problem.significances(profile)
    except InputError as error:  # after too short a training it may like a z it was not shown
        return {"failure": str(error)}
    return {name: (value.value, value.error) for name, value in found.items()}


TITLE, TAKES = "Learning to pivot", ("seeds", "workers", "dask")
STUDY = Study(
    *("pivot", TITLE, SUMMARY, SCALES, pivot, TAKES),
    aims=AIMS,
    events="{toy} events of each class of the toy to train on; {qcd} QCD and {w} W jets",
    stand_in="the physics example of the paper",
)
