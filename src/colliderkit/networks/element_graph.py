"""Graph of elements: tracks and clusters exchange messages with those near in eta and phi."""

from typing import Any

import torch
from torch import Tensor, nn

from colliderkit.networks.gravnet import gathered
from colliderkit.networks.pointwise import Packing

__all__ = ["COLUMNS", "ElementGraph", "neighbours_in_angle"]

# Of an element, as it is read: the fourth tells padding, which has none.
COLUMNS = (
    *("face_eta", "face_phi", "section", "pt", "eta", "phi", "error", "muon"),
    *("first", "middle", "last", "width", "cells"),
)
SECTIONS = 3  # 0 of a track, 1 of an electromagnetic cluster and 2 of a hadronic one
CONES = (0.04, 0.15)  # dR within which energies are summed
FEATURES = SECTIONS + 12 + SECTIONS * len(CONES)
APART = 0.1  # of eta and phi: the unit of distances
FALLS = (0.0, 2.0, 30.0)  # messages are summed with weights exp(-f (dR / 0.1)^2)


def neighbours_in_angle(
    values: Tensor, mask: Tensor, neighbours: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the nearest elements in (eta, phi) of each: places, offsets and which are real.

    `values` (B, N, C) by `COLUMNS`, `mask` (B, N) True where real. (B, N, k) int64, itself the
    first; (B, N, k, 3) difference of eta, of phi, and dR, over 0.1; (B, N, k) as numbers 0 and 1.
    """
    with torch.no_grad():
        along, around = between(values)
        squared = (along.square() + around.square()).masked_fill(~mask[:, None], 1e6)
        exporting = torch.compiler.is_exporting()
        count = neighbours if exporting else min(neighbours, values.shape[1])
        near = squared.topk(count, dim=2, largest=False).indices
        offset = torch.stack([along.gather(2, near), around.gather(2, near)], dim=3) / APART
        distance = offset.square().sum(3, keepdim=True).sqrt()
        real = gathered(mask[..., None].to(values.dtype), near)[..., 0]
    # What is padding is far away, in no particular direction.
    offset = torch.cat([offset, distance], dim=3) * real[..., None]
    return near, offset.clamp(-30, 30), real


def energies_around(values: Tensor, mask: Tensor) -> Tensor:
    """Return ln of what tracks and clusters of each section have near an element, (B, N, 6).

    Sums of energies within `CONES`, the element's own among them, over its energy; what a track is
    expected to leave is so beside what is there.
    """
    energy = values[..., 3] * torch.cosh(values[..., 4]) * mask
    sections = [(values[..., 2] == i).to(values.dtype) * energy for i in range(SECTIONS)]
    each = torch.stack(sections, dim=2)
    along, around_phi = between(values)
    squared = along.square() + around_phi.square()
    sums = [(squared < cone**2).to(values.dtype) @ each for cone in CONES]
    around = torch.cat(sums, dim=2)
    return torch.log((around + 0.05) / (energy[..., None] + 0.05)) / 2


def between(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return differences of eta and of phi of all pairs of elements, (B, N, N) each."""
    eta, phi = values[..., 0], values[..., 1]
    around = phi[:, None] - phi[:, :, None]
    return eta[:, None] - eta[:, :, None], torch.atan2(torch.sin(around), torch.cos(around))


class Exchange(nn.Module):
    """Messages of the neighbours, of both ends and what lies between, in sums of several weights.

    Rows x (R, width) of elements, `near` (R, k) the rows of their neighbours, `edges` (R, k, 4),
    `weights` (R, S, k) of the sums.
    """

    def __init__(self, width: int, sums: int) -> None:
        super().__init__()
        self.own = nn.Linear(width, width)
        self.other = nn.Linear(width, width, bias=False)
        self.edge = nn.Linear(4, width, bias=False)
        self.out = nn.Sequential(
            nn.Linear((1 + sums) * width, width), nn.GELU(), nn.Linear(width, width)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, near: Tensor, edges: Tensor, weights: Tensor) -> Tensor:
        given = self.other(x).index_select(0, near.reshape(-1)).view(*near.shape, x.shape[1])
        messages = nn.functional.relu(given + self.edge(edges) + self.own(x)[:, None])
        heard = (weights @ messages).flatten(1)
        update: Tensor = self.out(torch.cat([x, heard], dim=1))
        return self.norm(x + update)


class ElementGraph(nn.Module):
    """Network on the elements of events: (B, N, 13) by `COLUMNS` and a mask -> (B, N, outputs).

    Momenta, the bending of a track between collision and calorimeter, the shape of a cluster and
    the energies around are features; the direction in phi is none, as a detector looks the same all
    around. `blocks` exchanges of messages go between each element and its `neighbours` nearest in
    (eta, phi).

    Args:
        outputs: numbers of each element.
        width: of the layers.
        blocks: exchanges.
        neighbours: k, itself among them.
        unmoved: begin with outputs of 0: an element is what it was measured to be.
    """

    blocks: Any  # nn.ModuleList, of whose members mypy knows nothing

    def __init__(
        self,
        *,
        outputs: int,
        width: int = 48,
        blocks: int = 2,
        neighbours: int = 12,
        unmoved: bool = False,
    ) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.first = nn.Sequential(nn.Linear(FEATURES, width), nn.GELU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(Exchange(width, len(FALLS)) for _ in range(blocks))
        final = nn.Linear(width, outputs)
        if unmoved:
            nn.init.zeros_(final.weight)
            nn.init.zeros_(final.bias)
        self.last = nn.Sequential(nn.Linear(width + FEATURES, width), nn.GELU(), final)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        packing = Packing(mask)
        out: Tensor = self.last(self.hidden(values, mask, packing))
        return packing.unpack(out)

    def hidden(self, values: Tensor, mask: Tensor, packing: Packing) -> Tensor:
        """Return what is known of each element after the exchanges, (R, width + features)."""
        features = torch.cat([self.features(values), energies_around(values, mask)], dim=2)
        features = packing.pack(features)
        near, offset, real = neighbours_in_angle(values, mask, self.neighbours)
        falls = offset.new_tensor(FALLS)
        weights = torch.exp(-falls[:, None] * offset[..., None, :, 2].square())
        weights = weights * real[..., None, :]
        weights = weights / weights.sum(3, keepdim=True).clamp(min=1)
        batch, size, count = near.shape
        # A neighbour that is padding has any row, and the weight 0.
        flat = near + size * torch.arange(batch, device=near.device)[:, None, None]
        rows = packing.row.reshape(-1)[packing.pack(flat)]
        close = torch.cat([offset, torch.exp(-2 * offset[..., 2:].square())], dim=3)
        edges = packing.pack(close.flatten(2)).view(rows.shape[0], count, 4)
        sums = packing.pack(weights.flatten(2)).view(rows.shape[0], len(FALLS), count)
        x = self.first(features)
        for block in self.blocks:
            x = block(x, rows, edges, sums)
        return torch.cat([x, features], dim=1)

    def features(self, values: Tensor) -> Tensor:
        """Return the features (B, N, F) of raw elements, of the size of one."""
        section = values[..., 2]
        kinds = [(section == i).to(values.dtype) for i in range(SECTIONS)]
        pt = values[..., 3].clamp(min=1e-3).log()
        energy = pt + torch.log(torch.cosh(values[..., 4]))
        turn = values[..., 1] - values[..., 5]
        turn = torch.atan2(torch.sin(turn), torch.cos(turn))
        columns = [
            *kinds,
            *(pt, energy, values[..., 0]),
            *(turn / 0.3, (values[..., 0] - values[..., 4]) / 0.3),
            10 * values[..., 6],
            values[..., 7],
            *(values[..., 8], values[..., 9], values[..., 10]),
            20 * values[..., 11],
            torch.log1p(values[..., 12]) / 2,
        ]
        return torch.stack(columns, dim=-1)
