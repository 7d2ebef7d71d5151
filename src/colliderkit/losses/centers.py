"""Loss of object detection by centres: a focal loss of heat maps, and what each centre says."""

import torch
from torch import Tensor
from torch.nn import functional

from colliderkit.losses.classification import weighted_mean

__all__ = ["CenterLoss", "splat"]

SIGMA = 1.0  # cells, of the Gaussian around a centre
SCALES = (0.3, 0.3, 0.1, 0.2)  # of the offsets [cells], ln pT and ln mass: where Huber turns linear
SIZES = 0.5  # what these count beside the heat map
LEAST = 1e-3  # of a Gaussian, below which a cell says nothing of an object


class CenterLoss:
    """Sum the focal loss of the heat maps and Huber losses of places and sizes (1904.07850).

    `outputs` (B, K + 4, R, C) are those of `networks.center_map`; `target` (B, 5 M) are M objects
    of each event: kind (-1 of none), row and column of the centre, in cells, ln pT and ln mass (NaN
    where it is not known). With p the sigmoid of a heat map and Y the largest of the Gaussians
    around the cells with a centre, 1 there,

        L_heat = - sum_(Y = 1) (1 - p)^2 ln p - sum_(Y < 1) (1 - Y)^4 p^2 ln(1 - p),

    and of each object the mean over cells, weighted by its Gaussian squared, of Huber losses of the
    offset from the cell to the centre, ln pT and ln mass. The sums are those of an event, and the
    loss is their weighted mean: of an event without objects it is the second sum alone.
    """

    def __init__(self, kinds: int) -> None:
        self.kinds = kinds

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        logits, found = outputs[:, : self.kinds], outputs[:, self.kinds :]
        objects = target.reshape(len(target), -1, 5)
        rows, columns = outputs.shape[2:]
        near, away = splat(objects, rows, columns)
        kind = objects[:, :, 0]
        heat = torch.stack(
            [
                (near * (kind == k)[:, :, None, None].to(near.dtype)).amax(1)
                for k in range(self.kinds)
            ],
            dim=1,
        )
        p = logits.sigmoid()
        hit = (1 - p).square() * functional.logsigmoid(logits)
        miss = (1 - heat).pow(4) * p.square() * functional.logsigmoid(-logits)
        total = -torch.where(heat >= 1, hit, miss).sum((1, 2, 3))
        share = near.square()
        share = share / share.sum((2, 3), keepdim=True).clamp(min=1e-9)
        wanted = [away[0], away[1], *(objects[:, :, i, None, None] for i in (3, 4))]
        for i, (aim, scale) in enumerate(zip(wanted, SCALES, strict=True)):
            pull = torch.nan_to_num((aim - found[:, i, None]) / scale)
            each = functional.huber_loss(pull, torch.zeros_like(pull), reduction="none")
            total = total + SIZES * (share * each).sum((1, 2, 3))
        return weighted_mean(total, weight)


def splat(objects: Tensor, rows: int, columns: int) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return the Gaussian of each object around its cell, (B, M, R, C), and the way to its centre.

    The way is in cells, from the middle of each cell, along rows, which go around, and columns. Of
    no object (kind -1), and outside of the columns, the Gaussian is 0.
    """
    kind, row, column = objects[:, :, 0], objects[:, :, 1], objects[:, :, 2]
    r = torch.arange(rows, dtype=objects.dtype, device=objects.device)[:, None] + 0.5
    c = torch.arange(columns, dtype=objects.dtype, device=objects.device) + 0.5

    def turned(away: Tensor) -> Tensor:
        return torch.remainder(away + rows / 2, rows) - rows / 2

    down = turned(row[:, :, None, None] - r)
    along = column[:, :, None, None] - c
    cell = [x.floor()[:, :, None, None] + 0.5 for x in (row, column)]
    distance2 = turned(cell[0] - r).square() + (cell[1] - c).square()
    near = torch.exp(-distance2 / (2 * SIGMA**2))
    near = torch.where(near > LEAST, near, 0.0)
    real = (kind >= 0) & (column >= 0) & (column < columns)
    zero = torch.zeros_like(near)
    return torch.where(real[:, :, None, None], near, zero), (down + zero, along + zero)
