"""A search without a resonance: ABCD with two learned scores (2007.14400, 2506.08826)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.losses.decorrelation import distance_correlation
from colliderkit.methods.search.abcd import ABCD
from colliderkit.methods.search.double_disco import ABCDisCoTEC
from colliderkit.methods.search.plane import Counts, Estimate
from colliderkit.metrics.roc import auc
from colliderkit.metrics.value import Value, number
from colliderkit.report.abcd import closures, plane
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.sources.datasets.w_tagging import generate_w_tagging, halves
from colliderkit.sources.toys.abcd import AbcdToy
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

SUMMARY = """
Where a signal makes no bump, its background has no sideband in a mass. Two scores make one: of the
events that pass both cuts, N_A = N_B N_C / N_D are expected where the background's scores are
independent. Scores that are learned are not, unless they are trained to be: by a limit on their
distance correlation (Double DisCo, arXiv:2007.14400), and one on the non-closure at the cuts
themselves (ABCDisCoTEC, arXiv:2506.08826). Both limits are kept by Lagrange multipliers.
"""
STAND_IN = """
The jets are W bosons and QCD jets of Pythia 8 at particle level (13 TeV, anti-kT R = 1.0,
300 < pt < 400 GeV), told apart by their mass and ten substructure observables; the published
analyses search for stops and for pairs of resonances in simulated events of an experiment.
"""
MEASURES = """
"Non-closure" is |N_A N_D / (N_B N_C) - 1| of test background at the cuts that a method chose in
its simulation. A pseudo-experiment draws test background with replacement; "pull" is (observed -
expected) / error in it, the error of counting in all four regions, and "pull, total" with the error
of non-closure that its validation regions and the simulation give. "Significance" is that of an
experiment without a signal and with one, the mean over experiments. Experiments share a test
sample: a non-closure of that sample itself, within its error, is in all of them.
"""

CORRELATION, BOTH, NONE = "correlation alone", "correlation and non-closure", "no limit"
LIMITS: Mapping[str, dict[str, Any]] = {
    NONE: {"correlation": None, "nonclosure": None},
    CORRELATION: {"nonclosure": None},
    "non-closure alone": {"correlation": None},
    BOTH: {},
}
GIVEN, CORRELATED, EXACT = "given, independent", "given, correlated", "exact, correlated"
CUTS = (0.8, 1.0)  # on the toy's given scores
SHARES = (0.5, 0.3, 0.2, 0.1, 0.05)  # of the background that passes either cut, in a figure
CLOSURE, PULL, TOTAL = "non-closure", "pull", "pull, total"

AIMS = (
    Aim("Independent scores give an unbiased estimate", f"toy: {PULL}", GIVEN, "within",
        (-0.5, 0.5)),
    Aim("Correlated scores are biased as computed", f"toy: {CLOSURE}", CORRELATED, "equal",
        against=EXACT, tolerance=0.5),
    *(
        aim
        for events in ("toy", "jets")
        for aim in (
            Aim(f"Both limits leave less non-closure than the correlation's ({events})",
                f"{events}: {CLOSURE}", BOTH, "below", against=CORRELATION),
            Aim(f"Both limits close to a tenth ({events})", f"{events}: {CLOSURE}", BOTH,
                "below", 0.1),
            Aim(f"With the error of non-closure there is no excess without a signal ({events})",
                f"{events}: significance, no signal", BOTH, "within", (-1.0, 1.0)),
        )
    ),
    Aim("Each of both scores tells as much as the best independent linear ones",
        "toy: worse AUC", BOTH, "above", against=GIVEN),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Events of the toy and jets of each class, training, experiments and seeds."""

    background: int
    signal: int
    test: int
    w: int
    qcd: int
    training: Training
    experiments: int
    seeds: int = 1
    least: float = 0.002  # share of the background that cuts leave in each region


SCALES = {
    "smoke": Scale(
        6_000, 3_000, 10_000, 150, 600, Training(6, 512, 3e-3), experiments=5, least=0.005
    ),
    "laptop": Scale(
        100_000, 50_000, 400_000, 6_000, 24_000, Training(40, 4_096, 3e-3), experiments=100,
        seeds=2,
    ),
    "night": Scale(
        400_000, 200_000, 2_000_000, 60_000, 300_000, Training(60, 8_192, 3e-3),
        experiments=300, seeds=5,
    ),
    "paper": Scale(
        2_000_000, 1_000_000, 10_000_000, 500_000, 2_000_000, Training(100, 16_384, 3e-3),
        experiments=1_000, seeds=10,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """Events to train on and to test with, each a table (N, C) and labels (N,)."""

    train: tuple[Floats, Labels]
    test: tuple[Floats, Labels]


@dataclass(frozen=True)
class Judged:
    """What one pair of scores is worth on test events, by quantity; and its curve of closure."""

    values: Mapping[str, Value]
    curve: list[Value]
    scores: Floats
    cuts: Floats


def non_resonant(run: Run[Scale]) -> None:
    """Estimate a background from given scores and from learned ones."""
    run.report.add_stand_in(STAND_IN)
    run.report.add_definitions(MEASURES)
    scale = run.scale
    toy = AbcdToy()
    sample = Sample(
        toy.sample(scale.background, scale.signal, 1), toy.sample(scale.test, scale.test // 8, 2)
    )
    given = {GIVEN: toy.pair(), CORRELATED: np.eye(3)[:, :2]}
    judged: dict[str, list[Judged]] = {}
    for name, scores in given.items():
        (x, y), (z, label) = sample.train, sample.test
        method = ABCD(cuts=CUTS).fit(x @ scores, y)
        judged[name] = [judge(run, "toy, " + name, method, z @ scores, label)]
    exact = abs(toy.nonclosure(given[CORRELATED], CUTS))
    add(run, "toy", {**judged, **learned(run, "toy", sample)}, {EXACT: exact})
    make = partial(generate_w_tagging, scale.w, scale.qcd, workers=run.workers, dask=run.dask)
    jets = Sample(*halves(run.file("table.parquet", make)))
    add(run, "jets", learned(run, "jets", jets), {})


def learned(run: Run[Scale], events: str, sample: Sample) -> dict[str, list[Judged]]:
    """Train both scores under each set of limits, and judge them on test events."""
    judged: dict[str, list[Judged]] = {}
    for name, limits in LIMITS.items():
        for seed in run.seeds:
            scale = run.scale
            method = ABCDisCoTEC(training=scale.training, least=scale.least, **limits)
            title = f"{events}, {name}, seed {seed}"
            options = {"seed": seed, "progress": False}
            fitted = run.fitted(title, method, *sample.train, **options)
            found = judge(run, title, fitted, fitted.scores(sample.test[0]), sample.test[1])
            judged.setdefault(name, []).append(found)
    return judged


def judge(run: Run[Scale], title: str, method: ABCD, scores: Floats, label: Labels) -> Judged:
    """Judge scores (N, 2) by their areas, closure and pseudo-experiments."""
    background, ones = scores[label == 0], np.ones(int((label == 0).sum()))
    areas = [auc(scores[:, k], label) for k in (0, 1)]
    closure = Counts.of(background, ones, method.cuts_).closure
    some = torch.from_numpy(background[:20_000])
    correlation = float(distance_correlation(some[:, 0], some[:, 1], unbiased=True))
    rows = run.arrays(
        f"experiments, {title}",
        lambda: experiments(method, background, scores[label == 1], run.scale.experiments),
    )
    values = {
        "better AUC": max(areas, key=float),
        "worse AUC": min(areas, key=float),
        "1000 dCorr²": Value(1e3 * correlation, float("nan")),
        CLOSURE: Value(abs(closure.value), closure.error),
        **{name: mean_of(column) for name, column in rows.items()},
    }
    curve = [
        Counts.of(background, ones, np.quantile(background, 1 - share, axis=0)).closure
        for share in SHARES
    ]
    return Judged(values, curve, background[:50_000], method.cuts_)


def experiments(method: ABCD, background: Floats, signal: Floats, count: int) -> dict[str, Floats]:
    """Return pulls and significances of experiments, each (E,)."""
    random = np.random.default_rng(1)
    names = (PULL, TOTAL, "significance, no signal", "significance, signal")
    columns: dict[str, list[float]] = {name: [] for name in names}
    # About two standard deviations of what is in A, if it were counted alone.
    in_a = (background >= method.cuts_).all(1).sum()
    share = max((signal >= method.cuts_).all(1).mean(), 1e-3)
    injected = min(int(3 * max(in_a, 1) ** 0.5 / share), len(signal))
    for _ in range(count):
        drawn = background[random.integers(len(background), size=len(background))]
        try:
            alone = method.estimate_of(drawn)
            both = method.estimate_of(np.concatenate([drawn, random.choice(signal, injected)]))
        except InputError:  # a region is empty: there is no estimate
            continue
        gap = alone.observed - alone.expected.value
        errors = alone.counting.error, alone.expected.error
        pulls = (gap / pull_error(alone, error) for error in errors)
        found = (*pulls, alone.significance, both.significance)
        for name, value in zip(names, found, strict=True):
            columns[name].append(value)
    return {name: np.array(values) for name, values in columns.items()}


def pull_error(found: Estimate, error: float) -> float:
    """Return the error of observed - expected: that of what is expected, and of counting A."""
    return float(np.hypot(error, max(found.observed, 1.0) ** 0.5))


def mean_of(values: Floats) -> Value:
    """Return the mean of experiments with their spread over sqrt(E)."""
    if len(values) < 2:
        return Value(float("nan"), float("nan"))
    return Value(float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5))


def add(
    run: Run[Scale],
    events: str,
    judged: Mapping[str, list[Judged]],
    exact: Mapping[str, float],
) -> None:
    """Add the results and figures of the toy or of the jets."""
    report = run.report
    title = {"toy": "Normal toy of known answer", "jets": "W bosons among QCD jets"}[events]
    source = "Toy of known answer" if events == "toy" else None
    report.add_heading(title)
    results = [Result(name, f"{events}: {CLOSURE}", value, 0.0) for name, value in exact.items()]
    for name, each in judged.items():
        for quantity in each[0].values:
            values = [one.values[quantity] for one in each]
            results.append(Result.over_seeds(name, f"{events}: {quantity}", values))
    report.add_figure(
        closures({name: each[0].curve for name, each in judged.items()}, SHARES),
        "Non-closure of test background where either cut leaves the same share of it; the first"
        " seed. Values beyond the axis are not drawn.",
        wide=True,
        source=source,
    )
    report.add_results(
        results,
        f"At the cuts that each method chose, on {number(len(judged[BOTH][0].scores))} or more test"
        f" events of the background; {number(run.scale.experiments)} pseudo-experiments a seed.",
        best={f"{events}: {CLOSURE}": "lower"},
        aside=tuple(exact),
    )
    for name in (CORRELATION, BOTH):
        one = judged[name][0]
        labels = ("First score", "Second score")
        report.add_figure(
            plane(one.scores, np.ones(len(one.scores)), one.cuts, labels, name),
            f"Background in the plane of two scores trained with {name}, and the cuts.",
            source=source,
        )


TITLE, TAKES = "A search without a resonance", ("seeds", "workers", "dask")
STUDY = Study(
    *("non-resonant", TITLE, SUMMARY, SCALES, non_resonant, TAKES),
    aims=AIMS,
    events="a toy's {background} background and {signal} signal events; {qcd} QCD and {w} W jets",
    stand_in="the searches of the published analyses",
)
