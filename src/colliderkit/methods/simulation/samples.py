"""Samples of showers with their features, and duplicates: showers that stand in two samples."""

import hashlib
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.features import Features, features
from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.events.calorimeter.showers import Showers

__all__ = ["DescribedShowers", "refuse_shared"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DescribedShowers:
    """A sample of N showers with their `features` and checksums.

    - `name`: what messages call it; `showers`: perhaps a memory map;
    - `table` (N, F): the features as the challenge's classifiers see them (`Features.table`);
    - `key` (N,) int64: a checksum of each shower's energies, incident and by layer, and centres.
      Showers without any energy are equal and no copies: theirs is their number, from -1 down.
    """

    name: str
    showers: Showers
    features: Features
    table: Floats
    key: NDArray[np.int64]

    @classmethod
    def checked(cls, showers: Showers, name: str, geometry: Geometry, threshold: float) -> Self:
        """Compute features and checksums of showers; energies below `threshold` are zero.

        Showers may be a memory map: they are read in pieces. Raises `InputError` where they do
        not fit the geometry or are no energies.
        """
        parts = []
        checked = Showers.checked(showers.incident, showers.voxels, name, geometry=geometry)
        for piece in checked.pieces():
            parts.append(features(piece.voxels, piece.incident, geometry, threshold))
        described = Features.concatenated(parts)
        return cls(name, checked, described, described.table(), _keys(described))

    def __len__(self) -> int:
        return len(self.showers)

    def highest(self) -> float:
        """Return the largest energy of a voxel [MeV]."""
        return max(float(piece.voxels.max()) for piece in self.showers.pieces())

    def example(self, energy: float) -> tuple[float, Floats]:
        """Return the incident energy nearest to `energy` [MeV], and its shower (V,)."""
        nearest = int(np.argmin(np.abs(np.log(self.showers.incident / energy))))
        voxels = np.array(self.showers.voxels[nearest], dtype=np.float64)
        return float(self.showers.incident[nearest]), voxels


def refuse_shared(first: DescribedShowers, second: DescribedShowers) -> None:
    """Raise `InputError` if a shower stands in both samples, naming one."""
    shared = np.intersect1d(first.key[first.key >= 0], second.key[second.key >= 0])
    if len(shared):
        rows = [int(np.argmax(each.key == shared[0])) for each in (first, second)]
        raise InputError(
            f"{len(shared)} showers stand in both samples, such as number {rows[0]} of the"
            f" {first.name} and number {rows[1]} of the {second.name} (counted from 0); compare"
            " samples that are independent."
        )


def _keys(described: Features) -> NDArray[np.int64]:
    columns = np.concatenate([described.incident[:, None], described.energy, described.centre_r], 1)
    digests = b"".join(hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in columns)
    keys = np.frombuffer(digests, np.int64) & np.iinfo(np.int64).max  # negative is for empty ones
    empty = ~(described.energy > 0).any(1)
    keys[empty] = -1 - np.flatnonzero(empty)
    return keys
