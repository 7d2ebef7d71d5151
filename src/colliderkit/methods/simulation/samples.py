"""Samples of showers with their features, and duplicates: showers that stand in two samples."""

import hashlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.features import ROWS, Features, features
from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.files import release

__all__ = ["DescribedShowers", "Sample", "refuse_shared"]

Floats = NDArray[np.float64]
Sample = tuple[NDArray[Any], NDArray[Any]]  # incident energies (N,) and showers (N, V), MeV


@dataclass(frozen=True)
class DescribedShowers:
    """A sample of N showers with their `features` and checksums.

    - `incident` (N,): energies [MeV]; `showers` (N, V) [MeV]: perhaps a memory map;
    - `table` (N, F): the features as the challenge's classifiers see them (`Features.table`);
    - `key` (N,) int64: a checksum of each shower's energies, incident and by layer, and centres.
      Showers without any energy are equal and no copies: theirs is their number, from -1 down.
    """

    name: str
    incident: NDArray[Any]
    showers: NDArray[Any]
    features: Features
    table: Floats
    key: NDArray[np.int64]

    @classmethod
    def checked(cls, sample: Sample, name: str, geometry: Geometry, threshold: float) -> Self:
        """Compute features and checksums of a sample; energies below `threshold` are zero.

        Showers may be a memory map: rows are read in pieces and given back. Raises `InputError`
        where they do not fit the geometry or are no energies.
        """
        incident, showers = np.asarray(sample[0]).reshape(-1), sample[1]
        if len(incident) != len(showers):
            raise InputError(
                f"the {name} has {len(incident)} incident energies for {len(showers)} showers."
            )
        if len(showers) == 0:
            raise InputError(f"the {name} holds no showers.")
        parts = []
        for start in range(0, len(showers), ROWS):
            rows = slice(start, start + ROWS)
            geometry.check(showers[rows], name, start)
            parts.append(features(showers[rows], incident[rows], geometry, threshold))
            release(showers)
        described = Features.concatenated(parts)
        return cls(name, incident, showers, described, described.table(), _keys(described))

    def __len__(self) -> int:
        return len(self.incident)

    def highest(self) -> float:
        """Return the largest energy of a voxel [MeV]."""
        largest = 0.0
        for start in range(0, len(self), ROWS):
            largest = max(largest, float(self.showers[start : start + ROWS].max()))
            release(self.showers)
        return largest

    def example(self, energy: float) -> tuple[float, Floats]:
        """Return the incident energy nearest to `energy` [MeV], and its shower (V,)."""
        nearest = int(np.argmin(np.abs(np.log(self.incident / energy))))
        return float(self.incident[nearest]), np.array(self.showers[nearest], dtype=np.float64)


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
