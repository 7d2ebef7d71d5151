"""Clustering of overlapping showers: object condensation beside CLUE, as published and tuned."""

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from colliderkit.events.calorimeter.hits import CalorimeterHits, Clusters
from colliderkit.events.calorimeter.library import ShowerLibrary, calibration, overlay
from colliderkit.events.calorimeter.overlay import Clock
from colliderkit.events.tables import Floats
from colliderkit.methods.reconstruction.clue import CLUE
from colliderkit.methods.reconstruction.shower_clustering import ShowerClustering
from colliderkit.metrics.clustering import match_clusters, nearest_other
from colliderkit.metrics.value import Value, number
from colliderkit.report.clustering import against_hits, in_bins, responses, showers_and_clusters
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.seeds import derive
from colliderkit.sources.datasets.overlapping_showers import READOUT, overlapping_showers
from colliderkit.sources.files.shower_libraries import read_library
from colliderkit.sources.geant4.library import generate_library
from colliderkit.studies.run import Run, Study
from colliderkit.tasks.clustering import (
    EFFICIENCY,
    MILLISECONDS,
    ORACLE,
    PUBLISHED,
    PURITY,
    RESPONSE,
    clustering_rows,
)
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
Particles that enter a calorimeter near to one another leave showers that share cells. Which hits
are of one shower, and how much energy that is, is found by a network that makes hits condense
around one of them (object condensation, arXiv:2002.03605, with GravNet, arXiv:1902.07987), as was
done for CMS' high-granularity calorimeter (arXiv:2204.01681), and by CLUE (arXiv:2001.09761), which
follows the density of energy and learns nothing. Times of hits are given to a second network.
"""
STAND_IN = """
The calorimeter is 22 layers of tungsten and silicon in cells of 10 mm, 20 radiation lengths:
{physics}, without {missing}. Photons, electrons and charged pions come at right angles; showers are
drawn from a library and moved by whole cells; a cell reads its sum once, with a noise of
{noise:g} MeV and a threshold of {threshold:g} MeV. Pions are not contained: energies are judged by
what a shower left in the cells that were read out. Showers come at different times, spread by
{arrival:g} ps; cells above {clock.threshold:g} MeV are timed to {clock.resolution:g} ps.
"""
MEASURES = """
A shower is found if a cluster has an energy IoU with it above a half (or 0.1): the energy that both
share over that of either; a hit of two showers counts for both by what each left. Showers and
clusters of less than 0.1 GeV are not counted. The response is the energy of a matched cluster over
what the shower left, its width half of the central 68%. Showers of the library are parted before
events are drawn: those of the test are in no other event. Settings of CLUE are chosen among 48 by
events of a third part, by the F1 of efficiency and purity; the network's by events held out of its
training. "True labels" gives each hit to the shower that left most in it. Milliseconds are of one
core's time, one event at a time.
"""
NETWORK, TUNED, LAYERS = "network", "CLUE, tuned", "CLUE, layers first, tuned"
WITH_TIMES, ARRIVAL, CLOCK = "network, times", 180.0, Clock()  # ps between collisions
KINDS = ("gamma", "e-", "pi+")
FRESH = "fresh / library"
AIMS = (
    Aim("The network finds 0.9 of the showers", EFFICIENCY, NETWORK, "above", 0.9),
    Aim("0.9 of its clusters are showers", PURITY, NETWORK, "above", 0.9),
    Aim("It finds more than CLUE, tuned", EFFICIENCY, NETWORK, "above", against=TUNED),
    Aim("Its clusters are purer than CLUE's, tuned", PURITY, NETWORK, "above", against=TUNED),
    Aim("Times of hits let it find more", EFFICIENCY, WITH_TIMES, "above", against=NETWORK),
    Aim("Its energies are right to 2%", RESPONSE, NETWORK, "within", (0.98, 1.02)),
    Aim("An event takes it less than 5 ms", MILLISECONDS, NETWORK, "below", 5.0),
    Aim("Showers of the library are as fresh ones", FRESH, "*", "equal", 1.0,
        tolerance=0.1),
)  # fmt: skip
DEPOSITS = np.array([0.1, 0.3, 1.0, 3.0, 10.0, 30.0])  # GeV
DISTANCES = np.array([5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0])  # mm
TIMED = 50


@dataclass(frozen=True)
class Scale:
    """Showers of each kind, their energies [MeV], events, epochs, fits and showers of an event."""

    showers: int
    low: float
    high: float
    train: int
    choose: int
    test: int
    epochs: int
    seeds: int
    mean: float = 6.0
    width: int = 48
    crowded: tuple[int, ...] = (6, 24, 96, 384)  # showers of an event, whose time is measured


SCALES = {
    "smoke": Scale(16, 1e3, 1.5e3, 40, 4, 20, 1, 1, width=8, crowded=(6, 12)),
    "laptop": Scale(500, 1e3, 20e3, 2_000, 100, 500, 8, 1),
    "night": Scale(10_000, 1e3, 20e3, 20_000, 400, 4_000, 30, 3, crowded=(6, 24, 96, 384, 1536)),
    "paper": Scale(100_000, 1e3, 100e3, 500_000, 1_000, 20_000, 50, 5, width=96),
}


def clustering(run: Run[Scale]) -> None:
    """Make showers and events, cluster them in each way, and compare."""
    scale, report = run.scale, run.report
    library = read_library(run.file("library.hdf5", partial(shot, run, scale.showers, 1)))
    train, choose, test = library.parts(0.7, 0.1, 0.2, seed=1)
    factors = calibration(train)
    draw = partial(
        overlapping_showers, factors=factors, mean=scale.mean, arrival=ARRIVAL, clock=CLOCK
    )
    learning, choosing, judging = (
        draw(part, events, seed=derive(1, name))
        for part, events, name in (
            (train, scale.train, "train"), (choose, scale.choose, "choose"),
            (test, scale.test, "test"),
        )
    )  # fmt: skip
    report.add_stand_in(
        STAND_IN.format(
            physics=library.physics, missing=library.missing, noise=READOUT.noise,
            threshold=READOUT.threshold, arrival=ARRIVAL, clock=CLOCK,
        )
    )  # fmt: skip
    report.add_definitions(MEASURES)
    report.facts.append(
        f"{number(judging.counts.mean(), 3)} hits and"
        f" {number(len(judging.pdg) / len(judging), 3)} showers an event"
    )
    found, rows, times = clustered(run, learning, choosing, judging)
    report.add_heading("Showers found")
    report.add_results(rows, "Of events whose showers no other event has.")
    shown = {name: found[name] for name in (NETWORK, TUNED)}
    report.add_figure(
        showers_and_clusters(judging, shown, typical(judging)),
        "An event of the test: true showers, and what is found. Clusters have the colour of the"
        " shower that they match.",
        wide=True,
    )
    add_dependence(run, judging, found)
    report.add_heading("Time")
    report.add_figure(
        against_hits(times, "CPU time of an event [ms]"),
        "Time of one event over its hits, of more and more showers in the same square.",
    )
    report.add_heading("Fresh showers")
    report.add_results(
        checked(run, library, factors),
        "Means of single showers that were simulated anew, over those of the library.",
    )


def shot(run: Run[Scale], count: int, seed: int, path: Any) -> None:
    """Shoot the showers of a library."""
    generate_library(
        "silicon-tungsten", KINDS, count, path, energies=(run.scale.low, run.scale.high),
        seed=seed, workers=run.workers, dask=run.dask,
    )  # fmt: skip


def clustered(
    run: Run[Scale], learning: CalorimeterHits, choosing: CalorimeterHits, judging: CalorimeterHits
) -> tuple[dict[str, Clusters], list[Result], dict[str, tuple[list[float], list[float]]]]:
    """Return the clusters of each method, its rows, and its times over hits."""
    scale = run.scale
    methods: dict[str, Any] = {
        PUBLISHED: CLUE().fit(choosing, progress=False),
        TUNED: run.fitted("CLUE", CLUE(tune=True), choosing),
        LAYERS: run.fitted("CLUE in layers", CLUE(kind="layers", tune=True), choosing),
    }
    training = Training(epochs=scale.epochs, batch_size=8, learning_rate=2e-3)
    make = partial(ShowerClustering, width=scale.width, training=training)
    networks = {
        name: [run.fitted(f"{name}, seed {seed}", make(), given, seed=seed) for seed in run.seeds]
        for name, given in ((NETWORK, replace(learning, time=None)), (WITH_TIMES, learning))
    }
    methods |= {name: fits[0] for name, fits in networks.items()}
    found = {name: method.predict(judging) for name, method in methods.items()}
    found[ORACLE] = Clusters.of(judging, judging.majority())
    rows = []
    for name, clusters in found.items():
        each = [clusters, *(fit.predict(judging) for fit in networks.get(name, [])[1:])]
        tables = [clustering_rows(name, judging, one) for one in each]
        for same in zip(*tables, strict=True):
            values = [row.estimate for row in same]
            rows.append(Result.over_seeds(name, same[0].quantity, values))
    times = run.value("times", partial(timed, methods, run.scale, judging))
    for name, one in times["single"].items():
        rows.append(Result(name, MILLISECONDS, *one))
    for name in (TUNED, LAYERS):
        said = ", ".join(f"{key} {value:g}" for key, value in methods[name].chosen_.items())
        run.report.facts.append(f"{name}: {said}")
    return found, rows, {name: (h, t) for name, (h, t) in times["crowded"].items()}


def timed(methods: dict[str, Any], scale: Scale, judging: CalorimeterHits) -> dict[str, Any]:
    """Return CPU ms of single events, with the error of their mean, and over crowded ones."""
    single: dict[str, tuple[float, float]] = {}
    crowded: dict[str, tuple[list[float], list[float]]] = {}
    events = [judging.at([i]) for i in range(min(TIMED, len(judging)))]
    full = [judging.at(slice(0, max(1, round(k / scale.mean)))) for k in scale.crowded]
    for name, method in methods.items():
        method.predict(events[0])
        ms = np.array([milliseconds(method, event) for event in events])
        single[name] = float(ms.mean()), float(ms.std(ddof=1) / len(ms) ** 0.5)
        ones = [together(several) for several in full]
        spent = [milliseconds(method, one) for one in ones]
        crowded[name] = [float(len(one.energy)) for one in ones], spent
    return {"single": single, "crowded": crowded}


def together(hits: CalorimeterHits) -> CalorimeterHits:
    """Return the hits of several events as those of one; cells of the same place stay apart."""
    ends = (np.array([0, len(column)]) for column in (hits.energy, hits.pdg))
    return CalorimeterHits(
        next(ends), hits.position, hits.energy, next(ends), hits.particle_energy, hits.pdg,
        hits.share_hit, hits.share_particle, hits.share_energy, hits.time,
    )  # fmt: skip


def milliseconds(method: Any, hits: CalorimeterHits) -> float:
    """Return the CPU time of clustering all of these events."""
    begin = time.process_time()
    method.predict(hits)
    return 1e3 * (time.process_time() - begin)


def typical(hits: CalorimeterHits) -> int:
    """Return the first event with six showers or more, to be drawn."""
    several = np.diff(hits.particle_offsets) >= 6
    return int(np.argmax(several)) if several.any() else 0


def add_dependence(run: Run[Scale], hits: CalorimeterHits, found: dict[str, Clusters]) -> None:
    """Draw efficiency by energy and by the distance to the next shower, and responses."""
    report, deposit, apart = run.report, hits.deposit, nearest_other(hits)
    matched = {name: match_clusters(hits, clusters) for name, clusters in found.items()}
    report.add_heading("By energy and distance")
    for values, edges, label, words in (
        (deposit, DEPOSITS, "Energy that the shower left [GeV]", "what the shower left"),
        (apart, DISTANCES, "Distance to the nearest shower [mm]", "the distance to the nearest"),
    ):
        bins = [(values >= a) & (values < b) for a, b in zip(edges, edges[1:], strict=False)]
        series: dict[str, list[Value]] = {
            name: [each.efficiency(inside) for inside in bins] for name, each in matched.items()
        }
        report.add_figure(
            in_bins(series, edges, label, "Efficiency, IoU > 0.5"),
            f"Share of showers that are found, by {words}; errors by drawing whole events.",
        )
    ratios: dict[str, Floats] = {
        name: each.estimate / each.truth for name, each in matched.items() if name != LAYERS
    }
    report.add_figure(
        responses(ratios, np.linspace(0.5, 1.5, 41), "Energy / energy that the shower left"),
        "Energies of matched clusters over what their shower left.",
    )


def checked(run: Run[Scale], library: ShowerLibrary, factors: Floats) -> list[Result]:
    """Compare means of single showers that are simulated anew with those of the library."""
    count = max(run.scale.showers // 5, 10)
    fresh = read_library(run.file("fresh.hdf5", partial(shot, run, count, 2)))
    means: list[dict[str, Value]] = []
    for part in (library, fresh):
        n = len(part)
        each, nowhere = np.arange(n), np.zeros(n)
        hits = overlay(
            part, each, nowhere, nowhere, each, events=n, factors=factors, readout=READOUT
        )
        energy = np.bincount(hits.event, hits.energy, n)
        depth = np.bincount(hits.event, hits.energy * hits.position[:, 2], n)
        seen = energy > 0
        quantities = {
            "hits": hits.counts, "energy / incident": 1e3 * energy / part.incident,
            "depth": depth[seen] / energy[seen],
        }  # fmt: skip
        errors = {k: float(v.std() / len(v) ** 0.5) for k, v in quantities.items()}
        means.append({k: Value(float(v.mean()), errors[k]) for k, v in quantities.items()})
    rows = []
    for (quantity, one), other in zip(means[0].items(), means[1].values(), strict=True):
        ratio = other.value / one.value
        error = ratio * float(np.hypot(one.error / one.value, other.error / other.value))
        rows.append(Result(quantity, FRESH, ratio, error))
    return rows


STUDY = Study(
    *("clustering", "Clusters of overlapping showers", SUMMARY, SCALES, clustering,
      ("seeds", "workers", "dask")),
    aims=AIMS,
    events="{train} events to train on, {test} to judge, of {showers} showers of each kind",
    stand_in="the calorimeter of CMS",
)  # fmt: skip
