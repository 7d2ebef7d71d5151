"""Tracks in the pixels of the TrackML detector: graphs and embeddings beside a Kalman filter."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.events.hits import TrackerHits
from colliderkit.events.tables import Ints
from colliderkit.methods.reconstruction.edge_tracks import EdgeTracks
from colliderkit.methods.reconstruction.embedded_tracks import EmbeddedTracks
from colliderkit.methods.reconstruction.helix_tracks import HelixTracks
from colliderkit.methods.reconstruction.tracking import TrackFinder
from colliderkit.metrics.tracking import Interest, figures, pull_counts, pull_figures
from colliderkit.metrics.value import Value, number
from colliderkit.report.results import Result
from colliderkit.report.tracking import time_against_hits
from colliderkit.report.verdict import Aim, Ranking
from colliderkit.sources.acts.simulation import PIXEL_VOLUMES, Guns
from colliderkit.sources.files.hits import TRACKS, read_hits, write_hits
from colliderkit.sources.files.tracks import read_tracks
from colliderkit.sources.toys.tracker import helix_hits
from colliderkit.studies.run import Run, Study
from colliderkit.tasks.tracking import (
    DEFINITIONS,
    add_curves,
    add_event,
    add_pulls,
    curves_of,
    drawn_event,
    pulls_of,
    rows_of,
    seconds_of,
)
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
A charged particle leaves a few hits in the pixels of a tracker, and an event of 20 collisions has a
thousand of them. Which hits are of one particle is learned: by scoring the steps from hit to hit on
a graph, and by embedding hits so that those of a particle lie together (object condensation, and a
hinge). Beside them stand triplets on a helix, which learn no weights, and the tracks of ACTS'
combinatorial Kalman filter, all scored by the same code on the same hits and particles.
"""
STAND_IN = """
Events are charged pions from particle guns in ACTS' generic detector, which has the layers of the
TrackML detector, simulated by Fatras, in place of the TrackML challenge's top quarks at a pileup of
200: about a hundredth of its hits. Hits are smeared positions without clusters or noise.
"""
MEASURES = """
The Kalman filter sees all layers, strips too, and needs six measurements: its tracks are cut down
to their pixel hits before they are scored, and count if three are left. "time" is that of one
event on one thread, of the Kalman filter it is not measured here. "overlaid" events are several
test events one upon another.
"""
FEW = 10  # denser events that are looked at, fewer of the densest
CKF = "ACTS Kalman filter"
EFFICIENCY, FAKES = "efficiency, double majority", "fakes, double majority"
EDGES, DENSE = "edge classification", "edge classification, dense"
FITTED = tuple(
    Aim(f"Fitted tracks have pulls of {name} of unit width", f"pull width, {name}", EDGES,
        "within", (0.9, 1.1))
    for name in ("d0", "z0", "qop")
)  # fmt: skip
AIMS = (
    Aim("Edge classification finds 97% of the particles", EFFICIENCY, EDGES, "above", 0.97),
    Aim("... with one fake in a hundred tracks at most", FAKES, EDGES, "below", 0.01),
    Aim("Object condensation finds 97% of the particles", EFFICIENCY, "object condensation",
        "above", 0.97),
    Aim("An event takes less than 50 ms on one core", "time [ms]", EDGES, "below", 50.0),
    Aim("What is learned makes fewer fakes than triplets on a helix", FAKES, EDGES, "below",
        against="triplets on a helix"),
    *FITTED,
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Events that train and are tested on, how many collisions and particles each has.

    `overlaid` events are laid one upon another to test denser ones, and `dense` to train on them.
    """

    train: int
    test: int
    training: Training
    vertices: int = 20
    particles: int = 10
    overlaid: tuple[int, ...] = ()
    embeddings: tuple[str, ...] = ("condensation", "hinge")
    width: int = 32
    dense: tuple[int, ...] = ()
    toy: bool = False
    seeds: int = 1


settings = partial(Training, batch_size=4, learning_rate=2e-3)
SCALES = {
    "smoke": Scale(
        12, 12, settings(epochs=2), vertices=3, embeddings=("condensation",), width=8, toy=True,
        overlaid=(2,),
    ),
    "laptop": Scale(
        400, 200, settings(epochs=12), overlaid=(3, 10, 30), embeddings=("condensation",),
        dense=(1, 3, 10, 30),
    ),
    "night": Scale(
        5_000, 1_000, settings(epochs=30), overlaid=(3, 10, 30), width=64, dense=(1, 3, 10, 30),
        seeds=3,
    ),
    "paper": Scale(
        20_000, 2_000, settings(epochs=50), vertices=200, overlaid=(3,), width=128, seeds=5
    ),
}  # fmt: skip
NAMES = {"condensation": "object condensation", "hinge": "hinge embedding"}


def finders(scale: Scale) -> dict[str, TrackFinder]:
    """Return the methods by name, not fitted."""
    network: dict[str, Any] = {"width": scale.width, "training": scale.training}
    found: dict[str, TrackFinder] = {
        "triplets on a helix": HelixTracks(),
        EDGES: EdgeTracks(**network),
    }
    if scale.dense and (epochs := scale.training.epochs):
        training = replace(scale.training, epochs=2 * epochs // 3, batch_size=2)
        found[DENSE] = EdgeTracks(overlaid=list(scale.dense), width=scale.width, training=training)
    for loss in scale.embeddings:
        found[NAMES[loss]] = EmbeddedTracks(loss=loss, **network)  # type: ignore[arg-type]
    return found


def tracking(run: Run[Scale]) -> None:
    """Simulate, find tracks by each method, score them, and time them against the hits."""
    scale, report = run.scale, run.report
    report.add_stand_in(STAND_IN)
    report.add_definitions(DEFINITIONS)
    report.add_text(MEASURES)
    folder = run.file("events", partial(simulated, run))
    hits = read_hits(folder, volumes=None if scale.toy else PIXEL_VOLUMES).hits
    train, test = hits.at(slice(0, scale.train)), hits.at(slice(scale.train, None))
    interest = Interest()
    tracks: dict[str, Ints] = {}
    rows: list[Result] = []
    fitted: dict[str, TrackFinder] = {}
    for name, method in finders(scale).items():
        seeds = run.seeds if hasattr(method, "training") else range(1)
        each = [
            run.fitted(f"{name}, seed {seed}", method, train, seed=seed, progress=False)
            for seed in seeds
        ]
        fitted[name] = each[0]
        with run.step(f"tracks of {name}"):
            labels = [one.find(test) for one in each]
            tracks[name] = labels[0]
            rows += over_seeds(name, [figures(test, label, interest) for label in labels])
            rows += rows_of(name, {"time [ms]": seconds_of(each[0], test).times(1e3)})
    if (folder / TRACKS).is_file():
        with run.step("tracks of the Kalman filter"):
            label = read_tracks(folder / TRACKS, hits)
            tracks[CKF] = label[np.isin(hits.number[hits.event], test.number)]
            rows += rows_of(CKF, figures(test, tracks[CKF], interest))
    report.add_heading("What is found")
    report.add_results(
        rows,
        f"In {number(len(test))} test events of {number(len(test.x) / len(test))} pixel hits."
        f" Counted are {interest}. Errors are binomial, of the score that of its mean over events,"
        " and of trainings; thresholds were chosen on a tenth of the training events, which trained"
        " nothing.",
        best={EFFICIENCY: "higher", FAKES: "lower"},
    )
    with run.step("curves"):
        add_curves(report, {name: curves_of(test, t, interest) for name, t in tracks.items()})
    if not scale.toy:
        report.add_heading("Fitted by ACTS' Kalman filter")
        with run.step("tracks fitted"):
            refitted(run, test, tracks[EDGES])
    report.add_heading("An event")
    drawn = drawn_event(test, tracks[EDGES], interest)
    if drawn is not None:
        add_event(report, drawn)
    report.add_heading("Denser events")
    with run.step("denser events"):
        dense(run, fitted, test, interest)


def found_and_timed(method: TrackFinder, events: TrackerHits) -> tuple[Ints, Value]:
    """Return the tracks (H,) of events, and the CPU time of one in ms with its error."""
    labels, took = [], []
    for n in range(len(events)):
        begin = time.process_time()
        labels.append(method.find(events.at([n])))
        took.append(1e3 * (time.process_time() - begin))
    error = float(np.std(took, ddof=1)) / len(took) ** 0.5 if len(took) > 1 else float("nan")
    return np.concatenate(labels), Value(float(np.mean(took)), error)


def over_seeds(name: str, found: list[dict[str, Value]]) -> list[Result]:
    """Return what several trainings find, with the scatter of them."""
    return [
        Result.over_seeds(name, quantity, [one[quantity] for one in found])
        for quantity in found[0]
        if all(np.isfinite(one[quantity].value) for one in found)
    ]


def simulated(run: Run[Scale], path: Path) -> None:
    """Write the events of the study."""
    scale = run.scale
    count = scale.train + scale.test
    if scale.toy:
        made = helix_hits(count, vertices=scale.vertices, particles=scale.particles, seed=1)
        write_hits(path, made)
        return
    from colliderkit.sources.acts.shards import generate_tracks

    generate_tracks(
        count,
        path,
        guns=Guns(scale.vertices, scale.particles, (0.3, 10.0), 2.5),
        tracks=True,
        seed=1,
        workers=run.workers,
        dask=run.dask,
    )


def refitted(run: Run[Scale], test: TrackerHits, tracks: Ints) -> None:
    """Fit what edge classification has found by ACTS' Kalman filter, and look at the pulls."""
    from colliderkit.sources.acts.refit import fit_tracks

    fitted = fit_tracks(test, tracks)
    pulls = pulls_of(fitted)
    add_pulls(run.report, pull_counts(pulls), EDGES)
    run.report.add_results(
        rows_of(EDGES, pull_figures(pulls)),
        f"Fitted were {number(len(fitted.event))} of {number(fitted.tried)} tracks. Widths are"
        " those of pulls within five standard deviations.",
    )


def dense(
    run: Run[Scale], fitted: Mapping[str, TrackFinder], test: TrackerHits, interest: Interest
) -> None:
    """Overlay test events: what is found in denser ones without training again, and how fast."""
    times: dict[str, dict[str, list[float]]] = {}
    rows: list[Result] = []
    for name, method in fitted.items():
        series: dict[str, list[float]] = {"hits": [], "time": [], "error": []}
        for count in (1, *run.scale.overlaid):
            few = max(min(FEW, 6 * FEW // count), 2)
            events = test.at(slice(0, few * count)).overlaid(count)
            label, took = found_and_timed(method, events)
            size = len(events.x) / max(len(events), 1)
            series["hits"].append(size)
            series["time"].append(took.value)
            series["error"].append(took.error if np.isfinite(took.error) else 0.0)
            if count > 1:
                found = figures(events, label, interest)
                some = {key: found[key] for key in (EFFICIENCY, FAKES)}
                subject = f"{name}, {count} overlaid"
                rows += rows_of(subject, some | {"time [ms]": took, "hits": Value(size, 0.0)})
        times[name] = series
    report = run.report
    report.add_figure(
        time_against_hits(times),
        "CPU time of one event on one thread against its pixel hits, with the error of the mean.",
    )
    if rows:
        report.add_results(
            rows,
            f'The same methods on a few events of several test events; "{DENSE}" has learned from'
            " such events, of others, and the rest from single ones.",
        )


STUDY = Study(
    *("tracking", "Tracks in a pixel detector", SUMMARY, SCALES, tracking),
    takes=("seeds", "workers", "dask"),
    aims=AIMS,
    rankings=(Ranking(EFFICIENCY, "higher", aside=("*overlaid", CKF)),),
    events="{train} events to train on, {test} to test, of {vertices} collisions with {particles}"
    " charged pions each",
    stand_in="the events of the TrackML challenge",
)
