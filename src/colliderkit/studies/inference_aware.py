"""Inference-aware training on a toy with an exact answer (INFERNO, 1806.04743).

A signal of 50 events on a background of 1000 whose shape and yield are known in part. A
classifier ignores what is unknown; a summary trained for the error of the signal does not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.methods.inference.inferno import InferenceAware
from colliderkit.methods.inference.nuisance_ratio import EDGES, UncertaintyAware
from colliderkit.methods.inference.nuisances import Nuisance
from colliderkit.methods.inference.templates import Templates, expected_error, fill
from colliderkit.metrics.intervals import profile_intervals
from colliderkit.report import inference as plots
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim, Line
from colliderkit.serve.histfactory import fit_workspace, workspace, write_workspace
from colliderkit.sources.toys.inferno import BENCHMARKS, PUBLISHED, SOURCE, Inferno
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

Floats = NDArray[np.float64]
Sample = tuple[Floats, NDArray[np.int64], Floats]
AWARE, PLAIN, BEST, EXACT = PUBLISHED
RATIO = "ratio with nuisances, unbinned"
TEST_SEED = 10_047


@dataclass(frozen=True)
class Scale:
    """Events of a process to train on and to test with, trainings (`seeds`), and benchmarks.

    `aware`, `plain` and `ratio` are (epochs, events a step) of the three methods; ratios with
    nuisances have benchmarks and events of their own, and `ratio_events` to profile.
    """

    train: int
    test: int
    seeds: int
    benchmarks: tuple[str, ...]
    aware: tuple[int, int]
    plain: tuple[int, int]
    ratio: tuple[int, int]
    ratio_benchmarks: tuple[str, ...]
    ratio_train: int
    ratio_events: int


ALL, LAST, MOST = tuple(BENCHMARKS), ("B4",), ("B1", "B2", "B3", "B4")
SCALES = {
    "smoke": Scale(4_000, 20_000, 1, ("B0", "B4"), (4, 500), (2, 500), (2, 500), LAST, 10_000, 512),
    "laptop": Scale(
        50_000, 200_000, 2, ALL, (20, 2000), (10, 500), (2, 1000), LAST, 1_000_000, 4_096
    ),
    "night": Scale(
        100_000, 500_000, 3, ALL, (40, 2000), (20, 500), (3, 1000), LAST, 2_000_000, 8_192
    ),
    "paper": Scale(
        100_000, 500_000, 5, ALL, (40, 2000), (20, 500), (5, 1000), MOST, 4_000_000, 16_384
    ),
}

SUMMARY = """Two processes in three observables, with a background whose position r, slope lambda
and yield b are uncertain: how well can the signal's yield be measured? A summary that is trained
for this error, a classifier, and the exact likelihood, in the benchmarks B0 (nothing floats), B1
(r), B2 (r, lambda), B3 (both constrained) and B4 (and b)."""

REMARKS = """
sigma(s) is the expected error of the signal yield (50 on 1000 events), the nuisance parameters of
the benchmark profiled: from the Fisher information of ten bins at their expectation, with r varied
by 0.2, lambda by 0.5 and b by 100. INFERNO is trained for each benchmark ("matched"), the
classifier once. Few test events bias sigma(s) low, because their fluctuations look like
information. The exact likelihood is an integral: no summary can do better.

The unbinned ratio has no published figure on this toy. Its sigma(s) is half the width of the
interval where the profile likelihood of the expected events falls by 1/2; the s that it finds for
them shows the bias of one training.
"""
STAND_IN = """
Published are medians of 100 trainings, ours are means of a few. The optimiser is Adam with one
cycle up to 3e-3, and the temperature of the soft bins is 1. The signal stands at (0, 0), as in the
program of the paper. Its text says (1, 1); the exact likelihood would then give 16.15, 16.43,
16.62, 16.61 and 18.28 in the five benchmarks.
"""

AIMS = (
    Aim("With nothing uncertain (B0) the classifier is within a tenth of the exact likelihood",
        "sigma(s) B0", PLAIN, "below", against=EXACT, times=1.1),
    Aim("With all uncertain (B4) INFERNO beats the classifier", "sigma(s) B4", AWARE, "below",
        against=PLAIN),
    Aim("In B4 INFERNO is within a tenth of the exact likelihood", "sigma(s) B4", AWARE, "below",
        against=EXACT, times=1.1),
    Aim("In B4 the ratio with nuisances beats the classifier", "sigma(s) B4", RATIO, "below",
        against=PLAIN),
)  # fmt: skip


def nuisances(benchmark: str) -> tuple[Nuisance, ...]:
    """Return the nuisance parameters of a benchmark of the toy, with the published steps."""
    return tuple(Nuisance(**keywords) for keywords in BENCHMARKS[benchmark].nuisances)


def inference_aware(run: Run[Scale]) -> None:
    """Train summaries for each benchmark, a classifier and ratios, and compare their errors."""
    scale, report, toy = run.scale, run.report, Inferno()
    aware: dict[str, list[InferenceAware]] = {name: [] for name in scale.benchmarks}
    plain = []
    for seed in run.seeds:
        for name in scale.benchmarks:
            summary = InferenceAware(nuisances(name), training=training(scale.aware))
            aware[name].append(fitted(run, f"{AWARE} {name} {seed}", summary, scale.train, seed))
        classifier = UncertaintyAware(training=training(scale.plain, rate=1e-3))
        plain.append(fitted(run, f"{PLAIN} {seed}", classifier, scale.train, seed))
    ratios: dict[str, UncertaintyAware] = {}
    for name in scale.ratio_benchmarks:
        ratio = UncertaintyAware(nuisances(name), validation=0.1, training=training(scale.ratio))
        ratios[name] = fitted(run, f"ratio {name}", ratio, scale.ratio_train, 0)
    with run.step("evaluation"):
        test = toy.sample(scale.test, TEST_SEED)
        same: Literal["same", "stand-in"] = "same" if run.scale_name == "paper" else "stand-in"
        results = errors(scale, test, aware, plain, same)
        curves, failures = ratio_profiles(scale, ratios)
        results += [row for name, curve in curves.items() for row in of_ratio(name, *curve)]
    report.add_definitions(REMARKS)
    report.add_stand_in(STAND_IN)
    report.findings += [Line("alarm", failure) for failure in failures]
    last = scale.benchmarks[-1]
    templates = {
        AWARE: aware[last][0].templates(*test),
        PLAIN: plain[0].templates(*test, nuisances(last)),
        BEST: fill(optimal, *test, EDGES, nuisances(last)),
    }
    exact = {f"sigma(s) {name}": toy.expected_error(name) for name in scale.benchmarks}
    report.add_heading("Expected error of the signal")
    report.add_figure(
        plots.signal_profiles(
            templates, np.linspace(0, 100, 41), {RATIO: curves[last]} if last in curves else None
        ),
        f"Expected log-likelihood of the signal yield, {last}: the narrower the better. Nuisance"
        " parameters are profiled (full) or known (dotted); the horizontal lines are at one and two"
        " standard deviations.",
    )
    report.add_results(
        results,
        best={result.quantity: "lower" for result in results if "sigma" in result.quantity},
        aside=(EXACT,),
    )
    report.add_table(
        ["", *scale.benchmarks],
        above_exact(results, exact),
        "How far sigma(s) lies above that of the exact likelihood.",
    )
    report.add_heading("Summaries")
    for name in (AWARE, PLAIN):
        report.add_figure(
            plots.template_variations(templates[name]),
            f"Expected counts in the bins of {name}, {last}, first seed; bins in the order of their"
            " share of signal. Below, what each nuisance parameter a step off does to the"
            " background. What to look for: a summary that is trained for the error should have"
            " bins in which these are unlike the signal.",
        )
    plots.add_impacts(report, templates[AWARE])
    report.add_heading("Training")
    report.add_figure(
        plots.error_training(
            {name: models[0].history_["network"] for name, models in aware.items()},
            {name: toy.expected_error(name) for name in scale.benchmarks},
        ),
        "The loss is the expected error itself: sigma(s) of soft bins on batches of validation"
        " events, by epoch, first seed. Lines at the right: what the exact likelihood allows.",
    )
    add_workspace(run, templates[AWARE])


def training(size: tuple[int, int], rate: float = 3e-3) -> Training:
    """Return the settings of a training of (epochs, events a step)."""
    return Training(epochs=size[0], batch_size=size[1], learning_rate=rate)


def fitted(run: Run[Scale], name: str, method: Any, count: int, seed: int) -> Any:
    """Fit a method to `count` events of a process, once."""
    x, label, weight = Inferno().sample(count, seed)
    return run.fitted(name, method, x, label, weight=weight, seed=seed)


def optimal(x: Floats) -> Floats:
    """Return p_s / (p_s + p_b) of events (N, 3) by the exact densities."""
    return np.asarray(1 / (1 + np.exp(-Inferno().log_ratio(x))))


def errors(
    scale: Scale,
    test: Sample,
    aware: Mapping[str, Sequence[InferenceAware]],
    plain: Sequence[UncertaintyAware],
    setup: Literal["same", "stand-in"],
) -> list[Result]:
    """Return sigma(s) of each summary in each benchmark, beside the published one."""
    results = []
    for subject in PUBLISHED:
        for name in scale.benchmarks:
            quantity = f"sigma(s) {name}"
            published: dict[str, Any] = {
                "published": PUBLISHED[subject][list(BENCHMARKS).index(name)],
                "source": SOURCE,
                "difference": "medians of 100 trainings",
            }
            if subject == EXACT:
                # An integral, whatever the scale.
                value = Inferno().expected_error(name)
                results.append(Result(subject, quantity, value, 0.0, setup="same", **published))
                continue
            varied = nuisances(name)
            counted: Sequence[Callable[..., Templates]]
            if subject == AWARE:
                counted = [model.templates for model in aware[name]]
            elif subject == PLAIN:
                counted = [partial(model.templates, nuisances=varied) for model in plain]
            else:
                counted = [partial(fill, optimal, edges=EDGES, nuisances=varied)]
            values = [expected_error(templates, *test) for templates in counted]
            results.append(Result.over_seeds(subject, quantity, values, setup=setup, **published))
    return results


def ratio_profiles(
    scale: Scale, ratios: Mapping[str, UncertaintyAware]
) -> tuple[dict[str, tuple[Floats, Floats]], list[str]]:
    """Return the scan and the profile of each nuisance-parametrised ratio, and what failed.

    Its events are spread evenly: of random ones the exact likelihood finds 39 for 50 events of
    signal, once in a while, even where ten times as many as expected are drawn.
    """
    x, _, weight = Inferno().asimov(scale.ratio_events)
    scan = np.linspace(10, 90, 9)
    curves, failures = {}, []
    for name, model in ratios.items():
        try:
            curves[name] = scan, model.profile(scan, x, weight)
        except InputError as error:
            # A ratio of too short a training may prefer a theta that it has not been shown.
            failures.append(f"{RATIO}, {name}: {error}")
    return curves, failures


def of_ratio(name: str, scan: Floats, curve: Floats) -> list[Result]:
    """Return sigma(s), if the interval lies in the scan, and the s that is found for 50."""
    interval = profile_intervals(scan, curve)
    width = float(interval.high[0] - interval.low[0]) / 2
    results = [Result(RATIO, f"s found for 50, {name}", float(interval.best[0]))]
    if np.isfinite(width):
        results.insert(0, Result(RATIO, f"sigma(s) {name}", width))
    return results


def above_exact(results: Sequence[Result], exact: Mapping[str, float]) -> list[list[Any]]:
    """Return a row a subject: how far each error lies above that of the exact likelihood."""
    rows = []
    for subject in dict.fromkeys(result.subject for result in results):
        values = {r.quantity: r.value for r in results if r.subject == subject}
        rows.append(
            [subject]
            + [f"{values[q] / e - 1:+.1%}" if q in values else "" for q, e in exact.items()]
        )
    return rows


def add_workspace(run: Run[Scale], templates: Templates) -> None:
    """Write the summary's histograms for pyhf, and fit them where it is installed."""
    report = run.report
    report.add_heading("For pyhf")
    spec = workspace(templates)
    path = write_workspace(spec, run.out / "workspace.json", force=True)
    try:
        strength = fit_workspace(spec)["mu"]
    except InputError as error:
        report.add_text(f"The histograms of {AWARE} are in {path.name}. {error}")
        return
    report.add_text(
        f"The histograms of {AWARE} are in {path.name} as a HistFactory workspace. pyhf fits mu ="
        f" {strength} to their expectation, sigma(s) ="
        f" {strength.error * templates.nominal_signal:.2f} with the fluctuations of the simulation,"
        f" {templates.expected_error():.2f} by the Fisher information without."
    )


STUDY = Study(
    *("inference-aware", "Inference-aware training", SUMMARY, SCALES, inference_aware, ("seeds",)),
    aims=AIMS,
    events="{train} training and {test} test events a process",
)
