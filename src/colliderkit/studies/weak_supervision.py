"""Weak supervision on two Gaussians, whose best classifier is known: the claims of each method."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.search.mixtures.proportions import LabelProportions
from colliderkit.methods.search.mixtures.without_labels import WithoutLabels, retained
from colliderkit.methods.tagging.classifier import Classifier
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.metrics.roc import auc, roc
from colliderkit.metrics.value import Value, number
from colliderkit.report.mixtures import quality_curves
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.sources.toys.mixtures import GaussianClasses
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

Floats = NDArray[np.float64]
Fractions = Sequence[float]

SUMMARY = """
Two classes of Gaussian features, mixed in known shares, and no event with a label. Learning from
label proportions (LLP, 1702.00414) matches the mean output of each sample to its fraction;
classification without labels (CWoLa, 1708.02949) tells the samples apart. The best classifier is
known, so that each claim made for them can be measured.
"""
DEFINITIONS = """
"eps_B" is the share of background that passes where half of the signal does, against the exact
optimum on the same test events. "AUC lost" is the exact AUC less the one found; its error is the
spread of seeds.

"Ours" is CWoLa for any number of samples: a classifier of all samples at once, whose probabilities
P(a | x) are added with weights. All of them lie on a line, so that no fraction has to be known: the
weights are the principal axis. A weight w keeps the squared correlation of w and the fractions of
the information ("retained").
"""
EXACT, CWOLA, OURS = "exact", "CWoLa", "all samples, principal axis"
LOSSES: tuple[Any, ...] = ("absolute", "WMSE", "WCE", "likelihood")
QUANTITY, LOST = "eps_B at eps_S = 50%", "AUC lost"
TOY, WIDE = GaussianClasses(2), GaussianClasses(20)
WEAK = GaussianClasses(2, distance=0.7)
TWO = (0.2, 0.8)
FOUR = (0.2, 0.4, 0.6, 0.8)
AIMS = (
    *(
        Aim(f"{name} reaches the exact optimum at fractions 0.2 and 0.8, within errors", QUANTITY,
            name, "equal", against=EXACT)
        for name in (CWOLA, *LOSSES)
    ),
    Aim("Wrong fractions still give the right classifier: no more is lost", f"{LOST}, believed",
        "0.3 and 0.7", "equal", against="0.2 and 0.8"),
    Aim("Closer fractions lose more", f"{LOST}, CWoLa", "0.45 and 0.55", "above",
        against="0.2 and 0.8"),
    Aim("Twenty dimensions are learned as well", QUANTITY, "CWoLa, 20 dimensions", "equal",
        against=EXACT),
    Aim("Four samples at once lose less than one against the rest", f"{LOST}, four samples",
        OURS, "below", against="one against the rest"),
    Aim("Unknown fractions cost nothing", f"{LOST}, four samples", OURS, "equal",
        against="all samples, fractions known"),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Events of each sample, to test with, in scans; training."""

    events: int
    test: int
    scan: tuple[int, ...]
    training: Training
    seeds: int = 1


RECIPE = partial(Training, learning_rate=5e-3)
SCALES = {
    "smoke": Scale(400, 1_000, (200,), RECIPE(1, 128)),
    "laptop": Scale(20_000, 40_000, (1_000, 4_000, 16_000), RECIPE(10, 512), 3),
    "night": Scale(100_000, 200_000, (500, 2_000, 8_000, 32_000), RECIPE(15, 512), 5),
    "paper": Scale(1_000_000, 1_000_000, (500, 2_000, 8_000, 32_000), RECIPE(20, 1_024), 10),
}  # fmt: skip


def weak_supervision(run: Run[Scale]) -> None:
    """Train in every way, and measure what is claimed."""
    run.report.add_definitions(DEFINITIONS)
    for title, part in (
        ("Against the exact optimum", optimum),
        ("Wrong fractions", wrong_fractions),
        ("Difference of the fractions, and events", scan),
        ("More than two samples", more_samples),
        ("Five properties", properties),
    ):
        run.report.add_heading(title)
        part(run)


def named(fractions: Fractions) -> dict[str, float]:
    """Return fractions by names of their samples."""
    return {f"sample {a + 1}": f for a, f in enumerate(fractions)}


def tagger(toy: GaussianClasses, training: Training) -> Tagger:
    """Return the network of all trainings."""
    options = {"hidden": [32, 32]}
    return Tagger("mlp", features=toy.columns, options=options, training=training)


def cwola(toy: GaussianClasses, training: Training, fractions: Fractions) -> Classifier:
    """Return a classifier without labels that is told nothing but the samples."""
    return WithoutLabels(tagger(toy, training), samples=tuple(named(fractions)))


def llp(toy: GaussianClasses, training: Training, fractions: Fractions, loss: Any) -> Classifier:
    """Return a classifier that is told the fractions."""
    return LabelProportions(tagger(toy, training), fractions=named(fractions), loss=loss)


def scores(
    run: Run[Scale],
    name: str,
    make: Callable[[], Classifier],
    fractions: Fractions,
    *,
    toy: GaussianClasses = TOY,
    events: int | None = None,
    relabel: Callable[[ak.Array], ak.Array] = lambda data: data,
) -> list[Floats]:
    """Return the scores of the test events by a training with each seed, computed once."""
    count = run.scale.events if events is None else events
    test = tested(run, toy)

    def compute(seed: int) -> Mapping[str, Floats]:
        data = toy.sample([count] * len(fractions), fractions, [1, seed])
        fitted = make().fit(relabel(data), seed=seed, progress=False)
        return {"score": fitted.predict_proba(test)[:, 1]}

    return [run.arrays(f"{name}, seed {s}", partial(compute, s))["score"] for s in run.seeds]


def tested(run: Run[Scale], toy: GaussianClasses) -> ak.Array:
    """Return the test events, as many of each class."""
    return toy.sample([run.scale.test // 2] * 2, (0.0, 1.0), 0)


def lost(run: Run[Scale], found: list[Floats], toy: GaussianClasses = TOY) -> list[Value]:
    """Return the AUC lost to the exact ratio on the same events, one a seed."""
    test = tested(run, toy)
    best = float(auc(toy.log_ratio(test), test.truth))
    return [Value(best - float(auc(score, test.truth)), math.nan) for score in found]


def optimum(run: Run[Scale]) -> None:
    """Compare efficiencies with the exact ones, in two dimensions and in twenty."""
    training = run.scale.training
    rows = {}
    for suffix, toy in (("", TOY), (", 20 dimensions", WIDE)):
        ways: dict[str, Callable[[], Classifier]] = {CWOLA: partial(cwola, toy, training, TWO)}
        for loss in LOSSES if toy is TOY else ("WMSE",):
            ways[loss] = partial(llp, toy, training, TWO, loss)
        test = tested(run, toy)
        for name, make in ways.items():
            found = scores(run, f"{name}{suffix}", make, TWO, toy=toy)
            rows[f"{name}{suffix}"] = [passing(score, test) for score in found]
    rows[EXACT] = [passing(TOY.log_ratio(test := tested(run, TOY)), test)]
    run.report.add_results(
        [Result.over_seeds(name, QUANTITY, values) for name, values in rows.items()],
        f"{number(run.scale.events)} events of each of two samples, fractions 0.2 and 0.8; the"
        f" exact value is {float(TOY.background_efficiency(0.5)):.5f}, “exact” the same cut on"
        " the test events.",
        aside=(EXACT,),
        best={QUANTITY: "lower"},
    )


def passing(score: Floats, test: ak.Array) -> Value:
    """Return the background that passes where half of the signal does."""
    value, error = roc(score, test.truth).background_at(0.5)
    return Value(float(value), float(error))


def wrong_fractions(run: Run[Scale]) -> None:
    """Tell the training wrong fractions."""
    results = []
    for believed in (TWO, (0.1, 0.9), (0.3, 0.7), (0.4, 0.6), (0.1, 0.6)):
        make = partial(llp, TOY, run.scale.training, believed, "WMSE")
        text = f"{believed[0]:g} and {believed[1]:g}"
        values = lost(run, scores(run, f"believed {text}", make, TWO))
        results.append(Result.over_seeds(text, f"{LOST}, believed", values))
    run.report.add_results(
        results, "Learning from proportions (WMSE) that are believed, where 0.2 and 0.8 are true."
    )


def scan(run: Run[Scale]) -> None:
    """Train at several differences of the fractions and numbers of events."""
    training, results = run.scale.training, []
    curves: dict[str, tuple[list[float], list[Value]]] = {}
    for fractions in ((0.0, 1.0), TWO, (0.35, 0.65), (0.45, 0.55)):
        text = f"{fractions[0]:g} and {fractions[1]:g}"
        for events in run.scale.scan:
            for name, make in (
                (CWOLA, partial(cwola, TOY, training, fractions)),
                ("WMSE", partial(llp, TOY, training, fractions, "WMSE")),
            ):
                found = scores(
                    run, f"{name}, {text}, {events} events", make, fractions, events=events
                )
                result = Result.over_seeds(text, f"{LOST}, {name}", lost(run, found))
                x, y = curves.setdefault(f"{name}, {text}", ([], []))
                x.append(2 * events * (fractions[1] - fractions[0]) ** 2)
                y.append(result.estimate)
                if events == run.scale.scan[-1]:
                    results.append(result)
    run.report.add_results(
        results, f"Fractions of two samples of {number(run.scale.scan[-1])} events each."
    )
    run.report.add_figure(
        quality_curves(curves, "Events times squared difference of the fractions", LOST),
        "AUC lost to the exact ratio. What counts is the number of events times the squared"
        " difference of the fractions.",
        wide=True,
    )


def more_samples(run: Run[Scale]) -> None:
    """Train on four samples in several ways, where the classes hardly differ."""
    training, events = run.scale.training, run.scale.scan[-1]
    single, halves = (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 1.0, 1.0)
    known = partial(WithoutLabels, samples=tuple(named(FOUR)), fractions=named(FOUR))
    ways: dict[str, tuple[Callable[[], Classifier], Sequence[float]]] = {
        OURS: (partial(cwola, WEAK, training, FOUR), FOUR),
        "all samples, fractions known": (lambda: known(tagger(WEAK, training)), FOUR),
        "likelihood, fractions known": (partial(llp, WEAK, training, FOUR, "likelihood"), FOUR),
        "proportions (WMSE)": (partial(llp, WEAK, training, FOUR, "WMSE"), FOUR),
        "two halves": (partial(cwola, WEAK, training, TWO), halves),
        "one against the rest": (partial(cwola, WEAK, training, TWO), single),
    }
    results = []
    for name, (make, weights) in ways.items():
        merge = np.asarray(weights, dtype=np.int64)

        def relabel(data: ak.Array, merge: NDArray[np.int64] = merge) -> ak.Array:
            return ak.with_field(data, merge[np.asarray(data.label)], "label")

        merged = {"relabel": relabel} if len(set(weights)) == 2 else {}
        found = scores(run, f"four, {name}", make, FOUR, toy=WEAK, events=events, **merged)
        quantity = f"{LOST}, four samples"
        results.append(Result.over_seeds(name, quantity, lost(run, found, WEAK)))
        results.append(Result(name, "retained", retained(weights, FOUR, [1] * 4), 0.0))
    run.report.add_results(
        results,
        f"Four samples of {number(events)} events, fractions 0.2, 0.4, 0.6 and 0.8, of classes"
        " 0.7 standard deviations apart, and the share of the information that their weights keep.",
    )


def properties(run: Run[Scale]) -> None:
    """Tabulate what each way needs."""
    trees = Tagger("boosted-trees", features=TOY.columns, options={"max_leaf_nodes": 8})
    of_trees = lost(run, scores(run, "trees", lambda: WithoutLabels(trees), TWO))
    pure = (0.0, 1.0)
    ways = {"CWoLa": partial(cwola, TOY, run.scale.training, pure)}
    for loss in ("WMSE", "likelihood"):
        ways[loss] = partial(llp, TOY, run.scale.training, pure, loss)
    limits = {}
    for name, make in ways.items():
        values = lost(run, scores(run, f"pure, {name}", make, pure))
        limits[name] = Result.over_seeds("", "", values).estimate
    lost_by_trees = Result.over_seeds("", "", of_trees).estimate
    run.report.add_table(
        ["property", "LLP", "CWoLa", "ours"],
        [
            ["any trainable model", "networks", "yes", f"yes (trees lose {lost_by_trees})"],
            ["no change to the training", "no", "yes", "yes"],
            ["no fractions needed", "no", "yes", "yes"],
            ["smooth limit to full supervision, AUC lost by pure samples",
             f"no ({limits['WMSE']}); of the likelihood yes ({limits['likelihood']})",
             f"yes ({limits['CWoLa']})", "yes (the same of two)"],
            ["more than two samples", "yes", "?", "yes (above)"],
        ],
        "The published comparison (1708.02949), with ours. Of two samples ours is CWoLa.",
    )  # fmt: skip


TITLE = "Weak supervision on two Gaussians"
STUDY = Study(
    *("weak-supervision", TITLE, SUMMARY, SCALES, weak_supervision, ("seeds",)),
    aims=AIMS,
    events="{events} events of each sample, {test} to test with",
)
