"""Fractions by topics and efficiencies from mixed samples: bias, errors and coverage in toys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from colliderkit.errors import InputError
from colliderkit.methods.search.mixtures.templates import MixtureEfficiencies
from colliderkit.methods.search.mixtures.topics import Topics
from colliderkit.metrics.value import number
from colliderkit.report.mixtures import efficiencies_over_fractions, parted, sample_share
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.sources.toys.mixtures import GaussianClasses
from colliderkit.studies.run import Run, Study

__all__ = ["STUDY", "covered", "topic_pulls"]

Floats = NDArray[np.float64]

SUMMARY = """
Two mixed samples of data give the efficiencies of a cut for both classes, if their fractions are
known, and the fractions themselves, if each class is somewhere alone ("topics", 1802.00008). Both
are repeated on many small data sets, whose truth is known.
"""
DEFINITIONS = """
A pull is (found - true) / error. Toys draw both samples anew; in those of efficiencies the
fractions that are believed are off by normal errors, which the method is told.

An "asymptote" is the end of a fitted curve; an "anchor" is a bin chosen in one half of the events
and measured in the other. The "least bin", as it stands in all events, is the naive infimum.
"""
FRACTIONS, SPREAD = (0.2, 0.8), 0.02
GAUSSIAN, SIMULATION = GaussianClasses(1, 2.4), GaussianClasses(1, 2.0)
COVERED = ("background", "signal", "scale factor, background", "scale factor, signal")
ASYMPTOTE, ANCHOR, NAIVE = "asymptote, Gaussians", "anchor, blocks", "least bin, Gaussians"
AIMS = (
    *(
        Aim(f"Fractions by the {name} are unbiased", "mean pull", f"{name}*", "within", (-0.1, 0.1))
        for name in (ASYMPTOTE, ANCHOR)
    ),
    *(
        Aim(f"Errors of the {name} are right", "width of the pulls", f"{name}*", "within",
            (0.9, 1.1))
        for name in (ASYMPTOTE, ANCHOR)
    ),
    Aim("The least of all bins is biased", "bias", f"{NAIVE}*", "above", 0.02, which="some"),
    Aim("Efficiencies from two mixtures cover", "coverage", "two samples*", "equal", 0.6827,
        tolerance=0.05),
    Aim("Efficiencies from three mixtures cover", "coverage", "three samples*", "equal", 0.6827,
        tolerance=0.05),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Toys of topics and of efficiencies, and the events of each sample in them."""

    topics: int
    events: int
    coverage: int
    passing: int


SCALES = {
    "smoke": Scale(10, 4_000, 10, 1_000),
    "laptop": Scale(1_000, 20_000, 200, 4_000),
    "night": Scale(4_000, 50_000, 4_000, 10_000),
    "paper": Scale(10_000, 100_000, 10_000, 10_000),
}


def fractions_and_efficiencies(run: Run[Scale]) -> None:
    """Extract fractions and efficiencies from many toys."""
    scale, report = run.scale, run.report
    report.add_definitions(DEFINITIONS)
    report.add_heading("Fractions")
    results = []
    for name in (ASYMPTOTE, ANCHOR, NAIVE):
        compute = partial(topic_pulls, name, scale.topics, scale.events)
        toys = run.arrays(name, compute)
        for k in range(2):
            row = f"{name}, sample {k + 1}"
            results += moments(row, toys["bias"][:, k], "bias", width=False)
            if name != NAIVE:
                results += moments(row, toys["pulls"][:, k], "mean pull", width=True)
    report.add_results(
        results,
        f"{number(scale.topics)} pairs of samples of {number(scale.events)} events, fractions 0.2"
        " and 0.8, of unit Gaussians 2.4 apart, or of two blocks that overlap in part.",
    )
    example = GAUSSIAN.sample([scale.events] * 2, FRACTIONS, [1])
    topics = Topics(edges=EDGES[ASYMPTOTE]).fit(example.x0, example.label)
    names = ("sample 1", "sample 2")
    report.add_figure(
        parted(topics, names, "x"), "One pair of samples, and the classes behind them."
    )
    report.add_figure(
        sample_share(topics, names[1], "x"),
        "The share of the second sample, and the ends of the fitted curve.",
    )
    report.add_heading("Efficiencies")
    results = []
    for name, fractions in (("two samples", FRACTIONS), ("three samples", (0.2, 0.5, 0.8))):
        compute_ = partial(covered, fractions, scale.coverage, scale.passing)
        inside = run.arrays(f"coverage, {name}", compute_)["inside"]
        for k, kind in enumerate(COVERED):
            error = (0.6827 * 0.3173 / len(inside)) ** 0.5
            share = float(inside[:, k].mean())
            results.append(Result(f"{name}, {kind}", "coverage", share, error))
    report.add_results(
        results,
        f"How often efficiency and scale factor of a cut that half of the signal passes are within"
        f" their errors, in"
        f" {number(scale.coverage)} toys of {number(scale.passing)} events a sample, fractions"
        f" known to {SPREAD:g}.",
    )
    method = efficiencies(FRACTIONS, scale.passing, np.random.default_rng(4), 4)
    report.add_figure(
        efficiencies_over_fractions(method),
        "One toy: the shares that pass over the fractions, and the efficiencies at the ends.",
        wide=True,
    )


def moments(name: str, values: Floats, what: str, *, width: bool) -> list[Result]:
    """Return mean, and with `width` the standard deviation, of values (T,) with their errors."""
    spread, n = float(values.std(ddof=1)), len(values)
    rows = [Result(name, what, float(values.mean()), spread / n**0.5)]
    if width:
        rows.append(Result(name, "width of the pulls", spread, spread / (2 * n) ** 0.5))
    return rows


EDGES: Mapping[str, tuple[float, ...]] = {
    ASYMPTOTE: tuple(np.linspace(-5, 5, 41).tolist()),
    NAIVE: tuple(np.linspace(-5, 5, 41).tolist()),
    ANCHOR: tuple(np.linspace(0, 1, 11).tolist()),
}


def topic_pulls(name: str, count: int, events: int) -> dict[str, Floats]:
    """Return bias and pulls of both fractions, (T, 2); toys without an answer are left out.

    Blocks are two uniform densities of width 0.7 on [0, 1]: each class is alone in 0.3 of it.
    """
    found: list[Floats] = []
    true = np.array(FRACTIONS)
    for i in range(count):
        data = GAUSSIAN.sample([events] * 2, FRACTIONS, [2, i])
        x, sample = np.asarray(data.x0), np.asarray(data.label)
        if name == ANCHOR:
            x = 0.7 * np.random.default_rng([3, i]).random(len(x)) + 0.3 * np.asarray(data.truth)
        if name == NAIVE:
            found.append(np.stack([naive(x, sample) - true, np.full(2, np.nan)]))
            continue
        kind: Literal["anchor", "asymptote"] = "anchor" if name == ANCHOR else "asymptote"
        try:
            topics = Topics(edges=EDGES[name], infimum=kind).fit(x, sample, seed=i)
        except InputError:
            continue
        off = topics.fractions_ - true
        found.append(np.stack([off, off / np.sqrt(np.diagonal(topics.covariance_))]))
    both = np.array(found)
    return {"bias": both[:, 0], "pulls": both[:, 1]}


def naive(x: Floats, sample: NDArray[np.int64]) -> Floats:
    """Return the fractions of the least ratio of all bins with events of both samples, (2,)."""
    edges = np.asarray(EDGES[NAIVE])
    first, second = (np.histogram(x[sample == k], edges)[0] / (sample == k).sum() for k in (0, 1))
    used = (first > 0) & (second > 0)
    ratio = second[used] / first[used]
    b, s = ratio.min(), (1 / ratio).min()
    rich = (1 - b) / (1 - b * s)
    return np.array([s * rich, rich])


def efficiencies(
    fractions: Sequence[float], events: int, random: np.random.Generator, seed: int
) -> MixtureEfficiencies:
    """Return the efficiencies of one toy, whose fractions are believed to be others."""
    data = GAUSSIAN.sample([events] * len(fractions), fractions, [3, seed])
    believed = {
        f"sample {a + 1}": float(np.clip(f + SPREAD * random.normal(), 0, 1))
        for a, f in enumerate(fractions)
    }
    # Half of the signal lies above its mean.
    method = MixtureEfficiencies(
        fractions=believed,
        errors=dict.fromkeys(believed, SPREAD),
        cuts=(GAUSSIAN.distance**2 / 2,),
    )
    simulated = SIMULATION.sample([events] * 2, (0.0, 1.0), [5, seed])
    simulation = GAUSSIAN.log_ratio(simulated), simulated.truth
    return method.fit(GAUSSIAN.log_ratio(data), data.label, simulation=simulation)


def covered(fractions: Sequence[float], count: int, events: int) -> dict[str, NDArray[np.bool_]]:
    """Return whether efficiencies and scale factors lie within an error of the truth, (T, 4)."""
    in_data, simulated = (
        ndtr(np.array([-0.5, 0.5]) * toy.distance - GAUSSIAN.distance / 2)
        for toy in (GAUSSIAN, SIMULATION)
    )
    truth = [*in_data, *(in_data / simulated)]
    random, inside = np.random.default_rng(3), np.empty((count, 4), dtype=bool)
    for i in range(count):
        method = efficiencies(fractions, events, random, i)
        for k, value in enumerate((*method.efficiency(), *method.scale_factor())):
            inside[i, k] = abs(value.value - truth[k]) < value.error
    return {"inside": inside}


TITLE = "Fractions and efficiencies from mixed samples"
STUDY = Study(
    *("fractions-and-efficiencies", TITLE, SUMMARY, SCALES, fractions_and_efficiencies),
    aims=AIMS,
    events="{topics} toys of {events} events a sample for fractions, {coverage} for efficiencies",
)
