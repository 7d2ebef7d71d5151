"""A charged and a neutral pion that overlap in a calorimeter, with the track of the charged one.

Deposits factorise: pi+ and pi0 are simulated apart, and any pair of the two makes an event
(2003.08863).
"""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.coarse import coarser
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.calorimeter.library import ShowerLibrary, calibration, overlay
from colliderkit.events.calorimeter.overlay import Digitiser
from colliderkit.events.tables import Floats
from colliderkit.seeds import derive

__all__ = ["READOUT", "WIDTHS", "PionPairs", "pion_pairs"]

# Of cells that are read out [mm], about those of 2003.08863's layers as squares.
WIDTHS = (20.0, 40.0, 40.0, 80.0, 160.0, 160.0)
READOUT = Digitiser(noise=8.0, threshold=20.0)  # MeV of a calibrated cell
MASS = 0.13957  # GeV of a charged pion


@dataclass(frozen=True)
class PionPairs:
    """Pairs of pions: hits with their truth, and the track of the charged one.

    - `hits` of E events, the first particle of each the charged pion;
    - `track` (E, 3): x and y [mm] where it enters, as it was generated, and its momentum [GeV];
    - `distance` (E,) [mm] between the two where they enter.
    """

    hits: CalorimeterHits
    track: Floats
    distance: Floats

    def __len__(self) -> int:
        return len(self.hits)

    def at(self, events: Any) -> Self:
        """Return some events."""
        return replace(
            self,
            hits=self.hits.at(events),
            track=self.track[events],
            distance=self.distance[events],
        )


def pion_pairs(
    library: ShowerLibrary,
    events: int,
    *,
    reach: float = 120.0,
    widths: ArrayLike | None = WIDTHS,
    factors: ArrayLike | None = None,
    readout: Digitiser | None = READOUT,
    seed: int = 0,
) -> PionPairs:
    """Draw pairs of a pi+ and a pi0 of a library, the second up to `reach` [mm] away.

    Each is drawn with replacement. The pi+ enters anywhere in one of the largest cells that are
    read out, the pi0 is moved by whole cells of the library to within `reach` in x and in y. Sums
    of cells of `widths` (L,) [mm] are read out once; with None the cells of the library are, and
    nothing is read out. Raises `InputError` where one of the two kinds
    is missing.
    """
    for name in ("pi+", "pi0"):
        if name not in library.kinds or not (library.kind == library.kinds.index(name)).any():
            raise InputError(f"the library holds no showers of {name}; generate pi+ and pi0.")
    random = np.random.default_rng(derive(seed, "pion pairs"))
    charged, neutral = (
        random.choice(np.flatnonzero(library.kind == library.kinds.index(name)), events)
        for name in ("pi+", "pi0")
    )
    step = library.step
    largest = 1 if widths is None else int(max(np.asarray(widths, dtype=np.float64)) // step)
    begin = random.integers(-(largest // 2), largest - largest // 2, (events, 2)) * step
    steps = int(reach // step)
    away = random.integers(-steps, steps + 1, (events, 2)) * step
    shower = np.stack([charged, neutral], axis=1).reshape(-1)
    moves = np.stack([begin, begin + away], axis=1).reshape(-1, 2)
    fine = overlay(
        library,
        shower,
        moves[:, 0],
        moves[:, 1],
        np.repeat(np.arange(events), 2),
        events=events,
        factors=calibration(library) if factors is None else factors,
    )
    hits = fine
    if widths is not None:
        hits = coarser(fine, library.z, widths, readout=readout, seed=derive(seed, "noise"))
    places = np.stack([library.x[shower], library.y[shower]], axis=1) + moves
    places = places.reshape(events, 2, 2)
    kinetic = library.incident[charged] / 1e3
    momentum = np.sqrt(kinetic * (kinetic + 2 * MASS))
    track = np.concatenate([places[:, 0], momentum[:, None]], axis=1)
    distance = np.hypot(*(places[:, 1] - places[:, 0]).T)
    return PionPairs(hits, track, distance)
