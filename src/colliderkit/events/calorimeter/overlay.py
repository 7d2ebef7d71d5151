"""Overlay of showers in one calorimeter and digitisation: deposits are summed, then read out.

Energy deposits factorise: those of an event are the sum of those of its particles, which may be
simulated one by one. What the electronics make of them does not: noise enters once a cell, and two
deposits below the threshold may be above it together.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry, Layer

__all__ = ["Clock", "Digitiser", "deposits"]

Floats = NDArray[np.float64]
SPOTS = 4  # that the energy of a voxel is spread over


def deposits(
    showers: NDArray,
    geometry: Geometry,
    x: ArrayLike,
    y: ArrayLike,
    event: ArrayLike,
    cells: Geometry,
    *,
    events: int,
    seed: int = 0,
) -> Floats:
    """Sum showers (P, V) [MeV] in the cells of one calorimeter, event by event: (events, C) MeV.

    Shower p has its axis at (x, y) (P,) [mm] of the calorimeter's face and belongs to the event
    numbered `event` (P,), from 0. The energy of a voxel goes to `SPOTS` places drawn uniformly in
    it, moved with the axis, in the layer of the same index among the layers of `cells`; what falls
    outside is lost. Raises `InputError` for showers that do not fit the geometry, layers of which
    there are not equally many, or numbers of events out of range.
    """
    geometry.check(showers, "showers")
    if len(cells.layers) != len(geometry.layers):
        raise InputError(
            f"the calorimeter has {len(cells.layers)} layers, the showers have"
            f" {len(geometry.layers)}; give equally many."
        )
    x, y = (np.asarray(centre, dtype=np.float64) for centre in (x, y))
    number = np.asarray(event, dtype=np.int64)
    if not x.shape == y.shape == number.shape == (len(showers),):
        raise InputError(f"{len(showers)} showers need as many x, y and event; give one each.")
    if ((number < 0) | (number >= events)).any():
        raise InputError(f"a shower belongs to none of the events 0 to {events - 1}.")
    random = np.random.default_rng(seed)
    shower, voxel = np.nonzero(showers)
    energy = np.asarray(showers[shower, voxel], dtype=np.float64) / SPOTS
    deposited = np.zeros(events * cells.voxels)
    for _ in range(SPOTS):
        dx, dy = _places(geometry, voxel, random)
        cell = cells.locate(geometry.layer[voxel], x[shower] + dx, y[shower] + dy)
        hit = cell >= 0
        index = number[shower[hit]] * cells.voxels + cell[hit]
        deposited += np.bincount(index, energy[hit], len(deposited))
    return deposited.reshape(events, cells.voxels)


def _places(
    geometry: Geometry, voxel: NDArray[np.int64], random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw a place in each voxel (N,), uniform in its area, (N,) and (N,) [mm] from the axis."""
    x, y = np.empty(len(voxel)), np.empty(len(voxel))
    layer = geometry.layer[voxel]
    for i, each in enumerate(geometry.layers):
        here = layer == i
        local = voxel[here] - geometry.starts[i]
        u, v = random.random((2, len(local)))
        if isinstance(each, Layer):
            edges = np.asarray(each.r_edges, dtype=np.float64) ** 2
            ring = each.ring[local]
            r = np.sqrt(edges[ring] + u * (edges[ring + 1] - edges[ring]))
            alpha = each.alpha[local] + (v - 0.5) * 2 * np.pi / each.angles
            x[here], y[here] = r * np.cos(alpha), r * np.sin(alpha)
        else:
            x[here] = each.x[local] + (u - 0.5) * each.width / each.columns
            y[here] = each.y[local] + (v - 0.5) * each.height / each.rows
    return x, y


@dataclass(frozen=True)
class Clock:
    """Time cells: with a Gaussian noise of `resolution` [ps], from a reading of `threshold` [MeV].

    What a cell reads is the mean arrival of its deposits by energy, corrected for the flight of
    light to its depth; below the threshold it has no time.
    """

    resolution: float = 30.0
    threshold: float = 35.0

    def __post_init__(self) -> None:
        if not self.resolution >= 0 or not self.threshold >= 0:
            raise InputError(
                f"resolution {self.resolution:g} ps and threshold {self.threshold:g} MeV must not"
                " be negative."
            )

    def __call__(
        self, time: ArrayLike, reading: ArrayLike, random: np.random.Generator | int = 0
    ) -> Floats:
        """Return the measured times (C,) [ps] of cells that read (C,) [MeV], NaN of none."""
        true = np.asarray(time, dtype=np.float64)
        noise = self.resolution * np.random.default_rng(random).standard_normal(true.shape)
        return np.where(np.asarray(reading) > self.threshold, true + noise, np.nan)


@dataclass(frozen=True)
class Digitiser:
    """Digitise deposits: Gaussian noise, and a threshold.

    A cell of the deposit e reads e + n where that is above `threshold` [MeV] and 0 elsewhere, n of
    mean 0 and width `noise` [MeV].
    """

    noise: float
    threshold: float

    def __post_init__(self) -> None:
        if not self.noise >= 0 or not self.threshold >= 0:
            raise InputError(
                f"noise {self.noise:g} and threshold {self.threshold:g} MeV must not be negative."
            )

    def __call__(self, energy: ArrayLike, random: np.random.Generator | int = 0) -> Floats:
        """Return the readings of deposits (..., C) [MeV]."""
        deposit = np.asarray(energy, dtype=np.float64)
        noise = self.noise * np.random.default_rng(random).standard_normal(deposit.shape)
        reading = deposit + noise
        return np.where(reading > self.threshold, reading, 0.0)

    def expected(self, energy: ArrayLike) -> Floats:
        """Return the mean reading of a deposit e (...,) [MeV].

        With noise s and threshold t it is e P(z) + s p(z), z = (e - t) / s, where p and P are the
        normal density and its integral.
        """
        deposit = np.asarray(energy, dtype=np.float64)
        if self.noise == 0:
            return np.where(deposit > self.threshold, deposit, 0.0)
        z = (deposit - self.threshold) / self.noise
        return np.asarray(deposit * norm.cdf(z) + self.noise * norm.pdf(z))
