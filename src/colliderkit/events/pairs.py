"""Schema of paired events, truth and reconstruction of the same event, as unfolding takes them.

A *paired array* is an `awkward.Array` of one record an event with

- ``event``: int64; ``weight``: float64;
- ``pass_truth``, ``pass_reco``: whether the event has a jet to keep at that level. An event that
  passes at truth alone is a miss, one that passes at reco alone a fake;
- ``truth``, ``reco``: each a jet (see `colliderkit.events.schema`) with ``constituents``,
  ``jet_pt``, ``jet_eta``, ``jet_phi``, ``jet_mass``; where the level does not pass, without
  constituents and with kinematics 0. ``array["truth"][array["pass_truth"]]`` is a jet array;
- any further per-event column.
"""

from collections.abc import Sequence

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.schema import CONSTITUENTS, FOURVECTOR, JET_COLUMNS

__all__ = ["FLAGS", "LEVELS", "check_pairs", "joined", "spread"]

LEVELS = ("truth", "reco")
FLAGS = {level: f"pass_{level}" for level in LEVELS}


def check_pairs(array: ak.Array, name: str) -> ak.Array:
    """Return `array` if it is a paired array with finite numbers; raise `InputError` if not.

    `name` (a file, or "events") begins the sentence.
    """
    for column in ("event", "weight", *FLAGS.values(), *LEVELS):
        if column not in array.fields:
            raise absent(name, column, array.fields, " of paired events")
    for level in LEVELS:
        jets = array[level]
        for column in (CONSTITUENTS, *JET_COLUMNS):
            if column not in jets.fields:
                raise absent(name, f"{level}.{column}", jets.fields)
        for column in FOURVECTOR:
            if column not in jets[CONSTITUENTS].fields:
                raise absent(name, f"{level}.{column}", jets[CONSTITUENTS].fields)
            finite = ak.all(np.isfinite(jets[CONSTITUENTS, column]), axis=1)
            refuse_infinite(array, finite, f"{name}: column '{level}.constituents.{column}'")
        for column in JET_COLUMNS:
            refuse_infinite(array, np.isfinite(jets[column]), f"{name}: '{level}.{column}'")
    return refuse_infinite(array, np.isfinite(array["weight"]), f"{name}: column 'weight'")


def absent(name: str, column: str, columns: Sequence[str], what: str = "") -> InputError:
    """Return the error of a column that `name` does not have."""
    return InputError(f"{name}: no column '{column}'{what}; it has {', '.join(columns)}.")


def refuse_infinite(array: ak.Array, finite: ak.Array, what: str) -> ak.Array:
    """Return `array` if `finite` (N,) is True throughout; raise `InputError` naming the event."""
    if ak.all(finite):
        return array
    event = array["event"][int(ak.argmin(finite))]
    raise InputError(f"{what} is NaN or infinite in event {event}; mend the file.")


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
