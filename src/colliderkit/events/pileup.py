"""Events with pileup: particles of a hard collision among those of many others, and their cells.

An event is a record of ``particles``, ``var * {pt, eta, phi, vertex, ...}``, and numbers beside:

- ``pt`` [GeV], ``eta``, ``phi`` [rad]; ``mass`` [GeV], 0 where the file has none;
- ``vertex``: the collision that a particle is known to be of: 0 the leading one (the hard
  collision), 1, 2, ... others, -1 where nothing tells: of neutrals, and of charged particles
  beyond the tracker;
- ``truth``, where it is known: the share of the particle that the hard collision made, 0 to 1 (of
  a tower both may have made a part);
- ``time`` [ps], where it is measured: when the particle arrived, less the flight from the hard
  vertex, NaN where none was measured (the formula: `colliderkit.sources.detector.timing.Timing`).
  Of all particles it is as if they were of the hard vertex: so one whose vertex is hidden looks as
  a neutral does;
- ``vertices``: reconstructed vertices of the event; the different ones of its particles if not
  given. ``interactions``: how many collisions there were beside the hard one, where it is known.
"""

from dataclasses import dataclass
from typing import Any, Self

import awkward as ak
import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Ints

__all__ = [
    "ACTIVITY",
    "UNKNOWN",
    "Grid",
    "Particles",
    "activity",
    "medians",
    "pairs",
    "pileup_density",
]

UNKNOWN = -1
TRACKER = 2.5  # |eta| up to which charged particles have a vertex
COLUMNS = ("pt", "eta", "phi", "mass", "vertex", "truth", "time")


@dataclass(frozen=True)
class Particles:
    """The particles of N events, flat: P of them, one event after another.

    - `pt`, `eta`, `phi`, `mass` (P,) float64; `vertex` (P,) int64; `truth` (P,) float64 or None;
    - `counts` (N,) int64, the particles of each event; `vertices` (N,) float64;
    - `time` (P,) float64 [ps], NaN of what has none, or None.
    """

    pt: Floats
    eta: Floats
    phi: Floats
    mass: Floats
    vertex: Ints
    truth: Floats | None
    counts: Ints
    vertices: Floats
    time: Floats | None = None

    @classmethod
    def of(cls, events: ak.Array, what: str = "the events") -> Self:
        """Flatten and check events; raise `InputError` for what is wrong, by event and column.

        That is: no events, a column that is missing, numbers that are not finite, a negative pt or
        mass, a vertex that is not whole, a truth outside 0 to 1. A time may be NaN.
        """
        if len(events) == 0:
            raise InputError(f"{what}: holds no events; check the selection and the file.")
        if "particles" not in events.fields:
            have = ", ".join(events.fields)
            raise InputError(f"{what}: no column 'particles'; it has {have}.")
        particles = events["particles"]
        counts = np.asarray(ak.to_numpy(ak.num(particles)), dtype=np.int64)
        event = np.repeat(np.arange(len(counts)), counts)
        flat: dict[str, Any] = {"truth": None, "time": None, "mass": np.zeros(len(event))}
        for name in COLUMNS:
            if name not in particles.fields:
                if name in flat:
                    continue
                have = ", ".join(particles.fields)
                raise InputError(f"{what}: particles have no column '{name}'; they have {have}.")
            column = ak.fill_none(ak.flatten(particles[name]), np.nan)
            values = np.asarray(ak.to_numpy(column), dtype=np.float64)
            low, high = {"pt": (0, np.inf), "mass": (0, np.inf), "truth": (0, 1)}.get(
                name, (-np.inf, np.inf)
            )
            bad = ~np.isfinite(values) | (values < low) | (values > high)
            if name == "time":
                bad &= ~np.isnan(values)
            if name == "vertex":
                bad |= values != np.floor(values)
            if bad.any():
                first = int(np.argmax(bad))
                raise InputError(
                    f"{what}: the {name} of a particle is {values[first]:g} in event"
                    f" {event[first]} (counted from 0); mend it or drop the event."
                )
            flat[name] = values
        flat["vertex"] = flat["vertex"].astype(np.int64)
        if "vertices" in events.fields:
            vertices = np.asarray(ak.to_numpy(events["vertices"]), dtype=np.float64)
        else:
            known = flat["vertex"] >= 0
            key = np.unique(event[known] * (flat["vertex"].max(initial=0) + 1)
                            + flat["vertex"][known])  # fmt: skip
            vertices = np.bincount(
                key // (flat["vertex"].max(initial=0) + 1), minlength=len(counts)
            ).astype(np.float64)
        return cls(**flat, counts=counts, vertices=vertices)

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def event(self) -> Ints:
        """The event of each particle, (P,)."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which particles are known to be of a vertex, (P,)."""
        return self.vertex >= 0

    @property
    def leading(self) -> NDArray[np.bool_]:
        """Which are known to be of the leading vertex, (P,)."""
        return self.vertex == 0

    @property
    def delay(self) -> Floats:
        """The time of each particle less that of the hard collision [ps], (P,), NaN of none.

        The latter is the median time of the particles of the leading vertex. Without times all is
        NaN, and so is an event without such particles.
        """
        if self.time is None:
            return np.full(len(self.pt), np.nan)
        timed = self.leading & ~np.isnan(self.time)
        hard, _ = medians(self.time[timed], self.event[timed], len(self))
        return self.time - hard[self.event]

    def needed_truth(self) -> Floats:
        """Return the truth (P,), or raise `InputError` where the events have none."""
        if self.truth is None:
            raise InputError(
                "the particles have no column 'truth', the share of each that the hard collision"
                " made; give events of a simulation."
            )
        return self.truth

    def at(self, first: int, last: int) -> Self:
        """Return the events from `first` up to `last`."""
        edges = np.concatenate([[0], np.cumsum(self.counts)])
        part = slice(int(edges[first]), int(edges[last]))
        return type(self)(
            self.pt[part],
            self.eta[part],
            self.phi[part],
            self.mass[part],
            self.vertex[part],
            None if self.truth is None else self.truth[part],
            self.counts[first:last],
            self.vertices[first:last],
            None if self.time is None else self.time[part],
        )

    def sums(self, values: Floats, where: NDArray[np.bool_] | None = None) -> Floats:
        """Return the sum of `values` (P,) in each event, (N,), of the particles `where` alone."""
        weights = values if where is None else np.where(where, values, 0.0)
        total: Floats = np.bincount(self.event, weights, minlength=len(self)).astype(np.float64)
        return total

    def jagged(self, values: NDArray[Any]) -> ak.Array:
        """Return numbers (P,) as a list an event."""
        return ak.unflatten(values, self.counts)


@dataclass(frozen=True)
class Grid:
    """Cells in eta and phi: about `size` wide, of |eta| < `reach`; whole numbers of cells."""

    size: float
    reach: float

    @property
    def rows(self) -> int:
        """Cells along eta."""
        return max(round(2 * self.reach / self.size), 1)

    @property
    def columns(self) -> int:
        """Cells around."""
        return max(round(2 * np.pi / self.size), 1)

    @property
    def cells(self) -> int:
        """Cells of an event."""
        return self.rows * self.columns

    @property
    def area(self) -> float:
        """Area of a cell in eta and phi."""
        return 2 * self.reach / self.rows * 2 * np.pi / self.columns

    def cell(self, eta: Floats, phi: Floats) -> Ints:
        """Return the cell of directions (P,), -1 beyond `reach`."""
        row = np.floor((eta + self.reach) / (2 * self.reach) * self.rows).astype(np.int64)
        turn = np.floor((phi + np.pi) / (2 * np.pi) * self.columns).astype(np.int64)
        inside = (row >= 0) & (row < self.rows)
        return np.where(inside, row * self.columns + turn % self.columns, -1)

    def centres(self) -> tuple[Floats, Floats]:
        """Return eta and phi of the middle of each cell, (cells,)."""
        eta = -self.reach + (np.arange(self.rows) + 0.5) * 2 * self.reach / self.rows
        phi = -np.pi + (np.arange(self.columns) + 0.5) * 2 * np.pi / self.columns
        return np.repeat(eta, self.columns), np.tile(phi, self.rows)

    def sums(self, particles: Particles, values: Floats) -> Floats:
        """Return the sum of `values` (P,) in each cell of each event, (N, cells)."""
        cell = self.cell(particles.eta, particles.phi)
        inside = cell >= 0
        key = particles.event[inside] * self.cells + cell[inside]
        total = np.bincount(key, values[inside], minlength=len(particles) * self.cells)
        sums: Floats = total.astype(np.float64).reshape(len(particles), self.cells)
        return sums

    def largest(self, particles: Particles, values: Floats) -> Floats:
        """Return the largest of positive `values` (P,) in each cell, (N, cells); 0 of none."""
        cell = self.cell(particles.eta, particles.phi)
        inside = cell >= 0
        found = np.zeros(len(particles) * self.cells)
        np.maximum.at(found, particles.event[inside] * self.cells + cell[inside], values[inside])
        return found.reshape(len(particles), self.cells)

    def density(self, particles: Particles, weight: Floats) -> Floats:
        """Return rho, the median over cells of pT / area [GeV], of each event (N,).

        rho = median_c (sum_{i in c} w_i pT_i) / A_c (0707.1378), of particles of weights w (P,).
        """
        rho: Floats = np.median(self.sums(particles, weight * particles.pt), axis=1) / self.area
        return rho


def pairs(
    particles: Particles,
    radius: float,
    targets: NDArray[np.bool_],
    sources: NDArray[np.bool_],
) -> tuple[Ints, NDArray[np.int32], NDArray[np.float32]]:
    """Find the neighbours in eta and phi: those of `sources` within `radius` of each of `targets`.

    `targets` and `sources` (P,) say which particles; no particle is its own neighbour, and none of
    another event is. Returns offsets (T + 1,) of the T targets in their order, the places among
    the P particles (E,) and the squared distances (E,) of all neighbours. Cells of `radius` are
    looked through, so that the time is that of the pairs. `radius` is 2 at most.
    """
    reach = float(np.abs(particles.eta).max(initial=radius)) + 1e-6
    # Cells are at least as wide as the radius: what is near stands in a cell beside.
    rows, columns = max(int(2 * reach / radius), 1), int(2 * np.pi / radius)
    row = ((particles.eta + reach) / (2 * reach) * rows).astype(np.int64)
    turn = np.floor((particles.phi + np.pi) / (2 * np.pi) * columns).astype(np.int64) % columns
    key = (particles.event * rows + row) * columns + turn
    chosen = np.flatnonzero(sources)
    order = chosen[np.argsort(key[chosen], kind="stable")]
    first = np.searchsorted(key[order], np.arange(len(particles) * rows * columns + 1))
    places = np.flatnonzero(targets)
    offsets = np.zeros(len(places) + 1, dtype=np.int64)
    given = (places, key, first, order, particles.eta, particles.phi, rows, columns, radius**2)
    nothing = np.zeros(0, np.int32), np.zeros(0, np.float32)
    _walk(*given, offsets, *nothing, False)
    offsets = np.cumsum(offsets)
    found = np.empty(offsets[-1], np.int32), np.empty(offsets[-1], np.float32)
    _walk(*given, offsets, *found, True)
    return offsets, *found


@njit(cache=True)
def _walk(
    places: Ints,
    key: Ints,
    first: Ints,
    order: Ints,
    eta: Floats,
    phi: Floats,
    rows: int,
    columns: int,
    reach2: float,
    offsets: Ints,
    index: NDArray[np.int32],
    distance2: NDArray[np.float32],
    fill: bool,
) -> None:
    """Count the neighbours of each target into `offsets`, or write them where these say."""
    for k in range(len(places)):
        i = places[k]
        turn = key[i] % columns
        row = key[i] // columns % rows
        begin = key[i] - row * columns - turn
        n = offsets[k] if fill else 0
        for r in range(max(row - 1, 0), min(row + 2, rows)):
            for step in range(-1, 2):
                cell = begin + r * columns + (turn + step) % columns
                for m in range(first[cell], first[cell + 1]):
                    j = order[m]
                    if j == i:
                        continue
                    away = abs(phi[i] - phi[j])
                    away = min(away, abs(2 * np.pi - away))
                    d2 = (eta[i] - eta[j]) ** 2 + away * away
                    if d2 < reach2:
                        if fill:
                            index[n] = j
                            distance2[n] = d2
                        n += 1
        if not fill:
            offsets[k + 1] = n


def medians(values: ArrayLike, group: Ints, count: int) -> tuple[Floats, Ints]:
    """Return the median of `values` (P,) in each of `count` groups, NaN of none, and sizes."""
    given = np.asarray(values, dtype=np.float64)
    order = np.lexsort((given, group))
    size = np.bincount(group, minlength=count)
    first = np.cumsum(size) - size
    middle = np.full(count, np.nan)
    some = size > 0
    ordered = given[order]
    low, high = first + (size - 1) // 2, first + size // 2
    middle[some] = (ordered[low[some]] + ordered[high[some]]) / 2
    return middle, size


def pileup_density(particles: Particles, reach: float = 2.0) -> Floats:
    """Return the true density [GeV] of the pileup of no known vertex within |eta| < `reach`, (N,).

    sum_i (1 - truth_i) pT_i / area: what subtraction from jets would have to know.
    """
    pileup = particles.pt * (1 - particles.needed_truth())
    inside = ~particles.known & (np.abs(particles.eta) < reach)
    return particles.sums(pileup, inside) / (2 * reach * 2 * np.pi)


# What tells how many collisions there were, by name, beside the number of vertices.
ACTIVITY = (
    *("vertices", "pileup tracks", "pileup track pt", "leading track pt"),
    *("rho", "forward rho", "unknown particles", "unknown pt", "forward pt"),
)


def activity(events: ak.Array) -> Floats:
    """Return what tells the number of collisions and rho of each event, (N, 9): `ACTIVITY`.

    Numbers of vertices and of tracks of other vertices than the leading one, sums of pT [GeV], and
    rho: the median density [GeV] of what is of no known vertex, within the tracker and beyond.
    """
    particles = Particles.of(events)
    one = np.ones(len(particles.pt))
    known, leading = particles.known, particles.leading
    central = np.abs(particles.eta) < TRACKER
    every = Grid(0.5, 4.0)
    forward = np.abs(every.centres()[0]) > TRACKER
    unknown = every.sums(particles, np.where(known, 0.0, particles.pt)) / every.area
    columns = [
        particles.vertices,
        particles.sums(one, known & ~leading),
        particles.sums(particles.pt, known & ~leading),
        particles.sums(particles.pt, leading),
        np.median(unknown[:, ~forward], axis=1),
        np.median(unknown[:, forward], axis=1),
        particles.sums(one, ~known),
        particles.sums(particles.pt, ~known & central),
        particles.sums(particles.pt, ~known & ~central),
    ]
    return np.stack(columns, axis=1)
