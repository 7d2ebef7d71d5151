"""Schema of a jet array: column names, checks, labels, weights, and the split of events.

A *jet array* is an `awkward.Array` of records with

- ``constituents``: ``var * {px, py, pz, E, ...}`` in GeV, float32, ordered by falling pt. Further
  fields are per-particle columns: ``charge`` [e], ``pid`` (PDG code), ``d0``, ``z0`` [mm] and
  ``d0_error``, ``z0_error`` [mm], or whatever the user's file holds;
- ``jet_pt`` [GeV], ``jet_eta``, ``jet_phi`` [rad], ``jet_mass`` [GeV]: float32;
- ``label``: int64 class index (for two classes 0 is background, 1 is signal), where known;
- ``weight``: float64 event weight, where present (1 otherwise);
- ``event``: int64, the event that the jet belongs to. Splits hash it, so that jets of one event
  never stand on both sides;
- any further per-jet column under its own name.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError

__all__ = [
    "CONSTITUENTS",
    "FOURVECTOR",
    "JET_COLUMNS",
    "check_jets",
    "labels_of",
    "split",
    "weights_of",
]

CONSTITUENTS = "constituents"
FOURVECTOR = ("px", "py", "pz", "E")
JET_COLUMNS = ("jet_pt", "jet_eta", "jet_phi", "jet_mass")
DECIDES = 0.5  # share of all |weights| from which on one event is the sample


def check_jets(jets: ak.Array, name: str, columns: Sequence[str] = FOURVECTOR) -> ak.Array:
    """Return `jets` if each has finite constituents with `columns`; raise `InputError` if not.

    `name` (a file, or "jets") begins the sentence. A jet without constituents is allowed: the
    networks answer it; an array without jets is not.
    """
    if len(jets) == 0:
        raise InputError(f"{name}: holds no jets; check the selection and the file.")
    if CONSTITUENTS not in jets.fields:
        raise InputError(f"{name}: no column '{CONSTITUENTS}'; it has {', '.join(jets.fields)}.")
    for column in columns:
        if column not in jets[CONSTITUENTS].fields:
            have = ", ".join(jets[CONSTITUENTS].fields)
            raise InputError(f"{name}: constituents have no column '{column}'; they have {have}.")
        finite = np.isfinite(jets[CONSTITUENTS, column])
        if not ak.all(finite, axis=None):
            first = int(ak.argmin(ak.all(finite, axis=1)))
            raise InputError(
                f"{name}: column '{column}' is NaN or infinite in event {first} (counted from 0);"
                " mend the file or drop the event with a selection."
            )
    return jets


def weights_of(jets: ak.Array) -> NDArray[np.float64]:
    """Return the event weights (N,), 1 where the array has none.

    Raises `InputError` if a weight is not finite or if they sum to nothing, and warns where one
    event has more than half of them. Negative weights are returned as they are: each method says
    what it does with them.
    """
    if "weight" not in jets.fields:
        return np.ones(len(jets))
    weight = np.asarray(ak.to_numpy(jets["weight"]), dtype=np.float64)
    if not np.isfinite(weight).all():
        first = int(np.argmin(np.isfinite(weight)))
        raise InputError(f"column 'weight' is NaN or infinite in event {first} (counted from 0).")
    if not weight.any():
        raise InputError("column 'weight' is zero in every event; give weights that count.")
    say_decisive(weight)
    return weight


def say_decisive(weight: NDArray[np.float64], whose: str = "") -> None:
    """Warn where one event has more than half of all |weights| (N,), which count as it alone.

    Their effective number is (sum w)^2 / sum w^2. `whose` begins the sentence ("the data: ").
    """
    size = np.abs(weight)
    if len(weight) < 10 or not size.any():
        return
    # Shares, whose squares do not overflow.
    share, signed = size / size.max(), weight / size.max()
    share /= share.sum()
    if share.max() > DECIDES:
        event = int(np.argmax(share))
        warnings.warn(
            f"{whose}event {event} (counted from 0) has {share[event]:.1%} of the weights of"
            f" {len(weight)} events, which count as {signed.sum() ** 2 / (signed**2).sum():.3g}; it"
            " decides what comes out, cut the weight or check the event.",
            stacklevel=3,
        )


def labels_of(jets: ak.Array, classes: int | None = None) -> NDArray[np.int64]:
    """Return the class indices (N,); raise `InputError` if absent, of one class or out of range."""
    if "label" not in jets.fields:
        raise InputError(
            "the jets have no column 'label'; add one of class indices (0 is background, 1 signal)."
        )
    label = np.asarray(ak.to_numpy(jets["label"]), dtype=np.int64)
    present = np.unique(label)
    if len(present) < 2:
        raise InputError(f"all jets are of class {present.tolist()}; a tagger needs two classes.")
    if present[0] < 0 or (classes is not None and present[-1] >= classes):
        raise InputError(f"labels {present.tolist()} do not fit {classes} classes from 0.")
    return label


def split(jets: ak.Array, fractions: Sequence[float], seed: int = 0) -> list[ak.Array]:
    """Cut jets into parts of the given fractions by a hash of their ``event``.

    The part of an event depends on its number and the seed alone: adding jets moves none, and
    no event stands in two parts. Fractions sum to at most 1; what is left over is dropped.
    """
    if min(fractions) < 0 or sum(fractions) > 1 + 1e-9:
        raise InputError(f"fractions {list(fractions)} must be positive and sum to at most 1.")
    event: Any = jets["event"] if "event" in jets.fields else np.arange(len(jets))
    uniform = hash_uniform(np.asarray(ak.to_numpy(event)), seed)
    edges = np.concatenate([[0.0], np.cumsum(fractions)])
    edges[-1] = 1.0 if abs(edges[-1] - 1) < 1e-9 else edges[-1]
    return [
        jets[(uniform >= low) & (uniform < high)]
        for low, high in zip(edges[:-1], edges[1:], strict=True)
    ]


def hash_uniform(keys: NDArray[np.integer[Any]], seed: int) -> NDArray[np.float64]:
    """Hash integers to [0, 1), evenly and repeatably (the finaliser of splitmix64)."""
    with np.errstate(over="ignore"):
        step = np.uint64((2 * seed + 1) % 2**64)
        z = keys.astype(np.int64).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15) * step
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) / float(1 << 53)
