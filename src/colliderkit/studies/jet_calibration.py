"""Jet energy and mass, calibrated with the features of the jet (2205.03413, 1910.03773)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.tables import validation_mask
from colliderkit.methods.calibration import (
    Calibrated,
    Calibration,
    FlowCalibration,
    GaussianAnsatz,
    GeneralisedInversion,
    NumericalInversion,
    Posterior,
    SequentialCalibration,
    TruthRegression,
)
from colliderkit.methods.regression import Conformal, Regression
from colliderkit.methods.regression.ensemble import DeepEnsemble
from colliderkit.methods.regression.quantile import QuantileRegression
from colliderkit.metrics.coverage import coverage, pulls
from colliderkit.metrics.value import Value, number
from colliderkit.report.calibrations import Calibrations, add_calibrations
from colliderkit.report.regression import add_pull_ranks
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.sources.datasets.calibration_jets import (
    MASS,
    PRIORS,
    PT,
    Jets,
    Quantity,
    read_jets,
    weights,
)
from colliderkit.sources.detector.response import Detector, HadronResponse
from colliderkit.sources.pythia.shards import generate
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

Floats = NDArray[np.float64]

SUMMARY = """
Jets of quarks and gluons, anti-kT of R = 0.4, go through the fast detector, whose hadron
calorimeter shows half of what is not electromagnetic. How much of a jet is seen depends then on
what it is made of, and so on its tracks and on its photons, which go together. Each calibration
learns from true jets and what is seen of them; pt and mass are calibrated alike, as logarithms.
"""

DEFINITIONS = """
Response is estimate / truth, in bins of the true quantity; its location is the median unless said
otherwise, and half of the central 68% over the median the relative resolution. The logarithm of a
response has the same median. Non-closure is the largest |response - 1| of all bins, with the error
of that bin: of the bins of a perfect calibration the largest is some 1.5 errors, not 0.

A method that finds the most probable truth closes in the mode of the response and not in its
median, where the response is not symmetric: both are given. The mode is that of a smoothed
density and is known less well.

There are two priors: the jets as they are generated, about flat in ln(pt), and weighted by
50 GeV / pt, a falling spectrum. Each calibration is fitted under each, and judged with the
same weights. A residual is the largest |response / response of all - 1| in eight bins of a feature,
of equally many jets, over all jets within the bins of the truth.
"""

SEED = 1
TEST = 0.35  # share of the events, by a hash of their number
LEVEL = 0.6827
INVERSION = "numerical inversion"
RAW = "not calibrated"


FLAT = "pt, non-closure, flat prior, median"
METHODS = ("generalised inversion", "Gaussian Ansatz", "flow likelihood")
AIMS = (
    Aim("Before calibration the response is off by more than 1%", FLAT, RAW, "above", 1.0),
    Aim("Numerical inversion closes within 1%", FLAT, INVERSION, "below", 1.0),
    *(Aim(f"The {name} closes within 1%", FLAT, name, "below", 1.0) for name in METHODS),
    Aim("Least squares do not close: off by more than 1%", FLAT, "least squares", "above", 1.0),
    *(
        Aim(f"The {name} resolves better than numerical inversion",
            "pt, resolution ratio, flat prior", name, "below", 1.0)
        for name in ("sequential", *METHODS)
    ),
    Aim("Intervals of 68% of the flow likelihood hold as many", "coverage of 68%",
        "flow likelihood", "equal", 68.27, tolerance=5.0),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Numbers of jets, how they are trained on, how often (`seeds`), and what is calibrated.

    `bins` are those of a response curve, `slices` those of a feature, for the sequential one.
    """

    jets: int
    training: Training
    hidden: tuple[int, ...]
    seeds: int
    bins: int
    slices: int
    quantities: tuple[Quantity, ...] = (PT, MASS)


SCALES = {
    "smoke": Scale(
        800, Training(epochs=2, batch_size=256, learning_rate=3e-3), (16,), 1, 8, 2, (PT,)
    ),
    "laptop": Scale(
        60_000, Training(epochs=20, batch_size=1024, learning_rate=3e-3, patience=6), (64, 64), 1,
        30, 10,
    ),
    "paper": Scale(
        2_000_000, Training(epochs=50, batch_size=4096, learning_rate=3e-3), (128, 128, 128), 5,
        100, 20,
    ),
}  # fmt: skip


def methods(scale: Scale) -> dict[str, Calibration]:
    """Return the calibrations, unfitted; the first uses no features."""
    network: dict[str, Any] = {"hidden": scale.hidden, "training": scale.training}
    return {
        INVERSION: NumericalInversion(statistic="median", bins=scale.bins),
        "sequential": SequentialCalibration(
            statistic="median", bins=scale.bins, slices=scale.slices
        ),
        "generalised inversion": GeneralisedInversion(
            statistic="median", bins=scale.bins, **network
        ),
        "Gaussian Ansatz": GaussianAnsatz(**network),
        "flow likelihood": FlowCalibration(**network),
        "least squares": TruthRegression(**network),
        "posterior": Posterior(**network),
    }


def jet_calibration(run: Run[Scale]) -> None:
    """Generate jets, calibrate each quantity by all methods, and judge them on other events."""
    scale, report = run.scale, run.report
    path = run.file("dijets.parquet", partial(generated, run))
    with run.step("features"):
        jets = read_jets(path)
    held = validation_mask(jets.event, TEST, SEED)
    train, test = jets.at(~held), jets.at(held)
    report.add_definitions(
        f"{DEFINITIONS}\n\n{number(len(train))} jets train and choose the epoch,"
        f" {number(len(test))} of other events are judged; {number(scale.jets - len(jets))} of"
        f" {number(scale.jets)} true jets are not seen within half a radius and left out."
    )
    for quantity in scale.quantities:
        calibrate(run, quantity, quantity.in_range(train), quantity.in_range(test))


def generated(run: Run[Scale], path: Any) -> None:
    """Write the jets, at the level of particles and as the detector shows them."""
    generate(
        "dijets",
        run.scale.jets,
        path,
        seed=SEED,
        detector=Detector(hadron_response=HadronResponse()),
        paired=True,
        # A process takes longer to start than a smoke run's jets.
        workers=1 if run.scale_name == "smoke" else run.workers,
        dask=run.dask,
    )


def calibrate(run: Run[Scale], quantity: Quantity, train: Jets, test: Jets) -> None:
    """Fit all calibrations under all priors, apply them to the test jets, and judge the answers."""
    measured, true, features = quantity.table(train)
    test_measured, test_true, test_features = quantity.table(test)
    answers: dict[tuple[str, str], list[Calibrated]] = {
        (RAW, prior): [Calibrated(test_measured, np.full(len(test), np.nan))] for prior in PRIORS
    }

    def fitted(method: Calibration, use: bool, prior: str, seed: int) -> dict[str, Floats]:
        table, test_table = (features, test_features) if use else (None, None)
        weight = weights(train, prior)
        method.fit(
            measured, true, table, event=train.event, weight=weight, seed=seed, progress=False
        )
        return method.predict(test_measured, test_table)._asdict()

    for name, method in methods(run.scale).items():
        for prior in PRIORS:
            for seed in run.seeds if hasattr(method, "training") else (0,):
                step = f"{quantity.title}: {name}, {prior} prior, seed {seed}"
                arrays = run.arrays(step, partial(fitted, method, name != INVERSION, prior, seed))
                answers.setdefault((name, prior), []).append(Calibrated(**arrays))
    add_calibrations(
        run.report,
        Calibrations(
            title=quantity.title,
            label=quantity.label,
            edges=quantity.edges,
            truth=test.truth[:, quantity.column],
            features=dict(zip(quantity.names, test_features.T, strict=True)),
            weights={prior: weights(test, prior) for prior in PRIORS},
            responses={
                key: [np.exp(answer.estimate - test_true) for answer in each]
                for key, each in answers.items()
            },
        ),
        reference=INVERSION,
        raw=RAW,
        prior="flat",
        shown=(INVERSION, "sequential", "generalised inversion", "flow likelihood"),
    )
    if quantity is PT:
        flat = {name: each for (name, prior), each in answers.items() if prior == "flat"}
        add_coverage(run, flat, train, test)


def add_coverage(
    run: Run[Scale], answers: Mapping[str, Sequence[Calibrated]], train: Jets, test: Jets
) -> None:
    """Add how often intervals of each jet hold its truth, and how wide they are, in ln(truth).

    Of regressions they are intervals of p(truth | seen), as they are and made conformal on a
    quarter of the training jets.
    """
    report = run.report
    network: dict[str, Any] = {"hidden": run.scale.hidden, "training": run.scale.training}
    (measured, true, features), (test_measured, truth, test_features) = map(PT.table, (train, test))
    x, test_x = (
        np.column_stack([measured, features]),
        np.column_stack([test_measured, test_features]),
    )
    ensemble, quantile = DeepEnsemble(**network), QuantileRegression(**network)
    regressions: dict[str, Regression | Conformal] = {
        "deep ensemble": ensemble,
        "quantiles": quantile,
        "deep ensemble, conformal": Conformal(ensemble, levels=(LEVEL,)),
        "quantiles, conformal": Conformal(quantile, score="shifted", levels=(LEVEL,)),
    }

    def fitted(method: Regression | Conformal, seed: int) -> dict[str, Floats]:
        method.fit(x, true, event=train.event, seed=seed)
        return dict(zip(("low", "high"), method.interval(test_x, LEVEL), strict=True))

    report.add_heading("Resolution jet by jet")
    results = []
    for name, each in answers.items():
        if name == RAW:
            continue
        ends = [(a.estimate - a.resolution, a.estimate + a.resolution) for a in each]
        results += covered(name, ends, truth)
        widths = [pulls(a.estimate, a.resolution, truth).width for a in each]
        results.append(Result.over_seeds(name, "standard deviation of the pulls", widths))
    for name, method in regressions.items():
        each_seed = [
            run.arrays(f"intervals: {name}, seed {seed}", partial(fitted, method, seed))
            for seed in run.seeds
        ]
        results += covered(name, [(ends["low"], ends["high"]) for ends in each_seed], truth)
    report.add_results(
        results,
        "Share of the test jets whose truth is within 68.27% intervals, the median of half their"
        " width in ln(pt), and the pulls (estimate - truth) / resolution. Of a calibration the"
        " interval is estimate ± resolution; a regression has intervals of p(truth | seen), which"
        " hold for the prior that it learned. Flat prior.",
        best={"coverage of 68%": 100 * LEVEL, "standard deviation of the pulls": 1.0},
    )
    first = {name: each[0] for name, each in answers.items() if name != RAW}
    add_pull_ranks(report, {n: (a.estimate - truth) / a.resolution for n, a in first.items()})


def covered(name: str, ends: Sequence[tuple[Floats, Floats]], truth: Floats) -> list[Result]:
    """Return coverage and median half width of intervals (N,), for each seed."""
    shares = [coverage(low, high, truth).value.percent for low, high in ends]
    halves = [(high - low) / 2 for low, high in ends]
    # The median of normal numbers has 1.25 times the error of their mean.
    widths = [
        Value(float(np.median(half)), float(1.25 * half.std() / len(half) ** 0.5)).percent
        for half in halves
    ]
    return [
        Result.over_seeds(name, "coverage of 68%", shares, unit="%"),
        Result.over_seeds(name, "half width", widths, unit="%"),
    ]


STUDY = Study(
    *("jet-calibration", "Jet calibration", SUMMARY, SCALES, jet_calibration),
    takes=("seeds", "workers", "dask"),
    aims=AIMS,
    events="{jets} jets, a third of them to test with",
)
