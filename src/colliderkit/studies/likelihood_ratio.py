"""A classifier is a likelihood ratio: losses on densities whose ratio is known (2305.10500)."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.files import refuse_existing
from colliderkit.methods.ratio import Ratio
from colliderkit.metrics.closure import agreement
from colliderkit.report.html import Report
from colliderkit.report.ratio import closure, ratio_curves
from colliderkit.report.results import Result
from colliderkit.sources.toys.ratios import RATIO_TOYS
from colliderkit.training.settings import Training

__all__ = ["run"]

SUMMARY = """
Two samples of one density each, an estimate of p1/p0, and the exact answer: normal, beta and gamma
distributions as in arXiv:2305.10500. The figure of merit is the mean |p1/p0 learned - exact| over
events of both densities that no training has seen.
"""

REMARKS = """
"family" is what the package uses by default: an exponential family, fitted first, and a network
that learns the correction and is kept only where it lowers the loss of held-out events by more
than its error. All densities here are exponential families, so that the family alone is exact up
to the statistics of the events; "network" does without it, as for densities that are in no family.
The events are drawn anew in each repetition: the error is that of the mean over repetitions.
"""


@dataclass(frozen=True)
class Scale:
    """Say how many events of each density, repetitions, toys and losses."""

    events: int
    repetitions: int
    toys: tuple[str, ...]
    losses: tuple[str, ...]
    epochs: int


ALL = tuple(RATIO_TOYS)
LOSSES = ("bce", "mse", "mlc", "exponential-mlc", "sqr", "exponential-sqr")
SCALES = {
    "smoke": Scale(2_000, 2, ("gaussian-0.5", "gamma"), ("bce",), 2),
    "laptop": Scale(50_000, 3, ALL, ("bce", "exponential-mlc", "exponential-sqr"), 10),
    "paper": Scale(1_000_000, 20, ALL, LOSSES, 20),
}


def run(
    *,
    scale: str,
    out: Path,
    seeds: int | None = None,
    force: bool = False,
    **_: Any,
) -> Path:
    """Run the study into `out` and return the path of its report; `seeds` are the repetitions."""
    refuse_existing(out / "report.html", force)
    chosen = SCALES[scale]
    repetitions = chosen.repetitions if seeds is None else seeds
    training = Training(
        epochs=chosen.epochs, batch_size=1024, learning_rate=2e-3, schedule="cosine"
    )
    estimators = {
        "family": Ratio(training=training),
        **{
            f"network, {loss}": Ratio(loss=loss, family=False, training=training)
            for loss in chosen.losses
        },
    }
    timing = dict.fromkeys(estimators, 0.0)
    results: list[Result] = []
    figures = []
    for name in chosen.toys:
        toy = RATIO_TOYS[name]
        errors: dict[str, list[float]] = {key: [] for key in estimators}
        curves: dict[str, list[np.ndarray]] = {key: [] for key in estimators}
        tests = toy.numerator(10_000, 1_000_000), toy.denominator(10_000, 1_000_001)
        events = np.concatenate(tests)
        x = np.quantile(events, np.linspace(0.005, 0.995, 100))[:, None]
        exact = toy.ratio(events)
        for seed in range(repetitions):
            print(f"{toy.title}, repetition {seed}", flush=True)
            samples = (
                toy.numerator(chosen.events, [seed, 1]),
                toy.denominator(chosen.events, [seed, 2]),
            )
            for key, estimator in estimators.items():
                begin = time.perf_counter()
                estimator.fit(*samples, seed=seed)
                timing[key] += time.perf_counter() - begin
                errors[key].append(float(np.abs(estimator.weights(events) - exact).mean()))
                curves[key].append(estimator.weights(x))
        for key, values in errors.items():
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
            error = None if spread is None else spread / len(values) ** 0.5
            results.append(Result(key, toy.title, float(np.mean(values)), error, spread))
        learned = {key: np.stack(values) for key, values in curves.items()}
        figures.append((ratio_curves(x[:, 0], toy.ratio(x), learned, toy.title), toy.title))
        last = estimators["family"]
        moved = last.weights(tests[1])
    report = Report(
        "A classifier is a likelihood ratio",
        SUMMARY,
        command=f"colliderkit study likelihood-ratio --scale {scale} --seeds {repetitions}",
        configuration=f"events: {chosen.events}\nepochs: {chosen.epochs}\n",
        seeds=list(range(repetitions)),
        timing=timing,
    )
    report.add_heading("Mean error of the ratio")
    report.add_results(
        results,
        f"Mean |learned - exact| ± its standard deviation over {repetitions} repetitions of"
        f" {chosen.events} events a density.",
    )
    report.add_text(REMARKS)
    report.add_heading("Learned and exact")
    for figure, title in figures:
        report.add_figure(
            figure, f"{title}: mean of the repetitions and, as a band, their standard deviation."
        )
    report.add_heading("Closure")
    numerator, denominator = tests[0][:, 0], tests[1][:, 0]
    report.add_figure(
        closure(
            agreement(denominator, numerator, source_weight=moved),
            agreement(denominator, numerator),
            "x",
        ),
        f"{toy.title}, the last repetition: events of p0, weighted by the learned ratio, against"
        " those of p1, none of which was trained on.",
    )
    return report.write(out, force=force)
