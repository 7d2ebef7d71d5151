"""Training on data or on a wrong simulation: two observables, and one after the other."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.events.observables import table
from colliderkit.events.schema import split
from colliderkit.methods.search.mixtures.templates import MixtureEfficiencies, demixed
from colliderkit.methods.search.mixtures.without_labels import WithoutLabels
from colliderkit.methods.tagging.classifier import Classifier
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.metrics.value import number
from colliderkit.report.mixtures import maps
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.sources import read
from colliderkit.studies.quark_gluon_without_labels import (
    CLASSES,
    SAMPLES,
    judged,
    known,
    labelled,
    scored,
)
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

Floats = NDArray[np.float64]

SUMMARY = """
A tagger that learned from simulation is the best one for simulation. Calibrated in data, its
efficiencies are right, but it is not the best tagger of data. What this costs is measured twice:
with two observables, of which two mixed samples of data give the likelihood ratio, and with
networks that have few data.
"""
STAND_IN = """
"Data" are quark and gluon jets of Z + jet and of dijets, as in the study
quark-gluon-without-labels; "simulation" is the same generator with another coupling in the
final-state shower, alphaS(mZ) = 0.2 in place of 0.1365. Both are Pythia 8 at particle level.
"""
DEFINITIONS = """
Quarks are the signal; R50 is 1 / (share of gluons that pass) where half of the quarks do. With two
observables the classifier is a histogram: q / (q + g) in each cell, q and g from labelled
simulation, from labelled data, or from o = f q + (1 - f) g in two mixed samples of data. A tagger
that guesses gives each jet a random number.
"""
PAIR, BINS = ("multiplicity", "width"), 10
OTHER = ("TimeShower:alphaSvalue = 0.2",)
WRONG, DATA, LABELS = "simulation", "data, from mixtures", "data, with labels"
AIMS = (
    Aim("Two observables from the wrong simulation lose rejection", "R50, two observables", WRONG,
        "below", against=DATA),
    Aim("Two mixed samples give the rejection of labelled data", "R50, two observables", DATA,
        "equal", against=LABELS),
    Aim("A tagger that guesses is calibrated: its efficiency for quarks", "efficiency in data",
        "guesses, quark", "equal", 0.5, tolerance=0.05),
    Aim("A tagger that guesses is useless", "R50, two observables", "guesses", "equal", 2.0,
        tolerance=0.2),
    Aim("Simulation first and few data after beat these data alone", "AUC, few data",
        "simulation, then data", "above", against="data alone"),
    Aim("Simulation first and few data after beat simulation alone", "AUC, few data",
        "simulation, then data", "above", against="simulation alone"),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Jets of each sample, of simulation, and of the small data set; training."""

    jets: int
    simulated: int
    few: int
    training: Training
    seeds: int = 1


RECIPE = partial(Training, learning_rate=2e-3)
SCALES = {
    "smoke": Scale(200, 100, 60, RECIPE(1, 64)),
    "laptop": Scale(8_000, 6_000, 1_000, RECIPE(12, 64), seeds=3),
    "night": Scale(100_000, 50_000, 3_000, RECIPE(15, 128), seeds=5),
    "paper": Scale(500_000, 200_000, 5_000, RECIPE(25, 128), seeds=10),
}


def training_on_data(run: Run[Scale]) -> None:
    """Compare classifiers of simulation with those of data, and begin with one of them."""
    scale, report = run.scale, run.report
    make = partial(run.generated, process="quark-gluon-mixed")
    data = known(read(make("data", count=scale.jets, seed=1)))
    simulation = known(read(make("simulation", count=scale.simulated, seed=2, settings=OTHER)))
    train, test = split(data, (0.5, 0.5), seed=1)
    report.add_stand_in(STAND_IN)
    report.add_definitions(DEFINITIONS)
    report.add_heading("Two observables")
    two_observables(run, train, test, simulation)
    report.add_heading("Simulation first, data after")
    hybrid(run, train, test, simulation)


def two_observables(
    run: Run[Scale],
    train: ak.Array,
    test: ak.Array,
    simulation: ak.Array,
) -> None:
    """Compare L = q / (q + g) in two observables from data and from a wrong simulation."""
    parts = {"data": train, "simulation": simulation, "test": test}
    values = {n: table(part, PAIR)[0].astype(np.float64) for n, part in parts.items()}
    edges = [
        np.unique(np.quantile(column, np.linspace(0, 1, BINS + 1))) for column in values["data"].T
    ]

    def counts(rows: Floats) -> Floats:
        clipped = [np.clip(c, e[0], e[-1]) for c, e in zip(rows.T, edges, strict=True)]
        return np.histogram2d(clipped[0], clipped[1], bins=edges)[0]

    def shares(rows: Floats, which: Any) -> Floats:
        both = np.stack([counts(rows[np.asarray(which) == k]).ravel() for k in (0, 1)])
        return np.asarray((both + 0.5) / (both + 0.5).sum(1, keepdims=True))

    mixed = shares(values["data"], train.label)
    size = np.array([[np.sum(train.label == k)] for k in (0, 1)])
    fractions = [float(np.mean(train.quark[train.label == k])) for k in (0, 1)]
    pairs = {
        DATA: demixed(mixed, mixed / size, fractions).values,
        LABELS: shares(values["data"], train.quark),
        WRONG: shares(values["simulation"], simulation.quark),
    }
    likelihood = {}
    for name, pair in pairs.items():
        g, q = np.clip(pair, 1e-6, None)
        likelihood[name] = (q / (q + g)).reshape(len(edges[0]) - 1, -1)
    at = [
        np.clip(np.searchsorted(e, c, side="right") - 1, 0, len(e) - 2)
        for c, e in zip(values["test"].T, edges, strict=True)
    ]
    scores = {name: surface[at[0], at[1]] for name, surface in likelihood.items()}
    scores["guesses"] = np.random.default_rng(1).random(len(test))
    results = []
    for name, score in scores.items():
        results += judged(name, [score], test, ", two observables")
        cut = float(np.median(score[np.asarray(test.quark) == 1]))
        known_ = dict(zip(SAMPLES, fractions, strict=True))
        found = MixtureEfficiencies(fractions=known_, cuts=(cut,)).fit(score, test.label)
        for kind, value in zip(CLASSES, found.efficiency(), strict=True):
            row = Result(f"{name}, {kind}", "efficiency in data", value.value, value.error)
            results.append(row)
    run.report.add_results(
        results,
        f"The best cut on multiplicity and width, from histograms of {BINS} x {BINS} cells, and"
        " efficiencies of the cut that half of the quarks pass, from mixed samples.",
        best={"R50, two observables": "higher"},
    )
    shown = {name: likelihood[name] for name in (DATA, WRONG)}
    run.report.add_figure(
        maps(shown, edges, ("Multiplicity", "Width")),
        "Probability of a quark in each cell, from two mixed samples of data and from simulation"
        " with another coupling.",
        wide=True,
    )


def hybrid(run: Run[Scale], train: ak.Array, test: ak.Array, simulation: ak.Array) -> None:
    """Begin a training without labels on few data from a tagger of simulation."""
    few = train[np.sort(np.random.default_rng(1).permutation(len(train))[: run.scale.few])]
    make = partial(Tagger, "pfn", classes=CLASSES)
    training = run.scale.training
    simulated = run.fitted("simulated", make(training=training), labelled(simulation))
    gentle = replace(training, learning_rate=training.learning_rate / 4)
    ways: dict[str, Callable[[], Classifier]] = {
        "data alone": lambda: WithoutLabels(make(training=training), samples=SAMPLES),
        "simulation, then data": lambda: WithoutLabels(
            make(training=gentle), samples=SAMPLES, start=simulated
        ),
    }
    found = {name: scored(run, f"few, {name}", way, few, test) for name, way in ways.items()}
    found = {"simulation alone": [simulated.predict_proba(test)[:, 1]], **found}
    run.report.add_results(
        [r for name, scores in found.items() for r in judged(name, scores, test, ", few data")],
        f"A PFN on {number(len(few))} jets of both samples without labels, on labelled simulation"
        " with another coupling, and on the one after the other.",
        best={"AUC, few data": "higher"},
    )


TITLE, TAKES = "Training on data instead of simulation", ("seeds", "workers", "dask")
STUDY = Study(
    *("training-on-data", TITLE, SUMMARY, SCALES, training_on_data, TAKES),
    aims=AIMS,
    events="{jets} jets of each sample, half of them to test with, and {simulated} of simulation",
    stand_in="data and simulation",
)
