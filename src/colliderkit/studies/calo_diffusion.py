"""Diffusion of calorimeter showers: how many steps, and what a model of the layers is worth.

After CaloDiffusion (2308.03876) and its LayerDiffusion.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

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
    "laptop": Scale("photons-368", 40_000, 10_000, "rings", SMALL, 20, SAMPLERS, BARE, 30),
    "paper": Scale("electrons-6480", 100_000, 60_000, "u-net", {}, 200, SAMPLERS, BARE, 50),
}  # fmt: skip


class Whole:
    """Generate whole showers by diffusion, without a model of the layers.

    The voxels' variables ln(e / threshold) are those of `LayerShares`, given ln E_inc alone; what
    is below the threshold is zero, and the energies are what they are.
    """

    def __init__(self, geometry: Geometry, chosen: Scale, training: Training) -> None:
        network = NETWORKS[chosen.network](geometry, 1, **chosen.options)
        self.voxels_ = Diffusion(geometry.voxels, 1, network=network, symmetry=rotations(geometry))
        self.shares = LayerShares(geometry, THRESHOLD)
        self.training = training

    def fit(self, incident: Floats, showers: Floats, seed: int, folder: Path) -> None:
        """Train on showers (N, V) [MeV] of incident energies (N,) [MeV]."""
        random = torch.Generator().manual_seed(seed)
        energy = torch.from_numpy(incident)
        c = (energy / 1e3).log()[:, None]
        held = torch.rand(len(c), generator=random) < 0.1
        _, x = self.shares(torch.from_numpy(showers), energy, random)
        self.voxels_.fit_scaling(x[~held], c[~held])
        data = Dataset(x, torch.zeros(len(x)), torch.ones(len(x)), c)
        parts = (data.at(torch.nonzero(part)[:, 0]) for part in (~held, held))
        fit(
            self.voxels_, own_loss, *parts, self.training, folder=folder, seed=seed, resume=True,
            title="whole showers",
        )  # fmt: skip

    def sample(self, incident: Floats, *, seed: int) -> Floats:
        """Draw a shower (V,) [MeV] for each incident energy (N,) [MeV]."""
        x = self.voxels_.sample((torch.from_numpy(incident) / 1e3).log()[:, None], seed=seed)
        return torch.where(x >= 0, THRESHOLD * x.exp(), 0.0).numpy()


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
