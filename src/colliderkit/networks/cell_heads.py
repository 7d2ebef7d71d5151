"""One trunk on the cells and the track of an event, and a head for each thing that is asked."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from colliderkit.networks.pointwise import Packing

__all__ = ["COLUMNS", "HEADS", "CellHeads"]

# Of a cell: its place [mm], its energy [GeV]; of the event, in each of its cells: the place of the
# track [mm], and its momentum [GeV], 0 where there is none.
COLUMNS = ("x", "y", "z", "energy", "track_x", "track_y", "track_p")
HEADS = ("class", "energy", "mass", "share")
OF_CELL, OF_EVENT = 8, 4  # numbers that are made of them, beside the layer
SCALE = 30.0  # mm
SMALL = 1e-6  # GeV


class CellHeads(nn.Module):
    """Deep sets on cells (1703.06114) that exchange means, pooled for what is asked of the event.

    (B, N, 7) by `COLUMNS` and a mask -> the logit of the neutral share of each cell, (B, N), or
    zeros without that head; and numbers of each event, (B, M): `classes` logits, then mean and ln
    sigma of ln(E / sum of cells) and of ln(mass), standardised by a method, of the heads there are.

    The trunk sees the layer of each cell, its place beside the middle of the event and beside the
    track, its energy, and those of the event and the track. In each of `rounds` two dense layers
    act on a cell and on what the round before has found of its event: the mean over its cells, and
    that by energy. The last of these means are what the heads see; that of the cells sees each cell
    as well.

    Args:
        depths: of the layers [mm].
        heads: some of "class", "energy", "mass" and "share".
        classes: of the head "class".
        width: of the layers of the network.
        rounds: of the trunk.
    """

    depths: Tensor
    trunk: Any  # nn.ModuleList, of whose members mypy knows nothing

    def __init__(
        self,
        *,
        depths: Sequence[float],
        heads: Sequence[str] = HEADS,
        classes: int = 2,
        width: int = 64,
        rounds: int = 2,
    ) -> None:
        super().__init__()
        self.heads = tuple(head for head in HEADS if head in heads)
        self.register_buffer("depths", torch.tensor(list(depths)), persistent=False)
        inputs, found = OF_CELL + len(self.depths), 2 * width
        sizes = [inputs] + [width + found] * (rounds - 1)
        self.trunk = nn.ModuleList(
            nn.Sequential(nn.Linear(size, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
            for size in sizes
        )
        outputs = {"class": classes, "energy": 2, "mass": 2}
        self.of_event = nn.ModuleDict(
            {
                f"head_{head}": nn.Sequential(
                    nn.Linear(found + OF_EVENT, width), nn.ReLU(),
                    nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs[head]),
                )
                for head in self.heads
                if head != "share"
            }
        )  # fmt: skip
        self.of_cell: nn.Module | None = None
        if "share" in self.heads:
            self.of_cell = nn.Sequential(
                nn.Linear(inputs + width + found, width), nn.ReLU(),
                nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1),
            )  # fmt: skip

    def forward(self, cells: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        real = mask[..., None].to(cells.dtype)
        energy = cells[..., 3:4] * real
        total = energy.sum(1, keepdim=True)
        of_cell, of_event = self.features(cells, real, energy, total)
        packing = Packing(mask)
        event = packing.slots // mask.shape[1]
        share = packing.pack(energy / total.clamp(min=SMALL))
        x = seen = packing.pack(of_cell)
        found = of_event[:, :0]
        for i, layers in enumerate(self.trunk):
            x = layers(torch.cat([x, found[event]], dim=1) if i else x)
            found = torch.cat([packing.mean(x), packing.unpack(x * share).sum(1)], dim=1)
        pooled = torch.cat([found, of_event], dim=1)
        answers = [head(pooled) for head in self.of_event.values()]
        events = torch.cat(answers, dim=1) if answers else of_event[:, :0]
        if self.of_cell is None:
            return real[..., 0] * 0, events
        logit = self.of_cell(torch.cat([seen, x, found[event]], dim=1))
        return packing.unpack(logit)[..., 0], events

    def features(
        self, cells: Tensor, real: Tensor, energy: Tensor, total: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return what the trunk sees of each cell, and what the heads of each event."""
        middle = (energy * cells[..., :2]).sum(1, keepdim=True) / total.clamp(min=SMALL)
        count = real.sum(1, keepdim=True).clamp(min=1)
        # The same in each cell of an event, and not there in padding.
        track = (cells[..., 4:] * real).sum(1, keepdim=True) / count
        there = (track[..., 2:] > 0).to(cells.dtype)
        beside = (cells[..., :2] - middle) / SCALE
        from_track = (cells[..., :2] - track[..., :2]) / SCALE * there
        sum_, momentum = (v.clamp(min=SMALL).log() for v in (total, track[..., 2:]))
        over = (sum_ - momentum) * there
        # The layer by the middles between depths: nothing that a file for ONNX could not hold.
        after = (cells[..., 2:3] > (self.depths[1:] + self.depths[:-1]) / 2).to(cells.dtype)
        ends = torch.ones_like(cells[..., :1]), torch.zeros_like(cells[..., :1])
        one_hot = torch.cat([ends[0], after], dim=2) - torch.cat([after, ends[1]], dim=2)
        of_event = torch.cat([sum_, there, momentum * there, over], dim=2)
        wide = of_event[..., 1:].expand(-1, cells.shape[1], -1)
        share = cells[..., 3:4].clamp(min=SMALL).log()
        of_cell = torch.cat([beside, from_track, share, wide, one_hot], dim=2)
        return of_cell * real, of_event[:, 0]
