"""Objects of one or two particles in a calorimeter: electrons, photons, pions, and pairs of them.

Showers of a library add up, so that any two of it make a pair: two photons of a resonance, or the
pi+ and the pi0 of a tau.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.coarse import coarser
from colliderkit.events.calorimeter.library import ShowerLibrary, calibration, overlay
from colliderkit.events.calorimeter.objects import CalorimeterObjects
from colliderkit.events.calorimeter.overlay import Digitiser
from colliderkit.events.tables import Floats
from colliderkit.seeds import derive
from colliderkit.sources.datasets.pion_pairs import READOUT

__all__ = ["CELLS", "FAR", "KINDS", "calorimeter_objects"]

KINDS = (("e-",), ("gamma",), ("gamma", "gamma"), ("pi+",), ("pi+", "pi0"))
CELLS = (20.0, 20.0, 40.0, 80.0, 160.0, 160.0)  # mm, that are read out
FAR = 1500.0  # mm from where the particles come to the calorimeter
MASSES = {"e-": 0.000511, "gamma": 0.0, "pi+": 0.13957, "pi0": 0.13498}  # GeV
CHARGED = ("e-", "pi+")


def calorimeter_objects(
    library: ShowerLibrary,
    events: int,
    *,
    kinds: Sequence[Sequence[str]] = KINDS,
    reach: float = 120.0,
    far: float = FAR,
    widths: ArrayLike = CELLS,
    factors: ArrayLike | None = None,
    readout: Digitiser | None = READOUT,
    seed: int = 0,
) -> CalorimeterObjects:
    """Draw events of `kinds`, each as likely, with the track of what is charged and the mass.

    Showers are drawn with replacement. The first enters anywhere in one of the largest cells that
    are read out, a second is moved by whole cells of the library to within `reach` [mm] in x and in
    y. The mass of two is that of particles which come from one point `far` [mm] before the
    calorimeter: the showers themselves were simulated at right angles. Sums of cells of `widths`
    (L,) [mm] are read out once. Raises `InputError` for kinds of which there are no showers.
    """
    named = [tuple(kind) for kind in kinds]
    for name in sorted({name for kind in named for name in kind}):
        if name not in library.kinds or not (library.kind == library.kinds.index(name)).any():
            raise InputError(f"the library holds no showers of {name}; generate some.")
    random = np.random.default_rng(derive(seed, "calorimeter objects"))
    which = random.integers(0, len(named), events)
    longest = max(map(len, named))
    shower = np.full((events, longest), -1)
    for i, kind in enumerate(named):
        mine = which == i
        for column, name in enumerate(kind):
            own = np.flatnonzero(library.kind == library.kinds.index(name))
            shower[mine, column] = random.choice(own, int(mine.sum()))
    step = library.step
    largest = int(max(np.asarray(widths, dtype=np.float64)) // step)
    first = random.integers(-(largest // 2), largest - largest // 2, (events, 1, 2)) * step
    steps = int(reach // step)
    away = random.integers(-steps, steps + 1, (events, longest, 2)) * step
    away[:, 0] = 0
    moves = first + away
    there = shower >= 0
    chosen, moved = shower[there], moves[there]
    event = np.broadcast_to(np.arange(events)[:, None], shower.shape)[there]
    hits = coarser(
        overlay(
            library, chosen, moved[:, 0], moved[:, 1], event, events=events,
            factors=calibration(library) if factors is None else factors,
        ),
        library.z, widths, readout=readout, seed=derive(seed, "noise"),
    )  # fmt: skip
    place = np.stack([library.x[chosen], library.y[chosen]], axis=1) + moved
    kinetic = library.incident[chosen] / 1e3
    masses = np.array([MASSES.get(name, 0.0) for name in library.kinds])[library.kind[chosen]]
    momentum = np.sqrt(kinetic * (kinetic + 2 * masses))
    track = np.zeros((events, 3))
    charged = np.isin(
        library.kind[chosen], [i for i, n in enumerate(library.kinds) if n in CHARGED]
    )
    track[event[charged]] = np.concatenate([place, momentum[:, None]], axis=1)[charged]
    return CalorimeterObjects(
        hits, track, invariant_mass(event, events, kinetic + masses, momentum, place, far)
    )


def invariant_mass(
    event: ArrayLike, events: int, energy: Floats, momentum: Floats, place: Floats, far: float
) -> Floats:
    """Return the mass (E,) of particles that come from one point; NaN of an event with one alone.

    A particle at `place` (P, 2) [mm] flies along (x, y, far).
    """
    direction = np.concatenate([place, np.full((len(place), 1), far)], axis=1)
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    columns = np.concatenate([energy[:, None], momentum[:, None] * direction], axis=1)
    sums = np.stack([np.bincount(event, column, events) for column in columns.T], axis=1)
    square = sums[:, 0] ** 2 - (sums[:, 1:] ** 2).sum(1)
    several = np.bincount(event, minlength=events) > 1
    return np.where(several & (square > 1e-12), np.sqrt(np.maximum(square, 1e-12)), np.nan)
