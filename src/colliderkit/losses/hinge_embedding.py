"""Hinge embedding: neighbours along an object near, hits of others at least a radius apart.

It takes one event at a time: coordinates (H, D), and the object (H,) int64 of each hit, from 0 on,
-1 for hits of none; it is defined, with gradients, for events without objects, noise or hits.
"""

from torch import Tensor

__all__ = ["hinge_embedding"]


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
