"""The voxels of a calorimeter: layers of rings that are cut in angle.

A shower is a row of V energies [MeV], in the order of the CaloChallenge (2410.21611): r runs
fastest, then the angle alpha, then the layer. Lengths are mm, angles radian; eta = r cos(alpha)
and phi = r sin(alpha) are the two directions across the shower's axis, as there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError

__all__ = ["Geometry", "Layer"]

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Layer:
    """Describe one layer: its number, the edges of its rings [mm] and the cuts in angle.

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


@dataclass(frozen=True)
class Geometry:
    """Hold the layers of a calorimeter that have voxels, in their order along the shower.

    `name` is the particle or detector, `pid` the PDG code of the particle where it is for one.
    Raises `InputError` without layers or where the numbers of the layers do not rise.
    """

    name: str
    layers: tuple[Layer, ...]
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
        return np.concatenate([np.tile(np.arange(x.rings), x.angles) for x in self.layers])

    @cached_property
    def angle(self) -> Whole:
        """The cut in angle of each voxel in its layer, (V,)."""
        return np.concatenate([np.repeat(np.arange(x.angles), x.rings) for x in self.layers])

    @cached_property
    def r(self) -> Floats:
        """The middle of each voxel's ring [mm], (V,)."""
        return np.concatenate(
            [np.tile((_edges(x)[1:] + _edges(x)[:-1]) / 2, x.angles) for x in self.layers]
        )

    @cached_property
    def alpha(self) -> Floats:
        """The middle of each voxel in angle, (V,), between -pi and pi."""
        return np.concatenate(
            [
                np.repeat(-np.pi + (np.arange(x.angles) + 0.5) * 2 * np.pi / x.angles, x.rings)
                for x in self.layers
            ]
        )

    @cached_property
    def area(self) -> Floats:
        """The area of each voxel across the axis [mm^2], (V,)."""
        return np.concatenate(
            [np.tile(np.pi * np.diff(_edges(x) ** 2) / x.angles, x.angles) for x in self.layers]
        )

    def eta(self) -> Floats:
        """The middle of each voxel in r cos(alpha) [mm], (V,); 0 where a layer is not cut."""
        return np.where(self._cut, self.r * np.cos(self.alpha), 0.0)

    def phi(self) -> Floats:
        """The middle of each voxel in r sin(alpha) [mm], (V,); 0 where a layer is not cut."""
        return np.where(self._cut, self.r * np.sin(self.alpha), 0.0)

    @property
    def _cut(self) -> NDArray[np.bool_]:
        return np.array([x.angles > 1 for x in self.layers])[self.layer]

    def locate(self, layer: ArrayLike, x: ArrayLike, y: ArrayLike) -> Whole:
        """Return the voxel of hits at (x, y) [mm] in the layers with these places, (...,) int64.

        The place is that in `layers`. Hits outside the rings are in no voxel: -1. Lower edges
        belong to their voxel, upper ones to the next.
        """
        place, x, y = np.broadcast_arrays(
            np.asarray(layer, dtype=np.int64), np.asarray(x, np.float64), np.asarray(y, np.float64)
        )
        r, alpha = np.hypot(x, y), np.arctan2(y, x)
        found = np.full(place.shape, -1, dtype=np.int64)
        for i, each in enumerate(self.layers):
            here = place == i
            ring = np.searchsorted(_edges(each), r[here], side="right") - 1
            cut = np.floor((alpha[here] + np.pi) / (2 * np.pi) * each.angles).astype(np.int64)
            cut = np.minimum(cut, each.angles - 1)  # alpha = pi is the end of the last
            inside = (ring >= 0) & (ring < each.rings)
            found[here] = np.where(inside, self.starts[i] + cut * each.rings + ring, -1)
        return found

    def check(self, showers: NDArray, what: str) -> NDArray:
        """Return showers (N, V) if they fit and are energies; raise `InputError` if not.

        `what` (a file, or "showers") begins the sentence.
        """
        if showers.ndim != 2 or showers.shape[1] != self.voxels:
            raise InputError(
                f"{what}: has shape {showers.shape}, geometry '{self.name}' has"
                f" {self.voxels} voxels; give (showers, voxels) of this geometry."
            )
        if len(showers) == 0:
            raise InputError(f"{what}: holds no showers.")
        # One pass over what may be gigabytes: a NaN makes the minimum of its row NaN.
        lowest, highest = showers.min(1), showers.max(1)
        bad = ~((lowest >= 0) & (highest < np.inf))
        if bad.any():
            shower = int(np.argmax(bad))
            value = lowest[shower] if not lowest[shower] >= 0 else highest[shower]
            raise InputError(
                f"{what}: shower {shower} (counted from 0) has an energy of {value} in a voxel;"
                " energies are 0 or more MeV."
            )
        return showers

    @cached_property
    def r_edges(self) -> Floats:
        """All edges of rings in any layer [mm], rising, (R + 1,)."""
        return np.unique(np.concatenate([_edges(layer) for layer in self.layers]))

    def rings(self) -> NDArray[np.float32]:
        """Return the share of each voxel in the rings between `r_edges`, (V, R), by area."""
        edges = self.r_edges**2
        shares = []
        for layer in self.layers:
            own = _edges(layer) ** 2
            low = np.maximum(own[:-1, None], edges[None, :-1])
            high = np.minimum(own[1:, None], edges[None, 1:])
            share = np.maximum(high - low, 0) / np.diff(own)[:, None]
            shares.append(np.tile(share, (layer.angles, 1)))
        return np.concatenate(shares).astype(np.float32)

    # What follows is for regular geometries: images, and the order of Geant4's Par04.

    @property
    def shape(self) -> tuple[int, int, int]:
        """(layers, angles, rings) where all layers are alike; raises `InputError` where not."""
        shapes = {(layer.angles, layer.rings) for layer in self.layers}
        if len(shapes) > 1:
            raise InputError(
                f"geometry '{self.name}': its layers have different rings and angles;"
                " an image needs equal ones."
            )
        angles, rings = shapes.pop()
        return len(self.layers), angles, rings

    def to_par04(self, showers: NDArray) -> NDArray:
        """Return showers (N, V) in the order of Geant4's Par04 example: r, then phi, z fastest."""
        return showers.reshape(-1, *self.shape).transpose(0, 3, 2, 1).reshape(len(showers), -1)

    def from_par04(self, showers: NDArray) -> NDArray:
        """Return showers (N, V) in our order from that of Par04."""
        layers, angles, rings = self.shape
        images = showers.reshape(-1, rings, angles, layers)
        return images.transpose(0, 3, 2, 1).reshape(len(showers), -1)


def _edges(layer: Layer) -> Floats:
    return np.asarray(layer.r_edges, dtype=np.float64)
