"""Object condensation: every hit of an object comes near one hit that stands for all (2002.03605).

A network gives each hit a condensation weight beta in [0, 1) and a place x in a space of D
dimensions. With the charge q = artanh^2(beta) + q_min, and of each object k its hit c(k) of the
largest charge, the terms of an event of N hits, K objects and noise are

    attractive  mean_k 1/N_k sum_{j of k}     q_j q_c(k) |x_j - x_c(k)|^2
    repulsive   mean_k 1/N   sum_{j not of k} q_j q_c(k) max(0, 1 - |x_j - x_c(k)|)
    beta        mean_k (1 - beta_c(k))
    noise       mean over noise of beta

An object counts the same whatever its hits, unlike in the paper, where the sum over hits comes
first. Afterwards hits of large beta are the objects, and what is near one is of it
(`methods.reconstruction.condensation`).
"""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["LARGEST", "Condensation", "condensation_loss"]

LARGEST = 1 - 1e-4  # of beta: artanh(1) is infinite
NEAREST = 1e-12  # added to squared distances, of which a root is taken


class Condensation(NamedTuple):
    """Terms of the loss of each event, () or (B,), and what a payload is weighted with.

    - `charge` (..., N): q of each hit, 0 where padded;
    - `point` (..., K): c(k), the hit of each object's largest charge, 0 of an object without hits;
    - `there` (..., K): whether an object has hits.
    """

    attractive: Tensor
    repulsive: Tensor
    beta: Tensor
    noise: Tensor
    charge: Tensor
    point: Tensor
    there: Tensor

    def total(self, noise: float = 1.0) -> Tensor:
        """Return the sum of the terms, that of noise times a factor, () or (B,)."""
        return self.attractive + self.repulsive + self.beta + noise * self.noise


def condensation_loss(
    beta: Tensor,
    coordinates: Tensor,
    object: Tensor,
    q_min: float = 0.1,
    *,
    mask: Tensor | None = None,
) -> Condensation:
    """Return the terms of object condensation, of one event or of a padded batch.

    - `beta` (N,) or (B, N), in [0, 1]; from `LARGEST` on its charge does not rise;
    - `coordinates` (N, D) or (B, N, D);
    - `object` (N,) or (B, N) int64: the object of each hit, from 0 on in each event, -1 for noise;
    - `mask` as `object`, True where a hit is real; all are if not given.

    A term of what an event does not have (no object, no noise, no hit) is 0, with a gradient of 0.
    A hit of no object is repelled from all of them. It takes B N K D numbers of memory.
    """
    if beta.ndim == 1:
        alone = condensation_loss(
            beta[None],
            coordinates[None],
            object[None],
            q_min,
            mask=None if mask is None else mask[None],
        )
        return Condensation(*(part[0] for part in alone))
    real = torch.ones_like(object, dtype=torch.bool) if mask is None else mask
    hits = real.sum(1).clamp(min=1)
    charge = torch.where(real, torch.atanh(beta.clamp(0.0, LARGEST)) ** 2 + q_min, 0.0)
    noisy = real & (object < 0)
    noise = torch.where(noisy, beta, 0.0).sum(1) / noisy.sum(1).clamp(min=1)
    objects = int(object.max()) + 1 if object.numel() else 0
    if objects <= 0:
        zero = 0.0 * (beta.sum(1) + coordinates.sum((1, 2)))
        none = object.new_zeros(len(object), 0)
        return Condensation(zero, zero, zero, noise + zero, charge, none, none.bool())
    own = (object[..., None] == torch.arange(objects, device=object.device)) & real[..., None]
    size = own.sum(1)
    there = size > 0
    count = there.sum(1).clamp(min=1)
    point = torch.where(own, charge.detach()[..., None], -1.0).argmax(1)  # (B, K)
    where = point[..., None].expand(-1, -1, coordinates.shape[2])
    offset = coordinates[:, :, None] - coordinates.gather(1, where)[:, None]
    squared = offset.square().sum(3)  # (B, N, K)
    both = charge[..., None] * charge.gather(1, point)[:, None]
    pull = (both * squared * own).sum(1) / size.clamp(min=1)
    near = (1 - (squared + NEAREST).sqrt()).clamp(min=0)
    push = (both * near * (real[..., None] & ~own)).sum(1) / hits[:, None] * there
    short = (1 - beta.gather(1, point)) * there
    return Condensation(
        pull.sum(1) / count,
        push.sum(1) / count,
        short.sum(1) / count,
        noise,
        charge,
        point,
        there,
    )
