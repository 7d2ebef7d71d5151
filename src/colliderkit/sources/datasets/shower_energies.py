"""Showers as tables to learn their energy from: sum of the cells, shapes and rings."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.calorimeter.features import features
from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.sources.files.showers import read_showers

__all__ = ["EnergySum", "ShowerEnergies", "read_shower_energies"]

Floats = NDArray[np.float64]
THRESHOLD = 0.05  # MeV in the active slabs
TEST, CALIBRATION = 0.3, 0.2  # shares of the showers; the rest is trained on


@dataclass(frozen=True)
class ShowerEnergies:
    """N showers: `energy` (N,) [GeV], `visible` (N,) [GeV], `shapes` (N, F), `rings` (N, R).

    Shapes are the shares of the layers, depth, centres and widths; a ring is the sum e of the cells
    of a layer at one distance from the axis, as ln(1 + e / 0.05 MeV).
    """

    energy: Floats
    visible: Floats
    shapes: Floats
    rings: Floats

    def __len__(self) -> int:
        return len(self.energy)

    def at(self, rows: slice) -> "ShowerEnergies":
        """Return some showers."""
        return ShowerEnergies(
            self.energy[rows], self.visible[rows], self.shapes[rows], self.rings[rows]
        )

    def parts(self) -> tuple["ShowerEnergies", "ShowerEnergies", "ShowerEnergies"]:
        """Return showers to train on, to calibrate with (20%) and to test with (30%).

        They are independent and in no order: the first are as good as any.
        """
        test = int(TEST * len(self))
        calibration = test + int(CALIBRATION * len(self))
        rows = (slice(calibration, None), slice(test, calibration), slice(test))
        return self.at(rows[0]), self.at(rows[1]), self.at(rows[2])


@dataclass(frozen=True)
class EnergySum:
    """Energy from the sum of the cells, E_sum = a + b S, [GeV]."""

    a: float
    b: float

    @classmethod
    def fitted(cls, showers: ShowerEnergies) -> "EnergySum":
        """Fit it by least squares, each shower with a variance that grows as its energy."""
        root = np.sqrt(showers.energy)
        design = np.stack([np.ones_like(root), showers.visible], 1) / root[:, None]
        a, b = np.linalg.lstsq(design, showers.energy / root)[0]
        return cls(float(a), float(b))

    def __call__(self, showers: ShowerEnergies) -> Floats:
        """Return E_sum of each shower, (N,)."""
        return self.a + self.b * showers.visible


def read_shower_energies(path: Path, geometry: Geometry) -> ShowerEnergies:
    """Read a file of showers and return what is seen of them; see `sources.files.showers`."""
    showers = read_showers(path, geometry)
    high_level = features(showers.voxels, showers.incident, geometry)
    rings, ring = np.unique(np.stack([geometry.layer, geometry.r]), axis=1, return_inverse=True)
    sums = showers.voxels @ np.eye(rings.shape[1], dtype=np.float32)[ring.reshape(-1)]
    return ShowerEnergies(
        showers.incident / 1e3,
        high_level.total / 1e3,
        high_level.shapes(),
        np.log1p(sums.astype(np.float64) / THRESHOLD),
    )
