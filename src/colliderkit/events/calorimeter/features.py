"""High-level features of showers, as the CaloChallenge defines them (2410.21611)."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.calorimeter.geometry import Geometry

__all__ = ["Features", "features"]

Floats = NDArray[np.float64]
TINY = 1e-16
ROUNDING = 1e-13
ROWS = 5000  # showers at a time: the float64 copy of 40,500 voxels stays below 2 GB


@dataclass(frozen=True)
class Features:
    """High-level features of N showers in L layers, each (N, L) float64 unless said.

    - `incident` (N,), `energy` and `total` (N,): MeV;
    - `centre_eta`, `centre_phi`, `centre_r`: sum(x E) / sum E [mm];
    - `width_eta`, `width_phi`, `width_r`: sqrt(<x^2> - <x>^2) [mm];
    - `sparsity`: the share of voxels without energy;
    - `cut` (L,): whether a layer is cut in angle, or has cells, so that it has eta and phi.
    """

    incident: Floats
    energy: Floats
    centre_eta: Floats
    centre_phi: Floats
    centre_r: Floats
    width_eta: Floats
    width_phi: Floats
    width_r: Floats
    sparsity: Floats
    cut: NDArray[np.bool_]

    @classmethod
    def concatenated(cls, parts: Sequence["Features"]) -> "Features":
        """Return the features of samples, one after another, of one geometry."""
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in _rows()
        }
        return cls(**columns, cut=parts[0].cut)

    def at(self, rows: NDArray[Any]) -> "Features":
        """Return the features of some showers, by a mask (N,) or their numbers."""
        return Features(**{name: getattr(self, name)[rows] for name in _rows()}, cut=self.cut)

    @property
    def total(self) -> Floats:
        """The energy in all layers [MeV], (N,)."""
        return self.energy.sum(1)

    def table(self) -> Floats:
        """Return what the challenge's classifiers see, (N, F).

        log10 E_inc, log10(E_layer + 1e-8); centres and widths in eta and phi, of the layers cut
        in angle, over 100; log10(E_tot + 1e-8); sparsity; centre and width in r over 100.
        """
        across = [
            value[:, self.cut] / 100
            for value in (self.centre_eta, self.centre_phi, self.width_eta, self.width_phi)
        ]
        columns = [
            np.log10(self.incident)[:, None],
            np.log10(self.energy + 1e-8),
            *across,
            np.log10(self.total + 1e-8)[:, None],
            self.sparsity,
            self.centre_r / 100,
            self.width_r / 100,
        ]
        return np.concatenate(columns, 1)

    def shapes(self) -> Floats:
        """Return the shape of clusters, (N, F), without the incident energy.

        ln(E_tot + 1e-8); the share of each layer; the mean and the spread of the layer's number,
        by energy; centre and width in r of each layer, and widths in eta and phi of those cut in
        angle, over 100; the share of voxels that are hit.
        """
        total = self.total[:, None]
        share = self.energy / (total + TINY)
        number = np.arange(self.energy.shape[1])
        depth = share @ number
        spread = np.sqrt(np.maximum(share @ number**2 - depth**2, 0))
        columns = [
            np.log(total + 1e-8),
            share,
            depth[:, None],
            spread[:, None],
            self.centre_r / 100,
            self.width_r / 100,
            self.width_eta[:, self.cut] / 100,
            self.width_phi[:, self.cut] / 100,
            1 - self.sparsity,
        ]
        return np.concatenate(columns, 1)


def _rows() -> list[str]:
    """Return the names of what has a row a shower."""
    return [f.name for f in fields(Features) if f.name != "cut"]


def features(
    showers: NDArray, incident: NDArray, geometry: Geometry, threshold: float = 0.0
) -> Features:
    """Compute the features of showers (N, V) [MeV] of incident energies (N,) [MeV].

    Energies below `threshold` [MeV] count as zero.
    """
    incident = np.asarray(incident, dtype=np.float64).reshape(-1)
    geometry.check(showers, "showers")
    starts, layers = geometry.starts[:-1], len(geometry.layers)
    voxels = np.diff(geometry.starts)
    names = ("eta", "phi", "r")
    places = dict(zip(names, (geometry.eta(), geometry.phi(), geometry.r), strict=True))
    sums = {name: np.empty((len(showers), layers)) for name in ("energy", "hit")}
    moments = {(n, k): np.empty((len(showers), layers)) for n in names for k in (1, 2)}
    for low in range(0, len(showers), ROWS):
        part = slice(low, low + ROWS)
        e = np.asarray(showers[part], dtype=np.float64)
        if threshold > 0:
            e = np.where(e < threshold, 0.0, e)
        sums["energy"][part] = np.add.reduceat(e, starts, axis=1)
        sums["hit"][part] = np.add.reduceat((e > 0).astype(np.float64), starts, axis=1)
        for name, x in places.items():
            moments[name, 1][part] = np.add.reduceat(e * x, starts, axis=1)
            moments[name, 2][part] = np.add.reduceat(e * x**2, starts, axis=1)
    norm = sums["energy"] + TINY
    centre = {name: moments[name, 1] / norm for name in names}
    width = {}
    for name in names:
        square = moments[name, 2] / norm
        variance = square - centre[name] ** 2
        # One voxel has no width: what is left of rounding is none.
        width[name] = np.sqrt(np.where(variance > ROUNDING * square, variance, 0))
    return Features(
        incident,
        sums["energy"],
        centre["eta"],
        centre["phi"],
        centre["r"],
        width["eta"],
        width["phi"],
        width["r"],
        1 - sums["hit"] / voxels,
        np.array([layer.cut for layer in geometry.layers]),
    )
