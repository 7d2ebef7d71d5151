"""Events at two levels, for unfolding: the particles, and what the detector makes of them.

A *paired array* is an `awkward.Array` of one record an event with

- ``event``: int64; ``weight``: float64;
- ``pass_truth``, ``pass_reco``: whether the event has a jet to keep at that level. An event that
  passes at truth alone is a miss, one that passes at reco alone a fake;
- ``truth``, ``reco``: each a jet (see `colliderkit.events.schema`) with ``constituents``,
  ``jet_pt``, ``jet_eta``, ``jet_phi``, ``jet_mass``; where the level does not pass, without
  constituents and with kinematics 0. ``array["truth"][array["pass_truth"]]`` is a jet array;
- any further per-event column.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.schema import CONSTITUENTS, FOURVECTOR, JET_COLUMNS
from colliderkit.files import existing_file
from colliderkit.sources.detector.response import Detector
from colliderkit.sources.files.columns import missing, readable
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

__all__ = ["LEVELS", "check_pairs", "iterate_pairs", "joined", "pairs", "read_pairs"]

LEVELS = ("truth", "reco")
LEAST_PT = 5.0  # of the jets that one is matched among, and has to stand apart from [GeV]
MANY = 1000  # jets an event: all of them
FLAGS = {level: f"pass_{level}" for level in LEVELS}


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

    Returns a paired array. For a process of one jet an event it has at each level the hardest
    jet, with the process's cuts on it. A cut on the Z is one on its true momentum at both levels.
    The levels are not matched in direction: another jet may be the hardest one seen, as in data.

    For a process of several jets an event it has true jets alone that pass the cuts, each with
    what is seen of it (see `nearest`): a record a jet, without fakes, and p(seen | true) knows no
    cut on what is seen. The jets of an event share its number.

    The options are those of `colliderkit.sources.pythia.jets`; pileup and the detector act on
    ``reco`` alone, and without a detector ``reco`` is ``truth`` under pileup. Raises `InputError`
    as `jets` does, and for a process that keeps jets by their origin, or tracks.
    """
    chosen = process_named(process)
    check_unmatched(process)
    reconstruct = reconstruction(process, seed, detector, pileup)

    def kept(record: ak.Array, number: Numbers, random: np.random.Generator) -> ak.Array:
        particles = final_state(record, vertices=pileup > 0 or bool(detector))
        seen = reconstruct(particles, number, random)
        if chosen.leading > 1:
            every = replace(chosen, pt=(LEAST_PT, float("inf")), eta=FARTHEST, leading=MANY)
            truth, reco = (clustered(level, record, every, number) for level in (particles, seen))
            return nearest(truth, reco, chosen)
        truth, reco = (clustered(level, record, chosen, number) for level in (particles, seen))
        return joined(truth, reco, number)

    tune = Tune.of(settings, parameters)
    return collected(process, count, kept, seed=seed, shard=shard, tune=tune, progress=progress)


def check_unmatched(process: str) -> None:
    """Raise `InputError` for a process whose jets are kept by what only one level knows."""
    chosen = process_named(process)
    if chosen.match or chosen.tracks:
        raise InputError(
            f"process '{process}' keeps jets by their origin, or tracks, and makes no pairs; take"
            " z-jets, ee-dijets or dijets."
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
    kept = (rank < process.leading) & (pt > process.pt[0]) & (pt < process.pt[1])
    own = directions(truth)
    kept &= (np.abs(eta) < process.eta) & (own.count_near(own, 2.5 * radius) == 1)
    truth = truth[kept]
    place, distance = directions(truth).nearest(directions(reco))
    found = distance < radius / 2
    columns: dict[str, ak.Array | NDArray] = {"event": event[kept], "weight": np.ones(len(truth))}
    columns |= {"pass_truth": np.ones(len(truth), dtype=bool), "pass_reco": found}
    columns["truth"] = truth[[name for name in truth.fields if name != "event"]]
    columns["reco"] = spread(reco[place[found]], np.flatnonzero(found), len(truth))
    return ak.zip(columns, depth_limit=1)


def directions(jets: ak.Array) -> Directions:
    """Return event, eta and phi of jets."""
    eta, phi = (np.asarray(jets[f"jet_{name}"], dtype=np.float64) for name in ("eta", "phi"))
    return Directions(np.asarray(jets["event"]), eta, phi)


def joined(truth: ak.Array, reco: ak.Array, number: NDArray[np.int64]) -> ak.Array:
    """Pair jets by their ``event``, at most one an event and level, into a paired array.

    `number` (N,) are the events in rising order. Those without any jet are left out.
    """
    place = {
        level: np.searchsorted(number, np.asarray(jets["event"]))
        for level, jets in zip(LEVELS, (truth, reco), strict=True)
    }
    passed = {level: np.isin(np.arange(len(number)), place[level]) for level in LEVELS}
    kept = np.flatnonzero(passed["truth"] | passed["reco"])
    columns: dict[str, ak.Array | NDArray] = {"event": number[kept], "weight": np.ones(len(kept))}
    columns |= {FLAGS[level]: passed[level][kept] for level in LEVELS}
    for level, jets in zip(LEVELS, (truth, reco), strict=True):
        columns[level] = spread(jets, np.searchsorted(kept, place[level]), len(kept))
    return ak.zip(columns, depth_limit=1)


def spread(jets: ak.Array, rows: NDArray[np.int64], count: int) -> ak.Array:
    """Set jets into the given rows (rising) of `count`; the others have no constituents."""
    lengths = np.zeros(count, dtype=np.int64)
    lengths[rows] = np.asarray(ak.num(jets[CONSTITUENTS], axis=1))
    constituents = ak.unflatten(ak.flatten(jets[CONSTITUENTS], axis=1), lengths)
    columns = {CONSTITUENTS: constituents}
    for name in jets.fields:
        if name not in (CONSTITUENTS, "event"):
            values = np.asarray(jets[name])
            columns[name] = np.zeros(count, dtype=values.dtype)
            columns[name][rows] = values
    return ak.zip(columns, depth_limit=1)


def read_pairs(path: str | Path) -> ak.Array:
    """Read a paired array from Parquet, as `colliderkit.sources.pythia.shards.generate` writes it.

    Raises `InputError` for a file that is missing, broken, empty or not of paired events, and for
    constituents or weights that are not finite.
    """
    return ak.concatenate(list(iterate_pairs(path)))


def iterate_pairs(path: str | Path) -> Iterator[ak.Array]:
    """Yield what `read_pairs` returns, one row group at a time."""
    import pyarrow.parquet

    path = existing_file(path)
    with readable(path, "Parquet"):
        file = pyarrow.parquet.ParquetFile(path)
        groups = file.num_row_groups
        if file.metadata.num_rows == 0:
            raise InputError(f"{path}: holds no events; generate it again.")
    for group in range(groups):
        with readable(path, "Parquet"):
            part = ak.from_parquet(path, row_groups=[group])
        yield check_pairs(part, str(path))


def check_pairs(array: ak.Array, name: str) -> ak.Array:
    """Return `array` if it is a paired array with finite numbers; raise `InputError` if not.

    `name` (a file, or "events") begins the sentence.
    """
    for column in ("event", "weight", *FLAGS.values(), *LEVELS):
        if column not in array.fields:
            raise missing(Path(name), column, array.fields, " of paired events")
    for level in LEVELS:
        jets = array[level]
        for column in (CONSTITUENTS, *JET_COLUMNS):
            if column not in jets.fields:
                raise missing(Path(name), f"{level}.{column}", jets.fields)
        for column in FOURVECTOR:
            if column not in jets[CONSTITUENTS].fields:
                raise missing(Path(name), f"{level}.{column}", jets[CONSTITUENTS].fields)
            finite = ak.all(np.isfinite(jets[CONSTITUENTS, column]), axis=1)
            refuse_infinite(array, finite, f"{name}: column '{level}.constituents.{column}'")
        for column in JET_COLUMNS:
            refuse_infinite(array, np.isfinite(jets[column]), f"{name}: '{level}.{column}'")
    return refuse_infinite(array, np.isfinite(array["weight"]), f"{name}: column 'weight'")


def refuse_infinite(array: ak.Array, finite: ak.Array, what: str) -> ak.Array:
    """Return `array` if `finite` (N,) is True throughout; raise `InputError` naming the event."""
    if ak.all(finite):
        return array
    event = array["event"][int(ak.argmin(finite))]
    raise InputError(f"{what} is NaN or infinite in event {event}; mend the file.")
