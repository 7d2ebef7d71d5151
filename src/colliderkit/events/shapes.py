"""Event shapes of a jet: Fox-Wolfram moment, aplanarity and planar flow.

They say how the particles lie in the jet's rest frame, and around its axis.
"""

from typing import NamedTuple, TypeAlias

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.events.ragged import Ragged
from colliderkit.events.schema import FOURVECTOR

__all__ = ["Shapes", "jet_shapes"]

Floats: TypeAlias = NDArray[np.float64]

# (m / E)^2 below which momenta in float32 resolve no mass, and a jet has no rest frame.
LIGHTEST = 1e-6


class Shapes(NamedTuple):
    """Event shapes of N jets, each (N,) float64.

    - `fox_wolfram`: R2 = H2 / H0 in the rest frame, in [0, 1]; 1 for two prongs;
    - `aplanarity`: 3/2 of the smallest eigenvalue of the sphericity tensor in the rest frame, in
      [0, 1/2]; 0 for two and three prongs;
    - `planar_flow`: in [0, 1]; 0 where all particles lie on one line across the jet.

    All are 0 for a jet without mass.
    """

    fox_wolfram: Floats
    aplanarity: Floats
    planar_flow: Floats


def jet_shapes(constituents: ak.Array) -> Shapes:
    """Return the shapes of each jet,

        R2 = sum_ij |p_i| |p_j| P_2(cos theta_ij) / (sum_i |p_i|)^2     (Fox, Wolfram 1978)
        A  = 3/2 lambda_3 of  sum_i p_i p_i^T / sum_i |p_i|^2           (Bjorken, Brodsky 1970)
        Pf = 4 lambda_1 lambda_2 / (lambda_1 + lambda_2)^2 of  sum_i q_i q_i^T / E_i  (0807.0234)

    with p_i in the jet's rest frame and q_i the part of the momentum across the jet's axis.
    `constituents` is ``N * var * {px, py, pz, E}`` in GeV. O(n) a jet of n particles. Planar flow
    weighs by the energy in the frame of the detector, as published: a boost along the beam
    changes it.
    """
    ragged = Ragged.from_awkward(constituents, FOURVECTOR)
    particles = ragged.values.double().numpy()
    count, lengths = len(ragged), ragged.lengths.numpy()
    jet = np.repeat(np.arange(count), lengths)

    def summed(values: Floats) -> Floats:
        return np.bincount(jet, values, minlength=count).astype(np.float64)

    whole = np.stack([summed(column) for column in particles.T], -1)
    momentum, energy = whole[:, :3], whole[:, 3]
    square = energy**2 - (momentum**2).sum(1)
    massive = square > LIGHTEST * energy**2
    mass = np.sqrt(np.where(massive, square, 1.0))

    p, e = particles[:, :3], particles[:, 3]
    # The boost to the rest frame: E' = (E_i E - p_i P) / M, p' = p_i - P (E_i + E') / (E + M).
    rest_energy = (e * energy[jet] - (p * momentum[jet]).sum(1)) / mass[jet]
    rest = p - momentum[jet] * ((e + rest_energy) / (energy + mass)[jet])[:, None]
    size = np.sqrt((rest**2).sum(1))

    def tensor(vectors: Floats, weight: Floats) -> Floats:
        parts = [summed(vectors[:, a] * vectors[:, b] * weight) for a in range(3) for b in range(3)]
        return np.stack(parts, -1).reshape(count, 3, 3)

    def trace_of_square(matrix: Floats) -> Floats:
        trace: Floats = (matrix**2).sum((1, 2))
        return trace

    # sum_ij |p_i| |p_j| cos^2 theta_ij is the trace of the square of sum_i p_i p_i^T / |p_i|.
    linear = tensor(rest, _inverse(size))
    cosines = _ratio(trace_of_square(linear), summed(size) ** 2)
    sphericity = tensor(rest, np.ones(len(rest)))
    sphericity = sphericity * _inverse(summed(size**2))[:, None, None]
    axis = momentum * _inverse(np.sqrt((momentum**2).sum(1)))[:, None]
    across = p - axis[jet] * (p * axis[jet]).sum(1)[:, None]
    flow = tensor(across, _inverse(e))
    # Of two eigenvalues, 4 lambda_1 lambda_2 = 2 (trace^2 - trace of the square).
    planar = 2 * (1 - _ratio(trace_of_square(flow), np.trace(flow, axis1=1, axis2=2) ** 2))
    return Shapes(
        np.where(massive, (3 * cosines - 1) / 2, 0.0),
        np.where(massive, 1.5 * np.linalg.eigvalsh(sphericity)[:, 0], 0.0),
        np.where(massive, planar, 0.0),
    )


def _ratio(a: Floats, b: Floats) -> Floats:
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)


def _inverse(values: Floats) -> Floats:
    return _ratio(np.ones_like(values), values)
