"""Overlapping showers: events of several particles in a window of a calorimeter, from a library."""

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.calorimeter.library import ShowerLibrary, calibration, overlay
from colliderkit.events.calorimeter.overlay import Clock, Digitiser
from colliderkit.seeds import derive

__all__ = ["READOUT", "overlapping_showers"]

# MeV of a calibrated cell: a minimum-ionising particle leaves about 10 in the tungsten's layers.
READOUT = Digitiser(noise=0.3, threshold=1.5)


def overlapping_showers(
    library: ShowerLibrary,
    events: int,
    *,
    mean: float = 6.0,
    side: float = 240.0,
    fixed: bool = False,
    factors: ArrayLike | None = None,
    readout: Digitiser | None = READOUT,
    arrival: float | None = None,
    clock: Clock | None = None,
    seed: int = 0,
) -> CalorimeterHits:
    """Draw events of showers that overlap, with the true share of each in each cell.

    An event has a Poisson number of showers of this `mean`, one at least, or with `fixed` always
    `mean`; each is drawn from the library with replacement and moved by whole cells to anywhere in
    a square of `side` [mm]. Layers are multiplied by `factors` (L,), the calibration by this
    library if not given. With `arrival` [ps] each particle is of another collision, and these are
    spread by as much in time: cells are timed by `clock` (30 ps if not given), and all else is as
    it is without. Thousands of events a second. Raises `InputError` for an empty library,
    and numbers that make no events.
    """
    if len(library) == 0:
        raise InputError("the library holds no showers; generate some.")
    if events < 1 or not mean > 0 or not side >= 0:
        raise InputError(f"{events} events of {mean:g} showers in {side:g} mm: give positive ones.")
    random = np.random.default_rng(derive(seed, "overlapping showers"))
    counts = (
        np.full(events, max(1, round(mean)))
        if fixed
        else np.maximum(random.poisson(mean, events), 1)
    )
    total = int(counts.sum())
    reach = int(side / 2 // library.step)
    shower = random.integers(len(library), size=total)
    dx, dy = random.integers(-reach, reach + 1, size=(2, total)) * library.step
    came = None
    if arrival is not None:
        came = np.random.default_rng(derive(seed, "arrival")).normal(0, arrival, total)
    return overlay(
        library,
        shower,
        dx,
        dy,
        np.repeat(np.arange(events), counts),
        events=events,
        factors=calibration(library) if factors is None else factors,
        readout=readout,
        arrival=came,
        clock=clock,
        seed=derive(seed, "noise"),
    )
