"""Learned observables: what should be measured in place of what is unfolded (2203.16722).

Two toys whose answer is known, and deep inelastic scattering against the classical reconstructions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.binning import with_overflow
from colliderkit.methods.unfolding.learned import LearnedObservable
from colliderkit.methods.unfolding.quality import Assessment, information_and_bias
from colliderkit.metrics.response import profile
from colliderkit.metrics.value import Value, number
from colliderkit.report.results import Result
from colliderkit.report.unfolding import by_bin, responses
from colliderkit.report.verdict import Aim
from colliderkit.sources.toys.dis import COLUMNS, METHODS, DisEvents, DisModel, dis_events
from colliderkit.sources.toys.linear import LinearToy, angle_toy, pair_toy
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

Floats = NDArray[np.float64]

SUMMARY = """
Physics chooses the particle-level quantity of an unfolding; at detector level any function of what
is measured may take its part. One that is learned for the purpose makes the response more diagonal
(arXiv:2203.16722). It is tried on two toys whose answer is known in closed form, and on deep
inelastic scattering at HERA beside the classical reconstructions; the study jet-observables takes
jets of Z + jet events.
"""
STAND_IN = """
The events of deep inelastic scattering are made by formulas for kinematics and for radiation off
the incoming electron, and a smearing detector of the size of H1's, in place of Rapgap and Djangoh
with the full simulation of H1: no hadronisation, no radiation off the scattered electron, no photon
in the detector. As in the public program of its authors, which has no numbers to compare with, 10
bins of truth are unfolded from 20 of the detector.
"""
MEASURES = """
"Inflation" is the variance of an unfolded bin over that of counting its true events, for an
inversion that has no bias, in the geometric mean of the bins: 1 for a perfect detector. It follows
from the response alone, and no unfolding without a prior does better with this observable and
binning. Detector bins hold equal shares of the simulation with each truth bin weighted to 1, so
that the scale of an observable does not matter; "information" has as many bins of its own.
"Purity" and "stability" are for equal bins at both levels. "Bias" is that of four iterations of
D'Agostini in other pseudo-data, over its statistical error, root mean square over bins; "total" is
(bias² + variance) / counting variance at the best iteration for each observable, which only who
knows the truth can choose. Under- and overflow of the truth are unfolded as bins of their own.

"mean" learns E[truth | seen]; "flat" does so for a flat spectrum of the truth; "information" learns
the detector bins themselves, for the smallest inflation. A regression prefers values where the
simulation has most events. Unfolding corrects this, because the bias that comes from the spectrum
of the truth is in the response matrix. The response depends on more than the truth, and that part
of the simulation is not corrected: what to look for is a bias in pseudo-data with more radiation,
for observables that do not tell radiation.

Where a measurement is poor, a regression answers with the mean of the simulation and puts such
events among good ones of that size; learned bins can keep them apart.
"""

AIMS = (
    *(
        Aim(f"Learned bins cost less than the {method} method, for every quantity", "*: inflation",
            "learned, information", "below", against=method)
        for method in METHODS
    ),
    Aim("Learned bins cost less than a regression, for every quantity", "*: inflation",
        "learned, information", "below", against="learned, mean"),
    Aim("Under another structure function their bias is below the statistical error",
        "*: bias / error", "learned, information", "below", 1.0),
)  # fmt: skip
LEARNED = ("learned, mean", "learned, flat", "learned, information")
EDGES = {
    "Q2": np.linspace(np.log10(200), np.log10(10_000), 11),
    "y": np.linspace(np.log10(0.02), np.log10(0.9), 11),
    "x": np.linspace(np.log10(0.003), np.log10(0.4), 11),
}
LABELS = {"Q2": "$Q^2$ [GeV$^2$]", "y": "$y$", "x": "$x$"}
DETECTOR_BINS = 20
DATA = 100_000  # events that errors are quoted for
ITERATIONS = 4
NATURES = {
    "other structure": DisModel(rise=0.3, small=0.4, large=4.5),
    "more radiation": DisModel(radiation=1.5),
}


@dataclass(frozen=True)
class Scale:
    """Events of each kind, and how the networks of a number and of bins are trained."""

    toy: int
    train: int
    response: int
    quantities: tuple[str, ...]
    number: Training
    bins: Training
    seeds: int = 1


ALL = ("y", "Q2", "x")
cosine = partial(Training, schedule="cosine")
SMOKE = cosine(2, 512, 2e-3), cosine(4, 1_000, 5e-3)
LAPTOP = cosine(12, 1_024, 2e-3), cosine(15, 4_000, 5e-3)
NIGHT = cosine(30, 1_024, 2e-3), cosine(30, 5_000, 5e-3)
PAPER = cosine(60, 2_048, 2e-3), cosine(60, 10_000, 5e-3)
SCALES = {
    "smoke": Scale(4_000, 5_000, 20_000, ("y",), *SMOKE),
    "laptop": Scale(50_000, 100_000, 1_000_000, ALL, *LAPTOP),
    "night": Scale(100_000, 400_000, 2_000_000, ALL, *NIGHT, seeds=2),
    "paper": Scale(200_000, 2_000_000, 5_000_000, ALL, *PAPER, seeds=3),
}


def learned_observables(run: Run[Scale]) -> None:
    """Learn observables of toys and of deep inelastic scattering."""
    for title, part in (("Toys", toys), ("Deep inelastic scattering", scattering)):
        run.report.add_heading(title)
        with run.step(title.lower()):
            part(run)


def toys(run: Run[Scale]) -> None:
    """Compare what is learned with the exact combination, in information and in bias."""
    shift = np.array([0.0, 1.0])
    rows: list[list[Any]] = []
    for title, toy, moved in (
        ("two estimates, correlated noise", pair_toy(), np.zeros(1)),
        ("response depends on an angle", angle_toy(), shift),
    ):
        nature = LinearToy(toy.slopes, toy.noise, toy.mean + moved, toy.width)
        tests = toy.sample(run.scale.toy, 1_000), nature.sample(run.scale.toy, 1_001)
        exact = {
            "plain": np.eye(len(toy.noise))[0],
            "best regression": toy.regression,
            "best unbiased": toy.unbiased,
        }
        for name, combination in exact.items():
            rows.append([title, name, toy.information(combination), toy.bias(combination, moved)])
        answers = []
        for seed in run.seeds:
            method = LearnedObservable(training=run.scale.number)
            method.fit(*toy.sample(run.scale.toy, seed), seed=seed, progress=False)
            pairs = [part for x, z in tests for part in (method.predict(x), z)]
            answers.append(information_and_bias(*pairs))
        means = [Result.over_seeds("", "", values) for values in zip(*answers, strict=True)]
        rows.append([title, LEARNED[0], *(Value(r.value, r.error or 0.0) for r in means)])
    run.report.add_table(
        ["toy", "observable", "information [nats]", "bias in pseudo-data"],
        rows,
        "Mutual information of truth and observable, and the error of the mean of the truth when"
        " the angle has a mean of one width in pseudo-data. All rows but the learned one are exact;"
        f" that one is measured on {number(run.scale.toy)} events that no training has seen.",
    )


def log(values: Floats) -> Floats:
    """Return log10, with what is no positive number put below all others."""
    return np.log10(np.where(values > 1e-5, values, 1e-5))


def learner(name: str, scale: Scale, edges: Floats) -> LearnedObservable:
    """Choose what is learned; learned bins have under- and overflow of the truth."""
    criterion: Any = name.removeprefix("learned, ")
    information = criterion == "information"
    return LearnedObservable(
        criterion=criterion,
        truth_edges=(with_overflow(edges) if information else edges).tolist(),
        bins=DETECTOR_BINS,
        columns=COLUMNS,
        training=scale.bins if information else scale.number,
    )


def scattering(run: Run[Scale]) -> None:
    """Judge four classical and three learned reconstructions of each quantity."""
    scale, report = run.scale, run.report
    report.add_stand_in(STAND_IN)
    report.add_definitions(MEASURES)
    train = dis_events(scale.train, seed=1)
    train = train.at(train.pass_reco)
    simulation = dis_events(scale.response, seed=2)
    natures = {
        name: dis_events(scale.response, model, seed=[3, i])
        for i, (name, model) in enumerate(NATURES.items())
    }
    events = {"simulation": simulation, **natures}
    seen = {name: each.at(each.pass_reco) for name, each in events.items()}
    tables = {name: each.table() for name, each in seen.items()}
    found: dict[str, dict[str, list[Assessment]]] = {}
    for quantity in scale.quantities:
        assess = partial(
            Assessment.of,
            truth={name: np.log10(getattr(each, quantity)) for name, each in events.items()},
            pass_reco=simulation.pass_reco,
            truth_edges=with_overflow(EDGES[quantity]),
            events=DATA,
            iterations=ITERATIONS,
        )
        for method in METHODS:
            values = {name: log(e.reconstructed(method)[quantity]) for name, e in seen.items()}
            found.setdefault(quantity, {})[method] = [assess(values, DETECTOR_BINS)]
        for name in LEARNED:
            for seed in run.seeds:
                observable = run.fitted(
                    f"{quantity}, {name}, seed {seed}",
                    learner(name, scale, EDGES[quantity]),
                    train.table(),
                    np.log10(getattr(train, quantity)),
                    seed=seed,
                )
                values = {key: observable.predict(x) for key, x in tables.items()}
                bins = observable.edges() if name == LEARNED[-1] else DETECTOR_BINS
                found[quantity].setdefault(name, []).append(assess(values, bins))
    first = next(iter(NATURES))
    for quantity, of_one in found.items():
        draw(run, quantity, {name: each[0] for name, each in of_one.items()}, seen["simulation"])
    report.add_results(
        [
            Result.over_seeds(name, f"{quantity}: {what}", values)
            for quantity, of_one in found.items()
            for name, each in of_one.items()
            for what, values in (
                ("inflation", [Value(a.quality.mean, a.quality.mean_error) for a in each]),
                ("total", [a.bias[first].total for a in each]),
                ("bias / error", [a.bias[first].size for a in each]),
            )
        ],
        f"For log10 of {', '.join(scale.quantities)}; errors are of counting in the simulation and"
        " of seeds.",
        best={f"{q}: {what}": "lower" for q in found for what in ("inflation", "total")},
    )
    report.add_table(
        ["", "observable", "condition", "purity", "stability", *(f"bias, {n}" for n in NATURES)],
        [
            [quantity, name, *each[0].row()]
            for quantity, of_one in found.items()
            for name, each in of_one.items()
        ],
        "First seed: condition number, mean purity and stability in equal bins (learned bins have"
        " none), and root mean square over the bins of the bias of"
        f" {ITERATIONS} iterations over the statistical error of {number(DATA)} events seen."
        f" {(2 * DATA / scale.response) ** 0.5:.2f} of it is counting.",
    )


def draw(run: Run[Scale], quantity: str, found: Mapping[str, Assessment], seen: DisEvents) -> None:
    """Draw resolution and bias by range of y, inflation, bias by bin, and responses."""
    first, symbol = next(iter(NATURES)), LABELS[quantity].partition(" ")[0]
    truth = np.log10(getattr(seen, quantity))
    of_range = partial(profile, along=np.log10(seen.y), edges=EDGES["y"], statistic="median")
    profiles = {
        name: of_range((each.seen - truth) * np.log(10))
        for name, each in found.items()
        if name != LEARNED[-1]
    }
    of_y = partial(by_bin, edges=EDGES["y"], label="$y$", powers=True)
    of_bins = partial(by_bin, edges=EDGES[quantity], label=LABELS[quantity], powers=True)
    width = {name: each.spread for name, each in profiles.items()}
    centre = {name: each.value for name, each in profiles.items()}
    inflation = {name: each.quality.inflation for name, each in found.items()}
    bias = {name: each.bias[first].relative for name, each in found.items()}
    add = run.report.add_figure
    add(
        of_y(width, quantity=f"Resolution of {symbol}", log=True),
        f"Resolution of {quantity}: half of the central 68.3% of ln(measured / true), by true y.",
    )
    add(
        of_y(centre, quantity=f"Bias of {symbol}", line=0.0, limits=(-0.3, 0.3)),
        f"Median of ln(measured / true) of {quantity}, by true y: unfolding needs no calibration.",
    )
    add(
        of_bins(inflation, quantity="Unfolded / counting variance", line=1.0, log=True),
        f"Cost of each bin of {quantity}: variance of the inversion over that of counting.",
    )
    add(
        of_bins(bias, quantity="Bias / statistical error", line=0.0),
        f"Bias of pseudo-data of {first} after {ITERATIONS} iterations over the statistical error.",
    )
    shown = ("electron", "double angle", LEARNED[0], LEARNED[2])
    add(
        responses({name: found[name].response.matrix for name in shown}, symbol),
        f"Response of {quantity}; detector bins hold equal shares of the truth bins.",
        wide=True,
    )


TITLE = "Learned observables for unfolding"
STUDY = Study(
    *("learned-observables", TITLE, SUMMARY, SCALES, learned_observables, ("seeds",)),
    aims=AIMS,
    events="{train} events to train on, {response} for the response",
    stand_in="the full simulation of H1",
)
