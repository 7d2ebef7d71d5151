"""Paired events from Pythia 8: the particles, and what the detector makes of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.pairs import joined, spread
from colliderkit.sources.detector.response import Detector
from colliderkit.sources.pythia.jets import (
    FARTHEST,
    Numbers,
    clustered,
    collected,
    final_state,
    reconstruction,
)
from colliderkit.sources.pythia.matching import Directions
from colliderkit.sources.pythia.processes import Process, process_named
from colliderkit.sources.pythia.tunes import Tune

__all__ = ["pairs"]

LEAST_PT = 5.0  # of the jets that one is matched among, and has to stand apart from [GeV]
MANY = 1000  # jets an event: all of them


def pairs(
    process: str,
    count: int,
    *,
    seed: int = 0,
    shard: int = 0,
    detector: bool | Detector = True,
    pileup: float = 0.0,
    settings: str | Sequence[str] = (),
    parameters: Mapping[str, Sequence[float]] | None = None,
    progress: Callable[[int], None] | None = None,
) -> ak.Array:
    """Generate exactly `count` events of one process that pass at either level, in memory.

    Returns a paired array (see `colliderkit.events.pairs`). For a process of one jet an event it
    has at each level the hardest jet, with the process's cuts on it. A cut on the Z is one on its
    true momentum at both levels. The levels are not matched in direction: another jet may be the
    hardest one seen, as in data.

    For a process of several jets an event it has true jets alone that pass the cuts, each with
    what is seen of it (see `nearest`): a record a jet, without fakes, and p(seen | true) knows no
    cut on what is seen. The jets of an event share its number.

    The options are those of `colliderkit.sources.pythia.jets`; pileup and the detector act on
    ``reco`` alone, and without a detector ``reco`` is ``truth`` under pileup. Raises `InputError`
    as `jets` does, and for a process that keeps jets by their origin, or tracks.
    """
    definition = process_named(process)
    check_unmatched(process)
    reconstruct = reconstruction(process, seed, detector, pileup)

    def pairs_of(batch: ak.Array, number: Numbers, random: np.random.Generator) -> ak.Array:
        record = batch.prt
        particles = final_state(record, vertices=pileup > 0 or bool(detector))
        seen = reconstruct(particles, number, random)
        if definition.leading > 1:
            every = replace(definition, pt=(LEAST_PT, float("inf")), eta=FARTHEST, leading=MANY)
            truth, reco = (clustered(level, record, every, number) for level in (particles, seen))
            return nearest(truth, reco, definition)
        truth, reco = (clustered(level, record, definition, number) for level in (particles, seen))
        return joined(truth, reco, number)

    tune = Tune.of(settings, parameters)
    return collected(process, count, pairs_of, seed=seed, shard=shard, tune=tune, progress=progress)


def check_unmatched(process: str) -> None:
    """Raise `InputError` for a process whose jets are kept by what only one level knows."""
    definition = process_named(process)
    if definition.match or definition.tracks or definition.dijet or definition.collisions:
        raise InputError(
            f"process '{process}' keeps jets by their origin, tracks, or numbers of an event, and"
            " makes no pairs; take z-jets, ee-dijets or dijets."
        )


def nearest(truth: ak.Array, reco: ak.Array, process: Process) -> ak.Array:
    """Pair true jets with the nearest jet seen, into a paired array of one record a true jet.

    `truth` and `reco` are all jets of the same events, by event and falling pt. Kept are the
    hardest true jets of an event that pass the process's cuts and stand alone: no other true jet
    within 2.5 times the radius. ``pass_reco`` says whether a jet is seen within half the radius.
    """
    radius = process.radius or 0.0
    event = np.asarray(truth["event"])
    rank = np.arange(len(event)) - np.searchsorted(event, event)
    pt, eta = (np.asarray(truth[f"jet_{name}"]) for name in ("pt", "eta"))
    isolated = (rank < process.leading) & (pt > process.pt[0]) & (pt < process.pt[1])
    axes = directions(truth)
    isolated &= (np.abs(eta) < process.eta) & (axes.count_near(axes, 2.5 * radius) == 1)
    truth = truth[isolated]
    partner, distance = directions(truth).nearest(directions(reco))
    matched = distance < radius / 2
    columns: dict[str, ak.Array | NDArray] = {
        "event": event[isolated],
        "weight": np.ones(len(truth)),
    }
    columns |= {"pass_truth": np.ones(len(truth), dtype=bool), "pass_reco": matched}
    columns["truth"] = truth[[name for name in truth.fields if name != "event"]]
    columns["reco"] = spread(reco[partner[matched]], np.flatnonzero(matched), len(truth))
    return ak.zip(columns, depth_limit=1)


def directions(jets: ak.Array) -> Directions:
    """Return event, eta and phi of jets."""
    eta, phi = (np.asarray(jets[f"jet_{name}"], dtype=np.float64) for name in ("eta", "phi"))
    return Directions(np.asarray(jets["event"]), eta, phi)
