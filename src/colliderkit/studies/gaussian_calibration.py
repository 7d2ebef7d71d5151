"""Why a regression is no calibration, and what is: the Gaussian example (2205.05084)."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from colliderkit.files import refuse_existing
from colliderkit.methods.calibration import (
    Calibration,
    FlowCalibration,
    GaussianAnsatz,
    GeneralisedInversion,
    NumericalInversion,
    Posterior,
    Regression,
    SequentialCalibration,
)
from colliderkit.metrics.value import Value, over_seeds
from colliderkit.report.html import Report
from colliderkit.report.plots import COLOURS, style
from colliderkit.report.results import Result
from colliderkit.sources.toys.gaussian import GaussianExample, with_feature
from colliderkit.training.settings import Training

__all__ = ["METHODS", "Found", "evaluated", "run"]

Floats = NDArray[np.float64]

SUMMARY = """
A truth Z ~ N(0, 1) is measured as X = Z + N(0, 2). A network of least squared error learns E[Z|x] =
x/5, in which the distribution of Z stands: its estimates are biased by -0.8 z. Methods that learn
p(x|z), or a location of it, find z itself, whatever Z they were trained with. After
arXiv:2205.05084.
"""

READING = """
The bias at a truth z is E[f(X)|z] - z. Here it is the integral of the learned f over the exact
p(x|z), without test events: what remains is the error of the training sample. It does not depend on
the truths that a calibration is applied to, but for a regression it does on those that it was
trained with: dotted lines are exact, (1 - s)(mu - z) with s = sigma^2 / (sigma^2 + 4), and 0.
"""

FEATURES = """
A second example has a feature T: X = Z + T^2 - 1 + N(0, 1/2). Without T the resolution is 1.5; the
likelihood with it has 1/2. A straight line in (x, T) is of no help, so that networks have to learn.
Closure is tested with another distribution of the truth, N(1/2, 1), than was trained with.
"""

PRIORS = {"N(0, 1)": GaussianExample(), "N(0.5, 1.5)": GaussianExample(0.5, 1.5)}
TRUTHS = np.linspace(-2, 2, 41)
NODES = np.linspace(-5, 5, 101)
SHARE = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()
SOURCE = "arXiv:2205.05084"
BAR = 0.02  # what a bias should stay within
LINES = {"posterior": "--", "generalised inversion": "--", "flow, maximum likelihood": "-."}
LARGEST = f"largest |bias|, |z| < {TRUTHS[-1]:g}"
WORST = "largest error of sigma"


@dataclass(frozen=True)
class Scale:
    """Say the sizes of the samples, repetitions and epochs of both examples."""

    events: int
    batch: int
    feature_events: int
    feature_epochs: int
    seeds: int


SCALES = {
    "smoke": Scale(4000, 500, 3000, 1, 1),
    "laptop": Scale(1_000_000, 4000, 50_000, 10, 3),
    "paper": Scale(4_000_000, 4000, 1_000_000, 20, 10),
}
METHODS: dict[str, Callable[[Training], Calibration]] = {
    "regression (mean)": lambda training: Regression(hidden=(32, 32), training=training),
    "posterior": lambda training: Posterior(training=training),
    "numerical inversion": lambda training: NumericalInversion(),
    "generalised inversion": lambda training: GeneralisedInversion(
        hidden=(32, 32), training=training
    ),
    "Gaussian Ansatz": lambda training: GaussianAnsatz(training=training),
    "flow, maximum likelihood": lambda training: FlowCalibration(training=training),
}
WITH_FEATURE: dict[str, Callable[[Training], Calibration]] = {
    "numerical inversion": lambda training: NumericalInversion(),
    "sequential calibration": lambda training: SequentialCalibration(),
    "generalised inversion": METHODS["generalised inversion"],
    "Gaussian Ansatz": METHODS["Gaussian Ansatz"],
    "flow, maximum likelihood": METHODS["flow, maximum likelihood"],
}
NAMES = (*METHODS, "sequential calibration")
COLOUR = dict(zip(NAMES, (COLOURS[i] for i in (2, 6, 3, 1, 0, 4, 5)), strict=True))


@dataclass(frozen=True)
class Found:
    """Hold what a calibration does at each of `TRUTHS`, exactly: bias, scatter and its sigma."""

    bias: Floats
    scatter: Floats
    sigma: Floats

    @property
    def largest_bias(self) -> float:
        """The largest |bias|."""
        return float(np.abs(self.bias).max())

    def sigma_error(self, noise: float) -> float:
        """The largest relative error of sigma and of the scatter."""
        both = np.stack([self.sigma, self.scatter]) / noise - 1
        return float(np.abs(both).max())


def evaluated(method: Calibration, noise: float = 2.0) -> Found:
    """Integrate estimate and resolution over p(x | z) = N(x; z, noise^2)."""
    x = TRUTHS[:, None] + noise * NODES
    found = method.predict(x.ravel())
    estimate, sigma = (table.reshape(x.shape) for table in found)
    mean = estimate @ SHARE
    scatter = np.sqrt((estimate - mean[:, None]) ** 2 @ SHARE)
    return Found(mean - TRUTHS, scatter, sigma @ SHARE)


def run(*, scale: str, out: Path, seeds: int | None = None, force: bool = False, **_: Any) -> Path:
    """Run the study into `out` and return the path of its report."""
    refuse_existing(out / "report.html", force)
    chosen = SCALES[scale]
    repetitions = chosen.seeds if seeds is None else seeds
    timing: dict[str, float] = dict.fromkeys(METHODS, 0.0)
    training = Training(
        epochs=1, batch_size=chosen.batch, learning_rate=2e-3, schedule="cosine", devices=1
    )
    found: dict[str, dict[str, list[Found]]] = {prior: {} for prior in PRIORS}
    slopes: dict[str, list[Value]] = {prior: [] for prior in PRIORS}
    information: dict[str, list[Value]] = {prior: [] for prior in PRIORS}
    for number, (prior, example) in enumerate(PRIORS.items()):
        for seed in range(repetitions):
            measured, truth = example.sample(chosen.events, [number, seed])
            for name, make in METHODS.items():
                print(f"{prior}, seed {seed}, {name}", flush=True)
                begin = time.perf_counter()
                method = make(training).fit(measured, truth, seed=seed)
                timing[name] += time.perf_counter() - begin
                found[prior].setdefault(name, []).append(evaluated(method))
                if isinstance(method, Regression):
                    ends = method.predict(np.array([-5.0, 5.0])).estimate
                    slopes[prior].append(Value(float(ends[1] - ends[0]) / 10, 0.0))
                if isinstance(method, GaussianAnsatz):
                    test = example.sample(20_000, [number, seed, 1])
                    information[prior].append(method.information(*test, seed=seed))
    report = Report(
        "Calibration: the Gaussian example",
        SUMMARY,
        command=f"colliderkit study gaussian-calibration --scale {scale} --seeds {repetitions}",
        configuration="".join(f"{k}: {v}\n" for k, v in vars(chosen).items()),
        seeds=list(range(repetitions)),
        timing=timing,
    )
    report.add_heading("The Gaussian example")
    report.add_text(READING)
    for prior, example in PRIORS.items():
        report.add_figure(
            _biases(found[prior], example),
            f"Bias at each truth, trained with Z ~ {prior}: mean and range of the trainings."
            f" Below, enlarged, with +-{BAR:g} in grey.",
        )
    for prior, example in PRIORS.items():
        results = _results(found[prior], slopes[prior], information[prior], example)
        report.add_results(
            [Result(**{**vars(r), "subject": f"{r.subject}, {prior}"}) for r in results],
            f"Trained with Z ~ {prior}: the mean over trainings with samples of their own, ± the"
            " spread of one.",
        )
    _with_feature(report, chosen, repetitions)
    return report.write(out, force=force)


def _results(
    found: Mapping[str, Sequence[Found]],
    slopes: Sequence[Value],
    information: Sequence[Value],
    example: GaussianExample,
) -> list[Result]:
    rows = []
    for name, each in found.items():
        figures = {LARGEST: [f.largest_bias for f in each]}
        if not name.startswith(("regression", "posterior")):
            figures[WORST] = [f.sigma_error(example.noise) for f in each]
        rows += [_result(name, figure, values) for figure, values in figures.items()]
    exact: dict[str, Any] = {"source": SOURCE, "setup": "same"}
    rows.append(
        Result.over_seeds(
            "regression (mean)", "slope of f(x)", slopes, published=example.slope, **exact
        )
    )
    rows.append(
        Result.over_seeds(
            "Gaussian Ansatz",
            "I(X; Z)",
            information,
            published=round(example.information, 4),
            unit="nats",
            **exact,
        )
    )
    return rows


def _result(name: str, figure: str, values: Sequence[float]) -> Result:
    mean, std, error = over_seeds(list(values))
    single = len(values) == 1
    return Result(name, figure, mean, None if single else error, None if single else std)


def _with_feature(report: Report, chosen: Scale, repetitions: int) -> None:
    """Add the example in which a feature matters."""
    training = Training(
        epochs=chosen.feature_epochs,
        batch_size=512,
        learning_rate=3e-3,
        schedule="cosine",
        devices=1,
    )
    edges = np.linspace(-2, 2, 9)
    biases: dict[str, list[Floats]] = {}
    resolutions: dict[str, list[Floats]] = {}
    for seed in range(repetitions):
        sample = with_feature(chosen.feature_events, [7, seed])
        measured, truth, feature = with_feature(chosen.feature_events, [8, seed], 0.5)
        for name, make in WITH_FEATURE.items():
            print(f"with a feature, seed {seed}, {name}", flush=True)
            method = make(training).fit(*sample, seed=seed)
            closed = method.closure(measured, truth, feature, bins=edges)
            biases.setdefault(name, []).append(closed.bias)
            resolutions.setdefault(name, []).append(closed.resolution)
    report.add_heading("A feature that matters")
    report.add_text(FEATURES)
    middle = (edges[1:] + edges[:-1]) / 2
    for tables, label, exact in ((biases, "Bias", 0.0), (resolutions, "Resolution", 0.5)):
        report.add_figure(
            _in_bins(middle, tables, label, exact),
            f"{label} in bins of the truth, mean and spread over {repetitions} trainings; dotted:"
            " exact.",
        )
    rows = []
    for name in biases:
        subject = f"{name}, with a feature"
        rows.append(_result(subject, "rms bias", [_rms(b) for b in biases[name]]))
        rows.append(_result(subject, "resolution", [float(r.mean()) for r in resolutions[name]]))
    report.add_results(rows, "Over |z| < 2, for the other distribution of the truth.")


def _rms(values: Floats) -> float:
    return float(np.sqrt((values**2).mean()))


@style()
def _biases(found: Mapping[str, Sequence[Found]], example: GaussianExample) -> Figure:
    """Draw the bias of each method against the truth, and what is exact."""
    figure = Figure()
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for name, each in found.items():
        table = np.stack([f.bias for f in each])
        look: dict[str, Any] = {"color": COLOUR[name], "linestyle": LINES.get(name, "-")}
        for axes in (top, bottom):
            axes.plot(TRUTHS, table.mean(0), label=name, **look)
            axes.fill_between(
                TRUTHS, table.min(0), table.max(0), color=look["color"], alpha=0.2, linewidth=0
            )
    top.plot(TRUTHS, example.regression_bias(TRUTHS), "k:", linewidth=1.4, label="exact")
    for axes in (top, bottom):
        axes.plot(TRUTHS, 0 * TRUTHS, "k:", linewidth=1.4)
    top.set_ylim(-2.2, 4.6)
    top.set_ylabel("Bias")
    top.legend(fontsize=14, ncols=2)
    bottom.axhspan(-BAR, BAR, color="k", alpha=0.07, linewidth=0)
    bottom.set_ylim(-2 * BAR, 2 * BAR)
    bottom.set_ylabel("Enlarged", loc="center")
    bottom.set_xlim(TRUTHS[0], TRUTHS[-1])
    bottom.set_xlabel("Truth z")
    return figure


@style()
def _in_bins(
    middle: Floats, tables: Mapping[str, Sequence[Floats]], label: str, exact: float
) -> Figure:
    figure = Figure()
    axes = figure.subplots()
    for name, rows in tables.items():
        table = np.stack(rows)
        spread = table.std(0, ddof=1) if len(table) > 1 else None
        axes.errorbar(
            middle, table.mean(0), spread, fmt="o-", color=COLOUR[name], label=name, capsize=3
        )
    axes.axhline(exact, color="k", linestyle=":")
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0), high + 0.6 * (high - low))
    axes.set_xlabel("Truth z")
    axes.set_ylabel(label)
    axes.legend(fontsize=15)
    return figure
