"""Calorimeter geometry: voxels in layers of rings that are cut in angle, or of rectangular cells.

A shower is a row of V energies [MeV], in the order of the CaloChallenge (2410.21611): r runs
fastest, then the angle alpha, then the layer. Lengths are mm, angles radian; eta = r cos(alpha)
and phi = r sin(alpha) are the two directions across the shower's axis, as there. Cells stand in
the order of CaloGAN's images (1712.10321): eta runs fastest, then phi, then the layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError

__all__ = ["Geometry", "Grid", "Layer"]

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Layer:
    """One layer of rings: its number, the edges of the rings [mm] and the cuts in angle.

    Raises `InputError` unless the edges rise from 0 or more and there is at least one cut.
    """

    number: int
    r_edges: tuple[float, ...]
    angles: int = 1

    def __post_init__(self) -> None:
        edges = np.asarray(self.r_edges, dtype=np.float64)
        name = f"layer {self.number}"
        if len(edges) < 2:
            raise InputError(f"{name}: has no ring; give at least two edges, or leave it out.")
        if not np.isfinite(edges).all() or edges[0] < 0 or (np.diff(edges) <= 0).any():
            raise InputError(
                f"{name}: its r edges {list(self.r_edges)} do not rise from 0 or more."
            )
        if self.angles < 1:
            raise InputError(f"{name}: has {self.angles} cuts in angle; it must have at least 1.")

    @property
    def rings(self) -> int:
        """The number of rings."""
        return len(self.r_edges) - 1

    @property
    def voxels(self) -> int:
        """The number of voxels."""
        return self.rings * self.angles

    @property
    def shape(self) -> tuple[int, int]:
        """(angles, rings), what a row of voxels is reshaped to."""
        return self.angles, self.rings

    @property
    def cut(self) -> bool:
        """Whether there is anything to see in eta and phi."""
        return self.angles > 1

    @property
    def radius(self) -> float:
        """The distance [mm] from the axis of what is farthest from it."""
        return float(self.r_edges[-1])

    @property
    def ring(self) -> Whole:
        """The ring of each voxel, (voxels,)."""
        return np.tile(np.arange(self.rings), self.angles)

    @property
    def angle(self) -> Whole:
        """The cut in angle of each voxel, (voxels,)."""
        return np.repeat(np.arange(self.angles), self.rings)

    @property
    def r(self) -> Floats:
        """The middle of each voxel's ring [mm], (voxels,)."""
        edges = _edges(self)
        return ((edges[1:] + edges[:-1]) / 2)[self.ring]

    @property
    def alpha(self) -> Floats:
        """The middle of each voxel in angle, (voxels,), between -pi and pi."""
        return -np.pi + (self.angle + 0.5) * 2 * np.pi / self.angles

    @property
    def area(self) -> Floats:
        """The area of each voxel across the axis [mm^2], (voxels,)."""
        return (np.pi * np.diff(_edges(self) ** 2) / self.angles)[self.ring]

    def shares(self, edges: Floats) -> Floats:
        """Return the share of each ring's area between `edges` (R + 1,) [mm], (rings, R)."""
        squares, others = _edges(self) ** 2, edges**2
        low = np.maximum(squares[:-1, None], others[None, :-1])
        high = np.minimum(squares[1:, None], others[None, 1:])
        return np.asarray(np.maximum(high - low, 0) / np.diff(squares)[:, None])

    def locate(self, x: Floats, y: Floats) -> Whole:
        """Return the voxel of hits at (x, y) [mm] within the layer, (N,) each; -1 for none."""
        ring = np.searchsorted(_edges(self), np.hypot(x, y), side="right") - 1
        angle = np.floor((np.arctan2(y, x) + np.pi) / (2 * np.pi) * self.angles).astype(np.int64)
        angle = np.minimum(angle, self.angles - 1)  # alpha = pi is the end of the last
        inside = (ring >= 0) & (ring < self.rings)
        return np.where(inside, angle * self.rings + ring, -1)


@dataclass(frozen=True)
class Grid:
    """One layer of equal rectangular cells around the axis.

    `rows` in phi (y) times `columns` in eta (x), `height` by `width` [mm] in all. Raises
    `InputError` unless there is a cell and both lengths are positive.
    """

    number: int
    rows: int
    columns: int
    height: float
    width: float

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise InputError(
                f"layer {self.number}: has {self.rows} x {self.columns} cells; give at least one."
            )
        if not (0 < self.height < np.inf and 0 < self.width < np.inf):
            raise InputError(
                f"layer {self.number}: is {self.height:g} x {self.width:g} mm; give positive"
                " lengths."
            )

    @property
    def voxels(self) -> int:
        """The number of cells."""
        return self.rows * self.columns

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns), what a row of voxels is reshaped to."""
        return self.rows, self.columns

    @property
    def cut(self) -> bool:
        """Whether there is anything to see in eta and phi."""
        return self.voxels > 1

    @property
    def radius(self) -> float:
        """The distance [mm] from the axis of what is farthest from it: the corners."""
        return float(np.hypot(self.width, self.height) / 2)

    @property
    def x(self) -> Floats:
        """The middle of each cell in x [mm], (voxels,)."""
        middles = ((np.arange(self.columns) + 0.5) / self.columns - 0.5) * self.width
        return np.tile(middles, self.rows)

    @property
    def y(self) -> Floats:
        """The middle of each cell in y [mm], (voxels,)."""
        middles = ((np.arange(self.rows) + 0.5) / self.rows - 0.5) * self.height
        return np.repeat(middles, self.columns)

    @property
    def r(self) -> Floats:
        """The distance of each cell's middle from the axis [mm], (voxels,)."""
        return np.hypot(self.x, self.y)

    @property
    def alpha(self) -> Floats:
        """The angle of each cell's middle, (voxels,), between -pi and pi."""
        return np.arctan2(self.y, self.x)

    @property
    def area(self) -> Floats:
        """The area of each cell across the axis [mm^2], (voxels,)."""
        return np.full(self.voxels, self.width * self.height / self.voxels)

    def locate(self, x: Floats, y: Floats) -> Whole:
        """Return the cell of hits at (x, y) [mm] within the layer, (N,) each; -1 for none."""
        column = np.floor((x / self.width + 0.5) * self.columns).astype(np.int64)
        row = np.floor((y / self.height + 0.5) * self.rows).astype(np.int64)
        inside = (column >= 0) & (column < self.columns) & (row >= 0) & (row < self.rows)
        return np.where(inside, row * self.columns + column, -1)


@dataclass(frozen=True)
class Geometry:
    """Geometry of a calorimeter: its layers that have voxels, in their order along the shower.

    `name` is the particle or detector, `pid` the PDG code of the particle where it is for one.
    Raises `InputError` without layers or where the numbers of the layers do not rise.
    """

    name: str
    layers: tuple[Layer | Grid, ...]
    pid: int | None = None

    def __post_init__(self) -> None:
        numbers = [layer.number for layer in self.layers]
        if not numbers:
            raise InputError(f"geometry '{self.name}': has no layers with voxels.")
        if any(b <= a for a, b in zip(numbers[:-1], numbers[1:], strict=True)):
            raise InputError(f"geometry '{self.name}': the layer numbers {numbers} do not rise.")

    @classmethod
    def regular(
        cls, name: str, layers: int, angles: int, r_edges: Sequence[float], pid: int | None = None
    ) -> "Geometry":
        """Return `layers` equal layers, numbered from 0."""
        edges = tuple(float(edge) for edge in r_edges)
        return cls(name, tuple(Layer(i, edges, angles) for i in range(layers)), pid)

    @property
    def voxels(self) -> int:
        """V, the length of a shower."""
        return sum(layer.voxels for layer in self.layers)

    @cached_property
    def starts(self) -> Whole:
        """Where each layer's voxels begin, and V: (L + 1,)."""
        return np.cumsum([0, *(layer.voxels for layer in self.layers)])

    @cached_property
    def layer(self) -> Whole:
        """The place of each voxel's layer in `layers`, (V,)."""
        return np.repeat(np.arange(len(self.layers)), np.diff(self.starts))

    @cached_property
    def ring(self) -> Whole:
        """The ring of each voxel in its layer, (V,)."""
        return np.concatenate([layer.ring for layer in self.rounds])

    @cached_property
    def angle(self) -> Whole:
        """The cut in angle of each voxel in its layer, (V,)."""
        return np.concatenate([layer.angle for layer in self.rounds])

    @property
    def rounds(self) -> tuple[Layer, ...]:
        """The layers, all of rings; raises `InputError` where one is not."""
        for layer in self.layers:
            if not isinstance(layer, Layer):
                raise InputError(
                    f"geometry '{self.name}': layer {layer.number} has rectangular cells; this is"
                    " for rings."
                )
        return cast("tuple[Layer, ...]", self.layers)

    @cached_property
    def r(self) -> Floats:
        """The middle of each voxel's ring, or of each cell [mm], (V,)."""
        return np.concatenate([layer.r for layer in self.layers])

    @cached_property
    def alpha(self) -> Floats:
        """The middle of each voxel in angle, (V,), between -pi and pi."""
        return np.concatenate([layer.alpha for layer in self.layers])

    @cached_property
    def area(self) -> Floats:
        """The area of each voxel across the axis [mm^2], (V,)."""
        return np.concatenate([layer.area for layer in self.layers])

    def eta(self) -> Floats:
        """The middle of each voxel in r cos(alpha) [mm], (V,); 0 where a layer is not cut."""
        return np.where(self._cut, self.r * np.cos(self.alpha), 0.0)

    def phi(self) -> Floats:
        """The middle of each voxel in r sin(alpha) [mm], (V,); 0 where a layer is not cut."""
        return np.where(self._cut, self.r * np.sin(self.alpha), 0.0)

    @property
    def _cut(self) -> NDArray[np.bool_]:
        return np.array([layer.cut for layer in self.layers])[self.layer]

    def locate(self, layer: ArrayLike, x: ArrayLike, y: ArrayLike) -> Whole:
        """Return the voxel of hits at (x, y) [mm] in the layers with these places, (...,) int64.

        The index is that in `layers`. Hits outside a layer's voxels are in none: -1. Lower edges
        belong to their voxel, upper ones to the next.
        """
        index, x, y = np.broadcast_arrays(
            np.asarray(layer, dtype=np.int64), np.asarray(x, np.float64), np.asarray(y, np.float64)
        )
        voxel = np.full(index.shape, -1, dtype=np.int64)
        for i, each in enumerate(self.layers):
            here = index == i
            local = each.locate(x[here], y[here])
            voxel[here] = np.where(local >= 0, self.starts[i] + local, -1)
        return voxel

    def check(self, showers: NDArray, what: str, first: int = 0) -> NDArray:
        """Return showers (N, V) if they fit and are energies; raise `InputError` if not.

        What is wrong is named by shower and voxel. `what` (a file, or "showers") begins the
        sentence; `first` is the first one's number in it.
        """
        if showers.ndim != 2 or showers.shape[1] != self.voxels:
            raise InputError(
                f"{what}: has shape {showers.shape}, geometry '{self.name}' has"
                f" {self.voxels} voxels; give (showers, voxels) of this geometry."
            )
        return check_energies(showers, what, first)

    @cached_property
    def r_edges(self) -> Floats:
        """All edges of rings in any layer [mm], rising, (R + 1,); with cells, 24 equal rings."""
        if any(isinstance(layer, Grid) for layer in self.layers):
            return np.linspace(0, max(layer.radius for layer in self.layers), 25)
        return np.unique(np.concatenate([_edges(layer) for layer in self.rounds]))

    def rings(self) -> NDArray[np.float32]:
        """Return the share of each voxel in the rings between `r_edges`, (V, R).

        Rings of a layer are shared by area; a cell is where its middle is.
        """
        edges = self.r_edges
        shares = []
        for layer in self.layers:
            if isinstance(layer, Grid):
                ring = np.searchsorted(edges, layer.r, side="right") - 1
                shares.append(np.eye(len(edges) - 1)[np.minimum(ring, len(edges) - 2)])
                continue
            shares.append(np.tile(layer.shares(edges), (layer.angles, 1)))
        return np.concatenate(shares).astype(np.float32)

    # What follows is for regular geometries: images, and the order of Geant4's Par04.

    @property
    def shape(self) -> tuple[int, int, int]:
        """(layers, angles, rings) where all layers are alike; raises `InputError` where not."""
        shapes = {layer.shape for layer in self.rounds}
        if len(shapes) > 1:
            raise InputError(
                f"geometry '{self.name}': its layers have different rings and angles;"
                " an image needs equal ones."
            )
        return len(self.layers), *shapes.pop()

    def to_par04(self, showers: NDArray) -> NDArray:
        """Return showers (N, V) in the order of Geant4's Par04 example: r, then phi, z fastest."""
        return showers.reshape(-1, *self.shape).transpose(0, 3, 2, 1).reshape(len(showers), -1)

    def from_par04(self, showers: NDArray) -> NDArray:
        """Return showers (N, V) in our order from that of Par04."""
        layers, angles, rings = self.shape
        images = showers.reshape(-1, rings, angles, layers)
        return images.transpose(0, 3, 2, 1).reshape(len(showers), -1)


def check_energies(voxels: NDArray, what: str, first: int = 0) -> NDArray:
    """Return voxels (N, V) if each is a finite energy of 0 or more; raise `InputError` if not.

    The first that is none is named by shower and voxel; `what` and `first` as of `Geometry.check`.
    """
    if len(voxels) == 0:
        raise InputError(f"{what}: holds no showers.")
    # One pass over what may be gigabytes: a NaN makes the minimum of its row NaN.
    bad = ~((voxels.min(1) >= 0) & (voxels.max(1) < np.inf))
    if bad.any():
        shower = int(np.argmax(bad))
        energies = voxels[shower]
        voxel = int(np.argmin((energies >= 0) & (energies < np.inf)))
        raise InputError(
            f"{what}: shower {first + shower} (counted from 0) has an energy of {energies[voxel]}"
            f" MeV in voxel {voxel}; energies must be finite and 0 or more."
        )
    return voxels


def _edges(layer: Layer) -> Floats:
    return np.asarray(layer.r_edges, dtype=np.float64)
