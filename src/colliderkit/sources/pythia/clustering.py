"""Anti-kT jets of events with pileup, of particles with weights, by FastJet."""

import awkward as ak
import numpy as np

from colliderkit.events.jets import Jets
from colliderkit.events.particle_flow import FlowParticles
from colliderkit.events.pileup import Particles
from colliderkit.events.tables import Floats
from colliderkit.sources.pythia.tunes import imported

__all__ = ["anti_kt"]


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
    fastjet = imported("fastjet")
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
    algorithm = fastjet.JetDefinition(fastjet.antikt_algorithm, radius)
    found = fastjet.ClusterSequence(ak.unflatten(momenta, counts), algorithm).inclusive_jets(least)
    number = np.asarray(ak.to_numpy(ak.num(found)), dtype=np.int64)
    px, py, pz, energy = (
        np.asarray(ak.to_numpy(ak.flatten(found[name])), dtype=np.float64)
        for name in ("px", "py", "pz", "E")
    )
    jet_pt = np.hypot(px, py)
    mass2 = energy**2 - pz**2 - jet_pt**2
    return Jets(
        jet_pt,
        np.arcsinh(pz / jet_pt),
        np.arctan2(py, px),
        np.sqrt(np.maximum(mass2, 0.0)),
        number,
        radius,
    )
