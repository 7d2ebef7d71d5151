"""Diffusion of calorimeter showers: how many steps, and what a model of the layers is worth.

After CaloDiffusion (2308.03876) and its LayerDiffusion.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.events.calorimeter.shares import LayerShares
from colliderkit.generators.diffusion import Diffusion
from colliderkit.generators.generator import own_loss
from colliderkit.methods.surrogate import NETWORKS, ShowerSurrogate, rotations
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import Training, fit

__all__ = ["run"]

Floats = NDArray[np.float32]
THRESHOLD = 0.05  # MeV
EMPTY, CUT, LOWEST = -4.5, -3.7, -3.0  # as in `LayerShares`


@dataclass(frozen=True)
class Scale:
    """Say which calorimeter, how many showers, which network, how long, and which samplers.

    `samplers` are (name, steps); those of the whole shower without the layer model are `bare`.
    The first is the one that the others are compared with.
    """

    calorimeter: str
    train: int
    test: int
    network: str
    options: dict[str, int]
    epochs: int
    samplers: tuple[tuple[str, int], ...]
    bare: tuple[tuple[str, int], ...]
    classifier: int


SAMPLERS = (
    ("ddpm", 200),
    ("ddpm", 25),
    ("ddim", 8),
    ("dpm-solver++", 8),
    ("dpm-solver++", 16),
    ("heun", 8),
    ("midpoint", 4),
    ("midpoint", 8),
)
BARE = (("ddpm", 200), ("midpoint", 8))
SMALL = {"width": 32, "depth": 3}
SCALES = {
    "smoke": Scale(
        "smoke", 600, 400, "rings", {"width": 8, "depth": 1}, 2,
        (("ddpm", 12), ("midpoint", 4)), (("midpoint", 4),), 2,
    ),
    "laptop": Scale("photons-368", 40_000, 10_000, "rings", SMALL, 12, SAMPLERS, BARE, 20),
    "paper": Scale("electrons-6480", 100_000, 60_000, "u-net", {}, 200, SAMPLERS, BARE, 50),
}  # fmt: skip


class Whole:
    """Generate whole showers by diffusion, without a model of the layers.

    The voxels' variables are (ln(e / E_inc) - m) / s, m and s mean and width of the ring's hits,
    given ln E_inc alone; empty voxels are set apart as in `LayerShares`.
    """

    def __init__(self, geometry: Geometry, chosen: Scale, training: Training) -> None:
        network = NETWORKS[chosen.network](geometry, 1, **chosen.options)
        self.voxels = Diffusion(geometry.voxels, 1, network=network, symmetry=rotations(geometry))
        self.rings = LayerShares(geometry, THRESHOLD).rings
        self.training = training

    def fit(self, incident: Floats, showers: Floats, seed: int, folder: Path) -> None:
        """Train on showers (N, V) [MeV] of incident energies (N,) [MeV]."""
        random = torch.Generator().manual_seed(seed)
        c = _log_gev(incident)
        e = torch.from_numpy(showers)
        seen = e >= THRESHOLD
        share = torch.where(seen, e / torch.from_numpy(incident)[:, None], 1.0).log()
        sums = torch.stack([seen.float(), share, share**2]).double().sum(1)
        count, first, second = sums.new_zeros(3, int(self.rings.max()) + 1).index_add(
            1, self.rings, sums
        )
        mean = first / count.clamp(min=1)
        self.mean = mean[self.rings].float()
        width = (second / count.clamp(min=1) - mean**2).clamp(min=0.1).sqrt()
        self.width = width[self.rings].float()
        x = ((share - self.mean) / self.width).clamp(min=LOWEST)
        x = torch.where(seen, x, EMPTY + 0.15 * torch.randn(e.shape, generator=random))
        held = torch.rand(len(c), generator=random) < 0.1
        self.voxels.fit_scaling(x[~held], c[~held])
        data = Dataset(x, torch.zeros(len(x)), torch.ones(len(x)), c)
        train, validation = (data.at(torch.nonzero(part)[:, 0]) for part in (~held, held))
        fit(
            self.voxels, own_loss, train, validation, self.training, folder=folder, seed=seed,
            resume=True, title="whole showers",
        )  # fmt: skip

    def sample(self, incident: Floats, *, seed: int) -> Floats:
        """Draw a shower (V,) [MeV] for each incident energy (N,) [MeV]."""
        x = self.voxels.sample(_log_gev(incident), seed=seed)
        e = (x.clamp(min=LOWEST) * self.width + self.mean).exp()
        e = torch.where(x >= CUT, e * torch.from_numpy(incident)[:, None], 0.0)
        return torch.where(e >= THRESHOLD, e, 0.0).numpy()


def _log_gev(incident: Floats) -> Tensor:
    return (torch.from_numpy(incident) / 1e3).log()[:, None]


def models(
    chosen: Scale, geometry: Geometry, incident: Floats, showers: Floats, folder: Path
) -> tuple[ShowerSurrogate, Whole]:
    """Train with and without the layer model; checkpoints in `folder`, where a rerun goes on."""
    voxels = Training(
        epochs=chosen.epochs, batch_size=256, learning_rate=2e-3, schedule="one-cycle"
    )
    layers = Training(epochs=chosen.epochs, batch_size=512, learning_rate=2e-3, schedule="cosine")
    surrogate = ShowerSurrogate(
        threshold=THRESHOLD, generator="diffusion", network=chosen.network,
        network_options=chosen.options, layers=layers, voxels=voxels,
    )  # fmt: skip
    surrogate.fit(incident, showers, geometry, seed=1, folder=folder / "with", resume=True)
    torch.manual_seed(1)
    whole = Whole(geometry, chosen, voxels)
    whole.fit(incident, showers, 1, folder / "without")
    return surrogate, whole
