"""Electrons and photons of Pythia's jets, and where they enter a calorimeter around the jet."""

from dataclasses import dataclass

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.events.schema import CONSTITUENTS
from colliderkit.sources.pythia.jets import jets

__all__ = ["Particles", "make_particles"]

Floats = NDArray[np.float64]
PROCESS = "z-jets"
CENTRAL = 1.0  # |eta| of the jets
SEEN = 10e3  # MeV, of the electrons and photons of a jet that is kept
GEV = 1e3  # MeV


@dataclass(frozen=True)
class Particles:
    """P electrons and photons of N jets, in front of a calorimeter.

    - `energy` (P,) float64 [MeV], and whether it is an `electron` (P,) bool;
    - `x`, `y` (P,) float64 [mm]: where it enters, from the jet's axis;
    - `jet` (P,) int64: the number of its jet, from 0 to `jets` - 1.
    """

    energy: Floats
    electron: NDArray[np.bool_]
    x: Floats
    y: Floats
    jet: NDArray[np.int64]
    jets: int

    def __len__(self) -> int:
        return len(self.energy)


def make_particles(
    count: int, radius: float, *, seed: int, least: float = 500.0, most: float = np.inf
) -> Particles:
    """Generate central jets beside a Z; return their electrons and photons around the jet's axis.

    With R the `radius` [mm] of the calorimeter's face around the beams,

        x = R (eta - eta_jet),  y = R (phi - phi_jet).

    `count` jets of |eta| < 1, or fewer if Pythia has fewer in four times as many. Particles up to
    `least` and from `most` [MeV] on are left out, and jets with less than 10 GeV above `least`.
    """
    sample = jets(PROCESS, 4 * count + 20, seed=seed)
    particles = sample[CONSTITUENTS]
    electromagnetic = (abs(particles.pid) == 11) | (particles.pid == 22)
    particles = particles[electromagnetic & (least < particles.E * GEV)]
    bright = np.asarray(ak.sum(particles.E, axis=1)) * GEV > SEEN
    central = np.abs(np.asarray(sample["jet_eta"])) < CENTRAL
    rows = np.flatnonzero(bright & central)[:count]
    sample, particles = sample[rows], particles[rows]
    particles = particles[most > particles.E * GEV]
    jet = np.repeat(np.arange(len(sample)), np.asarray(ak.num(particles)))
    px, py, pz, energy = (
        np.asarray(ak.flatten(particles[name]), np.float64) for name in ("px", "py", "pz", "E")
    )
    axis_eta, axis_phi = (
        np.asarray(sample[f"jet_{name}"], dtype=np.float64)[jet] for name in ("eta", "phi")
    )
    around = np.arctan2(py, px) - axis_phi
    return Particles(
        GEV * energy,
        np.abs(np.asarray(ak.flatten(particles.pid))) == 11,
        radius * (np.arcsinh(pz / np.hypot(px, py)) - axis_eta),
        radius * ((around + np.pi) % (2 * np.pi) - np.pi),
        jet,
        len(sample),
    )
