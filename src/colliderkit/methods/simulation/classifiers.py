"""Classifiers of samples of showers, as the CaloChallenge trains them (2410.21611)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.features import features
from colliderkit.events.calorimeter.geometry import Geometry
from colliderkit.events.scaling import Standardise
from colliderkit.files import release
from colliderkit.losses.classification import cross_entropy
from colliderkit.methods.simulation.samples import DescribedShowers
from colliderkit.networks.mlp import MLP
from colliderkit.networks.voxel_resnet import VoxelResNet
from colliderkit.seeds import derive
from colliderkit.training.batches import Batch, Dataset
from colliderkit.training.fit import fit, predict
from colliderkit.training.settings import Epoch, Training

__all__ = [
    "DEFAULT",
    "LEVELS",
    "PUBLISHED",
    "ShowerClassifier",
    "ShowerInputs",
    "nothing",
    "splits",
]

Rows = NDArray[np.int64]
PUBLISHED = Training(epochs=50, batch_size=1000, learning_rate=2e-4, schedule="constant")
LOGARITHMS = "low-level-log"
LEVELS = ("low-level", LOGARITHMS, "high-level", "3-D ResNet")
DEFAULT = LEVELS[:3]
SHARES = (0.6, 0.2)  # of each class to train on and to choose the epoch by; the rest is the test
ENOUGH = 20_000  # showers that means and standard deviations are taken from
FAINTEST = 1e-3  # MeV, where hits begin if there is no threshold


def nothing(threshold: float) -> float:
    """Return the energy [MeV] whose logarithm a voxel without a hit has: a decade below any."""
    return (threshold if threshold > 0 else FAINTEST) / 10


class ShowerInputs(nn.Module):
    """Show a network a table, or log10 E_inc and the voxels, cut at a threshold.

    The voxels are divided by E_inc or, with `logarithm`, log10 of their energies, of a decade
    below the threshold where nothing is (`nothing`).
    """

    def __init__(
        self,
        threshold: float | None,
        scaling: nn.Module,
        network: nn.Module,
        logarithm: bool = False,
    ) -> None:
        super().__init__()
        self.threshold = threshold
        self.scaling = scaling
        self.network = network
        self.logarithm = logarithm

    def inputs(self, values: Tensor, context: Tensor | None) -> Tensor:
        """Return what the network sees of rows (B, C)."""
        if self.threshold is None or context is None:
            return values
        hits = torch.where(values < self.threshold, 0.0, values)
        if self.logarithm:
            seen = hits.clamp(min=nothing(self.threshold)).log10()
        else:
            seen = hits / context
        return torch.cat([context.log10(), seen], 1)

    def forward(self, values: Tensor, mask: Tensor | None, context: Tensor | None = None) -> Tensor:
        outputs: Tensor = self.network(self.scaling(self.inputs(values, context)))
        return outputs


@dataclass(frozen=True)
class ShowerClassifier:
    """Classify showers by the sample they are of: a perceptron, or a 3-D ResNet of the voxels.

    Args:
        level: what the classifier sees: "low-level", log10 E_inc and the voxels over E_inc, as
            published; "low-level-log", log10 E_inc and log10 of the voxels, each with mean 0 and
            standard deviation 1, to which faint hits count as bright ones do; "high-level", the
            table of `features`; "3-D ResNet" convolves what is low-level, of geometries whose
            layers are all alike, at some hundred times the cost.
        geometry: of all showers; `threshold`: energies [MeV] below it count as zero.
        training: as published if not given.
        width: of the two hidden layers and the one before; 2048 is published.
        standardised: give each input mean 0 and standard deviation 1 on the training showers.
            Published values are without; the same classifier then sees more.

    Raises `InputError` for another level, and a ResNet of layers that are not alike.
    """

    level: str
    geometry: Geometry
    threshold: float
    training: Training = PUBLISHED
    width: int = 512
    standardised: bool = False

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise InputError(f"no classifier '{self.level}'; choose from {', '.join(LEVELS)}.")
        if self.level == "3-D ResNet":
            _ = self.geometry.shape  # of equal layers, or that is said

    def network(self, classes: int) -> ShowerInputs:
        """Build the untrained network with an output for each class."""
        voxels = self.level != "high-level"
        if voxels:
            inputs = self.geometry.voxels + 1
        else:
            empty = np.zeros((1, self.geometry.voxels), np.float32)
            inputs = features(empty, np.ones(1), self.geometry).table().shape[1]
        network: nn.Module
        if self.level == "3-D ResNet":
            network = VoxelResNet(self.geometry.shape, classes)
        else:
            network = MLP(inputs, classes, hidden=(self.width,) * 3, leak=0.01)
        logarithm = self.level == LOGARITHMS
        scaled = self.standardised or logarithm
        scaling = Standardise(inputs) if scaled else nn.Identity()
        return ShowerInputs(self.threshold if voxels else None, scaling, network, logarithm)

    def fit(
        self, samples: Sequence[DescribedShowers], rows: Sequence[Sequence[Rows]], *, seed: int,
        progress: bool = True,
    ) -> tuple[ShowerInputs, list[Epoch]]:  # fmt: skip
        """Train a network on samples, each a class, and return it with its history.

        `rows` are those of `splits`: to train on, and to choose the epoch by.
        """
        train, validation = (self.data(samples, [r[i] for r in rows]) for i in range(2))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "network"))
            network = self.network(len(samples))
            if isinstance(network.scaling, Standardise):
                batch = train.batch(torch.randperm(len(train))[:ENOUGH])
                network.scaling.fit(network.inputs(batch.values, batch.context))
        title = f"classifier, {self.level}"
        history = fit(
            network, cross_entropy, train, validation, self.training, seed=seed, title=title,
            progress=progress,
        )  # fmt: skip
        return network, history

    def logarithms(self, network: ShowerInputs, data: Dataset) -> Tensor:
        """Return ln P(class | shower), (N, classes), of a trained network."""
        return torch.log_softmax(predict(network, data, self.training.batch(len(data))), 1)

    def data(self, samples: Sequence[DescribedShowers], rows: Sequence[Rows]) -> Dataset:
        """Return some rows of samples as a data set; the target is the number of the sample."""
        target = torch.from_numpy(np.repeat(np.arange(len(rows)), [len(r) for r in rows]))
        weight = torch.ones(len(target))
        if self.level == "high-level":
            tables = [s.table[r].astype(np.float32) for s, r in zip(samples, rows, strict=True)]
            return Dataset(torch.from_numpy(np.concatenate(tables)), target, weight)
        place = torch.stack([target, torch.from_numpy(np.concatenate(rows))], 1)
        incident = np.concatenate(
            [s.showers.incident[r].astype(np.float32) for s, r in zip(samples, rows, strict=True)]
        )
        showers = tuple(s.showers.voxels for s in samples)
        return _ShowerRows(place, target, weight, torch.from_numpy(incident)[:, None], showers)


def splits(samples: Sequence[DescribedShowers], seed: int) -> list[list[Rows]]:
    """Return the rows to train on, to validate and to test with, of each sample.

    60%, 20% and 20%; copies of one shower within a sample stay together.
    """
    parts = []
    for number, sample in enumerate(samples):
        different, group = np.unique(sample.key, return_inverse=True)
        random = np.random.default_rng(derive(seed, "split", number))
        place = random.permutation(len(different))[group.reshape(-1)] / len(different)
        ends = np.cumsum(SHARES)
        rows = [
            np.flatnonzero((place >= low) & (place < high))
            for low, high in ((0, ends[0]), (ends[0], ends[1]), (ends[1], 1))
        ]
        if min(map(len, rows)) == 0:
            raise InputError(
                f"a classifier needs 5 different showers of each sample at least; the"
                f" {sample.name} has {len(different)}."
            )
        parts.append(rows)
    return parts


@dataclass(frozen=True)
class _ShowerRows(Dataset):
    """Gather batches from the rows of several arrays, which are neither joined nor copied.

    `inputs` (N, 2) are the number of the array and of the row.
    """

    arrays: tuple[NDArray[Any], ...] = ()

    def batch(self, events: Tensor, longest: int | None = None) -> Batch:
        assert isinstance(self.inputs, Tensor)
        assert self.context is not None
        array, row = self.inputs[events].numpy().T
        values = np.empty((len(events), self.arrays[0].shape[1]), dtype=np.float32)
        for i, showers in enumerate(self.arrays):
            # Rising rows: a map is read in one direction.
            here = np.flatnonzero(array == i)
            here = here[np.argsort(row[here])]
            values[here] = showers[row[here]]
            release(showers)
        return Batch(
            torch.from_numpy(values),
            None,
            self.target[events],
            self.weight[events],
            self.context[events],
        )
