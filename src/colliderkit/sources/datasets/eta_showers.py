"""Showers at different eta in a barrel of tungsten and silicon, by a parametrisation (GFlash)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.seeds import derive
from colliderkit.sources.files.showers import drawn_energies
from colliderkit.sources.geant4.gflash import TUNGSTEN_SILICON, showers

__all__ = ["GEOMETRY", "EtaShowers", "make_eta_showers"]

Floats = NDArray[np.float64]
GEOMETRY = Geometry.regular("slices", 5, 4, (0, 4, 9, 18, 40))
DEPTHS = np.array([0.0, 8.0, 24.0, 56.0, 90.0, 140.0])  # mm, at eta = 0
VALUES = 5  # of eta in a slice


@dataclass(frozen=True)
class EtaShowers:
    """N showers in `GEOMETRY`: `eta` (N,), `incident` (N,) and `voxels` (N, V) energies [MeV]."""

    eta: Floats
    incident: Floats
    voxels: NDArray[Any]

    @classmethod
    def joined(cls, parts: Sequence["EtaShowers"]) -> "EtaShowers":
        """Return the showers of all parts, one after another."""
        columns = [(part.eta, part.incident, part.voxels) for part in parts]
        return cls(*(np.concatenate(column) for column in zip(*columns, strict=True)))

    @property
    def response(self) -> Floats:
        """E_tot / E_inc, (N,)."""
        return np.asarray(self.voxels.sum(1, dtype=np.float64) / self.incident)

    @property
    def layers(self) -> Floats:
        """The energy of each layer over E_inc, (N, L)."""
        sums = np.add.reduceat(self.voxels.astype(np.float64), GEOMETRY.starts[:-1], axis=1)
        return np.asarray(sums / self.incident[:, None])

    def __len__(self) -> int:
        return len(self.eta)


def make_eta_showers(
    count: int, eta: tuple[float, float], energies: tuple[float, float], *, seed: int
) -> EtaShowers:
    """Draw showers between two values of `eta`, of log-uniform incident `energies` [MeV].

    A layer is cosh(eta) times as deep for a particle of that eta as at eta = 0. In a slice eta
    takes a few values, the middles of equal parts: all showers that are drawn at once have one
    depth.
    """
    random = np.random.default_rng(derive(seed, "incident energies"))
    incident = drawn_energies(count, *energies, 1.0, random)
    low, high = eta
    values, voxels = np.empty(count), np.empty((count, GEOMETRY.voxels), np.float32)
    for k, rows in enumerate(np.array_split(np.arange(count), VALUES)):
        values[rows] = low + (k + 0.5) / VALUES * (high - low)
        voxels[rows] = showers(
            incident[rows],
            GEOMETRY,
            TUNGSTEN_SILICON,
            seed=derive(seed, "showers", k),
            depths=DEPTHS * np.cosh(values[rows[0]]),
        )
    order = random.permutation(count)
    return EtaShowers(values[order], incident[order], voxels[order])
