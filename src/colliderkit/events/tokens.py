"""Tokens of jets: how often a jet splits in each bin of its primary Lund plane."""

from collections.abc import Sequence

import awkward as ak
import numpy as np

from colliderkit.events.clustering import cluster
from colliderkit.events.lund import lund_plane
from colliderkit.events.schema import CONSTITUENTS, check_jets
from colliderkit.events.tables import Floats, Ints

__all__ = ["ANGLES", "MOMENTA", "lund_tokens"]

ANGLES = (0.0, 6.0)  # ln 1/Delta of the plane's edges
MOMENTA = (-3.0, 6.0)  # ln kt/GeV
PIECE = 4096  # jets whose trees are held at a time


def lund_tokens(jets: ak.Array, bins: Sequence[int] = (12, 12)) -> Floats:
    """Count the primary splittings of each jet by ln 1/Delta and ln kt, (N, bins[0] * bins[1]).

    The bins are equal ones over `ANGLES` and `MOMENTA`; what lies outside counts in the nearest.
    The angle changes slowest. Jets are clustered by Cambridge/Aachen (1807.04758).
    """
    jets = check_jets(jets, "jets")
    parts = []
    for start in range(0, len(jets), PIECE):
        plane = lund_plane(cluster(jets[start : start + PIECE][CONSTITUENTS], "ca"))
        number = [
            _bin(ak.to_numpy(ak.flatten(plane[name])), *limits, count)
            for name, limits, count in zip(
                ("ln_inverse_delta", "ln_kt"), (ANGLES, MOMENTA), bins, strict=True
            )
        ]
        jet = np.repeat(np.arange(len(plane)), ak.to_numpy(ak.num(plane["ln_kt"])))
        cells = bins[0] * bins[1]
        flat = (jet * bins[0] + number[0]) * bins[1] + number[1]
        parts.append(np.bincount(flat, minlength=len(plane) * cells).reshape(-1, cells))
    counts: Floats = np.concatenate(parts).astype(np.float64)
    return counts


def _bin(values: Floats, low: float, high: float, count: int) -> Ints:
    place = np.floor((values - low) / (high - low) * count)
    return np.clip(place, 0, count - 1).astype(np.int64)
