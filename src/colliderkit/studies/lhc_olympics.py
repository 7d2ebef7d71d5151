"""Searches without a model on events like those of the LHC Olympics (2101.08320).

Five methods, features as they are and features that follow the mass, several trainings each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods import METHODS
from colliderkit.metrics.significance import Improvement, improvement, over_trainings
from colliderkit.metrics.value import number
from colliderkit.report.results import Result
from colliderkit.report.significance import improvement_curves, strength_scan
from colliderkit.report.verdict import Aim
from colliderkit.sources.datasets.hidden_dijets import (
    HiddenDijets,
    in_region,
    labelled,
)
from colliderkit.sources.datasets.lhc_olympics import PUBLISHED, SIGNAL_REGION
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["NAMES", "STUDY", "Scale", "scored"]

Floats = NDArray[np.float64]

SUMMARY = """
A resonance of 3.5 TeV that decays to two jets of unknown kind is hidden in dijets, so weak that the
spectrum does not show it. Methods that look for no model learn the background of a mass window from
its sidebands, and how the events in the window differ from it. How much the best cut on their score
improves the significance was compared on the R&D set of the LHC Olympics (arXiv:2101.08320),
with features as they are and with jet masses that grow with the mass of the pair
(arXiv:2001.04990, arXiv:2109.00546).
"""
STAND_IN = """
The events are Pythia's, through the fast detector of this package, in place of the public set with
Delphes; a W' stands in for the Z'. There are fewer of them, and S / √B in the window is that of the
public benchmark, so that S / B is larger. Trees are the default classifier and a spline flow the
density, in place of the published networks.
"""
MEASURES = """
SIC = ε_S / √ε_B, the factor by which a cut improves S / √B, in the signal region of test events
that no training has seen, at its largest over all cuts that keep the floor of background events.
A method's value is the median of its trainings, with the band of 16% to 84% in the table below; the
error in the table of results is that of the median and of counting. The score of a test event is
the mean of all folds. "Supervised" has seen many signal events with their labels, "idealised"
a template of the true background. "Kept" is SIC with moved masses over SIC as they are.
"""

NAMES = {
    "supervised": "supervised-bound",
    "idealised": "idealised-bound",
    "cathode": "cathode",
    "cwola": "cwola-hunting",
    "anode": "anode",
}
RECIPE = "CATHODE, networks"  # as published but for the splines of its flow
BOUNDS = ("supervised", "idealised")
DEFAULT, SHIFTED, KEPT = "max SIC, default", "max SIC, shifted", "kept"
SOURCE = "arXiv:2109.00546"
STRENGTH = 2.2  # S / sqrt(B) in the window, of 1,000 events in the public set
LOST = 0.15  # that CATHODE may lose beyond the idealised bound
MEDIAN = 1.2533  # of the error of a mean of as many


@dataclass(frozen=True)
class Scale:
    """Events of each kind, how often all is trained and how; a toy in place of Pythia's events.

    `template` is further background, for the idealised and the supervised bound; `test` is judged
    by; half of the `signal` is for tests, the rest for injection and for the supervised bound.
    `recipe` are the settings of one training of CATHODE that is near to the published one.
    """

    background: int
    template: int
    test: int
    signal: int
    floor: float
    flow: Training
    folds: int = 5
    members: int = 5
    options: Mapping[str, Any] = field(default_factory=dict)
    strengths: tuple[float, ...] = (STRENGTH,)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 1
    toy: bool = False


def one_cycle(epochs: int, rate: float = 4e-3) -> Training:
    """Train a flow for some epochs."""
    return Training(epochs=epochs, learning_rate=rate)


def published(epochs: int, transforms: int, hidden: int) -> dict[str, Any]:
    """Return the settings of CATHODE with perceptrons of 100 epochs, of which 10 are averaged."""
    return {
        "classifier": "network",
        "options": {"hidden": (64, 64, 64), "epochs": epochs, "patience": epochs,
                    "batch_size": 128, "learning_rate": 1e-3, "best_epochs": min(10, epochs)},
        "flow": {"transforms": transforms, "hidden": (hidden, hidden)},
        "training": Training(epochs=epochs, batch_size=256, learning_rate=1e-3),
        "members": 2,
        "folds": 2,
    }  # fmt: skip


SCAN = (1.0, 1.5, STRENGTH, 3.5)
SCALES = {
    "smoke": Scale(
        *(6_000, 6_000, 20_000, 4_000, 10, one_cycle(2, 1e-2)),
        folds=3, members=1, options={"rounds": 20}, recipe=published(1, 1, 8), toy=True,
    ),
    "laptop": Scale(
        *(100_000, 60_000, 60_000, 12_000, 10, one_cycle(12)),
        folds=3, strengths=(STRENGTH, 3.5), seeds=2,
    ),
    "night": Scale(
        *(400_000, 200_000, 200_000, 40_000, 10, one_cycle(15)),
        strengths=SCAN, recipe=published(30, 5, 64), seeds=10,
    ),
    "paper": Scale(
        *(1_000_000, 600_000, 600_000, 80_000, 10, one_cycle(40)),
        members=10, strengths=SCAN, recipe=published(100, 15, 128), seeds=10,
    ),
}  # fmt: skip

AIMS = (
    Aim("CATHODE reaches 90% of the idealised bound", DEFAULT, "cathode", "above",
        against="idealised", times=0.9),
    Aim("ANODE is the weakest where features are independent of the mass", DEFAULT, "anode",
        "below", against="c*"),
    Aim("CWoLa hunting is the weakest where features follow the mass", SHIFTED, "cwola", "below",
        against="*ode"),
    Aim("CATHODE loses no more to the shift than the idealised bound, and 15%", "lost beyond",
        "cathode", "below", LOST),
)  # fmt: skip


def scored(
    scale: Scale, name: str, events: HiddenDijets, strength: float, seed: int
) -> Improvement:
    """Train one method, and return its significance improvement on the test events."""
    # All cuts are judged on the test events: that of the search itself is loose.
    settings: dict[str, Any] = {"signal_region": SIGNAL_REGION, "folds": scale.folds}
    settings["efficiency"] = 0.5
    if name == "cwola":
        settings |= {"options": scale.options, "members": 1}
    elif name != "anode":
        settings |= {"options": scale.options, "members": scale.members}
    if name in ("cathode", "anode"):
        settings["training"] = scale.flow
    if name == RECIPE:
        settings |= scale.recipe
    data = events.data(strength, seed)
    more: dict[str, Any] = {}
    if name == "supervised":  # of signal it has what is not injected, and many
        data = labelled(events.template, events.signal)
    if name in BOUNDS:
        more["label"] = data.label
    if name == "idealised":
        more["simulation"] = (events.template.features, events.template.mass)
    method = METHODS.build(NAMES.get(name, "cathode"), **settings)
    method.fit(data.features, data.mass, event=data.event, seed=seed, progress=False, **more)
    score = method.score(events.test.features, events.test.mass)
    return improvement(score, events.test.label, floor=scale.floor)


def lhc_olympics(run: Run[Scale]) -> None:
    """Train five methods on both sets of features, and compare their best cuts."""
    scale, report = run.scale, run.report
    total = scale.background + scale.template + scale.test
    shares = scale.background / total, scale.template / total
    with run.step("events"):
        events = HiddenDijets.made(
            run.out / "data", total, scale.signal, shares, toy=scale.toy, workers=run.workers
        )
    report.add_stand_in(STAND_IN)
    report.add_definitions(MEASURES)
    variants = {DEFAULT: events, SHIFTED: events.moved()}
    found: dict[str, dict[str, list[Improvement]]] = {}
    for variant, those in variants.items():
        for name in NAMES:
            found.setdefault(variant, {})[name] = [
                trained(run, variant, name, those, STRENGTH, seed) for seed in run.seeds
            ]
    if scale.recipe:
        found[DEFAULT][RECIPE] = [trained(run, DEFAULT, RECIPE, events, STRENGTH, 0)]
    report.add_results(rows(found), "Median over trainings; errors of the median and of counting.")
    table = [
        [name, *(over_trainings(largest(found[variant][name])).value for variant in variants)]
        for name in NAMES
    ]
    counts = in_region(events.background).sum(), (events.test.label == 0).sum()
    report.add_table(
        ["method", *variants],
        table,
        f"Median and band of 16% to 84% of {len(run.seeds)} trainings;"
        f" {number(int(counts[0]))} background events of the data lie in the signal region, and"
        f" the tests have {number(int(counts[1]))} there, of which a cut keeps at least"
        f" {scale.floor:g}.",
    )
    for variant, each in found.items():
        report.add_figure(
            improvement_curves(each, bounds=BOUNDS),
            f"{variant.partition(', ')[2].capitalize()} features: significance improvement over"
            " signal efficiency; bands are of trainings, bounds are dashed.",
        )
    if len(scale.strengths) > 1:
        scan(run, events)


def trained(
    run: Run[Scale], variant: str, name: str, events: HiddenDijets, strength: float, seed: int
) -> Improvement:
    """Return what `scored` does, computed once."""

    def compute() -> dict[str, Floats]:
        curve = scored(run.scale, name, events, strength, seed)
        return {
            "signal": curve.signal_efficiency,
            "background": curve.background_efficiency,
            "value": curve.value,
            "error": curve.error,
        }

    title = f"{name}, {variant.partition(', ')[2]}, {strength:g}, seed {seed}"
    kept = run.arrays(title, compute)
    return Improvement(
        kept["signal"], kept["background"], kept["value"], kept["error"], run.scale.floor
    )


def largest(curves: list[Improvement]) -> list[float]:
    """Return the largest SIC of each training."""
    return [curve.largest.value for curve in curves]


def rows(found: Mapping[str, Mapping[str, list[Improvement]]]) -> list[Result]:
    """Return the medians of both variants, and what is kept of one in the other."""
    results = []
    for variant, each in found.items():
        for name, curves in each.items():
            values = largest(curves)
            counting = float(np.mean([curve.largest.error for curve in curves]))
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
            error = float(np.hypot(MEDIAN * (spread or 0.0) / len(values) ** 0.5, counting))
            published = PUBLISHED[variant.partition(", ")[2]].get(name)
            results.append(
                Result(name, variant, float(np.median(values)), error, spread, counting,
                       published=published, source=SOURCE if published else "",
                       difference="Pythia, fewer events" if published else "")
            )  # fmt: skip
    kept = {}
    for name in NAMES:
        one, other = (next(r for r in results if r.subject == name and r.quantity == v)
                      for v in (SHIFTED, DEFAULT))  # fmt: skip
        share = one.value / other.value
        relative = np.hypot((one.error or 0) / one.value, (other.error or 0) / other.value)
        kept[name] = Result(name, KEPT, share, float(share * relative))
    ideal, cathode = kept["idealised"], kept["cathode"]
    error = float(np.hypot(ideal.error or 0, cathode.error or 0))
    lost = Result("cathode", "lost beyond", ideal.value - cathode.value, error)
    return [*results, *kept.values(), lost]


def scan(run: Run[Scale], events: HiddenDijets) -> None:
    """Draw the best cuts at several strengths of the signal."""
    strengths = sorted(run.scale.strengths)
    values = {
        name: [
            largest([trained(run, DEFAULT, name, events, strength, seed) for seed in run.seeds])
            for strength in strengths
        ]
        for name in NAMES
        if name != "supervised"  # which sees none of the data
    }
    run.report.add_figure(
        strength_scan(strengths, values, bounds=BOUNDS),
        "Largest SIC over the strength of the signal in the window, features as they are.",
    )


STUDY = Study(
    *("lhc-olympics", "Searches without a model on LHC Olympics events", SUMMARY, SCALES),
    lhc_olympics,
    ("seeds", "workers"),
    aims=AIMS,
    events="{background} background events in the data, {template} for bounds, {test} for tests",
    stand_in="the R&D set of the LHC Olympics",
)
