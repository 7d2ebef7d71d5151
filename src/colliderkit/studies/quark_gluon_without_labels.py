"""Quarks and gluons without labels: Z + jet against dijets, and the assumption behind it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.observables import table
from colliderkit.events.schema import split
from colliderkit.methods.search.mixtures.proportions import LabelProportions
from colliderkit.methods.search.mixtures.templates import MixtureEfficiencies
from colliderkit.methods.search.mixtures.topics import Topics
from colliderkit.methods.search.mixtures.without_labels import WithoutLabels
from colliderkit.methods.tagging.classifier import Classifier
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.metrics.roc import auc, roc
from colliderkit.metrics.value import Value, number
from colliderkit.report import classifiers
from colliderkit.report.mixtures import parted
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.sources import read
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

Floats = NDArray[np.float64]
Scores = dict[str, list[Floats]]

SUMMARY = """
The hardest jet beside a Z is mostly a quark, that of dijets mostly a gluon. Taggers that are told
the sample of a jet, or its fraction of quarks, stand beside one with labels. A quark has to be the
same in both samples: how far it is, and what it does to fractions and efficiencies, is measured.
"""
STAND_IN = """
Both samples are Pythia 8 at 14 TeV at particle level, anti-kT R = 0.4, 200 < pt < 250 GeV,
|eta| < 1.7, without multiple interactions; no published figure is of this selection. A jet is a
quark or a gluon by the outgoing parton of the hard process within R of its axis; jets without one
(a tenth) are left out of both samples.
"""
DEFINITIONS = """
Quarks are the signal; R50 is 1 / (share of gluons that pass) where half of the quarks do. Errors
are of the test jets and of seeds. The floor of an AUC between two sets of one class is 0.5.

"Same class" trains boosted trees to tell quarks of Z + jet from quarks of dijets, and gluons
likewise, with labels that no experiment has: above 0.5 the assumption fails, by so much.
"""
FRACTION_OF = "fraction of quarks"
SAMPLES, CLASSES = ("dijets", "Z + jet"), ("gluon", "quark")
SHAPES = ("multiplicity", "width", "ptd", "C2", "lund_multiplicity", "softdrop_mass", "zg", "rg")
TREES = {"max_iter": 80, "max_leaf_nodes": 8, "learning_rate": 0.08}
SUPERVISED, CWOLA, LLP = "supervised", "without labels", "proportions"
SAME = "AUC, same class"
IMAGE = {"network": "cnn", "options": {"pixels": 16}, "represent": {"pixels": 16, "width": 0.8}}
AIMS = (
    *(
        Aim(f"{name}: without labels as good as with them, within errors", "AUC",
            f"{name}, {CWOLA}", "equal", against=f"{name}, {SUPERVISED}", tolerance=0.02)
        for name in ("trees", "PFN")
    ),
    Aim("Learning from proportions as good as with labels, within errors", "AUC",
        f"PFN, {LLP}", "equal", against=f"PFN, {SUPERVISED}", tolerance=0.02),
    Aim("Quarks are the same in both samples", SAME, "quark", "equal", 0.5, tolerance=0.02),
    Aim("Gluons are the same in both samples", SAME, "gluon", "equal", 0.5, tolerance=0.02),
    Aim("Efficiencies from mixtures are the true ones", "efficiency, from mixtures", "*", "equal",
        over="efficiency, true"),
    Aim("Topics of the multiplicity give the fractions", "fraction of quarks, from topics", "*",
        "equal", over="fraction of quarks, true"),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Jets of each sample, networks and trainings; batches of proportions, and of images."""

    jets: int
    networks: tuple[str, ...]
    training: Training
    large: int
    image_batches: tuple[int, ...]
    images: Training
    seeds: int = 1


RECIPE = partial(Training, learning_rate=2e-3)
SCALES = {
    "smoke": Scale(200, ("trees", "PFN"), RECIPE(1, 64), 64, (128,), RECIPE(1)),
    "laptop": Scale(8_000, ("trees", "PFN"), RECIPE(12, 128), 512, (), RECIPE(4)),
    "night": Scale(
        100_000, ("trees", "PFN", "ParticleNet-Lite"), RECIPE(15, 256), 1_024,
        (128, 512, 2_048), RECIPE(12), seeds=3,
    ),
    "paper": Scale(
        500_000, ("trees", "PFN", "ParticleNet-Lite", "ParticleNet"), RECIPE(25, 512), 2_048,
        (128, 512, 2_048, 8_192), RECIPE(25), seeds=5,
    ),
}  # fmt: skip
NETWORKS: dict[str, dict[str, Any]] = {
    "trees": {"network": "boosted-trees", "observables": SHAPES, "options": TREES},
    "PFN": {"network": "pfn"},
    "ParticleNet-Lite": {"network": "particle-net-lite"},
    "ParticleNet": {"network": "particle-net"},
}


def quark_gluon_without_labels(run: Run[Scale]) -> None:
    """Train with and without labels, judge on labels, and measure what is assumed."""
    scale, report = run.scale, run.report
    data = known(read(run.generated("data", "quark-gluon-mixed", scale.jets, seed=1)))
    train, test = split(data, (0.5, 0.5), seed=1)
    report.add_stand_in(STAND_IN)
    report.add_definitions(DEFINITIONS)
    fractions = {
        name: float(np.mean(test.quark[test.label == k])) for k, name in enumerate(SAMPLES)
    }
    report.add_table(
        ["sample", "jets to train on", "to test on", FRACTION_OF],
        [
            [name, *(int(np.sum(part.label == k)) for part in (train, test)), fractions[name]]
            for k, name in enumerate(SAMPLES)
        ],
        "The two mixed samples.",
    )
    report.add_heading("Taggers")
    best = taggers(run, train, test, fractions)
    report.add_heading("The assumption")
    assumption(run, train, test)
    bias(run, best, test, fractions)
    fractions_by_topics(run, test, fractions)


def known(jets: ak.Array) -> ak.Array:
    """Return the jets of a known parton, with `quark`: 1 for a quark, 0 for a gluon."""
    parton = np.abs(np.asarray(jets.parton))
    return ak.with_field(jets, (parton != 21).astype(np.int64), "quark")[parton > 0]


def labelled(jets: ak.Array) -> ak.Array:
    """Return jets whose label is the class, and not the sample."""
    return ak.with_field(jets, jets.quark, "label")


def scored(
    run: Run[Any], name: str, method: Callable[[], Classifier], train: ak.Array, test: ak.Array
) -> list[Floats]:
    """Return the scores of the test jets by a training with each seed, computed once."""

    def compute(seed: int) -> Mapping[str, Floats]:
        fitted = method().fit(train, seed=seed, progress=False)
        return {"score": fitted.predict_proba(test)[:, 1]}

    return [run.arrays(f"{name}, seed {s}", partial(compute, s))["score"] for s in run.seeds]


def judged(name: str, scores: list[Floats], test: ak.Array, what: str = "") -> list[Result]:
    """Return AUC and R50 of scores, one (N,) each seed."""
    curves = [roc(score, test.quark) for score in scores]
    return [
        Result.over_seeds(name, f"AUC{what}", [curve.auc for curve in curves]),
        Result.over_seeds(name, f"R50{what}", [curve.rejection(0.5) for curve in curves]),
    ]


def taggers(
    run: Run[Scale], train: ak.Array, test: ak.Array, fractions: Mapping[str, float]
) -> Floats:
    """Train every network in each way; return the scores of the last without labels."""
    scale, found = run.scale, Scores()
    large = Training(scale.training.epochs, scale.large, scale.training.learning_rate)
    ways = partial(three_ways, run, train, test, fractions, found)
    for name in scale.networks:
        ways(name, NETWORKS[name], scale.training, {LLP: ("WMSE", large)})
    for batch in scale.image_batches:
        training = Training(scale.images.epochs, batch, scale.images.learning_rate)
        losses = {f"{LLP}, {loss}": (loss, training) for loss in ("WMSE", "WCE")}
        ways(f"CNN, batch {batch}", IMAGE, training, losses)
    run.report.add_results(
        [result for name, scores in found.items() for result in judged(name, scores, test)],
        f"On {number(len(test))} labelled test jets, the same for all.",
        best={"AUC": "higher", "R50": "higher"},
    )
    shown = [f"{scale.networks[-1]}, {way}" for way in (SUPERVISED, CWOLA, LLP)]
    run.report.add_figure(
        classifiers.roc({n: roc(found[n][0], test.quark) for n in shown if n in found}),
        "Rejection of gluons against the efficiency for quarks; below, the ratio to the tagger with"
        " labels.",
        wide=True,
    )
    return found[f"{scale.networks[-1]}, {CWOLA}"][0]


def three_ways(
    run: Run[Scale],
    train: ak.Array,
    test: ak.Array,
    fractions: Mapping[str, float],
    found: Scores,
    name: str,
    options: Mapping[str, Any],
    training: Training,
    losses: Mapping[str, tuple[Any, Training]],
) -> None:
    """Add the scores of a network with labels, without them, and from proportions."""
    make = partial(Tagger, **options, classes=CLASSES)
    mixed = {
        f"{name}, {CWOLA}": lambda: WithoutLabels(make(training=training), samples=SAMPLES),
    }
    if options["network"] != "boosted-trees":
        for way, (loss, own) in losses.items():
            mixed[f"{name}, {way}"] = lambda loss=loss, own=own: LabelProportions(  # type: ignore[misc]
                make(training=own), fractions=fractions, loss=loss
            )
    found[f"{name}, {SUPERVISED}"] = scored(
        run, f"{name}, {SUPERVISED}", lambda: make(training=training), labelled(train), test
    )
    for subject, method in mixed.items():
        found[subject] = scored(run, subject, method, train, test)


def assumption(run: Run[Scale], train: ak.Array, test: ak.Array) -> None:
    """Train trees to tell jets of one class of the two samples apart."""
    results = []
    for k, name in enumerate(CLASSES):
        own, judge = (part[part.quark == k] for part in (train, test))
        make = partial(Tagger, **NETWORKS["trees"], classes=SAMPLES, balance=True)
        scores = scored(run, f"same {name}", make, own, judge)
        values = [auc(score, judge.label) for score in scores]
        results.append(Result.over_seeds(name, SAME, values))
    run.report.add_results(
        results,
        "Trees that tell the jets of one class by the sample that they come from; 0.5 if there is"
        " no difference.",
    )


def bias(run: Run[Scale], score: Floats, test: ak.Array, fractions: Mapping[str, float]) -> None:
    """Compare efficiencies from mixed samples with the truth."""
    sample, quark = np.asarray(test.label), np.asarray(test.quark)
    cut = float(np.median(score[quark == 1]))
    method = MixtureEfficiencies(fractions=fractions, cuts=(cut,)).fit(score, sample)
    results, rows = [], []
    for k, (name, found) in enumerate(zip(CLASSES, method.efficiency(), strict=True)):
        passes = [score[(quark == k) & (sample == s)] >= cut for s in (0, 1)]
        true = np.concatenate(passes)
        error = float(true.std() / len(true) ** 0.5)
        results.append(Result(name, "efficiency, from mixtures", found.value, found.error))
        results.append(Result(name, "efficiency, true", float(true.mean()), error))
        rows.append([name, *(Value(float(p.mean()), p.std() / len(p) ** 0.5) for p in passes)])
    run.report.add_results(
        results, "Efficiencies of the cut that half of the quarks pass, from the true fractions."
    )
    run.report.add_table(
        ["class", *(f"true efficiency in {name}" for name in SAMPLES)],
        rows,
        "Where the two differ, no single efficiency is right.",
    )


def fractions_by_topics(run: Run[Scale], test: ak.Array, fractions: Mapping[str, float]) -> None:
    """Part the spectra of the multiplicity, and compare the fractions with the true ones."""
    quark = np.asarray(test.quark)
    counts = table(test, ["multiplicity"])[0][:, 0]
    topics = Topics(edges=tuple(np.arange(2.0, np.quantile(counts, 0.999) + 2, 2.0) - 0.5))
    try:
        topics.fit(counts, test.label)
    except InputError as error:
        run.report.add_text(f"No fractions by topics: {error}")
        return
    results = []
    for name, value in zip(SAMPLES, topics.fractions, strict=True):
        results.append(Result(name, f"{FRACTION_OF}, from topics", value.value, value.error))
        results.append(Result(name, f"{FRACTION_OF}, true", fractions[name], 0.0))
    run.report.add_results(
        results,
        "From the spectra of the multiplicity alone. The p-value of the fit is"
        f" {topics.p_value_:.2g}, its order {topics.order_}.",
    )
    truth = {
        f"true {name}s": np.histogram(counts[quark == k], topics.edges_)[0] / (quark == k).sum()
        for k, name in enumerate(CLASSES)
    }
    run.report.add_figure(
        parted(topics, SAMPLES, "Multiplicity", truth),
        "The two samples and the topics behind them, beside the true classes of both together.",
    )


TITLE, TAKES = "Quarks and gluons without labels", ("seeds", "workers", "dask")
STUDY = Study(
    *("quark-gluon-without-labels", TITLE, SUMMARY, SCALES, quark_gluon_without_labels, TAKES),
    aims=AIMS,
    events="{jets} jets of each sample, half of them to test with",
    stand_in="data",
)
