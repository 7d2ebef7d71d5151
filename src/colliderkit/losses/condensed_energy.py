"""Object condensation with an energy correction for each object, on padded hits of events."""

from dataclasses import dataclass

import torch
from torch import Tensor

from colliderkit.losses.condensation import condensation_loss

__all__ = ["TRUTH", "CondensedEnergy"]

TRUTH = 4  # columns of a hit behind its outputs: energy, object, energy of the object, whether real
HUBER = 0.2  # of ln(energy / truth), beyond which a difference counts linearly


@dataclass(frozen=True)
class CondensedEnergy:
    """Objective ``(outputs, target, weight) -> loss`` of hits with an energy of each object.

    `outputs` (B, N, 2 + D + 4) are the logit of beta, the logarithm of the factor f, the
    coordinates (D), and what is known of the hit: its energy [GeV], its object (-1 of none), that
    object's true energy [GeV], and 1 where it is real. Beside the terms of object condensation,

        payload = mean_k sum_{j of k} xi_j h(ln(f_j S_k / E_k)) / sum_{j of k} xi_j,

    xi = artanh^2(beta), h of Huber, and S_k the energy of the hits that are nearest to the point of
    k and within `distance` of it, as they are collected afterwards: f corrects for what is
    collected wrongly, too. Gradients pass f alone.

    Args:
        q_min: the least charge.
        noise: what the term of noise is multiplied by.
        payload: what the payload is multiplied by.
        distance: within which hits are collected.
    """

    q_min: float = 0.5
    noise: float = 1.0
    payload: float = 0.5
    distance: float = 0.7

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted mean over the events of the batch, ()."""
        known = outputs[..., -TRUTH:]
        energy, object, truth = known[..., 0], known[..., 1].long(), known[..., 2]
        real = known[..., 3] > 0.5
        beta = torch.sigmoid(outputs[..., 0])
        places = outputs[..., 2:-TRUTH]
        terms = condensation_loss(beta, places, object, self.q_min, mask=real)
        loss = terms.total(self.noise)
        if terms.point.shape[1]:
            with torch.no_grad():
                where = terms.point[..., None].expand(-1, -1, places.shape[2])
                distance = torch.cdist(places, places.gather(1, where))
                distance = distance.masked_fill(~terms.there[:, None], torch.inf)
                least, nearest = distance.min(2)
                taken = energy * (real & (least < self.distance))
                sums = torch.zeros_like(terms.point, dtype=energy.dtype)
                sums = sums.scatter_add(1, nearest, taken)
            own = object.clamp(min=0)
            in_object = (real & (object >= 0)).to(energy.dtype)
            collected = sums.gather(1, own).clamp(min=1e-6)
            off = outputs[..., 1] + (collected / truth.clamp(min=1e-6)).log().clamp(-3.0, 3.0)
            each = torch.nn.functional.huber_loss(
                off, torch.zeros_like(off), reduction="none", delta=HUBER
            )
            xi = (terms.charge - self.q_min).clamp(min=1e-4).detach() * in_object
            total = torch.zeros_like(sums).scatter_add(1, own, xi)
            share = torch.zeros_like(sums).scatter_add(1, own, xi * each)
            mean = share / total.clamp(min=1e-6) * terms.there
            loss = loss + self.payload * mean.sum(1) / terms.there.sum(1).clamp(min=1)
        return (weight * loss).sum() / weight.sum()
