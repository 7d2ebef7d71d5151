"""Network of a trigger: towers and triplets of raw hits of a seed, in one deep set."""

import torch
from torch import Tensor, nn

from colliderkit.networks.pointwise import Packing

__all__ = ["COLUMNS", "TRIPLET", "TriggerSeedNet"]

# Of a tower (kind 0): its place from the axis and its transverse energies [GeV]; of a triplet
# (kind 1): azimuth from the axis and z / r of its three hits. Of the seed, in each: pT [GeV], eta.
COLUMNS = ("kind", "deta, phi 1", "dphi, phi 2", "real", "em, phi 3", "had, z 1", "z 2", "z 3",
           "pt", "eta")  # fmt: skip
TRIPLET = (1, 2, 4, 5, 6, 7)  # columns of its coordinates
MANY = 16.0  # elements: sums are of this order
FARTHEST = 30.0  # standard deviations that a coordinate may have


class TriggerSeedNet(nn.Module):
    """Logits of the classes of a seed: (B, N, 10) by `COLUMNS` and a mask -> (B, outputs).

    A deep set (1703.06114) of two kinds of elements, each with layers of its own. The six
    coordinates of a triplet are whitened: with the mean and the covariance of those of the training
    their combinations of small spread, as how far from the beam they point, are as large as any.

    Args:
        outputs: classes.
        width: of the layers of an element; those of the seed are twice as wide.
    """

    mean: Tensor
    whiten: Tensor

    def __init__(self, *, outputs: int = 3, width: int = 32) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(len(TRIPLET)))
        self.register_buffer("whiten", torch.eye(len(TRIPLET)))
        self.tower = _layers(5, width)
        self.triplet = _layers(2 * len(TRIPLET), width)
        self.seed = nn.Sequential(
            nn.Linear(2 * width + 4, 2 * width), nn.ReLU(),
            nn.Linear(2 * width, 2 * width), nn.ReLU(), nn.Linear(2 * width, outputs),
        )  # fmt: skip

    def forward(self, elements: Tensor, mask: Tensor) -> Tensor:
        packing = Packing(mask)
        rows = packing.pack(elements)
        triplet = rows[:, :1]
        pt = rows[:, 8:9].clamp(min=1.0)
        em, had = rows[:, 4:5].clamp(min=0) * (1 - triplet), rows[:, 5:6].clamp(min=0)
        had = had * (1 - triplet)
        share = ((em + had) / pt).clamp(min=1e-4).log()
        towers = torch.cat([4 * rows[:, 1:3], em.log1p(), had.log1p(), share], dim=1)
        place = (rows[:, list(TRIPLET)] - self.mean) @ self.whiten
        place = place.clamp(-FARTHEST, FARTHEST)
        # Resolved near zero and far from it.
        hits = torch.cat([place.asinh(), (3 * place).tanh()], dim=1)
        both = torch.cat(
            [self.tower(towers) * (1 - triplet), self.triplet(hits) * triplet,
             1 - triplet, triplet], dim=1,
        )  # fmt: skip
        total = packing.unpack(both).sum(1) / MANY
        count = packing.counts.clamp(min=1)[:, None]
        of_seed = packing.unpack(rows[:, 8:]).sum(1) / count
        of_seed = torch.cat([of_seed[:, :1].clamp(min=1.0).log() - 4.5, of_seed[:, 1:]], dim=1)
        logits: Tensor = self.seed(torch.cat([total, of_seed], dim=1))
        return logits


def _layers(inputs: int, width: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, width), nn.ReLU(),
    )  # fmt: skip
