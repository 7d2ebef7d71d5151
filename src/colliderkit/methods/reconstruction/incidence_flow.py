"""Particle flow by an incidence matrix: whose is which share of each cluster (HGPflow)."""

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
from colliderkit.losses.incidence import SHARES, TRUTH, UNTRACKED, IncidenceLoss
from colliderkit.methods.reconstruction.learned_flow import LearnedFlow, elements, kinds_said
from colliderkit.methods.reconstruction.particle_flow import gathered, of_tracks
from colliderkit.networks.incidence import HEADS, IncidenceGraph
from colliderkit.training.settings import Objective, Training

__all__ = ["IncidenceFlow", "incidence_targets"]


class IncidenceFlow(LearnedFlow):
    """Divide the energy of each cluster among particles, and make these of what they are given.

    As in HGPflow (2212.01328) an incidence matrix has, for each cluster, the share of its energy
    that is each particle's: a softmax over slots. Slots are the tracks, whose particles are known
    to be there, and one beside each cluster for a neutral particle; a cluster divides itself among
    the `neighbours` nearest. The energy that a slot is given, and the mean place of the clusters
    that give it, are the proxy of its particle, which a network corrects, names the kind of, and
    says whether there is any. In training, slots are matched with the true particles that have no
    track by the energy in common (`losses.incidence`); HGPflow's have no place of their own.

    Args:
        width: of the layers of the network.
        blocks: exchanges between neighbours.
        neighbours: slots that a cluster is divided among, its own included.
        validation: the share of the events that chooses the epoch and the thresholds.
        training: epochs, batch size, learning rate and the like; a batch is of whole events.

    After `fit`: as of `LearnedFlow`.
    """

    name: ClassVar[str] = "incidence-flow"

    network_: IncidenceGraph

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

    def shares(self, events: FlowEvents) -> tuple[Ints, Ints, Floats]:
        """Return what of clusters goes to which slot: clusters, slots and shares, (C k,) each.

        A slot is counted as its track, or on from the tracks as its cluster.
        """
        return self._shares(events, self.outputs(events))

    def _targets(self, events: FlowEvents) -> Floats:
        return incidence_targets(events)

    def _objective(self) -> Objective:
        return IncidenceLoss(int(self.neighbours))

    def _shares(self, events: FlowEvents, outputs: Floats) -> tuple[Ints, Ints, Floats]:
        count, k = len(events.tracks.pt), int(self.neighbours)
        logits = outputs[count:, :k]
        share = np.exp(logits - logits.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
        # The network counts elements in their event, the tracks first.
        inputs, order = elements(events)
        first = inputs.starts.numpy()[events.cluster_event]
        slot = order[first[:, None] + outputs[count:, k : 2 * k].round().astype(np.int64)]
        cluster = np.repeat(np.arange(len(share)), k)
        return cluster, slot.reshape(-1), share.reshape(-1)

    def _particles(self, events: FlowEvents, outputs: Floats, threshold: float) -> FlowParticles:
        clusters, count = events.clusters, len(events.tracks.pt)
        heads = outputs[:, -HEADS:]
        kind = kinds_said(heads[:, 1:6], count)
        charged = {**of_tracks(events), "kind": kind[:count]}
        cluster, slot, share = self._shares(events, outputs)
        neutral = slot >= count
        cluster, slot, share = cluster[neutral], slot[neutral] - count, share[neutral]
        size = len(clusters.energy)
        given = share * clusters.energy[cluster]
        total = np.bincount(slot, given, size)
        # Places beside the slot's own, so that phi may turn around.
        along, around = (
            np.bincount(slot, given * away, size) / np.maximum(total, 1e-30)
            for away in (
                clusters.eta[cluster] - clusters.eta[slot],
                turned(clusters.phi[cluster] - clusters.phi[slot]),
            )
        )
        own = kind[count:]
        pt = total / np.cosh(clusters.eta) * np.exp(np.clip(heads[count:, 6], -3, 3))
        pt = pt * np.asarray(self.scale_)[own]
        there = (1 / (1 + np.exp(-heads[count:, 0])) > threshold) & (pt > 0)
        neutrals = {
            "event": events.cluster_event[there],
            "pt": pt[there],
            "eta": (clusters.eta + along)[there],
            "phi": turned(clusters.phi + around)[there],
            "kind": own[there],
        }
        return gathered([charged, neutrals], len(events))

    def _rebuild(self) -> None:
        self.network_ = IncidenceGraph(
            width=int(self.width), blocks=int(self.blocks), neighbours=int(self.neighbours)
        )


def incidence_targets(events: FlowEvents) -> Floats:
    """Return what is true of tracks, then clusters, (T + C, 19), as `IncidenceLoss` takes it.

    Without the last column of its truth, which says that an element is real.
    """
    particles, incidence = events.truth
    tracks, clusters = events.tracks, events.clusters
    count, size = len(tracks.pt), len(clusters.energy)
    known = np.zeros((count + size, TRUTH - 1))
    known[:, :SHARES] = -1
    known[count:, 2 * SHARES] = clusters.energy
    known[:, -3] = np.concatenate([tracks.eta, clusters.eta])
    known[:, -2] = np.concatenate([tracks.phi, clusters.phi])
    known[count:, -1] = 1
    # The name of each particle: the place of its track in the event, or a number beyond.
    name = np.full(len(particles.pt), -1)
    mine = np.flatnonzero(incidence.track >= 0)
    name[incidence.track[mine]] = mine - tracks.offsets[events.track_event[mine]]
    seen = np.zeros(len(particles.pt), dtype=bool)
    seen[incidence.particle] = True
    free = np.flatnonzero(seen & (name < 0))
    # Those of an event are counted by falling pT.
    free = free[np.lexsort((-particles.pt[free], particles.event[free]))]
    begin = np.searchsorted(particles.event[free], np.arange(len(events)))
    number = np.arange(len(free)) - begin[particles.event[free]]
    name[free] = UNTRACKED + number
    order = np.lexsort((-incidence.energy, incidence.cluster))
    first = np.searchsorted(incidence.cluster[order], np.arange(size))
    rank = np.arange(len(order)) - first[incidence.cluster[order]]
    kept = order[rank < SHARES]
    place, column = count + incidence.cluster[kept], rank[rank < SHARES]
    known[place, column] = name[incidence.particle[kept]]
    whole = clusters.energy[incidence.cluster[kept]]
    known[place, SHARES + column] = incidence.energy[kept] / whole
    # The i-th of them stands in the i-th element of its event; what is beyond the last is lost.
    inputs, elements_order = elements(events)
    lengths, starts = inputs.lengths.numpy(), inputs.starts.numpy()
    event = particles.event[free]
    fits = number < lengths[event]
    row = elements_order[starts[event[fits]] + number[fits]]
    chosen = free[fits]
    kind = np.where(np.isin(particles.kind[chosen], (PHOTON, ELECTRON)), PHOTON, NEUTRAL)
    known[row, 2 * SHARES + 1 : 2 * SHARES + 6] = np.stack(
        [
            np.ones(len(chosen)),
            particles.pt[chosen],
            particles.eta[chosen],
            particles.phi[chosen],
            kind,
        ],
        axis=1,
    )
    return known
