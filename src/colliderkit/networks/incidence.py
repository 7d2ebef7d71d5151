"""Incidence network: the share of each cluster that belongs to each particle slot near it."""

import torch
from torch import Tensor, nn

from colliderkit.networks.element_graph import ElementGraph, neighbours_in_angle

__all__ = ["HEADS", "IncidenceGraph"]

HEADS = (
    7  # of a slot: whether there is a particle, five kinds, ln of what its proxy is corrected by
)
NEVER = -1e4  # the score of a slot that is padding


class IncidenceGraph(nn.Module):
    """Network on elements: (B, N, 13) and a mask -> (B, N, 2 k + 7).

    Each element has a slot: a track that of its particle, a cluster that of a neutral one. First
    come the logits of the share of an element that each of its `neighbours` slots has, then their
    places (whole numbers), then what is said of the element's own slot (`HEADS`).

    Args:
        width: of the layers.
        blocks: exchanges of messages before.
        neighbours: k slots, the element's own among them.
    """

    def __init__(self, *, width: int = 48, blocks: int = 2, neighbours: int = 12) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.graph = ElementGraph(outputs=width, width=width, blocks=blocks, neighbours=neighbours)
        self.own = nn.Linear(width, width)
        self.other = nn.Linear(width, width, bias=False)
        self.edge = nn.Linear(3, width, bias=False)
        self.score = nn.Linear(width, 1)
        self.heads = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, HEADS))

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        x = self.graph(values, mask)
        near, offset, real = neighbours_in_angle(values, mask, self.neighbours)
        batch, size, count = near.shape
        rows = (near + size * torch.arange(batch, device=near.device)[:, None, None]).reshape(-1)
        given = self.other(x).reshape(batch * size, -1).index_select(0, rows)
        given = given.view(batch, size, count, -1)
        hidden = torch.relu(given + self.edge(offset) + self.own(x)[:, :, None])
        logits = self.score(hidden)[..., 0].masked_fill(real < 0.5, NEVER)
        # Of a small event there are fewer than k slots; the others are padding.
        spare = self.neighbours - count
        logits = nn.functional.pad(logits, (0, spare), value=NEVER)
        near = nn.functional.pad(near, (0, spare))
        return torch.cat([logits, near.to(logits.dtype), self.heads(x)], dim=2)
