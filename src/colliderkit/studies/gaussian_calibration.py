"""Why a regression is no calibration, and what is: the Gaussian example (2205.05084)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.calibration import (
    Calibration,
    FlowCalibration,
    GaussianAnsatz,
    GeneralisedInversion,
    NumericalInversion,
    Posterior,
    SequentialCalibration,
    TruthRegression,
)
from colliderkit.metrics.value import Value
from colliderkit.report.calibration import biases, in_bins
from colliderkit.report.plots import COLOURS
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.sources.toys.gaussian import GAUSSIAN_EXAMPLES, ExactClosure, with_feature
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

Floats = NDArray[np.float64]

SUMMARY = """
A truth Z ~ N(0, 1) is measured as X = Z + N(0, 2). The least squared error is that of E[Z|x] = x/5,
which depends on the distribution of Z: its bias is -0.8 z. The question is whether methods that
learn p(x|z), or a location of it, find z itself, whatever Z they were trained with. After
arXiv:2205.05084.
"""

READING = """
The bias at a truth z is E[f(X)|z] - z. Here it is the integral of the learned f over the exact
p(x|z), without test events: what remains is the error of the training sample. Dotted lines are
exact: (1 - s)(mu - z) with s = sigma^2 / (sigma^2 + 4) for a regression, and 0 for a calibration.
"""

FEATURES = """
A second example has a feature T: X = Z + T^2 - 1 + N(0, 1/2). Without T the resolution is 1.5; the
likelihood with it has 1/2. A straight line in (x, T) is of no help, so that networks have to learn.
Closure is tested with another distribution of the truth, N(1/2, 1), than was trained with.
"""

TRUTHS = np.linspace(-2, 2, 41)
EDGES = np.linspace(-2, 2, 9)  # of the bins of closure with a feature
SOURCE = "arXiv:2205.05084"
BAR = 0.02  # what a bias should stay within
REGRESSION, POSTERIOR, ANSATZ = "regression (mean)", "posterior", "Gaussian Ansatz"
INVERSION, SEQUENTIAL = "numerical inversion", "sequential calibration"
GENERALISED, FLOW = "generalised inversion", "flow, maximum likelihood"
NAMES = (REGRESSION, POSTERIOR, INVERSION, GENERALISED, ANSATZ, FLOW, SEQUENTIAL)
LINES = {POSTERIOR: "--", GENERALISED: "--", FLOW: "-."}
LOOKS: dict[str, dict[str, Any]] = {
    name: {"color": COLOURS[colour], "linestyle": LINES.get(name, "-")}
    for name, colour in zip(NAMES, (2, 6, 3, 1, 0, 4, 5), strict=True)
}
LARGEST = f"largest |bias|, |z| < {TRUTHS[-1]:g}"
WORST = "largest error of sigma"


@dataclass(frozen=True)
class Scale:
    """Sizes of the samples, repetitions (`seeds`) and epochs of both examples."""

    events: int
    batch: int
    feature_events: int
    feature_epochs: int
    seeds: int


AIMS = (
    Aim(f"{REGRESSION} is biased by more than {BAR:g}", LARGEST, f"{REGRESSION}, N*", "above", BAR),
    Aim(f"{POSTERIOR} is biased by more than {BAR:g}", LARGEST, f"{POSTERIOR}, N*", "above", BAR),
    *(
        Aim(f"{name} is unbiased within {BAR:g}, under both truths", LARGEST, f"{name}, N*",
            "below", BAR)
        for name in (INVERSION, GENERALISED, ANSATZ, FLOW)
    ),
    Aim("The regression has the exact slope", "slope of f(x)", f"{REGRESSION}, N(0, 1)", "equal",
        0.2, tolerance=0.02),
    *(
        Aim(f"With the feature, {name} resolves twice as well as without", "resolution",
            f"{name}, with a feature", "below", against=f"{INVERSION}, with a feature", times=0.5)
        for name in (GENERALISED, ANSATZ, FLOW)
    ),
)  # fmt: skip
SCALES = {
    "smoke": Scale(4000, 500, 3000, 1, 1),
    "laptop": Scale(1_000_000, 4000, 50_000, 10, 3),
    "paper": Scale(4_000_000, 4000, 1_000_000, 20, 10),
}


def methods(training: Training, *, feature: bool) -> dict[str, Calibration]:
    """Return the calibrations of an example, unfitted, by name."""
    learned: dict[str, Calibration] = {
        GENERALISED: GeneralisedInversion(hidden=(32, 32), training=training),
        ANSATZ: GaussianAnsatz(training=training),
        FLOW: FlowCalibration(training=training),
    }
    if feature:
        return {INVERSION: NumericalInversion(), SEQUENTIAL: SequentialCalibration(), **learned}
    return {
        REGRESSION: TruthRegression(hidden=(32, 32), training=training),
        POSTERIOR: Posterior(training=training),
        INVERSION: NumericalInversion(),
        **learned,
    }


def gaussian_calibration(run: Run[Scale]) -> None:
    """Fit each calibration to both examples, and compare with what is exact."""
    without_features(run)
    with_a_feature(run)


def without_features(run: Run[Scale]) -> None:
    """Add the published example, under two distributions of the truth."""
    training = Training(
        epochs=1, batch_size=run.scale.batch, learning_rate=2e-3, schedule="cosine", devices=1
    )
    report = run.report
    report.add_heading("The Gaussian example")
    report.add_definitions(READING)
    results: dict[str, list[Result]] = {}
    for number, (prior, example) in enumerate(GAUSSIAN_EXAMPLES.items()):
        closed: dict[str, list[ExactClosure]] = {}
        slopes, information = [], []
        for seed in run.seeds:
            sample = example.sample(run.scale.events, [number, seed])
            for name, unfitted in methods(training, feature=False).items():
                method = run.fitted(f"{prior}, seed {seed}, {name}", unfitted, *sample, seed=seed)
                closed.setdefault(name, []).append(example.closure(method.predict, TRUTHS))
                if name == REGRESSION:
                    ends = method.predict(np.array([-5.0, 5.0])).estimate
                    slopes.append(Value(float(ends[1] - ends[0]) / 10, np.nan))
                if isinstance(method, GaussianAnsatz):
                    test = example.sample(20_000, [number, seed, 1])
                    information.append(method.information(*test, seed=seed))
        report.add_figure(
            biases(
                {name: np.stack([c.bias for c in each]) for name, each in closed.items()},
                TRUTHS,
                example.regression_bias(TRUTHS),
                LOOKS,
                bar=BAR,
            ),
            f"Bias at each truth, trained with Z ~ {prior}: mean and range of the trainings."
            f" Below, enlarged, with +-{BAR:g} in grey: a calibration should stay inside.",
        )
        rows = results[prior] = []
        for name, each in closed.items():
            rows.append(over(f"{name}, {prior}", LARGEST, [c.largest_bias for c in each]))
            if name not in (REGRESSION, POSTERIOR):
                errors = [c.sigma_error(example.noise) for c in each]
                rows.append(over(f"{name}, {prior}", WORST, errors))
        exact: dict[str, Any] = {"source": SOURCE, "setup": "same"}
        rows += [
            Result.over_seeds(
                f"{REGRESSION}, {prior}",
                "slope of f(x)",
                slopes,
                published=example.slope,
                **exact,
            ),
            Result.over_seeds(
                f"{ANSATZ}, {prior}",
                "I(X; Z)",
                information,
                published=round(example.information, 4),
                unit="nats",
                **exact,
            ),
        ]
    for prior, rows in results.items():
        report.add_results(
            rows,
            f"Trained with Z ~ {prior}: the mean over trainings with samples of their own, ± the"
            " spread of one.",
            best={LARGEST: "lower", WORST: "lower"},
            order=LARGEST,
        )


def with_a_feature(run: Run[Scale]) -> None:
    """Add the example in which a feature matters."""
    events, report = run.scale.feature_events, run.report
    training = Training(
        epochs=run.scale.feature_epochs,
        batch_size=512,
        learning_rate=3e-3,
        schedule="cosine",
        devices=1,
    )
    bias: dict[str, list[Floats]] = {}
    resolution: dict[str, list[Floats]] = {}
    for seed in run.seeds:
        sample = with_feature(events, [7, seed])
        measured, truth, feature = with_feature(events, [8, seed], 0.5)
        for name, unfitted in methods(training, feature=True).items():
            method = run.fitted(
                f"with a feature, seed {seed}, {name}", unfitted, *sample, seed=seed
            )
            closed = method.closure(measured, truth, feature, bins=EDGES)
            bias.setdefault(name, []).append(closed.bias)
            resolution.setdefault(name, []).append(closed.resolution)
    report.add_heading("A feature that matters")
    report.add_definitions(FEATURES)
    middle = (EDGES[1:] + EDGES[:-1]) / 2
    for tables, label, exact in ((bias, "Bias", 0.0), (resolution, "Resolution", 0.5)):
        stacked = {name: np.stack(rows) for name, rows in tables.items()}
        report.add_figure(
            in_bins(middle, stacked, label, exact, LOOKS),
            f"{label} in bins of the truth, mean and spread over {len(run.seeds)} trainings;"
            " dotted: exact.",
        )
    rows = []
    for name in bias:
        subject = f"{name}, with a feature"
        rows.append(over(subject, "rms bias", [float((b**2).mean() ** 0.5) for b in bias[name]]))
        rows.append(over(subject, "resolution", [float(r.mean()) for r in resolution[name]]))
    report.add_results(
        rows,
        "Over |z| < 2, for the other distribution of the truth.",
        best={"rms bias": "lower", "resolution": "lower"},
    )


def over(subject: str, quantity: str, values: list[float]) -> Result:
    """Return the mean over trainings, with its error and the spread of one."""
    return Result.over_seeds(subject, quantity, [Value(value, np.nan) for value in values])


STUDY = Study(
    "gaussian-calibration",
    "Calibration: the Gaussian example",
    SUMMARY,
    SCALES,
    gaussian_calibration,
    takes=("seeds",),
    aims=AIMS,
    events="{events} events, {feature_events} with a feature",
)
