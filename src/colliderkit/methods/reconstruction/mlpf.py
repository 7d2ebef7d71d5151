"""Machine-learned particle flow: a graph of tracks and clusters, one particle an element (MLPF)."""

from typing import ClassVar

import numpy as np

from colliderkit.events.particle_flow import (
    ELECTRON,
    NEUTRAL,
    PHOTON,
    FlowEvents,
    FlowParticles,
    turned,
)
from colliderkit.events.tables import Floats, Ints
from colliderkit.losses.particle_flow import OUTPUTS, TRUTH, element_loss
from colliderkit.methods.reconstruction.learned_flow import LearnedFlow, kinds_said
from colliderkit.networks.element_graph import ElementGraph
from colliderkit.training.settings import Objective, Training

__all__ = ["MLPF", "element_targets"]

SPREAD = 0.02  # of eta and phi, in units of which directions are learned


class MLPF(LearnedFlow):
    """Tell of each track and each cluster whether it stands for a particle, its kind and momentum.

    A graph network (`networks.element_graph`) sees the elements of an event and says of each,
    as machine-learned particle flow does (2101.08578, 2309.06782), whether a particle is to be put
    in its place, which kind that is, and pT, eta and phi, pT as a ratio to the element's. A charged
    particle is put at its track; one without a track at the cluster that holds most of it, several
    of one cluster together, their momenta summed and the kind that of the hardest. Charged ones
    among these are called neutral hadrons (electrons photons), as no one could tell.

    From which probability on there is a particle is chosen by the narrowest response of patches in
    the events held out, where momenta of neutrals of each kind are scaled to be right in the mean.

    Args:
        width: of the layers of the network.
        blocks: exchanges between neighbours.
        neighbours: of each element.
        validation: the share of the events that chooses the epoch and the thresholds.
        training: epochs, batch size, learning rate and the like; a batch is of whole events.

    After `fit`: `network_`, `threshold_`, `scale_` of momenta by kind (5,), and `history_` of
    "network".
    """

    name: ClassVar[str] = "mlpf"

    network_: ElementGraph

    def __init__(
        self,
        *,
        width: int = 48,
        blocks: int = 2,
        neighbours: int = 12,
        validation: float = 0.1,
        training: Training = Training(epochs=30, batch_size=16, learning_rate=3e-3, pool=8),
    ) -> None:
        self.width = width
        self.blocks = blocks
        self.neighbours = neighbours
        self.validation = validation
        self.training = training

    def _targets(self, events: FlowEvents) -> Floats:
        return element_targets(events)

    def _objective(self) -> Objective:
        return element_loss

    def _particles(self, events: FlowEvents, outputs: Floats, threshold: float) -> FlowParticles:
        tracks, clusters = events.tracks, events.clusters
        there = 1 / (1 + np.exp(-outputs[:, 0])) > threshold
        kind = kinds_said(outputs[:, 1:6], len(tracks.pt))
        pt = np.concatenate([tracks.pt, clusters.energy / np.cosh(clusters.eta)])
        pt = pt * np.exp(np.clip(outputs[:, 6], -5, 5)) * np.asarray(self.scale_)[kind]
        eta = np.concatenate([tracks.eta, clusters.eta]) + SPREAD * outputs[:, 7]
        phi = np.concatenate([tracks.phi, clusters.phi]) + SPREAD * outputs[:, 8]
        event = np.concatenate([events.track_event, events.cluster_event])
        columns = {"pt": pt, "eta": eta, "phi": turned(phi), "kind": kind}
        return FlowParticles.of(
            event[there], len(events), **{name: v[there] for name, v in columns.items()}
        )

    def _rebuild(self) -> None:
        self.network_ = ElementGraph(
            outputs=OUTPUTS,
            width=int(self.width),
            blocks=int(self.blocks),
            neighbours=int(self.neighbours),
            unmoved=True,
        )


def element_targets(events: FlowEvents) -> Floats:
    """Return what is true of tracks, then clusters, (T + C, 6), as `element_loss` takes it."""
    particles, incidence = events.truth
    tracks, clusters = events.tracks, events.clusters
    count, size = len(tracks.pt), len(clusters.energy)
    known = np.zeros((count + size, TRUTH - 1))
    known[:, 5] = np.concatenate([tracks.pt, clusters.energy / np.cosh(clusters.eta)])
    mine = np.flatnonzero(incidence.track >= 0)
    own = incidence.track[mine]
    known[mine, :5] = np.stack(
        [
            np.ones(len(own)),
            particles.kind[own],
            np.log(particles.pt[own] / tracks.pt[mine]),
            (particles.eta[own] - tracks.eta[mine]) / SPREAD,
            turned(particles.phi[own] - tracks.phi[mine]) / SPREAD,
        ],
        axis=1,
    )
    home = homes(events)
    free = np.flatnonzero(home >= 0)
    # The hardest last, so that its kind stays.
    free = free[np.argsort(particles.pt[free], kind="stable")]
    place = home[free]
    pt, eta, phi = particles.pt[free], particles.eta[free], particles.phi[free]
    px, py, pz = (
        np.bincount(place, pt * x, size) for x in (np.cos(phi), np.sin(phi), np.sinh(eta))
    )
    kind = np.zeros(size, dtype=np.int64)
    neutral = np.isin(particles.kind, (PHOTON, ELECTRON))
    kind[place] = np.where(neutral[free], PHOTON, NEUTRAL)
    filled = np.flatnonzero(np.bincount(place, minlength=size))
    total = np.maximum(np.hypot(px, py)[filled], 1e-6)
    own_pt = clusters.energy[filled] / np.cosh(clusters.eta[filled])
    known[count + filled, :5] = np.stack(
        [
            np.ones(len(filled)),
            kind[filled],
            np.clip(np.log(total / own_pt), -4, 4),
            np.clip((np.arcsinh(pz[filled] / total) - clusters.eta[filled]) / SPREAD, -5, 5),
            np.clip(turned(np.arctan2(py, px)[filled] - clusters.phi[filled]) / SPREAD, -5, 5),
        ],
        axis=1,
    )
    return known


def homes(events: FlowEvents) -> Ints:
    """Return the cluster that holds most of each particle without a track, (P,), -1 of none."""
    particles, incidence = events.truth
    home = np.full(len(particles.pt), -1)
    order = np.argsort(incidence.energy, kind="stable")
    home[incidence.particle[order]] = incidence.cluster[order]  # the largest share is last
    home[incidence.track[incidence.track >= 0]] = -1
    return home
