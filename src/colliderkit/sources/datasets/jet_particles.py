"""Electrons and photons of Pythia's jets, where they enter a calorimeter."""

from dataclasses import dataclass

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.events.schema import CONSTITUENTS
from colliderkit.sources.pythia.jets import jets

__all__ = ["CENTRAL", "LEAST", "JetParticles", "jet_particles"]

Floats = NDArray[np.float64]
CENTRAL = 1.0  # |eta| of the jets
LEAST = 500.0  # MeV, below which a particle is left out
SEEN = 10e3  # MeV, of the electrons and photons of a jet that is taken


@dataclass(frozen=True)
class JetParticles:
    """P particles: energy [MeV], whether an electron, place (x, y) [mm], number of the jet."""

    energy: Floats
    electron: NDArray[np.bool_]
    x: Floats
    y: Floats
    jet: NDArray[np.int64]
    jets: int


def jet_particles(
    process: str, count: int, *, radius: float, seed: int, most: float = np.inf
) -> JetParticles:
    """Generate electrons and photons of `count` central jets of a process, around their axes.

    Jets with less than 10 GeV of them are left out, and particles above `most` [MeV].

    x = R (eta - eta_jet) and y = R (phi - phi_jet), at the distance R (`radius` [mm]) from the
    beams.
    """
    sample = jets(process, 4 * count + 20, seed=seed)
    particles = sample[CONSTITUENTS]
    particles = particles[
        ((abs(particles.pid) == 11) | (particles.pid == 22)) & (particles.E * 1e3 > LEAST)
    ]
    bright = np.asarray(ak.sum(particles.E, axis=1)) * 1e3 > SEEN
    central = np.flatnonzero(bright & (np.abs(np.asarray(sample["jet_eta"])) < CENTRAL))[:count]
    sample, particles = sample[central], particles[central]
    particles = particles[most > particles.E * 1e3]
    jet = np.repeat(np.arange(len(sample)), np.asarray(ak.num(particles)))
    px, py, pz, energy = (
        np.asarray(ak.flatten(particles[c]), np.float64) for c in ("px", "py", "pz", "E")
    )
    eta, phi = np.arcsinh(pz / np.hypot(px, py)), np.arctan2(py, px)
    around = phi - np.asarray(sample["jet_phi"], dtype=np.float64)[jet]
    return JetParticles(
        1e3 * energy,
        np.abs(np.asarray(ak.flatten(particles.pid))) == 11,
        radius * (eta - np.asarray(sample["jet_eta"], dtype=np.float64)[jet]),
        radius * ((around + np.pi) % (2 * np.pi) - np.pi),
        jet,
        len(sample),
    )
