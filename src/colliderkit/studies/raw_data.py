"""Raw data end to end: one trunk on cells and tracks, its heads beside networks of their own."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from colliderkit.events.calorimeter.library import calibration
from colliderkit.events.calorimeter.objects import CalorimeterObjects
from colliderkit.events.tables import Floats
from colliderkit.methods.reconstruction.neutral_energy import neutral_energy
from colliderkit.methods.reconstruction.raw_data import Head, RawData, RawMethod, Reconstructed
from colliderkit.methods.reconstruction.shape_trees import ShapeTrees
from colliderkit.metrics.response import profile
from colliderkit.metrics.value import Value, bootstrap, number
from colliderkit.report.clustering import in_bins, responses
from colliderkit.report.particle_flow import shares_of_an_event
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.seeds import derive
from colliderkit.sources.datasets.calorimeter_objects import CELLS, FAR, calorimeter_objects
from colliderkit.sources.datasets.pion_pairs import READOUT
from colliderkit.sources.files.shower_libraries import read_library
from colliderkit.sources.geant4.library import generate_library
from colliderkit.studies.run import Run, Study
from colliderkit.tasks.raw_data import MERITS, merit_of, per_event, values_of
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
Reconstruction takes many steps from the cells of a calorimeter to what an event is, and each keeps
a few numbers of the one before. Here one network sees all cells and the track, and answers at once:
which particles there are, their energy with its error, the mass of two of them, and which part of
each cell is neutral. Beside it each question has a network of its own, of the same kind and with
the same events, and boosted trees on shapes of showers are the floor.
"""
STAND_IN = """
The calorimeter is lead, iron and liquid argon in six layers, cells of {widths} mm: {physics},
without {missing}. Electrons, photons, pairs of photons, charged pions, and charged with neutral
pions come at right angles, each particle with {low:g} to {high:g} GeV, log-uniform; the second of
two enters up to 120 mm away in x and in y. The mass is that of particles from a point {far:g} m
before the calorimeter, a made one: no resonance. A cell reads its sum once, with a noise of
{noise:g} MeV and a threshold of {threshold:g} MeV. The track is exact.
"""
MEASURES = """
Widths are half of the central 68% of found / true; the mass is of pairs; the neutral energy is over
the sum of the cells, of events with more than 0.1 GeV of charged and of neutral energy. No shower
of the test is in an event of the training. All networks have the same trunk, number of steps and
events. A difference is the mean over seeds of the common trunk minus the head's own network; its
error is that of the mean over seeds and that of the events (paired bootstrap), in quadrature.
"""
TRUNK, OWN, TREES = "one trunk", "own networks", "shapes, boosted trees"
DIFFERENCE, SIGMA = "one trunk / own network", "worse than its own network, in sigma"
TIME = "CPU time an event [ms]"
HEADS: tuple[Head, ...] = ("class", "energy", "mass", "share")
TITLES = {"class": "class", "energy": "energy", "mass": "mass", "share": "neutral energy"}
EDGES = (2.0, 4.0, 8.0, 14.0, 40.0)  # GeV
AIMS = (
    *(
        Aim(f"The head for {TITLES[head]} is not worse than its own network by 2 sigma", SIGMA,
            TITLES[head], "below", 2.0)
        for head in HEADS
    ),
    *(
        Aim(f"Cells beat shapes: {TITLES[head]}", MERITS[head], TRUNK, "below", against=TREES)
        for head in HEADS
    ),
    Aim("One trunk is faster than four networks", TIME, TRUNK, "below", against=OWN),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Showers of each kind, energies [MeV], events, epochs, fits, and the width of the network."""

    showers: int
    low: float
    high: float
    train: int
    test: int
    epochs: int
    seeds: int
    width: int = 64


SCALES = {
    "smoke": Scale(8, 2e3, 2.5e3, 60, 60, 1, 1, 8),
    "laptop": Scale(500, 2e3, 20e3, 4_000, 4_000, 14, 3, 48),
    "night": Scale(6_000, 2e3, 20e3, 40_000, 20_000, 20, 5),
    "paper": Scale(50_000, 2e3, 50e3, 500_000, 50_000, 40, 5, 96),
}


def raw_data(run: Run[Scale]) -> None:
    """Simulate particles, and find what they are in each way."""
    scale, report = run.scale, run.report
    library = read_library(run.file("showers.hdf5", partial(shot, run)))
    parts = library.parts(0.75, 0.25, seed=1)
    factors = calibration(parts[0])
    learning, judging = (
        calorimeter_objects(part, count, factors=factors, seed=derive(1, name))
        for part, count, name in zip(
            parts, (scale.train, scale.test), ("train", "test"), strict=True
        )
    )
    judging = judging.at(judging.seen > 0.1)
    report.add_stand_in(
        STAND_IN.format(
            widths=", ".join(f"{w:g}" for w in CELLS), physics=library.physics,
            missing=library.missing, low=scale.low / 1e3, high=scale.high / 1e3, far=FAR / 1e3,
            noise=READOUT.noise, threshold=READOUT.threshold,
        )
    )  # fmt: skip
    report.add_definitions(MEASURES)
    report.facts.append(
        f"{number(judging.hits.counts.mean(), 3)} cells an event; {len(parts[1])} showers to test"
        " with"
    )
    networks, trees = fitted(run, learning, library.z)
    found = {
        TRUNK: [each[TRUNK].predict(judging) for each in networks],
        OWN: [joined([each[head].predict(judging) for head in HEADS]) for each in networks],
        TREES: [trees.predict(judging)],
    }
    truth = networks[0][TRUNK].true(judging)
    values = {name: [values_of(f, truth, judging) for f in each] for name, each in found.items()}
    report.add_heading("Head by head")
    report.add_results(
        [
            Result.over_seeds(name, quantity, [each[quantity] for each in several])
            for name, several in values.items()
            for quantity in several[0]
        ],
        f"Of {number(len(judging))} events of the test; the smaller a width or a cross entropy, the"
        " better.",
    )
    add_differences(run, judging, found, networks[0][TRUNK])
    add_figures(run, judging, found, networks[0][TRUNK])
    add_times(run, judging, networks[0])


def shot(run: Run[Scale], path: Any) -> None:
    """Shoot the particles of the library."""
    generate_library(
        "ecal-hcal", ("gamma", "e-", "pi+", "pi0"), run.scale.showers, path,
        energies=(run.scale.low, run.scale.high), seed=1, workers=run.workers, dask=run.dask,
    )  # fmt: skip


def fitted(
    run: Run[Scale], events: CalorimeterObjects, depths: Floats
) -> tuple[list[dict[str, RawData]], ShapeTrees]:
    """Return the networks of each seed, the common one and that of each head; and the trees."""
    layers = [float(z) for z in depths]
    training = Training(epochs=run.scale.epochs, batch_size=32, learning_rate=3e-3)
    asked: dict[str, tuple[Head, ...]] = {TRUNK: HEADS, **{head: (head,) for head in HEADS}}
    networks = [
        {
            name: run.fitted(
                f"{name}, seed {seed}",
                RawData(heads=heads, depths=layers, width=run.scale.width, training=training),
                events,
                seed=seed,
            )
            for name, heads in asked.items()
        }
        for seed in run.seeds
    ]
    return networks, run.fitted(TREES, ShapeTrees(depths=layers), events)


def joined(parts: list[Reconstructed]) -> Reconstructed:
    """Return what several networks have found, as one."""
    known = {k: v for part in parts for k, v in vars(part).items() if v is not None}
    return Reconstructed(**known)


def add_differences(
    run: Run[Scale], events: CalorimeterObjects, found: dict[str, list[Reconstructed]],
    method: RawMethod,
) -> None:  # fmt: skip
    """Add the difference between the common trunk and the networks of their own, by head."""
    truth = method.true(events)
    rows = []
    for head in HEADS:
        columns = [
            [per_event(head, each, truth, events) for each in found[name]] for name in (TRUNK, OWN)
        ]
        known = np.isfinite(columns[0][0])
        trunk, own = (np.stack(several, axis=1)[known] for several in columns)  # (N, seeds)
        merit = np.array([[merit_of(head, v) for v in several.T] for several in (trunk, own)])
        each = merit[0] - merit[1]
        seeds = each.std(ddof=1) / len(each) ** 0.5 if len(each) > 1 else 0.0
        counting = bootstrap(partial(difference, head), trunk, own, replicas=60, seed=3).error
        total = max(float(np.hypot(seeds, counting)), 1e-12)
        base = float(merit[1].mean())
        ratio = 1 + float(each.mean()) / base
        rows.append(Result(TITLES[head], DIFFERENCE, ratio, total / base))
        rows.append(Result(TITLES[head], SIGMA, float(each.mean()) / total, 0.0))
    run.report.add_results(
        rows,
        "The figure of merit of each head (cross entropy, half-widths) with the common trunk over"
        " that of its own network.",
    )


def difference(head: str, trunk: Floats, own: Floats) -> float:
    """Return the mean difference of the figure of merit of two, (N, seeds) each."""
    a, b = (np.mean([merit_of(head, v) for v in several.T]) for several in (trunk, own))
    return float(a - b)


def add_figures(
    run: Run[Scale], events: CalorimeterObjects, found: dict[str, list[Reconstructed]],
    method: RawMethod,
) -> None:  # fmt: skip
    """Draw residuals, the width against the energy, and a pair."""
    truth, report = method.true(events), run.report
    for head, label in (("energy", "Energy / true energy"), ("mass", "Mass / true mass")):
        drawn = {}
        for name, each in found.items():
            residual = per_event(head, each[0], truth, events)
            drawn[name] = 1 + residual[np.isfinite(residual)]
        report.add_figure(
            responses(drawn, np.linspace(0.7, 1.3, 49), label),
            f"{label}, all events of the test that have one; one seed.",
        )
    if run.scale_name != "smoke":
        widths = {}
        for name, each in found.items():
            several = [
                profile(f.energy / events.energy, events.energy, EDGES, statistic="median")
                for f in each
                if f.energy is not None
            ]
            widths[name] = [
                Value(float(np.mean([p.spread[i] for p in several])), several[0].spread_error[i])
                for i in range(len(EDGES) - 1)
            ]
        report.add_figure(
            in_bins(widths, EDGES, "True energy [GeV]", "Half-width of energy / true"),
            "Half of the central 68% of energy / true energy by the energy; mean over the seeds,"
            " errors of counting.",
        )
    pairs = np.flatnonzero(np.isfinite(per_event("share", found[TRUNK][0], truth, events)))
    neutral = neutral_energy(events.hits, truth.share)[pairs] / events.seen[pairs]
    near = pairs[np.argmin(np.abs(neutral - 0.5))]
    shares = {"truth": truth.share}
    shares |= {name: each[0].share for name, each in found.items() if each[0].share is not None}
    report.add_figure(
        shares_of_an_event(events.hits, shares, int(near), events.track[near]),
        "A pi+ and a pi0 in the layers of the calorimeter, seen along the axis: the colour is the"
        " neutral share of a cell, its area grows with the energy; the cross is the track.",
        wide=True,
    )


def add_times(run: Run[Scale], events: CalorimeterObjects, networks: dict[str, RawData]) -> None:
    """Add the CPU time of the common network, and of the four together."""
    some = events.at(slice(0, 500))
    rows = []
    for name, members in ((TRUNK, (TRUNK,)), (OWN, HEADS)):
        seconds = []
        for _ in range(3):
            begin = time.process_time()
            for member in members:
                networks[member].predict(some)
            seconds.append(1e3 * (time.process_time() - begin) / len(some))
        error = float(np.std(seconds, ddof=1)) / 3**0.5
        rows.append(Result(name, TIME, float(np.mean(seconds)), error, unit="ms"))
    run.report.add_results(rows, "CPU time of the answers, three times in turn.")


STUDY = Study(
    *("raw-data", "Raw data end to end", SUMMARY, SCALES, raw_data, ("seeds", "workers", "dask")),
    aims=AIMS,
    events="{train} events to train on and {test} to judge, of {showers} showers of each kind",
    stand_in="a detector's calorimeter and tracks",
)  # fmt: skip
