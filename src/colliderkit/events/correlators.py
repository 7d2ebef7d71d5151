"""Energy-correlation functions of two and three particles, and their ratios C2, D2, M2, N2."""

import math
from typing import NamedTuple, TypeAlias

import awkward as ak
import numpy as np
from numba import njit
from numpy.typing import NDArray

from colliderkit.events.fourvectors import pt_rapidity_phi
from colliderkit.events.ragged import Ragged
from colliderkit.events.schema import FOURVECTOR

__all__ = ["Correlators", "energy_correlators"]

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

# A denominator below this belongs to a jet of too few particles for the ratio.
TINY = 1e-30


class Correlators(NamedTuple):
    """Energy-correlation functions of N jets, each (N,) float64, and their ratios.

    - `e2`, `e3`: all pairwise angles of two or three particles (1305.0007);
    - `e3_1`, `e3_2`: the smallest angle, or the two smallest, of three particles (1609.07483).

    A ratio is 0 where its denominator is.
    """

    e2: Floats
    e3: Floats
    e3_1: Floats
    e3_2: Floats

    @property
    def C2(self) -> Floats:
        """e3 / e2^2 (1305.0007)."""
        return _ratio(self.e3, self.e2**2)

    @property
    def D2(self) -> Floats:
        """e3 / e2^3 (1409.6298)."""
        return _ratio(self.e3, self.e2**3)

    @property
    def M2(self) -> Floats:
        """1e3 / 1e2 (1609.07483)."""
        return _ratio(self.e3_1, self.e2)

    @property
    def N2(self) -> Floats:
        """2e3 / (1e2)^2 (1609.07483)."""
        return _ratio(self.e3_2, self.e2**2)


def energy_correlators(constituents: ak.Array, beta: float = 1.0) -> Correlators:
    """Return the normalised energy-correlation functions of each jet,

        e2  = sum_{i<j}   z_i z_j     R_ij^beta
        e3  = sum_{i<j<k} z_i z_j z_k (R_ij R_ik R_jk)^beta
        ve3 = sum_{i<j<k} z_i z_j z_k (product of the v smallest of R_ij, R_ik, R_jk)^beta

    with z_i = pt_i / sum pt and R the distance in rapidity and azimuth. `constituents` is
    ``N * var * {px, py, pz, E}`` in GeV. A jet of n particles takes O(n^3) time; one of fewer
    than two (three) has e2 (e3) = 0.
    """
    ragged = Ragged.from_awkward(constituents, FOURVECTOR)
    positions = np.stack([x.numpy() for x in pt_rapidity_phi(ragged.values.double())], axis=-1)
    starts, lengths = ragged.starts.numpy(), ragged.lengths.numpy()
    longest = int(lengths.max(initial=0))
    sums = np.zeros((4, len(ragged)))
    z, angles = np.empty(longest), np.empty((longest, longest))
    _correlate(positions, starts, lengths, float(beta), sums, z, angles)
    return Correlators(*sums)


def _ratio(a: Floats, b: Floats) -> Floats:
    return np.divide(a, b, out=np.zeros_like(a), where=b > TINY)


@njit(cache=True, fastmath=True)
def _correlate(
    positions: Floats,
    starts: Ints,
    lengths: Ints,
    beta: float,
    sums: Floats,
    z: Floats,
    angles: Floats,
) -> None:
    for jet in range(len(lengths)):
        first, n = starts[jet], lengths[jet]
        total = 0.0
        for i in range(n):
            total += positions[first + i, 0]
        if total <= 0:
            continue
        for i in range(n):
            z[i] = positions[first + i, 0] / total
            for j in range(i):
                dphi = abs(positions[first + i, 2] - positions[first + j, 2])
                dphi = min(dphi, 2 * math.pi - dphi)
                dy = positions[first + i, 1] - positions[first + j, 1]
                square = dy * dy + dphi * dphi
                angle = math.sqrt(square) if beta == 1 else square ** (beta / 2)
                angles[i, j] = angles[j, i] = angle
        for i in range(n):
            for j in range(i):
                weight, a = z[i] * z[j], angles[i, j]
                every, smallest, smaller = 0.0, 0.0, 0.0
                for k in range(j):
                    b, c = angles[i, k], angles[j, k]
                    least, product = min(b, c), b * c
                    every += z[k] * product
                    smallest += z[k] * min(a, least)
                    smaller += z[k] * min(a * least, product)
                sums[0, jet] += weight * a
                sums[1, jet] += weight * a * every
                sums[2, jet] += weight * smallest
                sums[3, jet] += weight * smaller
