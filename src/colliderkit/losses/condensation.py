"""Object condensation and the hinge embedding: hits of one object near, of others apart.

All take one event at a time: coordinates (H, D), and the object (H,) int64 of each hit, from 0 on,
-1 for hits of none. Each is defined, with gradients, for events without objects, without noise and
without hits.
"""

import torch
from torch import Tensor

__all__ = ["LARGEST_BETA", "hinge_embedding", "object_condensation"]

LARGEST_BETA = 1 - 1e-4  # artanh(1) is infinite


def object_condensation(
    x: Tensor,
    beta: Tensor,
    objects: Tensor,
    *,
    least_charge: float = 0.1,
    noise: float = 1.0,
) -> Tensor:
    """Return the object condensation loss of one event, () (2002.03605).

    With charges q = artanh^2(beta) + `least_charge`, a_k the hit of the largest beta of object k,
    N hits and K objects,

        L = 1/N sum_j q_j sum_k q_(a_k) [M_jk d^2 + (1 - M_jk) max(0, 1 - d)]
            + 1/K sum_k (1 - beta_(a_k)) + noise * mean of beta over hits of no object,

    d = |x_j - x_(a_k)|; hits of no object are repelled. `x` (H, D) and `beta` (H,) in [0, 1], which
    is clipped below 1.
    """
    beta = beta.clamp(max=LARGEST_BETA)
    without = objects < 0
    # Sums, so that a part without hits is 0 and has a gradient.
    suppressed = (beta * without).sum() / without.sum().clamp(min=1)
    count = int(objects.max()) + 1 if len(objects) else 0
    if count <= 0:
        return noise * suppressed + 0 * x.sum()
    charge = torch.atanh(beta).square() + least_charge
    member = objects[:, None] == torch.arange(count, device=x.device)  # (H, K)
    there = member.any(0)
    peak = torch.where(member, beta.detach()[:, None], -1.0).argmax(0)
    squared = (x[:, None] - x[peak][None]).square().sum(-1)
    distance = (squared + 1e-12).sqrt()
    potential = torch.where(member, squared, (1 - distance).clamp(min=0))
    potential = potential * (charge[peak] * there)[None]
    potential = (charge[:, None] * potential).sum() / len(x)
    condensed = ((1 - beta[peak]) * there).sum() / there.sum()
    return potential + condensed + noise * suppressed


def hinge_embedding(
    x: Tensor, objects: Tensor, pairs: Tensor, *, radius: float = 1.0, most: int = 4_096
) -> Tensor:
    """Return the hinge loss of an embedding of one event, ().

    L = 1/P sum_pairs |x_i - x_j|^2 + 1/H' sum_(near foreign pairs) (radius - |x_i - x_j|)

    `pairs` (2, P) are true neighbours along an object; foreign pairs are of two objects, or of an
    object and a hit of none, within `radius`; H' hits are of an object. Of an event with more than
    `most` hits foreign pairs are looked for among the first `most`.
    """
    first, second = pairs
    attraction = (x[first] - x[second]).square().sum() / max(len(first), 1)
    x, objects = x[:most], objects[:most]
    known = (objects >= 0).sum().clamp(min=1)
    squared = (x[:, None] - x[None]).square().sum(-1)
    distance = (squared + 1e-12).sqrt()
    foreign = (objects[:, None] != objects[None]) & (objects[:, None] >= 0)
    repulsion = ((radius - distance).clamp(min=0) * foreign).sum() / known
    return attraction + repulsion
