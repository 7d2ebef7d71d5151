"""Times of particles: when they reach the calorimeters, less what the flight should have taken.

Collisions of a crossing are apart in time as along the beams. A detector that times what reaches
it tells a neutral particle of the hard collision from others, which no vertex does.
"""

from dataclasses import dataclass

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Ints
from colliderkit.sources.detector.pileup import uniform

__all__ = ["LIGHT", "PION", "Timing", "arrivals", "blurred"]

LIGHT = 0.299792458  # mm / ps
PION = 0.13957  # GeV
RADIUS, HALF_LENGTH = 1290.0, 3000.0  # mm, of the calorimeters' face


@dataclass(frozen=True)
class Timing:
    """Time particles at the face of the calorimeters, a cylinder of 1.29 m and 6 m.

    A particle of a collision at (z, t) arrives after a path l at the speed beta c; what is kept is
    the time at which it left the hard vertex if it came from there,

        time = t + l / (beta c) - l_0 / (beta_0 c) + noise,

    with l_0 the path from the hard vertex to the same place, and beta_0 that of a photon, or of a
    pion of this momentum for charged particles. So it is the time of the hard collision for its own
    particles; those of another one are off by the times of both collisions and by
    (l - l_0) / c = -dz cos(theta) / c, kaons, protons and neutral hadrons are late. Paths are
    straight: what the field adds of a path is in both, and leaves the error of the mass alone a few
    per cent larger.

    - `resolution`: standard deviation of the noise [ps];
    - `spread`: standard deviation of the times of collisions [ps]; it is independent of their z;
    - `charged`, `neutral`: pT [GeV] below which a particle has no time, and `reach` the |eta|
      beyond which it has none. One resolution above a threshold is a simplification.
    """

    resolution: float = 30.0
    spread: float = 180.0
    charged: float = 0.7
    neutral: float = 1.0
    reach: float = 3.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < np.inf:
                raise InputError(f"{name} is {value:g} of times; give a number from 0 on.")

    def collisions(self, key: Ints, seed: int) -> Floats:
        """Return the time [ps] of each collision, Gaussian by its key (C,) alone."""
        radius = np.sqrt(-2 * np.log1p(-uniform(key, 6, seed)))
        time: Floats = self.spread * radius * np.cos(2 * np.pi * uniform(key, 7, seed))
        return time

    def measured(
        self,
        time: Floats,
        pt: Floats,
        eta: Floats,
        charge: NDArray[np.int8],
        random: np.random.Generator,
    ) -> Floats:
        """Return times (P,) with noise, NaN below the thresholds and beyond the reach."""
        least = np.where(charge != 0, self.charged, self.neutral)
        seen = (pt > least) & (np.abs(eta) < self.reach)
        noise = self.resolution * random.standard_normal(len(pt))
        return np.where(seen, time + noise, np.nan)


def arrivals(
    time: ArrayLike, z: ArrayLike, hard_z: ArrayLike, p: Floats, eta: Floats, mass: Floats,
    charge: NDArray[np.int8],
) -> Floats:  # fmt: skip
    """Return ``time`` of `Timing` without noise [ps], (P,).

    Of particles of momentum `p` [GeV], `eta` and `mass` [GeV] (P,) from collisions at `time` [ps]
    and `z` [mm] (P,), beside the hard one at `hard_z` (P,).
    """
    start, other = np.asarray(z, np.float64), np.asarray(hard_z, np.float64)
    slope = np.sinh(eta)
    end = start + RADIUS * slope
    barrel = np.abs(end) <= HALF_LENGTH
    end = np.where(barrel, end, np.copysign(HALF_LENGTH, slope))
    across = np.where(barrel, RADIUS, (end - start) / np.where(slope == 0, 1.0, slope))
    path, assumed = np.hypot(across, end - start), np.hypot(across, end - other)
    # E / p is 1 / beta.
    slow = np.hypot(1.0, mass / np.maximum(p, 1e-9))
    usual = np.where(charge != 0, np.hypot(1.0, PION / np.maximum(p, 1e-9)), 1.0)
    return np.asarray(time, np.float64) + (path * slow - assumed * usual) / LIGHT


def blurred(events: ak.Array, resolution: float, *, seed: int = 0) -> ak.Array:
    """Return events whose times have a further Gaussian noise of `resolution` [ps].

    Of events that were made with a resolution of 0 this makes those of any other, which are then
    alike in all else. Raises `InputError` for events without times.
    """
    particles = events["particles"]
    if "time" not in particles.fields:
        raise InputError("the particles have no column 'time' to add noise to; generate some.")
    time = ak.to_numpy(ak.flatten(particles["time"])).astype(np.float64)
    time += resolution * np.random.default_rng(seed).standard_normal(len(time))
    noisy = ak.unflatten(time, ak.num(particles))
    return ak.with_field(events, ak.with_field(particles, noisy, "time"), "particles")
