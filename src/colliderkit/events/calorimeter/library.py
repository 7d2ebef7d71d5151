"""Shower library: single showers, kept by their cells, from which events are drawn.

Energy deposits factorise: the showers of an event, simulated one by one and moved by whole cells,
add up to what they would have left together. So N showers make N^k events of k, thousands a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry, Grid
from colliderkit.events.calorimeter.hits import CalorimeterHits, ranges
from colliderkit.events.calorimeter.overlay import Clock, Digitiser
from colliderkit.events.tables import Floats, Ints

__all__ = ["PDG", "ShowerLibrary", "calibration", "overlay"]

GEV = 1e3  # MeV
# PDG codes of particles by Geant4's names.
PDG = {
    **{"gamma": 22, "e-": 11, "e+": -11, "mu-": 13, "mu+": -13},
    **{"pi0": 111, "pi+": 211, "pi-": -211, "kaon+": 321, "kaon-": -321},
    **{"kaon0L": 130, "kaon0S": 310, "proton": 2212, "anti_proton": -2212},
    **{"neutron": 2112, "anti_neutron": -2112},
}
SHOWERS = ("gamma", "e-", "e+", "pi0")  # whose showers are contained where hadrons' are not
HALF = 1 << 14  # cells that a shower may be moved from the middle in either direction
ENOUGH = 0.02  # of electromagnetic energy in a section, to calibrate it by that


@dataclass(frozen=True)
class ShowerLibrary:
    """Showers of single particles in cells of a calorimeter, sparse.

    - `geometry`: layers of cells (`Grid`), at the depths `z` (L,) [mm]; layers of one `section`
      (L,) int64 have the same absorber and active slabs, and so one calibration;
    - `kinds`: Geant4's names of the particles, `kind` (N,) the place of each shower's among them;
    - `incident` (N,) [MeV] kinetic, entering at `x`, `y` (N,) [mm] along the axis;
    - the cells of shower i are `voxel` (H,) and `energy` (H,) [MeV], as seen in the active slabs,
      from `offsets` (N + 1,) [i] to [i + 1];
    - `physics`: what made them, and `missing` what that lacks.
    """

    geometry: Geometry
    z: Floats
    section: Ints
    kinds: tuple[str, ...]
    kind: Ints
    incident: Floats
    x: Floats
    y: Floats
    offsets: Ints
    voxel: Ints
    energy: Floats
    physics: str
    missing: str = ""

    def __post_init__(self) -> None:
        for layer in self.geometry.layers:
            if not isinstance(layer, Grid):
                raise InputError(
                    f"geometry '{self.geometry.name}': layer {layer.number} has rings, and showers"
                    " of a library are moved by whole cells; take a calorimeter of cells."
                )

    def __len__(self) -> int:
        return len(self.incident)

    @property
    def grids(self) -> list[Grid]:
        """The layers, which are all of cells."""
        return [layer for layer in self.geometry.layers if isinstance(layer, Grid)]

    @property
    def step(self) -> float:
        """The width [mm] of the largest cell, by multiples of which showers may be moved."""
        return max(max(g.width / g.columns, g.height / g.rows) for g in self.grids)

    def at(self, rows: Any) -> Self:
        """Return some showers: by a mask (N,), numbers (n,) or a slice."""
        chosen = np.arange(len(self))[rows]
        cells, offsets = ranges(self.offsets, chosen)
        return replace(
            self,
            kind=self.kind[chosen],
            incident=self.incident[chosen],
            x=self.x[chosen],
            y=self.y[chosen],
            offsets=offsets,
            voxel=self.voxel[cells],
            energy=self.energy[cells],
        )

    def of(self, *names: str) -> Self:
        """Return the showers of some particles; raise `InputError` for one that is not there."""
        for name in names:
            if name not in self.kinds:
                raise InputError(
                    f"the library holds no showers of '{name}', only of {', '.join(self.kinds)}."
                )
        return self.at(np.isin(self.kind, [self.kinds.index(name) for name in names]))

    def parts(self, *shares: float, seed: int = 0) -> list[Self]:
        """Return parts of the library that share no shower, in these shares, drawn at random.

        Events to train on, to choose by and to judge with must not share showers either.
        """
        order = np.random.default_rng(seed).permutation(len(self))
        ends = np.round(np.cumsum([0.0, *shares]) / max(sum(shares), 1.0) * len(self)).astype(int)
        return [self.at(np.sort(order[a:b])) for a, b in zip(ends, ends[1:], strict=False)]

    def sums(self) -> Floats:
        """Return the energy of each shower in each layer, as seen, (N, L) [MeV]."""
        shower = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        layers = len(self.geometry.layers)
        index = shower * layers + self.geometry.layer[self.voxel]
        sums = np.bincount(index, self.energy, len(self) * layers).reshape(len(self), layers)
        return np.asarray(sums, dtype=np.float64)

    def dense(self) -> NDArray[np.float32]:
        """Return all showers with their empty cells, (N, V) float32 [MeV]."""
        showers = np.zeros((len(self), self.geometry.voxels), np.float32)
        showers[np.repeat(np.arange(len(self)), np.diff(self.offsets)), self.voxel] = self.energy
        return showers


def calibration(library: ShowerLibrary) -> Floats:
    """Return what the seen energy of each layer is multiplied by, (L,), to be that of showers.

    One factor a section, by least squares of the incident energies of electrons and photons; where
    these leave less than 2% of what they leave in all, by those of hadrons, given the others.
    Raises `InputError` for a library without showers.
    """
    if len(library) == 0:
        raise InputError("a library without showers cannot calibrate; generate some.")
    sections = np.unique(library.section)
    seen = library.sums() @ (library.section[:, None] == sections).astype(np.float64)
    light = np.isin(library.kind, [i for i, n in enumerate(library.kinds) if n in SHOWERS])
    factors = np.zeros(len(sections))
    first = seen[light].sum(0) > (0.0 if light.all() else ENOUGH) * seen[light].sum()
    if first.any():
        factors[first] = _least_squares(seen[light][:, first], library.incident[light])
    rest = ~first & (seen.sum(0) > 0)
    if rest.any() and not light.all():
        left = library.incident[~light] - seen[~light] @ factors
        factors[rest] = _least_squares(seen[~light][:, rest], left)
    return factors[np.searchsorted(sections, library.section)]


def _least_squares(seen: Floats, incident: Floats) -> Floats:
    """Return factors of the columns, positive, by least squares of relative weight 1 / E."""
    weight = 1 / np.sqrt(np.maximum(incident, 1.0))[:, None]
    found = np.linalg.lstsq(seen * weight, incident * weight[:, 0], rcond=None)[0]
    if (found <= 0).any():  # of few showers
        return np.full(seen.shape[1], incident.sum() / max(float(seen.sum()), 1e-30))
    return np.asarray(found)


def overlay(
    library: ShowerLibrary,
    shower: ArrayLike,
    dx: ArrayLike,
    dy: ArrayLike,
    event: ArrayLike,
    *,
    events: int,
    factors: ArrayLike | None = None,
    readout: Digitiser | None = None,
    arrival: ArrayLike | None = None,
    clock: Clock | None = None,
    seed: int | Sequence[int] = 0,
) -> CalorimeterHits:
    """Sum showers of a library in the cells of events, and keep the share of each in each cell.

    Shower number `shower` (P,) of the library is moved by `dx`, `dy` (P,) [mm], multiples of
    `library.step`, and belongs to event `event` (P,), from 0, rising. Layers are multiplied by
    `factors` (L,) (`calibration` of the library, if not given). Cells go on beyond the calorimeter
    that was simulated. The sum of a cell is digitised once (`readout`, in MeV of what it then is,
    with the random numbers of `seed`), and shares are scaled by what became of their sum; noise in
    cells that no shower reaches is left out. A particle is there though nothing of it be read out.
    With the `arrival` (P,) [ps] of each particle cells are timed by `clock`: all of a shower
    comes with its front, at the speed of light, for a library has no times within showers.
    Raises `InputError` for showers or events out of range, and steps that are not whole.
    """
    chosen, number = (np.asarray(a, dtype=np.int64) for a in (shower, event))
    moves = [np.asarray(a, dtype=np.float64) for a in (dx, dy)]
    if not chosen.shape == number.shape == moves[0].shape == moves[1].shape or chosen.ndim != 1:
        raise InputError("showers, dx, dy and event differ in their length; give one of each.")
    if ((chosen < 0) | (chosen >= len(library))).any():
        raise InputError(f"a shower is none of the {len(library)} of the library.")
    if ((number < 0) | (number >= events)).any() or (np.diff(number) < 0).any():
        raise InputError(f"events do not rise from 0 to {events - 1} at most; sort the showers.")
    steps = [np.round(move / library.step) for move in moves]
    if any((abs(s * library.step - m) > 1e-6).any() for s, m in zip(steps, moves, strict=True)):
        raise InputError(
            f"showers are moved by multiples of {library.step:g} mm, the largest cell."
        )
    scale = calibration(library) if factors is None else np.asarray(factors, dtype=np.float64)
    cell, starts = ranges(library.offsets, chosen)
    particle = np.repeat(np.arange(len(chosen)), np.diff(starts))
    voxel = library.voxel[cell]
    layer = library.geometry.layer[voxel]
    place = voxel - library.geometry.starts[layer]
    grids = library.grids
    columns = np.array([g.columns for g in grids])
    width = np.array([g.width / g.columns for g in grids])
    height = np.array([g.height / g.rows for g in grids])
    column = place % columns[layer] + np.round(moves[0][particle] / width[layer]).astype(np.int64)
    row = place // columns[layer] + np.round(moves[1][particle] / height[layer]).astype(np.int64)
    key = (number[particle] * len(grids) + layer) * (2 * HALF) + row + HALF
    key = key * (2 * HALF) + column + HALF
    _, first, hit = np.unique(key, return_index=True, return_inverse=True)
    left = library.energy[cell] * scale[layer]
    energy = np.bincount(hit, left, len(first))
    reading = energy if readout is None else readout(energy, np.random.default_rng(seed))
    kept = reading > 0
    renamed = np.cumsum(kept) - 1
    at, depth = layer[first][kept], library.z[layer[first]][kept]
    middle = np.array([[g.width, g.height] for g in grids])[at] / 2
    position = np.stack(
        [
            (column[first][kept] + 0.5) * width[at] - middle[:, 0],
            (row[first][kept] + 0.5) * height[at] - middle[:, 1],
            depth,
        ],
        axis=1,
    )
    counts = np.bincount(number[particle[first]][kept], minlength=events)
    inside = np.flatnonzero(kept[hit] & (left > 0))
    inside = inside[np.argsort(hit[inside], kind="stable")]
    shares = left[inside] * (reading / np.maximum(energy, 1e-30))[hit[inside]]
    time = None
    if arrival is not None:
        came = np.asarray(arrival, dtype=np.float64)
        mean = np.bincount(hit, left * came[particle], len(first)) / np.maximum(energy, 1e-30)
        random = np.random.default_rng([2, *np.atleast_1d(seed)])
        time = (clock or Clock())(mean[kept], reading[kept], random)
    zero = np.zeros(1, np.int64)
    codes = np.array([PDG.get(name, 0) for name in library.kinds], dtype=np.int64)
    return CalorimeterHits(
        np.concatenate([zero, np.cumsum(counts)]),
        position,
        reading[kept] / GEV,
        np.concatenate([zero, np.cumsum(np.bincount(number, minlength=events))]),
        library.incident[chosen] / GEV,
        codes[library.kind[chosen]],
        renamed[hit[inside]],
        particle[inside],
        shares / GEV,
        time,
    )
