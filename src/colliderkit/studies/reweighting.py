"""One simulation made into another, in full phase space, by a learned ratio (DCTR, 1907.08209)."""

from collections.abc import Sequence
from dataclasses import dataclass

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.events import observables
from colliderkit.methods.inference.dijets import Size, fit_arguments, particle_ratio, training_data
from colliderkit.methods.ratio import Diagnostics, Ratio
from colliderkit.methods.ratio.diagnostics import diagnose
from colliderkit.metrics.closure import agreement
from colliderkit.metrics.value import number
from colliderkit.report.html import Report
from colliderkit.report.parameter_fit import histogram_ratios
from colliderkit.report.ratio import closure
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.sources.datasets import dijets
from colliderkit.sources.toys.normal import NormalRatio
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["CASES", "SIZES", "STUDY"]

Floats = NDArray[np.float64]

SUMMARY = """
Jets of e+e- -> Z -> dijets at Pythia's own values become those of other values of alphaS, aLund
and probStoUD: each jet gets the weight p(x | theta) / p(x | nominal), learned once from its
particles for all theta in the ranges. No observable was named in the training; whichever is drawn
afterwards is a check. Two further cases have differences that are small, or confined to a few
particles, and a ratio of their own.
"""

DEFINITIONS = """
Pulls and chi^2 compare the weighted nominal jets with jets generated at theta, neither of which
the ratio has seen. The AUC is that of boosted trees on all the observables together: 0.5 where
they find no difference. The effective size is (sum w)^2 / sum w^2 of the nominal jets, as a share
of their number: what the distance between the two simulations costs.

In the target "all three" alphaS is 0.12, aLund 0.60 and probStoUD 0.12.
"""

STAND_IN = """
There are fewer jets to train on than the published 1.8 million below the paper scale. The
publication shows histograms and gives no figures for them. The two cases of a small and of a
localised difference are ours.
"""

AFTER, TREES = "chi^2 / bin, after", "AUC, after"
TOY, OFF = "N(0, 1) to N(1, 1)", "mean |weight - exp(x - 1/2)|"
AIMS = (
    Aim("Trees tell every target from the nominal jets before", "AUC, before", "*", "above", 0.5),
    Aim("After reweighting all observables agree, of every target", AFTER, "*", "equal", 1.0),
    Aim("After reweighting trees find nothing, of every target", TREES, "*", "equal", 0.5,
        tolerance=0.05),
    Aim("Where the exact weight is known, the learned one is within 0.05 of it", OFF, TOY, "below",
        0.05),
)  # fmt: skip

# Settings that differ: a little everywhere, and in the jets that hold baryons alone.
CASES = {
    "small": (("TimeShower:alphaSvalue = 0.139",), "alphaS = 0.139 in place of 0.1365"),
    "localised": (
        ("StringFlav:probQQtoQ = 0.12",),
        "diquarks over quarks in string breaks 0.12 in place of 0.081: more baryons",
    ),
}
FURTHER = ("width", "tau21", "C2")
CASE_SEEDS = {"small": 21, "localised": 22}


@dataclass(frozen=True)
class Scale:
    """Jets to train on, of the reference, of each target, of the two cases; epochs of these."""

    size: Size
    reference: int
    target: int
    case: int
    epochs: int
    targets: tuple[str, ...] = tuple(dijets.TARGETS)


# The published widths; 1.8 million jets of both samples together.
SIZES = {
    "smoke": Size(4_000, 2, 250, (32,), (32,)),
    "laptop": Size(100_000, 12),
    "night": Size(400_000, 30),
    "paper": Size(1_200_000, 50),
}
SCALES = {
    "smoke": Scale(SIZES["smoke"], 600, 600, 600, 1, ("alphaS",)),
    "laptop": Scale(SIZES["laptop"], 20_000, 20_000, 40_000, 8),
    "night": Scale(SIZES["night"], 100_000, 100_000, 200_000, 20),
    "paper": Scale(SIZES["paper"], 200_000, 200_000, 500_000, 30),
}


@dataclass(frozen=True)
class Closure:
    """How source and target agree on all observables, before reweighting and after."""

    before: Diagnostics
    after: Diagnostics


def reweighting(run: Run[Scale]) -> None:
    """Reweight nominal jets to each target, by one ratio, and to two small differences."""
    scale, report, folder = run.scale, run.report, run.out / "data"
    with run.step("jets to train on"):
        scan, nominal = training_data(folder, scale.size, run.workers)
        reference = dijets.events_over(folder, "reference", scale.reference, 4, scanned=False)
    ratio = run.fitted("ratio", particle_ratio(scale.size), **fit_arguments(scan, nominal))
    source, names = observed(reference)
    targets = {}
    for which in scale.targets:
        values = dijets.TARGETS[which]
        theta = dijets.point(values)
        title = ", ".join(f"{name} = {value:g}" for name, value in values.items())
        title = "all three" if which == "all" else title
        with run.step(title):
            jets = dijets.events_at(folder, f"published-{which}", scale.target, 3, theta)
            weight = ratio.weights(reference, theta)
            targets[title] = closed(source, observed(jets)[0], names, weight)
    cases = {}
    for name, (settings, _) in CASES.items():
        seed = CASE_SEEDS[name]
        with run.step(f"jets of the {name} difference"):
            train, test = (
                dijets.events_with(
                    folder, f"{name}-{part}", count, seed + more, settings, run.workers
                )
                for part, count, more in (("train", scale.case, 0), ("test", scale.target, 100))
            )
        learned = run.fitted(name, case_ratio(scale), train, nominal)
        cases[name] = closed(source, observed(test)[0], names, learned.weights(reference))
    report.add_definitions(DEFINITIONS)
    report.add_stand_in(STAND_IN)
    report.add_heading("Before and after")
    everything = {**targets, **cases}
    _targets(report, targets)
    report.add_results(
        [row for title, each in everything.items() for row in _rows(title, each)],
        f"chi^2 over bins, all {len(names)} observables, and the AUC of boosted trees on them: 1"
        " and 0.5 where nothing is left to find.",
        best={AFTER: 1.0, TREES: 0.5},
    )
    report.add_table(
        ["", "effective size", "largest weight / mean"],
        [
            [
                title,
                f"{100 * each.after.effective_size / each.after.events:.1f}%",
                float(f"{each.after.largest:.3g}"),
            ]
            for title, each in everything.items()
        ],
        f"What reweighting costs, of {number(scale.reference)} nominal jets.",
    )
    _tables(report, targets)
    report.add_heading("Small and localised differences")
    for name, (_, text) in CASES.items():
        case = cases[name]
        report.add_figure(
            histogram_ratios(case.after.agreement, case.before.agreement, f"{name}: {text}"),
            f"The {name} difference: target over source in bins of equal counts of the target. What"
            " to look for: 1 everywhere after reweighting.",
            wide=True,
        )
    _toy(run)


def observed(jets: ak.Array) -> tuple[Floats, list[str]]:
    """Return observables of jets, (N, C), and their names."""
    rest, names = observables.table(jets, FURTHER)
    return np.column_stack([dijets.table(jets), rest]), [*dijets.OBSERVED, *names]


def closed(source: Floats, target: Floats, names: Sequence[str], weight: Floats) -> Closure:
    """Compare source (N, C), weighted (N,), with target (M, C)."""
    ones, flat = np.ones(len(target)), np.ones(len(source))
    before, after = (diagnose(target, source, ones, w, names, [], 0) for w in (flat, weight))
    return Closure(before, after)


def case_ratio(scale: Scale) -> Ratio:
    """Return the network that learns one difference."""
    return Ratio(
        network="pfn",
        options={"phi": scale.size.phi, "f": scale.size.f},
        features=dijets.FEATURES,
        training=Training(
            epochs=scale.epochs,
            batch_size=scale.size.batch,
            learning_rate=1e-3,
            schedule="cosine",
        ),
    )


def _rows(title: str, closure: Closure) -> list[Result]:
    rows = []
    for when, diagnostics in (("before", closure.before), ("after", closure.after)):
        # The bins of one observable fluctuate as chi^2; those of others are not independent.
        error = (2 / diagnostics.degrees) ** 0.5
        rows.append(Result(title, f"chi^2 / bin, {when}", diagnostics.chi2_per_bin, error))
        assert diagnostics.auc is not None
        rows.append(Result(title, f"AUC, {when}", diagnostics.auc.value, diagnostics.auc.error))
    return rows


def _targets(report: Report, targets: dict[str, Closure]) -> None:
    """Draw of each target the two observables that differ most."""
    for title, each in targets.items():
        before, after = each.before.agreement, each.after.agreement
        for name in sorted(after, key=lambda name: -before[name].chi2)[:2]:
            report.add_figure(
                closure(after[name], before[name], name),
                f"{title}: {name}, one of the two observables that differ most. Weighted jets"
                " should lie on the target.",
            )


def _tables(report: Report, targets: dict[str, Closure]) -> None:
    """List all observables of each target."""
    report.add_heading("Observables")
    for title, each in targets.items():
        before, after = each.before.agreement, each.after.agreement
        report.add_table(
            ["observable", "chi^2 before", "chi^2 after", "bins", "largest pull after"],
            [
                [
                    name,
                    round(before[name].chi2),
                    round(after[name].chi2),
                    after[name].ndf,
                    float(f"{np.abs(after[name].pulls).max():.2f}"),
                ]
                for name in after
            ],
            f"{title}: all observables.",
        )


def _toy(run: Run[Scale]) -> None:
    """Show a toy with an exact answer: N(0, 1) to N(1, 1), whose weight is exp(x - 1/2)."""
    toy, count = NormalRatio(), run.scale.reference
    samples = [toy.sample((mean, 1.0), count, 31 + i) for i, mean in enumerate((1.0, 0.0))]
    target, source = (
        toy.sample((mean, 1.0), count, 41 + i)[:, 0] for i, mean in enumerate((1.0, 0.0))
    )
    weight = run.fitted("toy", Ratio(columns=["x"]), *samples).weights(source)
    after, before = (agreement(source, target, source_weight=w) for w in (weight, None))
    error = np.abs(weight - np.exp(source - 0.5))
    run.report.results.append(
        Result(
            TOY,
            OFF,
            float(error.mean()),
            float(error.std() / count**0.5),
        )
    )
    run.report.add_heading("A case with an exact answer")
    run.report.add_figure(
        closure(after, before, "x"),
        f"N(0, 1) weighted to N(1, 1): the exact weight is exp(x - 1/2), and the learned one is"
        f" off by {error.mean():.3g} in the mean of {count} events (mean weight 1).",
    )


STUDY = Study(
    "reweighting",
    "Reweighting in full phase space",
    SUMMARY,
    SCALES,
    reweighting,
    takes=("workers",),
    aims=AIMS,
    events="{size[jets]} jets to train on, {reference} nominal and {target} of each target",
    stand_in="1.8 million jets to train on",
)
