"""Secondary vertices: set to graph on the tracks of b, c and light jets, beside adaptive fits."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.events.schema import labels_of
from colliderkit.events.secondary_vertices import JetTracks
from colliderkit.methods.reconstruction.adaptive_vertices import AdaptiveVertices
from colliderkit.methods.reconstruction.secondary_vertexing import TrackPartition
from colliderkit.methods.reconstruction.secondary_vertices import SecondaryVertices
from colliderkit.metrics.value import Value
from colliderkit.metrics.vertices import adjusted_rand, mean_over_jets
from colliderkit.report.results import Result
from colliderkit.report.secondary_vertices import jet_display, partition_quality
from colliderkit.report.verdict import Aim
from colliderkit.sources import read
from colliderkit.sources.toys.secondary_vertices import displaced_jets
from colliderkit.studies.run import Run, Study
from colliderkit.tasks.secondary_vertices import TOGETHER, by_tracks, judged, shown
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
Which tracks of a jet come from one vertex? A network scores all pairs of tracks, a set becomes a
graph, and what is strongly linked a vertex (2008.02831). Beside it in the same run stands what
experiments use without learning: adaptive fits of one vertex after another, with cuts tuned on
their own jets.
"""
STAND_IN = """
Tracks of jets of 50 to 150 GeV in dijet events from Pythia 8, their momenta exact and their impact
parameters smeared by a parametrised resolution; no track is lost, made up or scattered. The true
vertices are where Pythia made the particles, those within 10 um being one. The published jets are
of another detector and another mixture.
"""
MEASURES = """
The adjusted Rand index counts the pairs of a jet that are rightly together or apart: 1 where all
are, 0 in the mean of random partitions. It is the mean over jets with two tracks or more, beside
the share of jets that are parted without a fault; errors are those of counting jets. Of a light jet
without a decay in flight one vertex has all tracks: its index is 1 or 0. The gain is the mean
difference of the two methods, jet by jet.
"""
NETWORK, ADAPTIVE = "set to graph", "adaptive fits"
GAIN = "gain in adjusted Rand index"
FLAVOURS = ("light", "c", "b")
AIMS = tuple(
    Aim(f"The network parts the tracks of {name} jets better", f"{GAIN}, {name}", NETWORK, "above",
        0.0)
    for name in FLAVOURS
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Jets of each class that train, tune the cuts, and test; settings; seeds of the network."""

    train: int
    tune: int
    test: int
    training: Training
    seeds: int = 1
    width: int = 48
    toy: bool = False


settings = partial(Training, schedule="one-cycle", learning_rate=3e-3)
SCALES = {
    "smoke": Scale(100, 60, 60, settings(1, 32), 1, 16, toy=True),
    "laptop": Scale(3_500, 500, 2_000, settings(14, 64)),
    "night": Scale(60_000, 2_000, 20_000, settings(25, 128), 3, 64),
    "paper": Scale(400_000, 5_000, 100_000, settings(40, 256), 5, 96),
}


def secondary_vertices(run: Run[Scale]) -> None:
    """Train, tune, and compare on the same jets."""
    scale, report = run.scale, run.report
    report.add_stand_in(STAND_IN)
    report.add_definitions(MEASURES)
    train, tune, test = (
        drawn(run, name, getattr(scale, name), seed)
        for seed, name in enumerate(("train", "tune", "test"), 1)
    )
    tracks, label = JetTracks.of(test), labels_of(test)
    network = SecondaryVertices(width=scale.width, training=scale.training)
    fits: dict[str, list[TrackPartition]] = {
        NETWORK: [
            run.fitted(f"{NETWORK}, seed {seed}", network, train, seed=seed) for seed in run.seeds
        ],
        ADAPTIVE: [run.fitted(ADAPTIVE, AdaptiveVertices(), tune, progress=False)],
    }
    parts: dict[str, list[Any]] = {TOGETHER: [np.zeros_like(tracks.vertex)]}
    for name, several in fits.items():
        parts[name] = [
            run.arrays(f"vertices by {name}, {i}", partial(parted, fit, tracks))["part"]
            for i, fit in enumerate(several)
        ]
    names = dict(enumerate(FLAVOURS))
    rows: list[Result] = []
    for name, several in parts.items():
        rows += over_fits(name, [judged(name, tracks, part, label, names) for part in several])
    each = {
        name: np.mean([adjusted_rand(tracks.vertex, p, tracks.counts) for p in several], axis=0)
        for name, several in parts.items()
    }
    enough = tracks.counts > 1
    for k, flavour in names.items():
        gain = mean_over_jets((each[NETWORK] - each[ADAPTIVE])[enough & (label == k)])
        rows.append(Result(NETWORK, f"{GAIN}, {flavour}", gain.value, gain.error))
    report.add_heading("Figures")
    report.add_results(rows, f"{len(test)} jets of the test, a third of each flavour.")
    quality = {
        name: [mean_over_jets(value[enough & (label == k)]) for k in names]
        for name, value in each.items()
    }
    report.add_figure(
        partition_quality(quality, FLAVOURS, "Adjusted Rand index", "Flavour of the jet"),
        "Mean adjusted Rand index of each flavour.",
    )
    only = {n: v[enough] for n, v in each.items() if n != TOGETHER}
    values, ticks = by_tracks(only, tracks.counts[enough])
    report.add_figure(
        partition_quality(values, ticks, "Adjusted Rand index", "Tracks of the jet"),
        "Mean adjusted Rand index by the number of tracks.",
    )
    add_jet(run, tracks.at(label == label.max()), fits)


def add_jet(run: Run[Scale], tracks: JetTracks, fits: dict[str, list[TrackPartition]]) -> None:
    """Draw one jet as it is and as each method parts it."""
    jet = tracks.at(np.array([shown(tracks)]))
    parts = {"truth": jet.vertex, **{name: f[0].parts(jet) for name, f in fits.items()}}
    run.report.add_figure(
        jet_display(jet, parts),
        "A b jet across the beams, the collision at the origin: lines of one colour are tracks of"
        " one vertex, dotted ones are alone, and crosses stand where tracks meet.",
        wide=True,
    )


def drawn(run: Run[Scale], name: str, count: int, seed: int) -> ak.Array:
    """Return jets of all flavours of Pythia, generated once, or of the toy."""
    if run.scale.toy:
        return displaced_jets(3 * count, seed=[seed, count])
    return read(run.generated(name, "flavour", count, seed=seed))


def parted(fit: TrackPartition, tracks: JetTracks) -> dict[str, Any]:
    """Return the vertices of all tracks, as arrays."""
    return {"part": fit.parts(tracks)}


def over_fits(subject: str, fits: list[list[Result]]) -> list[Result]:
    """Return each figure over the fits of one method."""
    return [
        Result.over_seeds(
            subject, same[0].quantity, [Value(r.value, r.counting or float("nan")) for r in same]
        )
        for same in zip(*fits, strict=True)
    ]


STUDY = Study(
    *("secondary-vertices", "Secondary vertices", SUMMARY, SCALES, secondary_vertices),
    takes=("seeds", "workers", "dask"),
    aims=AIMS,
    events="{train} training and {test} test jets a class",
    stand_in="another experiment's jets",
)
