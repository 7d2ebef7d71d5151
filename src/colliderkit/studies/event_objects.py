"""Objects in images of events: a network that sees all towers at once, beside clustered jets."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from colliderkit.events.event_objects import KINDS, EventObjects, EventTowers
from colliderkit.methods.reconstruction.clustered_objects import ClusteredObjects
from colliderkit.methods.reconstruction.object_detection import ObjectDetector, ObjectMethod
from colliderkit.metrics.classes import confusion as confusion_of
from colliderkit.metrics.detection import (
    Detection,
    kinds_present,
    match_objects,
    precision_gain,
    resolution_ratio,
)
from colliderkit.metrics.response import profile
from colliderkit.metrics.value import Value, number
from colliderkit.report.classifiers import confusion
from colliderkit.report.clustering import in_bins, responses
from colliderkit.report.detection import efficiency_over_false_objects, event_image
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.serve.latency import cpu_seconds
from colliderkit.sources.datasets.event_objects import PROCESSES, event_objects
from colliderkit.sources.files.event_objects import read_event_objects, write_event_objects
from colliderkit.studies.run import Run, Study
from colliderkit.tasks.object_detection import AP, fullest, objects_measured
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
Jets are found by clustering, calibrated, and tagged one by one. A detector can also be taken for an
image of the whole event, in which a network finds all objects in one pass: where they are, what
they are, their pT and their mass. Is that as good as clustering, for jets, boosted W bosons and
boosted top quarks?
"""
STAND_IN = """
Pythia 8 at 13.6 TeV with a mean of {pileup:g} other collisions, in equal numbers of events of
quarks and gluons, of a W beside one of these, and of pairs of top quarks, whose spectra are flat in
ln pT from 200 to 600 GeV. Towers of 0.1 x 0.1 and tracks are of the package's fast detector, not of
Geant4; tracks are those of the hard collision. True objects are anti-kT jets (R = 1.0) of particles
with pT > 200 GeV and |eta| < 2. Jet-SSD's events (2105.05785) and the images of CMS (1902.08276)
are others.
"""
MEASURES = """
A found object is the nearest true one within 0.5 in eta and phi; of several the one of the largest
score counts, the others are false. "Average precision" is the mean over the true objects of a kind
of the share of right ones at their score; it depends on how many of each kind there are. Jets of
the trees are of anti-kT, R = 1.0, on the same towers; the trees see substructure, and correct pT
and mass. Widths are half of the central 68% over the median. Errors are of counting (bootstrap of
events) and of seeds. Times are CPU times of one event after another on one thread, with towers in
memory; those of jets are of FastJet, substructure and trees.
"""
NETWORK, TREES = "image", "jets and trees"
GAIN = "average precision, image less jets and trees"
TIME = "CPU time an event [ms]"
EDGES = (200.0, 250.0, 300.0, 350.0, 420.0, 500.0, 650.0)
AIMS = (
    *(
        Aim(f"{kind}: an image is not worse than jets and trees in average precision",
            f"{kind}: {GAIN}", NETWORK, "above", -0.02)
        for kind in KINDS
    ),
    *(
        Aim(f"{kind}: {label} is resolved better than by jets and trees",
            f"{kind}: {label}: width / theirs", NETWORK, "below", 1.0)
        for label in ("pT", "mass")
        for kind in KINDS
    ),
    Aim("An event takes less than by jets and trees", TIME, NETWORK, "below", against=TREES),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Events of each process to train on and to judge; pileup, epochs, fits, channels, trees."""

    train: int
    test: int
    pileup: float
    epochs: int
    seeds: int
    width: int = 32
    rounds: int = 300


SCALES = {
    "smoke": Scale(20, 12, 0.0, 1, 1, 8, 2),
    "laptop": Scale(2_000, 1_000, 10.0, 2, 2),
    "night": Scale(20_000, 5_000, 20.0, 8, 3, 48),
    "paper": Scale(200_000, 20_000, 60.0, 10, 5, 96),
}


def study(run: Run[Scale]) -> None:
    """Generate events, train, and compare on the same towers."""
    scale, report = run.scale, run.report
    report.add_stand_in(STAND_IN.format(pileup=scale.pileup))
    report.add_definitions(MEASURES)
    samples = [
        read_event_objects(run.file(f"{kind}.parquet", partial(make, run, kind)))
        for kind in PROCESSES
    ]
    train, test = (
        (EventTowers.joined([t.at(part) for t, _ in samples]),
         EventObjects.joined([o.at(part) for _, o in samples]))
        for part in (slice(0, scale.train), slice(scale.train, None))
    )  # fmt: skip
    truth = test[1]
    counts = ", ".join(f"{number(int((truth.kind == i).sum()))} {k}" for i, k in enumerate(KINDS))
    report.facts.append(
        f"{number(np.diff(test[0].offsets).mean(), 3)} towers an event; true objects of the test:"
        f" {counts}"
    )
    detector = ObjectDetector(
        width=scale.width,
        training=Training(epochs=scale.epochs, batch_size=16, learning_rate=3e-3),
    )
    networks = [
        run.fitted(f"{NETWORK}, seed {seed}", detector, *train, seed=seed) for seed in run.seeds
    ]
    trees = run.fitted(TREES, ClusteredObjects(rounds=scale.rounds), *train)
    with run.step("finding"):
        found = {
            NETWORK: [each.predict(test[0]) for each in networks],
            TREES: [trees.predict(test[0])],
        }
    matched = {name: [match_objects(truth, f) for f in each] for name, each in found.items()}
    add_measures(run, matched)
    add_comparison(run, matched)
    add_figures(run, matched)
    event = fullest(truth)
    report.add_heading("An event")
    report.add_figure(
        event_image(
            test[0], {"truth": truth, NETWORK: found[NETWORK][0], TREES: found[TREES][0]}, event
        ),
        "Towers, the area as the transverse energy, and circles of R = 1.0 around true and found"
        " objects of a score of 0.3 or more, with pT and mass.",
        wide=True,
    )
    add_times(run, {NETWORK: networks[0], TREES: trees}, test[0])


def make(run: Run[Scale], kind: str, path: Path) -> None:
    """Generate the events of a process, those to train on before those to judge by."""
    scale = run.scale
    made = event_objects(kind, scale.train + scale.test, pileup=scale.pileup, seed=1)
    write_event_objects(path, *made)


def add_measures(run: Run[Scale], matched: dict[str, list[Detection]]) -> None:
    """Add what is measured of each, averaged over seeds."""
    rows = []
    for name, several in matched.items():
        values = [objects_measured(each) for each in several]
        rows += [
            Result.over_seeds(name, quantity, [v[quantity] for v in values])
            for quantity in values[0]
            if all(quantity in v for v in values)
        ]
    run.report.add_results(rows, f"{AP.capitalize()}, efficiencies and responses, by kind.")


def add_comparison(run: Run[Scale], matched: dict[str, list[Detection]]) -> None:
    """Add differences on the same events, with errors of these and of seeds."""
    rows, theirs = [], matched[TREES][0]
    for i in kinds_present(theirs.true):
        kind = KINDS[i]
        gains = [precision_gain(one, theirs, i) for one in matched[NETWORK]]
        rows.append(Result.over_seeds(NETWORK, f"{kind}: {GAIN}", gains))
        for quantity, label in (("pt", "pT"), ("mass", "mass")):
            ratios = [resolution_ratio(one, theirs, quantity, i) for one in matched[NETWORK]]
            if all(np.isfinite(ratio.value) for ratio in ratios):
                rows.append(Result.over_seeds(NETWORK, f"{kind}: {label}: width / theirs", ratios))
    run.report.add_heading("Beside jets and trees")
    run.report.add_results(
        rows,
        "On the same events, whose fluctuations the bootstrap has in common: above 0 the image has"
        " the larger precision, below 1 it has the smaller width.",
    )


def add_figures(run: Run[Scale], matched: dict[str, list[Detection]]) -> None:
    """Draw efficiencies, responses, and what is taken for what."""
    report, first = run.report, {name: each[0] for name, each in matched.items()}
    true = first[TREES].true
    curves = {}
    for i in kinds_present(true):
        sides = {name: each.rates(i) for name, each in first.items()}
        curves[KINDS[i]] = {name: (false, right) for name, (right, false, _) in sides.items()}
    report.add_heading("Efficiency, response, confusion")
    report.add_figure(
        efficiency_over_false_objects(curves),
        "Efficiency against objects that are taken for one of the kind and are none; one seed.",
        wide=True,
    )
    for quantity, label in (("pt", "pT"), ("mass", "Mass")):
        report.add_figure(
            responses(
                {name: each.ratios(quantity)[0] for name, each in first.items()},
                np.linspace(0.5, 1.5, 51),
                f"{label} / true",
            ),
            f"{label} of the objects that are found; one seed.",
        )
    if run.scale_name != "smoke":
        widths = {}
        for name, each in first.items():
            seen = each.best >= 0
            p = profile(each.ratios("pt")[0], true.pt[seen], EDGES, statistic="median")
            widths[name] = [Value(p.spread[j], p.spread_error[j]) for j in range(len(EDGES) - 1)]
        report.add_figure(
            in_bins(widths, EDGES, "True pT [GeV]", "Half-width of pT / true"),
            "Half of the central 68% of pT / true pT; one seed, errors of counting.",
        )
    for name in (NETWORK, TREES):
        kinds, taken = first[name].confusion()
        if len(kinds):
            report.add_figure(
                confusion(confusion_of(np.eye(len(KINDS))[taken], kinds), KINDS),
                f"What true objects are taken for by: {name}; one seed.",
            )


def add_times(run: Run[Scale], methods: dict[str, ObjectMethod], towers: EventTowers) -> None:
    """Add the CPU time of an event on one thread, one after another."""
    count = min(60, len(towers) // 4)
    places = np.linspace(0, len(towers) - 1, count).astype(np.int64)
    one_by_one = [towers.at([i]) for i in places]
    rows = []
    for name, method in methods.items():
        find = partial(found_one_by_one, method, one_by_one)
        times = [1e3 * cpu_seconds(find, 1) / count for _ in range(3)]
        error = float(np.std(times, ddof=1)) / 3**0.5
        rows.append(Result(name, TIME, float(np.mean(times)), error, unit="ms"))
    run.report.add_results(rows, f"Of {count} events, three times in turn.")


def found_one_by_one(method: ObjectMethod, events: list[EventTowers]) -> list[EventObjects]:
    """Return what a method finds in each event alone."""
    return [method.predict(each) for each in events]


STUDY = Study(
    *("event-objects", "Objects in event images", SUMMARY, SCALES, study, ("seeds",)),
    aims=AIMS,
    events="{train} events of each of three processes to train on, {test} of each to judge",
    stand_in="a detector's images",
)  # fmt: skip
