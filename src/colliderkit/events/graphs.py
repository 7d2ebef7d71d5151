"""Graph of a jet: each particle joined to its k nearest neighbours in (eta, phi)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colliderkit.events import fourvectors
from colliderkit.events.sets import LOG_FEATURES, ParticleSet

__all__ = [
    "Graph",
    "ParticleGraph",
    "angular_distance",
    "in_angle",
    "nearest_by_length",
    "nearest_neighbours",
    "squared_distance",
]

GROUP = 32  # jets whose distances are computed together


def squared_distance(points: Tensor) -> Tensor:
    """Return |x_i - x_j|^2, (B, N, D) -> (B, N, N)."""
    squares = points.square().sum(-1)
    products = points @ points.transpose(1, 2)
    return (squares[:, :, None] + squares[:, None, :] - 2 * products).clamp(min=0)


def angular_distance(eta: Tensor, phi: Tensor) -> Tensor:
    """Return deta^2 + dphi^2, dphi in [-pi, pi), (B, N) and (B, N) -> (B, N, N)."""
    deta = eta[:, :, None] - eta[:, None, :]
    dphi = fourvectors.delta_phi(phi[:, :, None], phi[:, None, :])
    return deta.square() + dphi.square()


def in_angle(points: Tensor) -> Tensor:
    """Return the `angular_distance` of points (eta, phi), (B, N, 2) -> (B, N, N)."""
    return angular_distance(points[..., 0], points[..., 1])


def nearest_neighbours(distance: Tensor, mask: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find the `k` nearest real neighbours of each particle, itself excluded.

    `distance` is (B, N, N) and `mask` (B, N), True where real. Returns the neighbours' slots
    (B, N, k) int64, nearest first, and (B, N, k) bool, True where there is such a neighbour: a
    particle in a jet of n has min(k, n - 1) of them, a padded slot none that count.
    """
    size = mask.shape[1]
    alone = torch.eye(size, dtype=torch.bool, device=mask.device)
    distance = distance.masked_fill(alone | ~mask[:, None, :], torch.inf)
    if torch.compiler.is_exporting():
        distance = F.pad(distance, (0, k), value=torch.inf)  # N is not known and may be below k
    else:
        distance = F.pad(distance, (0, max(0, k - size)), value=torch.inf)
    lowest, slot = distance.topk(k, dim=2, largest=False)
    exists = (lowest < torch.inf) & mask[..., None]
    return torch.where(exists, slot, 0), exists


def nearest_by_length(
    points: Tensor, mask: Tensor, k: int, distance: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Find the `k` nearest real neighbours without the distances of padding to padding.

    Those of `nearest_neighbours` by ``distance(points)``, (B, N, D) -> (B, N, N), but for groups of
    jets of similar length, each as wide as its own longest jet.
    """
    if torch.compiler.is_exporting() or len(mask) <= GROUP:
        return nearest_neighbours(distance(points), mask, k)
    size = mask.shape[1]
    lengths = (mask * torch.arange(1, size + 1, device=mask.device)).amax(1)
    slot = torch.zeros((len(mask), size, k), dtype=torch.int64, device=mask.device)
    exists = torch.zeros_like(slot, dtype=torch.bool)
    for jets in lengths.argsort().split(GROUP):
        longest = int(lengths[jets[-1]])
        if longest:
            near = mask[jets, :longest]
            found = nearest_neighbours(distance(points[jets, :longest]), near, k)
            slot[jets, :longest], exists[jets, :longest] = found
    return slot, exists


@dataclass(frozen=True)
class Graph:
    """Graphs of B jets, as one graph of P particles and E directed edges.

    - `features`: (P, F) of each particle;
    - `senders`, `receivers`: (E,) int64, the particles that each edge leads from and to, sorted
      by receiver, the nearest sender first;
    - `jet`: (P,) int64, the jet that each particle belongs to.
    """

    features: Tensor
    senders: Tensor
    receivers: Tensor
    jet: Tensor


class ParticleGraph(nn.Module):
    """Turn raw columns (B, N, C) into a `Graph`: k nearest neighbours in (eta, phi).

    `columns` and `features` are those of `ParticleSet`.
    """

    def __init__(
        self,
        columns: Sequence[str],
        features: Sequence[str] = LOG_FEATURES,
        *,
        neighbours: int = 16,
    ) -> None:
        super().__init__()
        self.particles = ParticleSet(columns, features)
        self.neighbours = neighbours

    def forward(self, values: Tensor, mask: Tensor) -> Graph:
        features, vectors, mask = self.particles(values, mask)
        _, deta, dphi = fourvectors.relative(vectors, mask)
        points = torch.stack([deta, dphi], -1)
        slot, exists = nearest_by_length(points, mask, self.neighbours, in_angle)
        row = (mask.flatten().cumsum(0) - 1).view(mask.shape)
        jets = torch.arange(mask.shape[0], device=mask.device)[:, None]
        return Graph(
            features[mask],
            row[jets[..., None], slot][exists],
            row[..., None].expand_as(slot)[exists],
            jets.expand_as(mask)[mask],
        )
