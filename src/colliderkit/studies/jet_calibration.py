"""Jet energy and mass, calibrated with the features of the jet (2205.03413, 1910.03773)."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.schema import hash_uniform
from colliderkit.files import refuse_existing
from colliderkit.methods.calibration import (
    Calibrated,
    Calibration,
    FlowCalibration,
    GaussianAnsatz,
    GeneralisedInversion,
    NumericalInversion,
    Posterior,
    Regression,
    SequentialCalibration,
)
from colliderkit.methods.regression import Conformal, build
from colliderkit.metrics.coverage import coverage
from colliderkit.metrics.response import Profile, Statistic, profile
from colliderkit.metrics.value import Value, bootstrap
from colliderkit.report.calibration import residuals, resolutions, responses
from colliderkit.report.html import Report
from colliderkit.report.results import Result
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
from colliderkit.training.settings import Training

__all__ = ["Calibrations", "calibrated", "largest", "narrower", "run"]

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
FEATURE_BINS = 8
REPLICAS = 50
LEVEL = 0.6827
INVERSION = "numerical inversion"
RAW = "not calibrated"


@dataclass(frozen=True)
class Scale:
    """Say how many jets, how they are trained on, how often, and what is calibrated.

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
        60_000,
        Training(epochs=20, batch_size=1024, learning_rate=3e-3, patience=6),
        (64, 64),
        1,
        30,
        10,
    ),
    "paper": Scale(
        2_000_000,
        Training(epochs=50, batch_size=4096, learning_rate=3e-3),
        (128, 128, 128),
        5,
        100,
        20,
    ),
}


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
        "least squares": Regression(**network),
        "posterior": Posterior(**network),
    }


@dataclass(frozen=True)
class Calibrations:
    """Hold what each method makes of the test jets, {(method, prior): one a seed}, and of whom."""

    quantity: Quantity
    test: Jets
    found: dict[tuple[str, str], list[Calibrated]]

    @property
    def truth(self) -> Floats:
        """The truth of the test jets [GeV], (N,)."""
        return self.test.truth[:, self.quantity.column]

    @property
    def names(self) -> list[str]:
        """The methods."""
        return list(dict.fromkeys(name for name, _ in self.found))

    def seeds(self, name: str) -> range:
        """The seeds of a method: one, if it has no training."""
        return range(len(self.found[name, "flat"]))

    def estimate(self, name: str, prior: str, seed: int = 0) -> Floats:
        """The estimates [GeV], (N,)."""
        return np.exp(self.found[name, prior][seed].estimate)

    def response(
        self, name: str, prior: str, seed: int = 0, statistic: Statistic = "median"
    ) -> Profile:
        """The response estimate / truth in bins of the truth."""
        return profile(
            self.estimate(name, prior, seed) / self.truth,
            self.truth,
            self.quantity.edges,
            weight=weights(self.test, prior),
            statistic=statistic,
        )

    def trends(self, name: str, prior: str, seed: int = 0) -> dict[str, Profile]:
        """The response in bins of each feature, relative to that of all jets.

        In bins of the truth a prior hardly enters; here all jets of the bins count alike.
        """
        edges, truth = self.quantity.edges, self.truth
        inside = (truth >= edges[0]) & (truth <= edges[-1])
        ratio = self.estimate(name, prior, seed)[inside] / truth[inside]
        ratio = ratio / np.median(ratio)
        features = self.quantity.table(self.test)[2][inside]
        found = {}
        for feature, column in zip(self.quantity.names, features.T, strict=True):
            limits = np.unique(np.quantile(column, np.linspace(0, 1, FEATURE_BINS + 1)))
            found[feature] = profile(ratio, column, limits, statistic="median")
        return found


def calibrated(
    quantity: Quantity, train: Jets, test: Jets, scale: Scale, seeds: int
) -> Calibrations:
    """Fit all methods under all priors, and apply them to the test jets."""
    train, test = quantity.kept(train), quantity.kept(test)
    seen, true, features = quantity.table(train)
    test_seen, _, test_features = quantity.table(test)
    nothing = Calibrated(test_seen, np.full(len(test), np.nan))
    found: dict[tuple[str, str], list[Calibrated]] = {(RAW, p): [nothing] for p in PRIORS}
    for name, method in methods(scale).items():
        with_features = name != INVERSION
        for prior in PRIORS:
            for seed in range(seeds if hasattr(method, "training") else 1):
                begin = time.process_time()
                method.fit(
                    seen,
                    true,
                    features if with_features else None,
                    weight=weights(train, prior),
                    seed=seed,
                )
                answer = method.predict(test_seen, test_features if with_features else None)
                found.setdefault((name, prior), []).append(answer)
                print(
                    f"{quantity.title}: {name}, {prior} prior, seed {seed},"
                    f" {time.process_time() - begin:.1f} CPU s",
                    flush=True,
                )
    return Calibrations(quantity, test, found)


def largest(curve: Profile) -> Value:
    """Return the largest |response - 1| of all bins, with the error of that bin."""
    place = int(np.argmax(np.abs(curve.value - 1)))
    return Value(float(abs(curve.value[place] - 1)), float(curve.error[place]))


def narrower(found: Calibrations, name: str, prior: str, seed: int = 0) -> Value:
    """Return the relative resolution over that of numerical inversion, averaged over the bins.

    The error is that of resampled jets, the same for both.
    """
    ratio = [
        found.estimate(each, prior, number) / found.truth
        for each, number in ((name, seed), (INVERSION, 0))
    ]
    place = np.digitize(found.truth, found.quantity.edges)

    def mean_ratio(own: Floats, other: Floats, bins: NDArray[np.int64]) -> float:
        parts = []
        for number in range(1, len(found.quantity.edges)):
            inside = bins == number
            width = [
                np.subtract(*np.quantile(x[inside], [(1 + LEVEL) / 2, (1 - LEVEL) / 2]))
                / np.median(x[inside])
                for x in (own, other)
            ]
            parts.append(width[0] / width[1])
        return float(np.mean(parts))

    return bootstrap(mean_ratio, *ratio, place, replicas=REPLICAS)


def run(
    *,
    scale: str,
    out: Path,
    seeds: int | None = None,
    workers: int = 2,
    dask: str | None = None,
    force: bool = False,
) -> Path:
    """Run the study into `out` and return the path of its report."""
    refuse_existing(out / "report.html", force)
    chosen = SCALES[scale]
    count = chosen.seeds if seeds is None else seeds
    if count < 1:
        raise InputError(f"--seeds is {count}; it must be at least 1.")
    timing: dict[str, float] = {}

    def timed(name: str, action: Callable[[], Any]) -> Any:
        print(name, flush=True)
        begin = time.perf_counter()
        result = action()
        timing[name] = time.perf_counter() - begin
        return result

    file = out / "data" / f"dijets-{chosen.jets}.parquet"
    if not file.exists():
        timed(
            "generation",
            lambda: generate(
                "dijets",
                chosen.jets,
                file,
                seed=SEED,
                detector=Detector(hadron_response=HadronResponse()),
                paired=True,
                # A process takes longer to start than a smoke run's jets.
                workers=1 if scale == "smoke" else workers,
                dask=dask,
            ),
        )
    jets = timed("features", lambda: read_jets(file))
    test = hash_uniform(jets.event, SEED) < TEST
    made = [
        timed(
            q.title,
            partial(calibrated, q, jets.at(~test), jets.at(test), chosen, count),
        )
        for q in chosen.quantities
    ]
    intervals = timed(
        "intervals", lambda: covered(PT, jets.at(~test), jets.at(test), chosen, count)
    )
    report = Report(
        "Jet calibration",
        SUMMARY,
        command=f"colliderkit study jet-calibration --scale {scale} --seeds {count}",
        configuration="".join(f"{name}: {value}\n" for name, value in vars(chosen).items()),
        seeds=list(range(count)),
        timing=timing,
    )
    report.add_text(DEFINITIONS)
    report.add_text(
        f"{int((~test).sum())} jets train and choose the epoch, {int(test.sum())} of other events"
        f" are judged; {chosen.jets - len(jets)} of {chosen.jets} true jets are not seen within"
        " half a radius and left out."
    )
    for found in made:
        _add_closure(report, found)
        _add_resolution(report, found)
        _add_residuals(report, found)
    _add_coverage(report, made[0], intervals)
    return report.write(out, force=force)


def covered(
    quantity: Quantity, train: Jets, test: Jets, scale: Scale, seeds: int
) -> dict[str, list[tuple[Value, Value]]]:
    """Return the coverage of 68% intervals of p(truth | seen), and the median width in ln(truth).

    Regressions, as they are and made conformal on a quarter of the training jets.
    """
    train, test = quantity.kept(train), quantity.kept(test)
    (seen, true, features), (test_seen, test_true, test_features) = (
        quantity.table(jets) for jets in (train, test)
    )
    x, test_x = np.column_stack([seen, features]), np.column_stack([test_seen, test_features])
    network: dict[str, Any] = {"hidden": scale.hidden, "training": scale.training}
    ensemble, quantile = build("ensemble", **network), build("quantile", **network)
    kinds: dict[str, Any] = {
        "deep ensemble": ensemble,
        "quantiles": quantile,
        "deep ensemble, conformal": Conformal(ensemble, levels=(LEVEL,)),
        "quantiles, conformal": Conformal(quantile, score="shifted", levels=(LEVEL,)),
    }
    found: dict[str, list[tuple[Value, Value]]] = {}
    for name, method in kinds.items():
        for seed in range(seeds):
            low, high = method.fit(x, true, seed=seed).interval(test_x, LEVEL)
            found.setdefault(name, []).append(_interval(low, high, test_true))
            print(f"{name}, seed {seed}", flush=True)
    return found


def _interval(low: Floats, high: Floats, truth: Floats) -> tuple[Value, Value]:
    half = (high - low) / 2
    return (
        coverage(low, high, truth).value,
        Value(float(np.median(half)), float(1.25 * half.std() / len(half) ** 0.5)),
    )


def _add_closure(report: Report, found: Calibrations) -> None:
    title, label = found.quantity.title, found.quantity.label
    report.add_heading(f"Closure of the {title}")
    results, figures = [], []
    statistics: tuple[Statistic, ...] = ("median", "mode")
    for statistic in statistics:
        curves: dict[str, dict[str, Profile]] = {}
        for name in found.names:
            for prior in PRIORS:
                own = [found.response(name, prior, n, statistic) for n in found.seeds(name)]
                figure = f"{title}, non-closure, {prior} prior, {statistic}"
                values = [_percent(largest(curve)) for curve in own]
                results.append(Result.over_seeds(name, figure, values, unit="%"))
                curves.setdefault(name, {})[prior] = own[0]
        figures.append(responses(curves, label, found.quantity.edges))
    report.add_results(
        results, "Largest |response - 1| of all bins, with the error of that bin, in percent."
    )
    for statistic, drawn in zip(statistics, figures, strict=True):
        report.add_figure(
            drawn,
            f"Response of the {title} in the {statistic}, fitted and judged under two priors; the"
            " band is 1%, an arrow a point beyond. Seed 0.",
            wide=True,
            tall=True,
        )


def _add_resolution(report: Report, found: Calibrations) -> None:
    title = found.quantity.title
    report.add_heading(f"Resolution of the {title}")
    results = []
    for name in found.names:
        if name in (RAW, INVERSION):
            continue
        for prior in PRIORS:
            values = [narrower(found, name, prior, seed) for seed in found.seeds(name)]
            results.append(
                Result.over_seeds(name, f"{title}, resolution ratio, {prior} prior", values)
            )
    report.add_results(
        results,
        "Relative resolution over that of numerical inversion, averaged over the bins of the truth."
        " Estimates that depend on the prior are drawn towards it, and scatter less by that.",
    )
    curves = {name: found.response(name, "flat") for name in found.names if name != RAW}
    report.add_figure(
        resolutions(curves, INVERSION, found.quantity.label, found.quantity.edges),
        f"Relative resolution of the {title}, half of the central 68% over the median, flat prior.",
    )


def _add_residuals(report: Report, found: Calibrations) -> None:
    title = found.quantity.title
    report.add_heading(f"Residuals of the {title}")
    trends = {n: [found.trends(n, "flat", seed) for seed in found.seeds(n)] for n in found.names}
    results = [
        Result.over_seeds(
            name,
            f"{title}, residual, {feature}",
            [_percent(largest(each[feature])) for each in own],
            unit="%",
        )
        for name, own in trends.items()
        for feature in found.quantity.names
    ]
    report.add_results(
        results, "Largest residual along each feature, with the error of that bin, in percent."
    )
    shown = (INVERSION, "sequential", "generalised inversion", "flow likelihood")
    report.add_figure(
        residuals(
            {
                feature: {name: trends[name][0][feature] for name in shown}
                for feature in found.quantity.names
            }
        ),
        f"Response of the {title} along each feature, before (numerical inversion knows none of"
        " them) and after; the band is 1%.",
        wide=True,
        tall=True,
    )


def _add_coverage(
    report: Report, found: Calibrations, intervals: Mapping[str, Sequence[tuple[Value, Value]]]
) -> None:
    report.add_heading("Resolution jet by jet")
    truth = np.log(found.truth)
    results = []
    for name in found.names:
        if name == RAW:
            continue
        shares, widths, pulls = [], [], []
        for answer in found.found[name, "flat"]:
            low, high = (answer.estimate + side * answer.resolution for side in (-1, 1))
            share, width = _interval(low, high, truth)
            pull = (answer.estimate - truth) / answer.resolution
            shares.append(share)
            widths.append(width)
            pulls.append(Value(float(pull.std()), float(pull.std() / (2 * len(pull)) ** 0.5)))
        results += _rows(name, shares, widths)
        results.append(Result.over_seeds(name, "standard deviation of the pulls", pulls))
    for name, values in intervals.items():
        results += _rows(name, [share for share, _ in values], [width for _, width in values])
    report.add_results(
        results,
        "Share of the test jets whose truth is within 68.27% intervals, the median of half their"
        " width in ln(pt), and the pulls (estimate - truth) / resolution. Of a calibration the"
        " interval is estimate ± resolution; a regression has intervals of p(truth | seen), which"
        " hold for the prior that it learned. Flat prior.",
    )


def _rows(name: str, shares: Sequence[Value], widths: Sequence[Value]) -> list[Result]:
    return [
        Result.over_seeds(name, "coverage of 68%", [_percent(s) for s in shares], unit="%"),
        Result.over_seeds(name, "half width", [_percent(w) for w in widths], unit="%"),
    ]


def _percent(value: Value) -> Value:
    return Value(100 * value.value, 100 * value.error)
