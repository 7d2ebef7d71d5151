"""PUMML: images of an event to the neutral energy of its hard collision, by convolutions."""

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["FINE", "PummlNetwork"]

FINE = 4  # cells of the charged image in one of the neutral one, each way
FILTERS, KERNEL = 10, 6


class PummlNetwork(nn.Module):
    """Predict the leading-vertex part of each cell of the neutral image (1707.08600).

    Three images are the input: charged of the leading vertex, charged of others, both in cells of
    .025, and all that is of no known vertex in cells of .1, each of which is copied to the 4 x 4
    finer ones. Two layers of ten filters of 6 x 6 with steps of two lead back to the coarse cells.
    Here they go over the whole event (around in phi), not over one jet; a fourth image says where
    the tracker sees; pixels are ln(1 + pT); and what is predicted is the share of a cell's pT, by a
    sigmoid, so that no more is left than there was.

    Called with values (B, L, 6) of `networks.radius_graph.COLUMNS` and a mask (B, L); returns
    (B, 2, rows columns): the predicted pT of each coarse cell, and the true one.

    Args:
        rows: coarse cells along eta.
        columns: coarse cells around.
        reach: |eta| of the images.
        tracker: |eta| that the tracker sees.
    """

    covered: Tensor

    def __init__(
        self, *, rows: int = 80, columns: int = 63, reach: float = 4.0, tracker: float = 2.5
    ) -> None:
        super().__init__()
        self.rows, self.columns, self.reach = rows, columns, reach
        self.first = nn.Conv2d(4, FILTERS, KERNEL, stride=2)
        self.second = nn.Conv2d(FILTERS, FILTERS, KERNEL, stride=2)
        self.last = nn.Conv2d(FILTERS + 1, 1, 1)
        fine = rows * FINE
        eta = -reach + (torch.arange(fine) + 0.5) * 2 * reach / fine
        covered = (eta.abs() < tracker).float()[:, None].expand(fine, columns * FINE)
        self.register_buffer("covered", covered.contiguous(), persistent=False)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        image = self.images(values, mask)
        neutral = image["neutral"]
        share = self.shares(image)
        return torch.stack([(share * neutral).flatten(1), image["truth"].flatten(1)], 1)

    def shares(self, image: dict[str, Tensor]) -> Tensor:
        """Return the share of the hard collision in each coarse cell, (B, rows, columns)."""
        neutral = image["neutral"].repeat_interleave(FINE, 1).repeat_interleave(FINE, 2)
        charged = [torch.log1p(image[name]) for name in ("leading", "others")]
        planes = [*charged, torch.log1p(neutral), self.covered.expand_as(neutral)]
        x = torch.stack(planes, 1)
        for layer in (self.first, self.second):
            x = torch.relu(layer(around(x)))
        x = torch.cat([x, torch.log1p(image["neutral"])[:, None]], 1)
        share: Tensor = torch.sigmoid(self.last(x))[:, 0]
        return share

    def images(self, values: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return the sums of pT in cells: leading and others (fine), neutral and truth (coarse)."""
        rows = values[mask]
        event = torch.repeat_interleave(
            torch.arange(len(mask), device=rows.device), mask.sum(1), output_size=len(rows)
        )
        coarse, fine = (self.cells(rows, event, factor) for factor in (1, FINE))
        pt, vertex = rows[:, 0] * (coarse >= 0), rows[:, 3]
        size: Any = (len(mask), self.rows, self.columns)
        finer: Any = (len(mask), self.rows * FINE, self.columns * FINE)

        def filled(shape: Any, cell: Tensor, of: Tensor) -> Tensor:
            flat = rows.new_zeros(shape[0] * shape[1] * shape[2])
            return flat.index_add(0, cell.clamp_min(0), of).view(shape)

        return {
            "leading": filled(finer, fine, pt * (vertex == 0)),
            "others": filled(finer, fine, pt * (vertex > 0)),
            "neutral": filled(size, coarse, pt * (vertex < 0)),
            "truth": filled(size, coarse, pt * (vertex < 0) * rows[:, 4]),
        }

    def cells(self, rows: Tensor, event: Tensor, factor: int = 1) -> Tensor:
        """Return the cell of each particle among those of all events, -1 beyond the images."""
        high, wide = self.rows * factor, self.columns * factor
        up = torch.floor((rows[:, 1] + self.reach) / (2 * self.reach) * high).long()
        turn = torch.floor((rows[:, 2] + torch.pi) / (2 * torch.pi) * wide).long() % wide
        inside = (up >= 0) & (up < high)
        return torch.where(inside, (event * high + up) * wide + turn, -1)


def around(x: Tensor) -> Tensor:
    """Pad images (B, C, H, W) by two cells each way: with zeros along eta, and around in phi."""
    return nn.functional.pad(nn.functional.pad(x, (2, 2, 0, 0), mode="circular"), (0, 0, 2, 2))
