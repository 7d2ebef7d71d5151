"""Loss of particle flow by an incidence matrix: shares of clusters, slots matched to particles."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

__all__ = ["SHARES", "TRUTH", "UNTRACKED", "IncidenceLoss"]

SHARES = 5  # the largest of a cluster that are told
UNTRACKED = 1 << 12  # from here on particles without a track are counted
# Columns of an element: whose shares, how large; energy; the i-th particle without a track of the
# event, in the i-th element: whether there is one, pT, eta, phi, kind; the place of the element
# (eta, phi); whether it is a cluster, and whether it is real.
TRUTH = 2 * SHARES + 10
FARTHEST = 5.0  # of dR / 0.1 in the cost of a match
CLOSE = 0.1  # what dR / 0.1 counts for, beside the share of energy that is in common
LINEAR, MOST = 0.3, 3.0  # of ratios of pT, as in `losses.particle_flow`


@dataclass(frozen=True)
class IncidenceLoss:
    """Objective ``(outputs, target, weight) -> loss`` of an incidence matrix (2212.01328).

    `outputs` (B, N, 2 k + 7 + `TRUTH`) are logits of shares, the places of their slots and what the
    network says of a slot, then what is known. The slots of clusters are matched with the particles
    without a track, event by event, so that the energy that both have in clusters is most, with dR
    as a tie breaker (Hungarian); slots of tracks are their particles'. Then, E the energy of a
    cluster and I its share in a slot,

        sum sqrt(E) KL(true shares, I) + BCE(slot has a particle)
            + [where it has] (CE(kind) + sqrt(pT) h(correction of the proxy)),

    the proxy of a slot being sum I E. An event without a particle has a loss that is finite.
    """

    neighbours: int

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted mean over the elements of the batch, ()."""
        k = self.neighbours
        logits, near = outputs[..., :k], outputs[..., k : 2 * k].detach().long()
        heads, known = outputs[..., 2 * k : -TRUTH], outputs[..., -TRUTH:].detach()
        energy, cluster, real = (known[..., i] for i in (2 * SHARES, -2, -1))
        share = logits.softmax(2)
        size = outputs.shape[1]
        told = cluster * energy
        dense = torch.zeros(*share.shape[:2], size, device=share.device)
        dense = dense.scatter_add(2, near, share)
        tracks, particles = true_shares(known)
        slot = matched(dense, particles, known)
        # Shares of particles go to their slots; those of none are in no slot.
        placed = F.one_hot(slot.clamp(min=0), size).to(share.dtype) * (slot >= 0)[..., None]
        wanted = (tracks + particles @ placed).gather(2, near) * (logits > -1e3)
        # A neighbour that is padded has the place 0, and no share.
        per_element = -(wanted * logits.log_softmax(2).clamp(min=-30)).sum(2)
        count = (weight[:, None] * real).sum().clamp(min=1e-6)
        root = told.clamp(min=0).sqrt()
        root = root / (root.sum() / cluster.sum().clamp(min=1)).clamp(min=1e-6)
        total = (weight[:, None] * root * per_element).sum()
        there = placed.sum(1)
        presence = F.binary_cross_entropy_with_logits(heads[..., 0], there, reduction="none")
        total = total + (weight[:, None] * cluster * presence * (0.5 + 0.5 * root)).sum()
        kind = slot_values(placed, known[..., 2 * SHARES + 5]).round().long().clamp(0, 4)
        kinds = F.cross_entropy(heads[..., 1:6].movedim(2, 1), kind, reduction="none")
        proxy = (told[:, None] @ dense).squeeze(1).detach() / torch.cosh(known[..., -4])
        pt = slot_values(placed, known[..., 2 * SHARES + 2])
        ratio = (pt / proxy.clamp(min=1e-3)).clamp(max=float(np.exp(MOST)))
        away = F.huber_loss(
            heads[..., 6].clamp(-MOST, MOST).exp(), ratio, reduction="none", delta=LINEAR
        )
        heavy = pt.sqrt() / (pt.sqrt().sum() / there.sum().clamp(min=1)).clamp(min=1e-6)
        total = total + (weight[:, None] * there * (kinds + 3 * heavy * away / LINEAR)).sum()
        return total / count


def true_shares(known: Tensor) -> tuple[Tensor, Tensor]:
    """Return the shares of elements that tracks' and other particles have, (B, N, N) each."""
    owner, part = known[..., :SHARES].round().long(), known[..., SHARES : 2 * SHARES]
    size = known.shape[1]
    found = []
    for low, high in ((0, UNTRACKED), (UNTRACKED, UNTRACKED + size)):
        mine = (owner >= low) & (owner < min(high, low + size))
        dense = part.new_zeros(*part.shape[:2], size)
        found.append(dense.scatter_add(2, ((owner - low) * mine).clamp(min=0), part * mine))
    return found[0], found[1]


@torch.no_grad()
def matched(dense: Tensor, particles: Tensor, known: Tensor) -> Tensor:
    """Return the slot of each particle without a track, (B, N) int64, -1 of none.

    `dense` (B, N, N) the share of each element in each slot, `particles` those of each particle.
    """
    energy = (known[..., 2 * SHARES] * known[..., -2])[..., None]
    visible = (energy * particles).sum(1)
    common = dense.transpose(1, 2) @ (energy * particles) / visible.clamp(min=1e-6)[:, None]
    eta, phi = known[..., -4], known[..., -3]
    turn = known[..., 2 * SHARES + 4][:, None] - phi[..., None]
    turn = torch.atan2(torch.sin(turn), torch.cos(turn))
    along = known[..., 2 * SHARES + 3][:, None] - eta[..., None]
    away = (torch.hypot(along, turn) / 0.1).clamp(max=FARTHEST)
    cost = (CLOSE * away - common).cpu().numpy()
    slots, asked = (known[..., -2] > 0.5).cpu().numpy(), (visible > 0).cpu().numpy()
    found = np.full(asked.shape, -1)
    for event in range(len(found)):
        rows, columns = np.flatnonzero(slots[event]), np.flatnonzero(asked[event])
        if len(rows) and len(columns):
            i, j = linear_sum_assignment(cost[event][np.ix_(rows, columns)])
            found[event, columns[j]] = rows[i]
    return torch.from_numpy(found).to(dense.device)


def slot_values(placed: Tensor, values: Tensor) -> Tensor:
    """Return for each slot the value (B, P) of its particle, 0 of none, (B, N)."""
    return (values[:, None] @ placed).squeeze(1)
