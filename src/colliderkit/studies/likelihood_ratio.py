"""A classifier is a likelihood ratio: losses on densities whose ratio is known (2305.10500)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from colliderkit.methods.ratio import Ratio
from colliderkit.metrics.closure import agreement
from colliderkit.metrics.value import number
from colliderkit.report.ratio import closure, ratio_curves
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.sources.toys.ratios import RATIO_TOYS, RatioToy
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

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


AIMS = (
    Aim("The family, which holds these densities, is nearer than any network, on each toy", "*",
        "family", "below", against="network, *"),
    Aim("A network with the loss bce is within 0.1 on each toy", "*", "network, bce", "below", 0.1),
    Aim("A network with the loss exponential-mlc is within 0.1 on each toy", "*",
        "network, exponential-mlc", "below", 0.1),
)  # fmt: skip

Floats = NDArray[np.float64]
TESTED = 10_000  # events of each density that no training sees


@dataclass(frozen=True)
class Scale:
    """Events of each density, repetitions (`seeds`), toys and losses."""

    events: int
    seeds: int
    toys: tuple[str, ...]
    losses: tuple[str, ...]
    epochs: int


ALL = tuple(RATIO_TOYS)
LOSSES = ("bce", "mse", "mlc", "exponential-mlc", "sqr", "exponential-sqr")
SCALES = {
    "smoke": Scale(2_000, 2, ("gaussian-0.5", "gamma"), ("bce",), 2),
    "laptop": Scale(50_000, 3, ALL, ("bce", "exponential-mlc", "exponential-sqr"), 10),
    "night": Scale(300_000, 10, ALL, LOSSES, 20),
    "paper": Scale(1_000_000, 20, ALL, LOSSES, 20),
}


def likelihood_ratio(run: Run[Scale]) -> None:
    """Learn the ratio of each pair of densities again and again, beside the exact one."""
    scale, report = run.scale, run.report
    training = Training(epochs=scale.epochs, batch_size=1024, learning_rate=2e-3, schedule="cosine")
    estimators = {"family": Ratio(training=training)}
    for loss in scale.losses:
        estimators[f"network, {loss}"] = Ratio(loss=loss, family=False, training=training)
    results: list[Result] = []
    plots = []
    for toy in (RATIO_TOYS[name] for name in scale.toys):
        events = np.concatenate(tested(toy))
        grid = np.quantile(events, np.linspace(0.005, 0.995, 100))[:, None]
        curves: dict[str, Floats] = {}
        for key, estimator in estimators.items():
            learned = run.arrays(
                f"{toy.title}, {key}", partial(repeated, toy, estimator, scale, run.seeds, grid)
            )
            errors = np.abs(learned["ratio"] - toy.ratio(events)).mean(1)
            spread = float(np.std(errors, ddof=1)) if len(errors) > 1 else None
            error = None if spread is None else spread / len(errors) ** 0.5
            results.append(Result(key, toy.title, float(errors.mean()), error, spread))
            curves[key] = learned["curve"]
        plots.append((ratio_curves(grid[:, 0], toy.ratio(grid), curves, toy.title), toy.title))
    report.add_definitions(REMARKS)
    report.add_heading("Learned and exact")
    for plot, title in plots:
        report.add_figure(
            plot,
            f"{title}: the mean of the repetitions and, as a band, their standard deviation. The"
            " nearer to the exact ratio the better.",
        )
    report.add_results(
        results,
        f"Mean |learned - exact| ± its standard deviation over {len(run.seeds)} repetitions of"
        f" {number(scale.events)} events a density.",
        best={result.quantity: "lower" for result in results},
    )
    report.add_heading("Closure")
    numerator, denominator = (sample[:, 0] for sample in tested(toy))
    weight = run.fitted(
        f"{toy.title}, family", estimators["family"], *samples(toy, scale, run.seeds[-1])
    ).weights(denominator)
    report.add_figure(
        closure(
            agreement(denominator, numerator, source_weight=weight),
            agreement(denominator, numerator),
            "x",
        ),
        f"{toy.title}, the last repetition: events of p0, weighted by the learned ratio, against"
        " those of p1, none of which was trained on.",
    )


def samples(toy: RatioToy, scale: Scale, seed: int) -> tuple[Floats, Floats]:
    """Draw events of p1 and p0 to train on, (N, 1)."""
    return toy.numerator(scale.events, [seed, 1]), toy.denominator(scale.events, [seed, 2])


def tested(toy: RatioToy) -> tuple[Floats, Floats]:
    """Draw the events of p1 and p0 that estimators are compared on, (N, 1)."""
    return toy.numerator(TESTED, 1_000_000), toy.denominator(TESTED, 1_000_001)


def repeated(
    toy: RatioToy, estimator: Ratio, scale: Scale, seeds: Sequence[int], grid: Floats
) -> dict[str, Floats]:
    """Return the learned ratios (seeds, N) at the tested events, and the curves on a grid."""
    events = np.concatenate(tested(toy))
    fits = [clone(estimator).fit(*samples(toy, scale, seed), seed=seed) for seed in seeds]
    return {
        "ratio": np.stack([fit.weights(events) for fit in fits]),
        "curve": np.stack([fit.weights(grid) for fit in fits]),
    }


STUDY = Study(
    "likelihood-ratio",
    "A classifier is a likelihood ratio",
    SUMMARY,
    SCALES,
    likelihood_ratio,
    takes=("seeds",),
    aims=AIMS,
    events="{events} events of each density",
)
