"""Parameters of Pythia, from particles by a ratio that was learned once (DCTR, 1907.08209)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from colliderkit.methods.inference.dijets import (
    Fits,
    Size,
    fit_arguments,
    fit_of,
    measured,
    particle_ratio,
    table_coverage,
    training_data,
)
from colliderkit.methods.inference.experiments import (
    TOY_EVENTS,
    Experiments,
    coverages,
    normal_coverage,
)
from colliderkit.metrics.intervals import profile_intervals
from colliderkit.metrics.value import Value, number
from colliderkit.report.html import Report
from colliderkit.report.parameter_fit import corner, likelihood, recovered
from colliderkit.report.regression import add_pull_ranks
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.sources.datasets import dijets
from colliderkit.sources.datasets.dijets import PUBLISHED, RANGES, SCANNED, SOURCE
from colliderkit.studies.run import Run, Study

__all__ = ["STUDY"]

SUMMARY = """
A ratio p(x | theta) / p0(x) of e+e- -> Z -> dijets is learned once, from the particles of a jet
and three parameters of Pythia: alphaS, aLund and probStoUD. Then theta of a data set is where
its likelihood is largest, found by gradient. Each fit is calibrated by pseudo-experiments at known
theta: the error grows by that of the learned ratio. The true parameters of the blinded data sets
are drawn by a seed, and are looked at when all fits are done.
"""
STAND_IN = """
The published ratio was trained on 1.8 million jets, and its fits, of other data, have no errors.
"""
DEFINITIONS = """
"Calibrated": corrected by the straight line theta_hat = a + B theta of the validation
experiments, and with the error of statistics, of the spread beyond it, and of the line, in
quadrature. Without calibration the error is that of the statistics of data and reference. In the
fit "all" the three parameters are fitted together.
"""

RAW, CALIBRATED, BLIND = (
    "pull, not calibrated",
    "pull, calibrated",
    "mean pull of blinded data sets",
)
COVERED, ONE = "coverage of 68%", 0.6827
AIMS = (
    Aim("Estimates that are not calibrated are within errors of the truth", RAW, "*", "equal", 0.0),
    Aim("Calibrated estimates are within their errors of the truth", CALIBRATED, "*", "equal", 0.0),
    Aim("Blinded data sets are found without a bias, calibrated", BLIND, "*", "equal", 0.0),
    Aim("With the exact ratio 68% of the intervals hold the truth", COVERED, "exact ratio*",
        "equal", ONE, tolerance=0.1),
    Aim("With a learned ratio, calibrated, 68% of the intervals do", COVERED,
        "learned, calibrated ratio*", "equal", ONE, tolerance=0.1),
    Aim("Of alphaS from observables, calibrated, 68% do", "coverage of 1 sigma", "*, calibrated",
        "equal", ONE, tolerance=0.1),
)  # fmt: skip
PULLS = (RAW, CALIBRATED)
THEIRS: dict[str, Any] = {"source": SOURCE, "difference": "other jets, 1.8M to train"}


@dataclass(frozen=True)
class Scale:
    """Jets to train on, of the reference and of a data set; data sets of each fit.

    `validation` and `blinded` data sets serve the fit of one parameter, `together` as many
    validation ones that of all; `toys` are the experiments of the toy, `parts` those of a data
    set on observables.
    """

    size: Size
    reference: int
    data: int
    fits: Sequence[str]
    validation: int
    together: int
    blinded: int
    toys: int
    parts: int = 5


ALL_FITS = (*RANGES, "all")
SCALES = {
    "smoke": Scale(Size(5_000, 8, 250, (32,), (32,)), 1_000, 1_000, ("alphaS",), 5, 8, 2, 10, 1),
    "laptop": Scale(Size(100_000, 12), 20_000, 5_000, ALL_FITS, 8, 16, 8, 200),
    "night": Scale(Size(400_000, 30), 100_000, 10_000, ALL_FITS, 20, 40, 20, 500),
    "paper": Scale(Size(1_200_000, 50), 200_000, 20_000, ALL_FITS, 40, 80, 40, 1_000),
}


def parameter_fit(run: Run[Scale]) -> None:
    """Learn the ratio once, then fit every data set with it."""
    scale, report, folder = run.scale, run.report, run.out / "data"
    with run.step("jets to train on"):
        training = training_data(folder, scale.size, run.workers)
        reference = dijets.events_over(folder, "reference", scale.reference, 4, scanned=False)
    ratio = run.fitted("ratio", particle_ratio(scale.size), **fit_arguments(*training))
    fits = []
    for which in scale.fits:
        fit = fit_of(ratio, which, reference)
        count = scale.together if which == "all" else scale.validation
        validation, blinded = (
            Experiments.of(
                run.value(
                    f"{kind} fits of {which}",
                    partial(measured, fit, folder, kind, which, number, scale.data),
                )
            )
            for kind, number in (("validation", count), ("blinded", scale.blinded))
        )
        with run.step(f"the published {which}"):
            truth = dijets.point(dijets.TARGETS[which])
            data = dijets.events_at(folder, f"published-{which}", scale.data, 3, truth)
            fits.append(Fits(which, validation, blinded, fit.estimate(data)))
    report.add_definitions(DEFINITIONS)
    report.add_stand_in(STAND_IN)
    report.add_heading("Blinded data sets")
    _blinded_fits(report, fits, scale)
    report.add_heading("The published values")
    for each in fits:
        _likelihood(report, each)
    _published_fits(report, fits)
    report.add_heading("Bias of the learned ratio")
    report.add_table(
        ["fit", "parameter", "bias at the middle", "slope", "statistics", "beyond statistics"],
        [row for each in fits for row in _slopes(each)],
        f"From validation experiments of {scale.data} jets each: theta_hat = a + B theta, the"
        " mean statistical error, and the spread that the statistics do not explain (0: none is"
        " seen). A ratio without bias has 0 and 1.",
    )
    _toy(run)
    _observables(run)


def _likelihood(report: Report, fits: Fits) -> None:
    estimate, which = fits.published, fits.which
    replicas = estimate.bootstrap(400, seed=0)
    truth = dijets.point(dijets.TARGETS[which])[[list(RANGES).index(n) for n in fits.names]]
    if which == "all":
        report.add_figure(
            corner(estimate, replicas, truth),
            "All three together: bootstrap replicas of the published data set, ellipses of 68%"
            " and 95% from the scores of the events, and the truth (red). Not calibrated.",
            wide=True,
        )
        return
    report.add_figure(
        likelihood(estimate.profile(which), float(truth[0])),
        f"{which}: the data set of the published value, before calibration. The truth (red) should"
        " lie where the curve is below 1 in two of three such fits. Error by bootstrap:"
        f" ±{number(replicas.std(ddof=1), 2)}; by scores: ±{number(float(estimate.error[0]), 2)}.",
    )


def _slopes(fits: Fits) -> list[list[Any]]:
    calibration = fits.calibration
    errors = np.stack([estimate.error for estimate in fits.validation.estimates]).mean(0)
    sigma = np.sqrt(np.stack([np.diag(v) for v in calibration.coefficient_covariance_]))
    return [
        [
            fits.which,
            name,
            Value(calibration.offset_[i] - calibration.theta_mean_[i], sigma[i, 0]),
            Value(calibration.slope_[i, i], sigma[i, i + 1]),
            float(f"{errors[i]:.2g}"),
            float(f"{calibration.extra_sigma_[i]:.2g}"),
        ]
        for i, name in enumerate(fits.names)
    ]


def _published(fits: Fits) -> list[Result]:
    rows = []
    which, estimate = fits.which, fits.published
    corrected = fits.calibration.correct(estimate)
    for i, (name, true) in enumerate(dijets.TARGETS[which].items()):
        subject = f"{name} = {true:g}" + (", all three" if which == "all" else "")
        shared: dict[str, Any] = {"published": PUBLISHED[which][name], **THEIRS}
        for quantity, each in (("by gradient", estimate), ("calibrated", corrected)):
            value, error = float(each.theta[i]), float(each.error[i])
            rows.append(Result(subject, quantity, value, error, **shared))
        pulls = [(row.value - true) / (row.error or np.nan) for row in rows[-2:]]
        rows += [Result(subject, key, pull, 1.0) for key, pull in zip(PULLS, pulls, strict=True)]
        if which != "all":
            profile = estimate.profile(name)
            # The scan's own maximum, and half its interval.
            best = float(profile_intervals(profile.values, profile.log_likelihood).best[0])
            width = profile.high - profile.low
            half = width / 2 if np.isfinite(width) else None
            shared["published"] = SCANNED[name]
            rows.append(Result(subject, "by scan", best, half, **shared))
    return rows


def _published_fits(report: Report, fits: Sequence[Fits]) -> None:
    rows = [row for each in fits for row in _published(each)]
    report.results += [row for row in rows if row.quantity in PULLS]
    report.add_results(
        [row for row in rows if row.quantity not in PULLS],
        "Estimates ± error: by gradient with the statistical error of data and reference, by scan"
        " with that of -2 Delta ln L = 1, calibrated with all errors.",
    )


def _blinded_fits(report: Report, fits: Sequence[Fits], scale: Scale) -> None:
    rows: list[list[Any]] = []
    for each in fits:
        for i, name in enumerate(each.names):
            for text, estimates in (("statistics", None), ("calibrated", each.corrected)):
                pulls = each.blinded.pulls(estimates)[:, i]
                shares = [coverages(pulls)[key].value for key in ("1 sigma", "2 sigma")]
                mean = Value(float(pulls.mean()), len(pulls) ** -0.5)
                spread = float(f"{pulls.std():.2f}")
                rows.append([each.which, name, text, *shares, mean, spread])
            report.results.append(Result(f"{each.which}: {name}", BLIND, mean.value, mean.error))
    for each in fits:
        theta = np.stack([estimate.theta for estimate in each.corrected])
        error = np.stack([estimate.error for estimate in each.corrected])
        text = "all three fitted together" if each.which == "all" else "the others known"
        for i, name in enumerate(each.names):
            report.add_figure(
                recovered(name, each.blinded.truth[:, i], theta[:, i], error[:, i]),
                f"{name}, {text}: calibrated estimates of the blinded data sets against the truth;"
                " on the diagonal they are right.",
            )
    report.add_table(
        ["fit", "parameter", "errors", "within 1 sigma", "within 2 sigma", "mean pull", "spread"],
        rows,
        f"{scale.blinded} data sets of {scale.data} jets for each fit; the true values were"
        " drawn by a seed and are compared after the last fit. 68% and 95% are expected."
        f" Of all, {sum(each.blinded.refused for each in fits)} have no maximum and are left out.",
    )


def _toy(run: Run[Scale]) -> None:
    run.report.add_heading("Coverage where the answer is known")
    with run.step("toy"):
        shares = normal_coverage(run.scale.toys)
    rows: list[list[Any]] = []
    for name, level, share in shares:
        rows.append([name, f"{level:.0%}", share.experiments, share.value])
        subject, quantity = f"{name} ratio, N(mean, 1)", f"coverage of {level:.0%}"
        run.report.results.append(Result(subject, quantity, share.share, share.value.error))
    run.report.add_table(
        ["ratio", "interval", "experiments", "coverage"],
        rows,
        f"Intervals of {TOY_EVENTS} events of N(mean, 1), mean uniform in ±0.6, from -2 Delta ln L:"
        " exact, and learned from events; calibrated by other experiments at known means. The error"
        " is that of counting, by Clopper and Pearson.",
    )


def _observables(run: Run[Scale]) -> None:
    scale, report = run.scale, run.report
    report.add_heading("Coverage on a few observables")
    counts = scale.validation, scale.blinded
    with run.step("observables"):
        experiments, corrected = table_coverage(
            run.out / "data", scale.size, scale.reference, counts, scale.data, scale.parts
        )
    rows: list[list[Any]] = []
    estimates = {"statistics": None, "calibrated": corrected}
    pulls = {text: experiments.pulls(each)[:, 0] for text, each in estimates.items()}
    for text, shares in ((text, coverages(each)) for text, each in pulls.items()):
        rows.append([text, len(corrected), shares["1 sigma"].value, shares["95%"].value])
        for key in ("1 sigma", "95%"):
            row = f"alphaS of observables, {text}", f"coverage of {key}"
            report.results.append(Result(*row, shares[key].share, shares[key].value.error))
    add_pull_ranks(report, pulls)
    report.add_table(
        ["errors", "experiments", "within 1 sigma (68%)", "within 1.96 sigma (95%)"],
        rows,
        f"alphaS from {', '.join(dijets.OBSERVED)}: the blinded data sets in parts of"
        f" {scale.data // scale.parts} jets, calibrated by the validation ones. The mean error is"
        f" {np.mean([e.error[0] for e in corrected]):.2g}; {experiments.refused} have no maximum.",
    )


TITLE = "Parameters of the shower and of hadronisation, from particles"
STUDY = Study(
    *("parameter-fit", TITLE, SUMMARY, SCALES, parameter_fit, ("workers",)),
    aims=AIMS,
    events="{size[jets]} jets to train on, data sets of {data}",
    stand_in="1.8 million jets to train on",
)
