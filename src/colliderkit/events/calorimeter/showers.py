"""Calorimeter showers: incident energies and the energies of the voxels, with weight and event."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry, check_energies
from colliderkit.events.tables import Floats, Ints, as_weight, event_numbers
from colliderkit.files import release

__all__ = ["ROWS", "Showers"]

ROWS = 5000  # showers at a time: the float64 copy of 40,500 voxels stays below 2 GB


@dataclass(frozen=True)
class Showers:
    """N showers in a calorimeter, energies in MeV.

    - `incident` (N,) float64, positive: the energy of the particle that enters;
    - `voxels` (N, V), 0 or more, in the order of a `Geometry`: any float type, in memory or a
      memory map, which is neither copied nor read as a whole;
    - `weight` (N,) float64, finite;
    - `event` (N,) int64: showers of one number are one event, which no split parts.

    `checked` makes one of what a user gives.
    """

    incident: Floats
    voxels: NDArray[Any]
    weight: Floats
    event: Ints

    @classmethod
    def checked(
        cls,
        incident: ArrayLike,
        voxels: ArrayLike,
        what: str = "the showers",
        *,
        geometry: Geometry | None = None,
        weight: ArrayLike | None = None,
        event: ArrayLike | None = None,
        negative: str | None = None,
    ) -> Self:
        """Return checked showers of incident energies (N,) or (N, 1) and voxels (N, V) [MeV].

        Where none are given, weights are 1 and events the numbers of the rows. With a `geometry`
        the voxels must be its. `negative` is the reason why weights may not be negative, if they
        may not.

        Raises `InputError`, one sentence each that begins with `what` ("the reference", a file),
        for other shapes, no showers, an incident energy that is not positive and finite, an energy
        that is negative, NaN or infinite, named by shower and voxel, and for weights or event
        numbers that are none. Voxels are read once, `ROWS` showers at a time.
        """
        energy = np.asarray(incident, dtype=np.float64).reshape(-1)
        table = np.asanyarray(voxels)  # a memory map stays one
        if table.ndim != 2:
            raise InputError(f"{what}: has shape {table.shape}; give (showers, voxels).")
        if len(energy) != len(table):
            raise InputError(
                f"{what}: has {len(energy)} incident energies for {len(table)} showers; give one"
                " for each."
            )
        bad = ~((energy > 0) & (energy < np.inf))
        if bad.any():
            shower = int(np.argmax(bad))
            raise InputError(
                f"{what}: shower {shower} (counted from 0) has an incident energy of"
                f" {energy[shower]:g} MeV; it must be positive and finite."
            )
        check = check_energies if geometry is None else geometry.check
        for start in range(0, max(len(table), 1), ROWS):
            check(table[start : start + ROWS], what, start)
            release(table)
        return cls(
            energy,
            table,
            as_weight(weight, len(table), what, negative=negative),
            event_numbers(event, len(table), what),
        )

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the showers of all parts, of one geometry, one after another and in memory.

        Events of different parts are different ones: from the second part on, event numbers are
        shifted to follow those before.
        """
        events = [parts[0].event]
        for part in parts[1:]:
            events.append(part.event - part.event.min() + events[-1].max() + 1)
        return cls(
            np.concatenate([part.incident for part in parts]),
            np.concatenate([part.voxels for part in parts]),
            np.concatenate([part.weight for part in parts]),
            np.concatenate(events),
        )

    def __len__(self) -> int:
        return len(self.incident)

    def at(self, rows: Any) -> Self:
        """Return some showers: by a mask (N,), numbers (n,) or a slice, which copies none."""
        return replace(
            self,
            incident=self.incident[rows],
            voxels=self.voxels[rows],
            weight=self.weight[rows],
            event=self.event[rows],
        )

    def pieces(self, rows: int = ROWS) -> Iterator[Self]:
        """Yield the showers, at most `rows` at a time; pages of a memory map go back when read."""
        for start in range(0, len(self), rows):
            yield self.at(slice(start, start + rows))
            release(self.voxels)
