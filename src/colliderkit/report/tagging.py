"""Page of taggers: results, ROC curves, ensembles, calibration, confusion, jets and times."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import awkward as ak
import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.schema import labels_of
from colliderkit.methods.state import encode
from colliderkit.methods.tagging.comparison import TEST_SEED, TRAIN_SEED, Compared
from colliderkit.metrics.calibration import calibration_curve
from colliderkit.metrics.classes import accuracy, confusion
from colliderkit.metrics.ensembles import ensemble_rejection
from colliderkit.metrics.roc import auc, rejection, roc
from colliderkit.metrics.value import Value
from colliderkit.report import classifiers, distributions, training
from colliderkit.report.html import Report
from colliderkit.report.results import Result
from colliderkit.report.table import Better
from colliderkit.report.verdict import Claim
from colliderkit.report.words import plural
from colliderkit.training.settings import Epoch

__all__ = [
    "Scored",
    "Separation",
    "Truth",
    "add_comparison",
    "add_taggers",
    "last_class",
    "results_of",
]

Floats = NDArray[np.float64]
SCORED = 20_000  # training jets that are scored to be compared with test jets


@dataclass(frozen=True)
class Separation:
    """Name the rejection 1 / eps of class `background` at an efficiency for `signal`."""

    quantity: str
    signal: int
    background: int
    efficiency: float


@dataclass(frozen=True)
class Truth:
    """Truth of the test jets: `label` (N,), `weight` (N,) and the names of the classes.

    `discriminant` turns class probabilities (N, K) into the number (N,) that is cut on for all
    `separations`; the first of them is also that of the AUC and of the curves.
    """

    label: NDArray[np.int64]
    weight: Floats
    classes: Sequence[str]
    separations: Sequence[Separation]
    discriminant: Callable[[Floats], Floats]

    def pair(self, ask: Separation) -> NDArray[np.bool_]:
        """Pick the jets of the two classes of a separation, (N,)."""
        return np.isin(self.label, (ask.signal, ask.background))


@dataclass(frozen=True)
class Scored:
    """Trainings of one tagger: probabilities (seeds, N, K) of the test jets, epochs of each.

    `published` gives (value, error) by quantity, all from `source`; the `difference` says in some
    words what those were made from.
    """

    name: str
    probabilities: Floats
    histories: Sequence[Sequence[Epoch]]
    published: Mapping[str, tuple[float, float | None]] = field(default_factory=dict)
    source: str = ""
    difference: str = ""

    @classmethod
    def of(cls, compared: Compared, difference: str = "") -> Self:
        """Return what is shown of a tagger among others."""
        entry = compared.entry
        epochs = [tagger.history_["network"] for tagger in compared.taggers]
        published = entry.published, entry.source, difference
        return cls(entry.name, compared.probabilities, epochs, *published)


def results_of(scored: Scored, truth: Truth) -> list[Result]:
    """Return AUC, accuracy and the rejection of each separation, over the seeds."""
    values: dict[str, list[Value]] = {}
    main = truth.separations[0]
    pair = truth.pair(main)
    for probability in scored.probabilities:
        score = truth.discriminant(probability)
        is_signal = truth.label == main.signal
        values.setdefault("AUC", []).append(auc(score[pair], is_signal[pair], truth.weight[pair]))
        guess = probability[:, 1] if len(truth.classes) == 2 else probability
        values.setdefault("accuracy", []).append(accuracy(guess, truth.label, truth.weight))
        for ask in truth.separations:
            both = truth.pair(ask)
            values.setdefault(ask.quantity, []).append(
                rejection(
                    score[both],
                    truth.label[both] == ask.signal,
                    ask.efficiency,
                    truth.weight[both],
                )
            )
    return [
        Result.over_seeds(
            scored.name,
            quantity,
            over_trainings,
            published=scored.published.get(quantity, (None, None))[0],
            published_error=scored.published.get(quantity, (None, None))[1],
            source=scored.source if quantity in scored.published else "",
            difference=scored.difference if quantity in scored.published else "",
        )
        for quantity, over_trainings in values.items()
    ]


def add_taggers(
    report: Report, taggers: Sequence[Scored], truth: Truth, *, probability: bool = True
) -> None:
    """Add curves, results, losses, ensembles, scores, calibration and confusion to the report.

    Without `probability` the scores are none of a class, and their calibration is left out.
    """
    results = [results_of(scored, truth) for scored in taggers]
    main = truth.separations[0]
    pair = truth.pair(main)
    is_signal, weight = truth.label[pair] == main.signal, truth.weight[pair]
    curves = {
        scored.name: roc(truth.discriminant(scored.probabilities[0])[pair], is_signal, weight)
        for scored in taggers
    }
    signal, background = truth.classes[main.signal], truth.classes[main.background]
    several = len(taggers) > 1
    first = ", first seed" if len(taggers[0].probabilities) > 1 else ""
    report.add_heading("Results")
    report.add_figure(
        classifiers.roc(curves),
        f"Rejection of {background} jets against the efficiency for {signal} jets{first}: higher is"
        " better. Bands are the counting errors of the test jets"
        + ("; below, the ratio to the first curve." if several else "."),
    )
    report.warn_of(
        {
            scored.name + (f", seed {i}" if first else ""): history
            for scored in taggers
            for i, history in enumerate(scored.histories)
        }
    )
    # One epoch is a line where its parts are known.
    histories = {
        s.name: s.histories[0]
        for s in taggers
        if s.histories and (len(s.histories[0]) > 1 or s.histories[0][0].parts)
    }
    if histories:
        report.add_figure(
            training.training(histories),
            f"Loss by epoch{first}: validation (full) and training (dotted). A training curve far"
            " below its validation curve has learned its own jets by heart. The star is the epoch"
            " that was kept, chosen by validation jets alone.",
        )
    rows = [result for each in results for result in each]
    better: dict[str, Better] = {result.quantity: "higher" for result in rows}
    report.add_results(rows, best=better, order="AUC")
    if len(taggers[0].probabilities) > 1:
        _add_ensembles(report, taggers, truth)
    _add_scores(report, taggers, truth, [each[0].value for each in results], probability)


def _add_scores(
    report: Report,
    taggers: Sequence[Scored],
    truth: Truth,
    areas: Sequence[float],
    calibrated: bool,
) -> None:
    """Add the scores of the tagger of the largest area, and if it is one the calibration of all."""
    report.add_heading("Scores and their calibration" if calibrated else "Scores")
    best = max(range(len(taggers)), key=lambda i: areas[i])
    probability, name = taggers[best].probabilities[0], taggers[best].name
    which = f"{name}, which has the largest AUC," if len(taggers) > 1 else name
    if len(truth.classes) == 2:
        report.add_figure(
            classifiers.scores(
                probability[:, 1], truth.label, weight=truth.weight, classes=truth.classes
            ),
            f"Score of {which} by class. In a calibrated tagger the ratio of the two follows the"
            " dashed line.",
        )
        if not calibrated:
            return
        if (truth.weight >= 0).all():
            calibrations = {
                scored.name: calibration_curve(
                    scored.probabilities[0][:, 1], truth.label, truth.weight
                )
                for scored in taggers
            }
            report.add_figure(
                classifiers.calibration(calibrations),
                "Share of signal among the jets of a score, and its difference to that score: on"
                " the diagonal a score is a probability. ECE is the expected calibration error,"
                " its floor what counting alone makes of it.",
            )
            if len(calibrations) == 1:
                (curve,) = calibrations.values()
                report.claims.append(
                    Claim(
                        "The score is a probability: its calibration error is that of counting",
                        curve.expected_error,
                        "equal",
                        curve.floor,
                    )
                )
    report.add_figure(
        classifiers.confusion(confusion(probability, truth.label, truth.weight), truth.classes),
        f"Confusion matrix of {name}: the share of each true class (row) by the class of the"
        " highest score.",
    )


def _add_ensembles(report: Report, taggers: Sequence[Scored], truth: Truth) -> None:
    main = truth.separations[0]
    pair = truth.pair(main)
    rows = []
    for scored in taggers:
        members = np.stack([truth.discriminant(p)[pair] for p in scored.probabilities])
        rejections = ensemble_rejection(
            members, truth.label[pair] == main.signal, main.efficiency, truth.weight[pair]
        )
        rows.append([scored.name, rejections.single, rejections.mean, rejections.median])
    report.add_heading("Ensembles")
    report.add_table(
        ["", "single", "mean ensemble", "median ensemble"],
        rows,
        f"{main.quantity} of single trainings (mean ± standard deviation over"
        f" {len(taggers[0].probabilities)} seeds) and of the mean and the median of their scores"
        " (± counting error).",
        best={"mean ensemble": "higher", "median ensemble": "higher"},
    )


def add_comparison(
    report: Report,
    taggers: Sequence[Compared],
    truth: Truth,
    train: ak.Array,
    test: ak.Array,
    difference: str = "",
) -> None:
    """Add taggers that were trained on the same jets: `add_taggers`, the jets, and the times.

    The `difference` says in some words what the published values were made from.
    """
    usual = encode(type(taggers[0].taggers[0])().get_params(deep=False), {}, "")
    arguments = {c.entry.name: encode(c.taggers[0].get_params(deep=False), {}, "") for c in taggers}
    changed = {
        name: {key: value for key, value in each.items() if value != usual[key]}
        for name, each in arguments.items()
    }
    text = yaml.safe_dump(changed, sort_keys=False)
    report.attachments["Arguments of the taggers that are not the defaults"] = text
    add_taggers(report, [Scored.of(compared, difference) for compared in taggers], truth)
    if len(truth.classes) == 2:
        _add_overtraining(report, taggers, truth, train)
    _add_jets(report, truth.classes, train, test)
    _add_times(report, taggers, truth, len(test))


def _add_overtraining(
    report: Report, taggers: Sequence[Compared], truth: Truth, train: ak.Array
) -> None:
    """Draw the scores of training and test jets of the tagger with the largest AUC."""
    main = truth.separations[0]
    is_signal = truth.label == main.signal
    area = {c.entry.name: auc(c.probabilities[0][:, 1], is_signal).value for c in taggers}
    best = max(taggers, key=lambda compared: area[compared.entry.name])
    few = train[:SCORED]
    report.add_figure(
        classifiers.overtraining(
            (best.taggers[0].predict_proba(few)[:, 1], labels_of(few)),
            (best.probabilities[0][:, 1], truth.label),
            truth.classes,
        ),
        f"Score of {best.entry.name} on jets that it was trained on (lines) and on test jets"
        " (points): where they differ it has learned the training jets by heart.",
    )


def _add_jets(report: Report, classes: Sequence[str], train: ak.Array, test: ak.Array) -> None:
    report.add_heading("Jets")
    counts = [
        np.bincount(np.asarray(jets["label"]), minlength=len(classes)) for jets in (train, test)
    ]
    report.add_table(
        ["class", "training and validation", "test"],
        [[name, *(int(count[k]) for count in counts)] for k, name in enumerate(classes)],
        f"Jets generated by this study: training seed {TRAIN_SEED}, test seed {TEST_SEED}."
        " A share of 15% of the training events, by a hash of their number, is for validation.",
    )
    report.add_figure(
        distributions.spectra(test, classes),
        "Test jets: transverse momentum, mass and number of constituents of each class,"
        " normalised, and the ratio to the first class. What differs here a tagger may use.",
        wide=True,
    )


def _add_times(report: Report, taggers: Sequence[Compared], truth: Truth, tested: int) -> None:
    report.add_heading("Time")
    rows, quality = [], {}
    main = truth.separations[0]
    pair = truth.pair(main)
    for compared in taggers:
        name = compared.entry.name
        score = truth.discriminant(compared.probabilities[0])[pair]
        area = auc(score, truth.label[pair] == main.signal, truth.weight[pair])
        quality[name] = (1e6 * compared.seconds / tested, area)
        seconds = [s for step, s in report.timing.items() if step.startswith(f"fit {name}, seed ")]
        rows.append(
            [
                name,
                compared.parameters,
                len(compared.taggers[0].history_["network"]),
                round(float(np.mean(seconds)), 1) if seconds else "",
                round(compared.throughput),
                round(tested / compared.seconds),
            ]
        )
    report.add_table(
        [
            "",
            "parameters",
            "epochs",
            "training [s]",
            "jets trained a second",
            "jets scored a second",
        ],
        rows,
        f"On {plural(os.cpu_count() or 1, 'core')}, {plural(torch.get_num_threads(), 'thread')}."
        " Training time is that of one seed with all preparation (observables, reading); jets a"
        " second are those of the epochs alone.",
        best={"jets trained a second": "higher", "jets scored a second": "higher"},
    )
    if len(quality) > 1:
        report.add_figure(
            classifiers.quality_by_time(quality),
            "AUC against the time that a jet takes to be scored: up and to the left is better.",
        )


def last_class(
    label: NDArray[np.int64],
    weight: Floats,
    classes: Sequence[str],
    efficiencies: Sequence[float] = (0.3, 0.5),
) -> Truth:
    """Separate the last class from each other by its own probability."""
    signal = len(classes) - 1
    separations = []
    for efficiency in efficiencies:
        if not 0 < efficiency < 1:
            raise InputError(
                f"efficiencies are {list(efficiencies)}; give numbers between 0 and 1."
            )
        for background, name in enumerate(classes[:signal]):
            quantity = f"R{100 * efficiency:g}" + (f" {name}" if signal > 1 else "")
            separations.append(Separation(quantity, signal, background, efficiency))
    return Truth(label, weight, classes, separations, lambda p: p[:, signal])
