"""Anti-kT jets of events with pileup, of particles with weights, by FastJet."""

import awkward as ak
import numpy as np

from colliderkit.events.jets import Jets
from colliderkit.events.particle_flow import FlowParticles
from colliderkit.events.pileup import Particles
from colliderkit.events.tables import Floats, Ints
from colliderkit.sources.pythia.tunes import imported

__all__ = ["anti_kt", "jets_of"]


def anti_kt(
    particles: Particles | FlowParticles,
    weight: Floats,
    *,
    radius: float = 0.4,
    least: float = 10.0,
) -> Jets:
    """Cluster particles of weights (P,) by anti-kT (0802.1189); return jets of pT above `least`.

    The momentum of a particle is multiplied by its weight; those of weight 0 are left out. Raises
    `InputError` without the generate extra, which has FastJet.
    """
    there = weight > 0
    pt = particles.pt[there] * weight[there]
    eta, phi = particles.eta[there], particles.phi[there]
    mass = particles.mass[there] * weight[there]
    counts = np.bincount(particles.event[there], minlength=len(particles))
    momenta = ak.zip(
        {
            "px": pt * np.cos(phi),
            "py": pt * np.sin(phi),
            "pz": pt * np.sinh(eta),
            "E": np.hypot(pt * np.cosh(eta), mass),
        }
    )
    return jets_of(ak.unflatten(momenta, counts), radius=radius, least=least)[0]


def jets_of(momenta: ak.Array, *, radius: float, least: float) -> tuple[Jets, Ints]:
    """Cluster four-momenta of events, ``N * var * {px, py, pz, E}`` [GeV], by anti-kT.

    Returns jets of pT above `least`, and the jet of each particle (P,), -1 of none. Raises
    `InputError` without the generate extra.
    """
    fastjet = imported("fastjet")
    algorithm = fastjet.JetDefinition(fastjet.antikt_algorithm, radius)
    sequence = fastjet.ClusterSequence(momenta, algorithm)
    found = sequence.inclusive_jets(least)
    number = np.asarray(ak.to_numpy(ak.num(found)), dtype=np.int64)
    px, py, pz, energy = (
        np.asarray(ak.to_numpy(ak.flatten(found[name])), dtype=np.float64)
        for name in ("px", "py", "pz", "E")
    )
    jet_pt = np.hypot(px, py)
    mass2 = energy**2 - pz**2 - jet_pt**2
    jets = Jets(
        jet_pt,
        np.arcsinh(pz / jet_pt),
        np.arctan2(py, px),
        np.sqrt(np.maximum(mass2, 0.0)),
        number,
        radius,
    )
    sizes = np.asarray(ak.num(momenta), dtype=np.int64)
    members = ak.flatten(sequence.constituent_index(least), axis=1)
    jet = np.repeat(np.arange(len(jet_pt)), np.asarray(ak.num(members), dtype=np.int64))
    place = np.asarray(ak.to_numpy(ak.flatten(members)), dtype=np.int64)
    of = np.full(int(sizes.sum()), -1)
    of[place + (np.cumsum(sizes) - sizes)[jets.event[jet]]] = jet
    return jets, of
