"""Pileup mitigation: networks beside SoftKiller, constituent subtraction and PUPPI, against mu."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.events.pileup import Particles
from colliderkit.events.tables import Floats
from colliderkit.methods.reconstruction.constituent_subtraction import ConstituentSubtraction
from colliderkit.methods.reconstruction.mitigation import Mitigation
from colliderkit.methods.reconstruction.pileup_graph import PileupGraph
from colliderkit.methods.reconstruction.pumml import Pumml
from colliderkit.methods.reconstruction.puppi import Puppi
from colliderkit.methods.reconstruction.soft_killer import SoftKiller
from colliderkit.report.pileup import against_pileup, event_display
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.sources.pythia.clustering import anti_kt
from colliderkit.studies.collision_counts import (
    ALONE,
    BIAS,
    COUNTED,
    MEDIAN,
    RESOLUTION,
    counted,
    drawn,
    label,
)
from colliderkit.studies.pileup_times import MEASURES as TIMES
from colliderkit.studies.pileup_times import add_resolutions, named, timed, untimed
from colliderkit.studies.run import Run, Study
from colliderkit.tasks.pileup import BASELINES, CHS, MASS, MET, NONE, PT, judged, series, unweighted
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
Each crossing of the beams brings tens of collisions beside the one that was asked for. Their
charged particles are known by their vertex, their neutral ones are not. A network of messages
between neighbouring particles says for each how likely it is of the hard collision: trained on the
truth of a simulation, or on charged particles whose vertices are hidden, which data have as well.
Beside it in the same run stand charged-hadron and area subtraction, SoftKiller, constituent
subtraction and PUPPI, as published and tuned on the same events, and PUMML. All are trained or
tuned at one mean number of collisions, and tested at others. What times of particles add, as
planned detectors measure them, is told on the same events. The collisions are counted, too.
"""
STAND_IN = """
Events are quarks and gluons of 80 GeV and more with minimum bias of Pythia 8 at particle level:
momenta are exact, tracks have neither losses nor wrong vertices. The published figures are of
fast or full simulations of detectors, and of other samples; what is compared here is methods with
each other on the same events.
"""
MEASURES = """
Jets are anti-kT, R = 0.4; the true ones have pT > 40 GeV and |eta| < 2 and are matched within
dR < 0.2. Response is the median of pT (mass) over the true jet's, resolution half of the central
68% over that median. A fake jet has pT > 20 GeV and no true jet near. The MET shift is the root
mean square of the error of the sum of transverse momenta. Errors are by bootstrap of whole events,
and as those of methods on the same events are alike, differences are known better than they say.

"tuned" parameters are those of the least error of pT in cells of 0.8 x 0.8, on events beside those
that are tested. "interactions" are the collisions beside the hard one; bias is the mean of the
estimate less the truth over the mean truth, resolution the standard deviation over it. They are
counted by the largest likelihood of the activity of an event, learned from events of all numbers of
collisions together. "pileup density" is the pT of pileup of
no known vertex per area within |eta| < 2.
"""
SUPERVISED, SEMI, PUMML = "graph", "graph, charged labels", "PUMML"
TIMED = 30.0  # ps
TUNED = ("SoftKiller, tuned", "constituent subtraction, tuned", "PUPPI, tuned")


def better(words: str, quantity: str) -> tuple[Aim, ...]:
    """Say that the graph is better in a quantity than PUPPI and SoftKiller, tuned."""
    return tuple(
        Aim(f"The graph's {words} is better than of {other} at every mu", f"{quantity}, *",
            SUPERVISED, "below", against=other)
        for other in (TUNED[2], TUNED[0])
    )  # fmt: skip


AIMS = (
    *better("resolution of jets", PT),
    *better("resolution of jet masses", MASS),
    *better("missing momentum", MET),
    Aim("Labels of charged particles do as well as the truth, within 5%: jets", f"{PT}, *", SEMI,
        "below", against=SUPERVISED, times=1.05),
    Aim("Labels of charged particles do as well as the truth, within 5%: missing momentum",
        f"{MET}, *", SEMI, "below", against=SUPERVISED, times=1.05),
    Aim("Times of 30 ps improve the graph's missing momentum at every mu", f"{MET}, *",
        named(SUPERVISED, TIMED), "below", against=SUPERVISED),
    Aim("... and its jets", f"{PT}, *", named(SUPERVISED, TIMED), "below", against=SUPERVISED),
    Aim("They improve the missing momentum by tuned PUPPI", f"{MET}, *", named(TUNED[2], TIMED),
        "below", against=TUNED[2]),
    Aim("The number of interactions has a bias below 1%", f"interactions: {BIAS}, *", COUNTED,
        "within", (-0.01, 0.01)),
    Aim("... and so on events of the same collisions", "interactions: closure, *", COUNTED,
        "within", (-0.01, 0.01)),
    Aim("Their number is better known than from vertices alone", f"interactions: {RESOLUTION}, *",
        COUNTED, "below", against=ALONE),
    Aim("The density of pileup is better known than from the median of cells",
        f"pileup density: {RESOLUTION}, *", COUNTED, "below", against=MEDIAN),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Events that train (a part of them tunes), and that test at each mean number of collisions.

    `counting` are the events at each of these that train the regressions. Times are looked at with
    `resolutions` [ps] beside 30 at one mean number, by a graph that is trained at those `learned`.
    """

    train: int
    tune: int
    test: int
    counting: int
    mu: float
    tested: tuple[float, ...]
    training: Training
    channels: int = 8
    width: int = 48
    resolutions: tuple[float, ...] = (0.0, 60.0, 100.0)
    learned: tuple[float, ...] = (0.0, 60.0, 100.0)
    toy: bool = False


settings = partial(Training, schedule="one-cycle", learning_rate=5e-3)
MUS = (20.0, 60.0, 100.0, 140.0)
SCALES = {
    "smoke": Scale(10, 2, 8, 20, 6.0, (4.0, 8.0), settings(1, 4), 2, 8, (), (),
                   toy=True),
    "laptop": Scale(100, 30, 80, 120, 60.0, MUS, settings(16, 2), learned=()),
    "night": Scale(1_000, 200, 1_000, 1_000, 60.0, (20.0, 40.0, 60.0, 80.0, 100.0, 120.0, 140.0),
                   settings(20, 4), 16, 64),
    "paper": Scale(20_000, 500, 5_000, 5_000, 60.0,
                   (20.0, 40.0, 60.0, 80.0, 100.0, 120.0, 140.0), settings(30, 8), 32, 128),
}  # fmt: skip


def pileup(run: Run[Scale]) -> None:
    """Train and tune at one mu, test at all, count interactions, and draw an event."""
    run.report.add_stand_in(STAND_IN)
    run.report.add_definitions(MEASURES + TIMES)
    scale = run.scale
    train = drawn(run, "train", scale.train, scale.mu, seed=1)
    graph = partial(
        PileupGraph, channels=scale.channels, width=scale.width, training=scale.training
    )
    learning = partial(timed, run, train, graph)
    with_times, scanned = learning([TIMED], [TIMED]), learning(scale.resolutions, scale.learned)
    methods = fitted(run, train)
    rows: list[Result] = []
    nearest = min(scale.tested, key=lambda mu: abs(mu - scale.mu))
    for i, mu in enumerate(scale.tested):
        events = drawn(run, f"test {mu:g}", scale.test, mu, seed=10 + i)
        looked = {**with_times, **(scanned if mu == nearest else {})}
        given = {name: (method, events) for name, method in methods.items()}
        given |= {name: (x.method, x.seen(events, 10 + i)) for name, x in looked.items()}
        weights = {
            name: run.arrays(f"weights of {name}, mu {mu:g}", partial(weighted, *both))
            for name, both in given.items()
        }
        kept = {name: found["weight"] for name, found in weights.items()}
        found = run.value(f"figures, mu {mu:g}", partial(figures, events, kept, mu))
        rows += [Result(**row) for row in found]
        if mu == nearest:
            run.report.add_heading("One event")
            add_display(run, Particles.of(events).at(0, 1), kept)
    names = [label(mu) for mu in scale.tested]
    for title, quantities in (
        ("Jets", ("jet pT response", PT, "jet mass response", MASS)),
        ("Events", (MET, "fake jets an event", "AUC of neutrals")),
    ):
        run.report.add_heading(title)
        for quantity in quantities:
            shown = series(rows, quantity, names)
            # Without any mitigation all else would be a line.
            aside = (NONE, CHS, named(CHS, TIMED), *scanned)
            wide = {n: v for n, v in shown.items() if n not in aside} or shown
            run.report.add_figure(
                against_pileup(wide, names, quantity, scale.tested),
                f"{quantity[0].upper()}{quantity[1:]}, trained and tuned at mu = {scale.mu:g}.",
            )
    add_resolutions(run, rows, [TIMED, *scale.resolutions], nearest)
    run.report.add_heading("Figures")
    for name, mu in zip(names, scale.tested, strict=True):
        run.report.add_results(
            [row for row in rows if row.quantity.endswith(f", {name}")],
            f"{scale.test} events with a mean of {mu:g} collisions.",
            aside=(NONE, CHS, named(CHS, TIMED)),
        )
    run.report.add_heading("How many collisions")
    counted(run)


def fitted(run: Run[Scale], train: ak.Array) -> dict[str, Mitigation]:
    """Return all methods by name, tuned or trained on the same events."""
    scale, train = run.scale, untimed(train)
    some = train[: scale.tune]
    methods: dict[str, Mitigation] = {
        name: kind().fit(some, progress=False) for name, kind in BASELINES.items()
    }
    tunable: tuple[Any, ...] = (SoftKiller, ConstituentSubtraction, Puppi)
    for name, kind in zip(TUNED, tunable, strict=True):
        methods[name] = run.fitted(name, kind(tune=True), some, progress=False)
    graph = partial(
        PileupGraph, channels=scale.channels, width=scale.width, training=scale.training
    )
    methods[SUPERVISED] = run.fitted(SUPERVISED, graph(labels="truth"), train)
    methods[SEMI] = run.fitted(SEMI, graph(labels="charged"), train)
    methods[PUMML] = run.fitted(PUMML, Pumml(training=scale.training), train)
    return methods


def weighted(method: Mitigation, events: ak.Array) -> Mapping[str, Floats]:
    """Return the weights of all particles."""
    return {"weight": ak.flatten(method.weights(events)).to_numpy().astype(np.float32)}


def figures(events: ak.Array, weights: Mapping[str, Floats], mu: float) -> list[dict[str, Any]]:
    """Return the rows of all methods on the events of one mu, as JSON values."""
    particles = Particles.of(events)
    true = anti_kt(particles, particles.needed_truth())
    rows = unweighted(label(mu), particles, true)
    for name, weight in weights.items():
        rows += judged(name, label(mu), particles, weight.astype(np.float64), true)
    return [vars(row) for row in rows]


def add_display(run: Run[Scale], first: Particles, weights: Mapping[str, Floats]) -> None:
    """Draw one event: as it is, by PUPPI, by the graph, and the truth."""
    size = len(first.pt)
    columns = {x: getattr(first, x) for x in ("pt", "eta", "phi", "vertex", "truth")}
    shown = {
        "all": np.ones(size),
        TUNED[2]: weights[TUNED[2]][:size],
        SUPERVISED: weights[SUPERVISED][:size],
        "truth": first.needed_truth(),
    }
    run.report.add_figure(
        event_display(columns, shown),
        "All particles of one event, what two methods leave, and the truth. The area of a point is"
        " its pT; rings are where the hard collision has 20 GeV and more. Above, the"
        " sum of all pT.",
        wide=True,
    )


STUDY = Study(
    *("pileup", "Pileup mitigation", SUMMARY, SCALES, pileup, ("workers", "dask")),
    aims=AIMS,
    events="{train} events to train on, {test} to test on at each of mu = {tested}",
    stand_in="the published samples with detectors",
)
