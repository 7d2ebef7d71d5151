"""Semi-supervised search: a few simulated signals, and one that is none of them (2011.03550)."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from colliderkit.events.tables import Floats
from colliderkit.methods.search.semi_supervised import SemiSupervised
from colliderkit.metrics.roc import auc, roc
from colliderkit.metrics.value import Value
from colliderkit.report import classifiers
from colliderkit.report.latent import against
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
A few signals are simulated, and the true one may be another. QUAK (arXiv:2011.03550) places events
by their densities under background and under each simulated signal. On densities that are known
this page measures how much it gains for the simulated signals, and how much it loses for others.
"""
STAND_IN = """
Events are four numbers of normal and exponential densities, and no jets: then the best score for
each signal is known, and the signal can be moved away from a simulated one bit by bit.
"""
MEASURES = """
The background falls in two columns (masses, say) and is normal in two others. Two signals are
simulated, peaks at two points. The signal that is searched for is a peak of the same width, at
"distance" from the nearest simulated one, in units of that width. "Reliance" is how much the
simulated signals count in the score: 0 is the density of the background alone, and 1 the likelihood
ratio to the mixture of the simulated signals. "exact" is the likelihood ratio for the true signal.
"""
AIMS = (
    Aim("A simulated signal is found better with full reliance than without",
        "AUC at distance 0", "reliance 1", "above", against="reliance 0"),
    Aim("No score is better than the exact one", "AUC at distance *", "reliance *", "below",
        against="exact", times=1.001),
    Aim("What is gained is lost for a signal far from the simulated ones",
        "AUC at distance 8", "reliance 1", "below", against="reliance 0"),
    Aim("Half of the reliance loses less there", "AUC at distance 8", "reliance 0.5", "above",
        against="reliance 1"),
)  # fmt: skip
WIDTH = 0.3
PLACES = {"light": (1.0, 1.0, 1.0, 0.0), "heavy": (1.5, 2.5, 1.0, 0.0)}
TOWARDS = np.array([0.5, 0.2, -1.0, 0.6]) / np.linalg.norm([0.5, 0.2, -1.0, 0.6])
DISTANCES = (0, 1, 2, 4, 8)
RELIANCES = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class Scale:
    """Events of background, of each signal and to test, and how flows are trained."""

    background: int
    signal: int
    test: int
    training: Training
    hidden: tuple[int, ...] = (64, 64)
    transforms: int = 3
    seeds: int = 1


SCALES = {
    "smoke": Scale(600, 300, 500, Training(epochs=1, batch_size=128), (8,), 1),
    "laptop": Scale(30_000, 10_000, 20_000, Training(epochs=15, batch_size=512, learning_rate=3e-3),
                    (32, 32), 2),
    "night": Scale(200_000, 50_000, 100_000,
                   Training(epochs=30, batch_size=512, learning_rate=2e-3), seeds=5),
    "paper": Scale(1_000_000, 100_000, 1_000_000,
                   Training(epochs=50, batch_size=1024, learning_rate=1e-3), seeds=10),
}  # fmt: skip


def background(count: int, seed: int) -> Floats:
    """Draw two exponential columns of mean 1 and two normal ones, (N, 4)."""
    random = np.random.default_rng(seed)
    return np.column_stack([random.exponential(1, (count, 2)), random.normal(size=(count, 2))])


def peak(count: int, place: Floats, seed: int) -> Floats:
    """Draw a signal around a place, (N, 4)."""
    return np.random.default_rng(seed).normal(place, WIDTH, (count, 4))


def exact_score(x: Floats, place: Floats) -> Floats:
    """Return ln of the likelihood ratio of a peak to background, up to a constant."""
    signal = -0.5 * ((x - place) ** 2).sum(1) / WIDTH**2
    below = -x[:, :2].sum(1) - 0.5 * (x[:, 2:] ** 2).sum(1)
    # Masses below zero are no background at all.
    possible: Floats = np.where((x[:, :2] >= 0).all(1), signal - below, 1e6)
    return possible


def semi_supervised(run: Run[Scale]) -> None:
    """Learn the densities once a seed, and move the signal away."""
    scale, report = run.scale, run.report
    report.add_stand_in(STAND_IN)
    report.add_definitions(MEASURES)
    start = np.array(PLACES["light"])
    found: dict[str, dict[int, list[Value]]] = {}
    curves = {}
    for seed in run.seeds:
        method = run.fitted(
            f"densities, seed {seed}",
            SemiSupervised(
                options={"hidden": scale.hidden, "transforms": scale.transforms},
                training=scale.training,
            ),
            background(scale.background, 10 * seed + 1),
            {
                name: peak(scale.signal, np.array(place), 10 * seed + 2 + i)
                for i, (name, place) in enumerate(PLACES.items())
            },
            seed=seed,
        )
        plain = background(scale.test, 10 * seed + 5)
        label = np.repeat([0, 1], scale.test)
        for distance in DISTANCES:
            place = start + distance * WIDTH * TOWARDS
            events = np.concatenate([plain, peak(scale.test, place, 10 * seed + 6)])
            space = method.space(events)
            known = logsumexp(-space[:, 1:], axis=1)
            scores = {f"reliance {r:g}": space[:, 0] + r * known for r in RELIANCES}
            scores["exact"] = exact_score(events, place)
            for name, score in scores.items():
                found.setdefault(name, {}).setdefault(distance, []).append(auc(score, label))
            if seed == 0 and distance in (DISTANCES[0], DISTANCES[-1]):
                curves[distance] = {name: roc(score, label) for name, score in scores.items()}
    rows = [
        Result.over_seeds(name, f"AUC at distance {distance}", values)
        for name, of_one in found.items()
        for distance, values in of_one.items()
    ]
    report.add_heading("Known and unknown signals")
    points = {
        name: [
            (float(d), row.value, row.error or 0.0)
            for d in DISTANCES
            for row in rows
            if row.subject == name and row.quantity == f"AUC at distance {d}"
        ]
        for name in found
    }
    report.add_figure(
        against(points, "Distance from the simulated signal [widths]", "AUC", line=0.5, log=False),
        "How well each score finds the signal, as it moves away from what was simulated.",
        wide=True,
    )
    for distance, of_one in curves.items():
        report.add_figure(
            classifiers.roc(of_one),
            f"Rejection of background for a signal at distance {distance}, first seed.",
        )
    report.add_results(rows, "Errors are of counting in the test events, and of seeds.")


STUDY = Study(
    *("semi-supervised", "A few simulated signals", SUMMARY, SCALES, semi_supervised, ("seeds",)),
    aims=AIMS,
    events="{background} background events, {signal} of each signal, {test} of each to test",
    stand_in="simulated jets",
)
