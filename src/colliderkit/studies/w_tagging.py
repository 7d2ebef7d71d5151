"""W tagging without sculpting (2001.05310, 2010.09745): the trade-off, and the fake bumps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.events.schema import split
from colliderkit.events.tables import Floats
from colliderkit.methods.decorrelation.fake_bumps import FakeBumps
from colliderkit.methods.decorrelation.maps import FlowDecorrelation, TransportDecorrelation
from colliderkit.methods.decorrelation.objectives import Adversary, DisCo, MoDe, Planing
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.metrics.sculpting import CONVENTIONS
from colliderkit.report.sculpting import (
    add_frontier,
    add_mass,
    add_searches,
    frontier,
    representatives,
    results_of,
)
from colliderkit.report.verdict import Aim, Ranking
from colliderkit.sources.datasets.w_tagging import OBSERVABLES, generate_w_tagging
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
Jets of boosted W bosons are told from those of quarks and gluons by ten numbers. None of them is
the mass, but most know it, and a cut on a tagger leaves a bump in the background where the signal
would be. Each method here tags without that. The page measures how far the mass of the background
is sculpted (a divergence), how much rejection is lost, and how often a smooth background then gives
a significant bump.
"""
STAND_IN = """
The jets have the selection of the public ones (Zenodo 3606767: 13 TeV, anti-kT R = 1.0,
300 < pt < 400 GeV, |eta| < 2, 50 < m < 300 GeV, W bosons and their quarks matched) and the same
observables, by Pythia 8 at particle level and without multiple interactions, which the published
jets have taken out otherwise. The published values are a scale for the shape of the trade-off, and
no target. QCD jets carry weights that give them the pt spectrum of the W bosons.
"""
FLOOR = """
Two samples of one density have a JSD above zero, by about (bins - 1) / 8 times the sum of the
inverse numbers of jets. Published figures include it, which matters little among the published
850,000 test jets; here it is taken off (“floor” says how much it was), and where what is left is
within two errors of zero, 1 / JSD is a lower limit at 95% confidence.
"""
READING = """
A point is a training at one strength, or to one bound; bars are the spread over seeds and the
counting of the test jets, arrows are lower limits. Up and to the right is better. Between the
points of a method R50 is interpolated, ln R50 in JSD, and nothing is extrapolated; a member whose
1 / JSD is a lower limit below the value asked for is left out. Where the strengths of a method are
far apart, the interpolation is less certain than its errors say.
"""
SEARCH = """
Each pseudo-experiment is a third of the test background, drawn without replacement, after the cut
that keeps half of the W bosons. The search does not know where a bump might be. It fits what was
there before the cut, times an efficiency whose logarithm is constant, linear or quadratic in the
mass, to what lies outside of a window, does so for every window, and takes the most significant
one; its global p-value is counted among spectra without a bump that go through the same. Without
sculpting 5% of the searches have p < 5%. The experiments of one method overlap in part, so that the
errors of these shares are too small where the share is neither 0 nor 1.
"""

DISCO_NOTEBOOK = "notebook of arXiv:2001.05310"
MODE_NOTEBOOK = "notebook of arXiv:2010.09745"
PUBLIC = "public jets, 850,000 to test"
UBOOST = ((19.0, 4.1), (17.2, 8.9), (11.3, 76.0), (7.5, 301.0))
MODE = ((27.2, 3.8), (7.9, 656.0))

PLAIN = "unconstrained"
# The objective of each way to decorrelate, at a value that is varied.
FAMILIES: dict[str, Callable[[Any], DisCo | MoDe | Adversary | Planing | None]] = {
    PLAIN: lambda value: None,
    "planing": lambda value: Planing(),
    "DisCo": lambda value: DisCo(strength=value),
    "MoDe[0], binned": lambda value: MoDe(strength=value, order=0, bins=16),
    "MoDe[0]": lambda value: MoDe(strength=value, order=0),
    "MoDe[2]": lambda value: MoDe(strength=value, order=2),
    "adversary": lambda value: Adversary(strength=value),
    "DisCo, MDMM": lambda value: DisCo(at_most=value),
}
# Maps of the score of the unconstrained tagger, each a method without a strength.
MAPS = {"flow": FlowDecorrelation, "transport": TransportDecorrelation}


SCULPTED, FAKES = "1000 JSD, disco", "fake bumps"
AIMS = (
    Aim("Without decorrelation more than 5% of the searches find a bump", FAKES, PLAIN, "above",
        0.05),
    Aim("With the strongest DisCo 5% do, as they should", FAKES, "DisCo, strength *", "equal",
        0.05, tolerance=0.05, which="last"),
    *(
        Aim(f"{name} sculpts less than no decorrelation, at each strength", SCULPTED, f"{name}*",
            against=PLAIN)
        for name in ("DisCo", "MoDe[0]", "adversary", "planing", "flow")
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Jets, the values of each family, training, its repetitions (`seeds`), and searches."""

    w: int
    qcd: int
    strengths: Mapping[str, Sequence[float | None]]
    training: Training
    seeds: int
    searches: FakeBumps
    hidden: tuple[int, ...] = (64, 64, 64)


SCALES = {
    "smoke": Scale(
        250, 800, {"unconstrained": (None,), "DisCo": (10.0,)},
        Training(epochs=12, batch_size=128, learning_rate=3e-3),
        seeds=1,
        searches=FakeBumps(4, 40, share=1.0, searched=(50.0, 150.0, 16)),
        hidden=(16,),
    ),
    "laptop": Scale(
        30_000, 100_000, {
            "unconstrained": (None,), "planing": (None,),
            "DisCo": (30.0, 100.0, 300.0, 1000.0),
            "MoDe[0], binned": (300.0, 1000.0, 1500.0, 2000.0),
            "MoDe[0]": (1000.0, 2000.0, 3000.0, 10000.0),
            "MoDe[2]": (300.0, 1000.0),
            "adversary": (2.0, 3.0, 5.0), "DisCo, MDMM": (0.003, 0.0003, 0.0001),
            "flow": (), "transport": (),
        },
        Training(epochs=50, batch_size=2048, learning_rate=3e-3),
        seeds=2,
        searches=FakeBumps(40, 400),
    ),
    # Batches and passes of the published recipe.
    "paper": Scale(
        600_000, 2_000_000, {
            "unconstrained": (None,), "planing": (None,),
            "DisCo": (10.0, 30.0, 100.0, 200.0, 400.0, 600.0, 1000.0),
            "MoDe[0], binned": (100.0, 300.0, 1000.0, 3000.0),
            "MoDe[0]": (300.0, 1000.0, 3000.0, 10000.0, 30000.0),
            "MoDe[2]": (1000.0, 3000.0, 10000.0),
            "adversary": (1.0, 2.0, 3.0, 5.0),
            "DisCo, MDMM": (0.003, 0.001, 0.0003, 0.0001),
            "flow": (), "transport": (),
        },
        Training(epochs=200, batch_size=2048, learning_rate=1e-3),
        seeds=6,
        searches=FakeBumps(200, 2000),
    ),
}  # fmt: skip


def w_tagging(run: Run[Scale]) -> None:
    """Train each family at each value, judge its scores, and search behind the cut."""
    scale, report = run.scale, run.report
    make = partial(generate_w_tagging, scale.w, scale.qcd, workers=run.workers, dask=run.dask)
    jets = ak.from_parquet(run.file("table.parquet", make))
    train, test = split(jets, (0.5, 0.5), seed=1)
    families = members(scale)
    label, weight = np.asarray(test["label"]), np.asarray(test["weight"])
    mass = np.asarray(test["jet_mass"], dtype=np.float64)
    scores = trained(run, train, test)
    with run.step("searches"):
        judged = {
            name: [
                scale.searches.judge(score, label, mass, weight, seed=seed)
                for seed, score in zip(run.seeds, each, strict=True)
            ]
            for name, each in scores.items()
        }
    published = {
        quantity: {"published": value, "source": MODE_NOTEBOOK, "difference": PUBLIC}
        for quantity, value in zip(("R50", "1/JSD, mode"), MODE[0], strict=True)
    }
    results = [
        result
        for name, each in judged.items()
        for result in results_of(name, each, published if name == PLAIN else {})
    ]
    points = frontier(results, families)
    shown = representatives(points, families)

    report.add_stand_in(STAND_IN)
    sentences = [f"“{name}”: {each.sentence}" for name, each in CONVENTIONS.items()]
    report.add_definitions("\n\n".join([*sentences, FLOOR, READING, SEARCH]))
    report.add_heading("Trade-off")
    add_frontier(report, results, points, {"uBoost, published": UBOOST})
    sides = [np.asarray(part["label"]) for part in (train, test)]
    report.add_table(
        ["class", "training and validation", "test"],
        [
            [name, *(int((side == value).sum()) for side in sides)]
            for value, name in enumerate(("QCD", "W"))
        ],
        "Jets between 50 and 300 GeV, parted by a hash of the event. The inputs:"
        f" {', '.join(OBSERVABLES)}.",
    )
    report.add_table(
        ["", "R50", "1 / JSD", "definition", "source"],
        [
            *(["uBoost", *pair, "disco", DISCO_NOTEBOOK] for pair in UBOOST),
            ["unconstrained", *MODE[0], "mode", MODE_NOTEBOOK],
            ["MoDe[0], strength 300", *MODE[1], "mode", MODE_NOTEBOOK],
        ],
        "What is published for the public jets, as far as its files could be read; one training"
        " each. The last scatters between 380 and 1080 from epoch to epoch.",
    )
    background = mass[label == 0]
    add_mass(report, background, judged, shown, (PLAIN, "planing", "DisCo", "MoDe[0]"))
    report.add_heading("The search that follows")
    drawn = [shown[family] for family in (PLAIN, "DisCo", "MoDe[0]") if family in shown]
    add_searches(report, background, judged, scale.searches, drawn, PLAIN)


def subject(family: str, value: float | None) -> str:
    """Name the member of a family at this value."""
    if value is None:
        return family
    return f"{family}, {'at most' if 'MDMM' in family else 'strength'} {value:g}"


def members(scale: Scale) -> dict[str, list[str]]:
    """Return the names of the members of each family that a scale asks for."""
    names = {
        family: [subject(family, value) for value in scale.strengths[family]]
        for family in FAMILIES
        if family in scale.strengths
    }
    return names | {name: [name] for name in MAPS if name in scale.strengths}


def trained(run: Run[Scale], train: ak.Array, test: ak.Array) -> dict[str, list[Floats]]:
    """Train every method and return its scores of the test jets, one (N,) each seed."""
    scores: dict[str, list[Floats]] = {}
    plain = []
    for family, objective in FAMILIES.items():
        for value in run.scale.strengths.get(family, ()):
            name = subject(family, value)
            for seed in run.seeds:
                fit = partial(fit_tagger, objective(value), run.scale, train, test, seed)
                both = run.arrays(f"{name}, seed {seed}", fit)
                scores.setdefault(name, []).append(both["test"])
                if family == PLAIN:
                    plain.append(both)
    for name in (name for name in MAPS if name in run.scale.strengths):
        for seed, both in zip(run.seeds, plain, strict=True):
            mapped = run.arrays(
                f"{name}, seed {seed}", partial(fit_map, name, both, train, test, seed)
            )
            scores.setdefault(name, []).append(mapped["test"])
    return scores


def fit_tagger(
    objective: Any, scale: Scale, train: ak.Array, test: ak.Array, seed: int
) -> dict[str, Floats]:
    """Return the scores of one training on the jets that train and on those that test."""
    tagger = Tagger(
        "mlp",
        observables=OBSERVABLES,
        options={"hidden": scale.hidden, "batch_norm": True},
        classes=("QCD", "W"),
        objective=objective,
        balance=True,
        training=scale.training,
    )
    tagger.fit(train, seed=seed, progress=False)
    parts = {"train": train, "test": test}
    return {name: tagger.predict_proba(part)[:, 1] for name, part in parts.items()}


def fit_map(
    name: str, scores: Mapping[str, Floats], train: ak.Array, test: ak.Array, seed: int
) -> dict[str, Floats]:
    """Return the mapped scores of the test jets; the map is learned from background that trains."""
    background = np.asarray(train["label"]) == 0
    mass, weight = (np.asarray(train[column])[background] for column in ("jet_mass", "weight"))
    fitted = MAPS[name]().fit(
        scores["train"][background], mass, weight=weight, seed=seed, progress=False
    )
    return {"test": fitted.transform(scores["test"], np.asarray(test["jet_mass"]))}


TITLE, TAKES = "W tagging without sculpting", ("seeds", "workers", "dask")
STUDY = Study(
    *("w-tagging", TITLE, SUMMARY, SCALES, w_tagging, TAKES),
    aims=AIMS,
    rankings=(Ranking("R50 at 1/JSD >= 100", "higher"),),
    events="{w} W and {qcd} QCD jets, half of them to test with",
    stand_in="the public jets of Zenodo 3606767",
)
