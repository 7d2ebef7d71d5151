"""Cluster calorimeter hits to showers by a network: object condensation with an energy each."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import CalorimeterHits, Clusters
from colliderkit.events.ragged import Ragged
from colliderkit.events.tables import Floats, Ints, validation_mask
from colliderkit.losses.condensed_energy import TRUTH, CondensedEnergy
from colliderkit.methods.method import Method
from colliderkit.methods.reconstruction.condensation import condensed
from colliderkit.metrics.clustering import LEAST, f1, match_clusters
from colliderkit.networks.gravnet import GravNet
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Training

__all__ = ["FEATURES", "ShowerClustering", "features"]

# Of a hit: its place beside the middle of the event by energy, its depth, and what it holds.
FEATURES = ("x - <x> [mm]", "y - <y> [mm]", "z [mm]", "ln(E / GeV)")
# Where hits have times: beside the mean time of the event by energy, 0 of one without, and whether.
OF_TIME = ("t - <t> [ps]", "timed")
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)  # of beta
DISTANCES = (0.2, 0.35, 0.5, 0.7, 0.9, 1.2)
PADDED = 200_000  # hits with padding that the network sees at a time
TRIED = 2000  # events, at most, by which the settings are chosen


class ShowerClustering(Method):
    """Cluster hits by object condensation, and correct the energy of each cluster.

    A GravNet (1902.07987) sees place and energy of the hits of an event and gives each hit a weight
    beta, a place in a space of `dimensions`, and the logarithm of a factor. It is trained so that
    hits of a shower come near its hit of the largest beta and others stay away (2002.03605), and
    that the factor there makes of the energy that is collected the energy which the shower left
    (`losses.condensed_energy`). Then the hits of large beta take what is near them
    (`condensation.condensed`). From which beta on and how near is chosen by the F1 of clusters and
    true showers in the events held out, and all energies are multiplied by one number so that the
    median of their response is 1 there.

    Where the hits have times, the network sees these as well, and cannot do without them then.

    A hit belongs to the particle that left most in it; energies are judged by what each left.

    Args:
        dimensions: of the space in which showers condense.
        width: of the layers of the network.
        blocks: exchanges between neighbours.
        neighbours: of each hit.
        q_min: the least charge of a hit.
        least_energy: GeV that a particle has to leave to be an object; hits of others are noise.
        validation: the share of the events that chooses the epoch and the settings.
        training: epochs, batch size, learning rate and the like.

    After `fit`: `network_`, `timed_`, whether it learned from times, `threshold_` of
    beta, `distance_`, `scale_` of the energies, and `history_` of "network".
    """

    name: ClassVar[str] = "shower-clustering"
    resumable: ClassVar[bool] = True

    network_: GravNet
    timed_: bool
    threshold_: float
    distance_: float
    scale_: float
    history_: dict[str, list[Epoch]]

    def __init__(
        self,
        *,
        dimensions: int = 3,
        width: int = 48,
        blocks: int = 2,
        neighbours: int = 16,
        q_min: float = 0.5,
        least_energy: float = LEAST,
        validation: float = 0.1,
        training: Training = Training(epochs=20, batch_size=8, learning_rate=2e-3),
    ) -> None:
        self.dimensions = dimensions
        self.width = width
        self.blocks = blocks
        self.neighbours = neighbours
        self.q_min = q_min
        self.least_energy = least_energy
        self.validation = validation
        self.training = training

    def fit(
        self,
        hits: CalorimeterHits,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on events with true particles and return self.

        Checkpoints go to `folder`, from which `resume` goes on. Raises `InputError` for hits that
        are not finite or have no truth, for events without any hit, and for weights.
        """
        self._begin(seed=seed, folder=folder, resume=resume, hits=hits)
        if weight is not None:
            raise InputError(
                "showers are counted, each once, and have no weights; draw events by their weight."
            )
        hits = hits.check()
        if not hits.known:
            raise InputError(
                "the hits have no true particles to learn from; give events of a simulation."
            )
        held = validation_mask(np.arange(len(hits)), self.validation, derive(seed, "validation"))
        self.timed_ = hits.time is not None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "network"))
            self._rebuild()
        columns = self.features(hits)
        spread = columns.std(0) if len(columns) else np.ones(self.network_.mean.shape)
        with torch.no_grad():
            self.network_.mean.copy_(torch.from_numpy(columns.mean(0)))
            self.network_.scale.copy_(torch.from_numpy(1 / np.maximum(spread, 1e-6)))
        label = hits.majority(self.least_energy)
        truth = np.zeros(len(label))
        own = label >= 0
        truth[own] = hits.deposit[hits.particle_offsets[hits.event[own]] + label[own]]
        known = np.stack([hits.energy, label, truth], axis=1)
        inputs = _ragged(hits, np.concatenate([columns, known], axis=1))
        data = Dataset(inputs, torch.zeros(len(hits)), torch.ones(len(hits)))
        train, validation = data.split(held)
        self.history_ = {
            "network": fit(
                _WithTruth(self.network_),
                CondensedEnergy(q_min=self.q_min),
                train,
                validation,
                self.training,
                folder=None if folder is None else Path(folder),
                seed=seed,
                resume=resume,
                title="shower clustering",
                progress=progress,
            )
        }
        self._choose(hits.at(np.flatnonzero(held)[:TRIED]))
        return self

    def predict(self, hits: CalorimeterHits) -> Clusters:
        """Return the clusters of hits, with corrected energies; events without hits have none."""
        return self._clusters(hits, self.outputs(hits), self.threshold_, self.distance_)

    @property
    def timed(self) -> bool:
        """Whether the network looks at times; one that was saved before there were any does not."""
        return bool(getattr(self, "timed_", False))

    def features(self, hits: CalorimeterHits) -> Floats:
        """Return what the network sees of hits, (H, 4) or (H, 6); raise `InputError` without times.

        That is where it was fitted with them.
        """
        if self.timed and hits.time is None:
            raise InputError(
                f"{self.name} was fitted with times of hits, and these have none; give hits with"
                " times, or fit on hits without."
            )
        return features(hits, self.timed)

    def outputs(self, hits: CalorimeterHits) -> Floats:
        """Return what the network gives each hit, (H, 2 + D): beta, ln of the factor, its place."""
        network = self.network_
        inputs = _ragged(hits, self.features(hits))
        found = np.zeros((len(hits.energy), 2 + self.dimensions))
        network.eval()
        with torch.inference_mode():
            for events in _batches(hits.counts):
                values, mask = inputs.padded(torch.from_numpy(events))
                rows = np.concatenate(
                    [np.arange(a, a + n) for a, n in zip(hits.offsets[events], hits.counts[events],
                                                         strict=True)]
                )  # fmt: skip
                found[rows] = network(values, mask)[mask].double().numpy()
        found[:, 0] = 1 / (1 + np.exp(-found[:, 0]))
        return found

    def _clusters(
        self, hits: CalorimeterHits, outputs: Floats, threshold: float, distance: float
    ) -> Clusters:
        label, points = condensed(
            outputs[:, 0], outputs[:, 2:], hits.offsets, threshold=threshold, distance=distance
        )
        return Clusters.of(hits, label, self.scale_ * np.exp(outputs[points, 1]))

    def _choose(self, hits: CalorimeterHits) -> None:
        """Choose threshold, distance and scale by events that were held out."""
        outputs = self.outputs(hits)
        self.scale_ = 1.0
        scores = {
            (threshold, distance): f1(
                match_clusters(
                    hits,
                    self._clusters(hits, outputs, threshold, distance),
                    least=self.least_energy,
                )
            )
            for threshold in THRESHOLDS
            for distance in DISTANCES
        }
        self.threshold_, self.distance_ = max(scores, key=scores.__getitem__)
        found = match_clusters(
            hits,
            self._clusters(hits, outputs, self.threshold_, self.distance_),
            least=self.least_energy,
        )
        middle = found.response()[0].value
        self.scale_ = 1 / middle if middle > 0 else 1.0  # of NaN, too

    def _rebuild(self) -> None:
        self.network_ = GravNet(
            inputs=len(FEATURES) + len(OF_TIME) * self.timed,
            outputs=2 + self.dimensions,
            width=self.width,
            blocks=self.blocks,
            neighbours=self.neighbours,
        )


class _WithTruth(nn.Module):
    """The network as it is trained: its outputs, and what is known of each hit behind them."""

    def __init__(self, network: GravNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        inputs = values.shape[-1] - (TRUTH - 1)
        known = values[..., inputs:]
        outputs = self.network(values[..., :inputs], mask)
        return torch.cat([outputs, known, mask[..., None].to(known.dtype)], dim=2)


def features(hits: CalorimeterHits, timed: bool = False) -> Floats:
    """Return what the network sees of each hit, (H, 4), by `FEATURES`; `timed` adds `OF_TIME`."""
    event, energy = hits.event, hits.energy
    total = np.maximum(np.bincount(event, energy, len(hits)), 1e-30)
    middle = [
        np.bincount(event, energy * hits.position[:, axis], len(hits)) / total for axis in (0, 1)
    ]
    across = [hits.position[:, axis] - middle[axis][event] for axis in (0, 1)]
    columns = [*across, hits.position[:, 2], np.log(energy)]
    if timed:
        assert hits.time is not None
        has = ~np.isnan(hits.time)
        weight = np.where(has, energy, 0.0)
        time = np.where(has, hits.time, 0.0)
        total = np.maximum(np.bincount(event, weight, len(hits)), 1e-30)
        mean = np.bincount(event, weight * time, len(hits)) / total
        columns += [np.where(has, time - mean[event], 0.0), has.astype(np.float64)]
    return np.stack(columns, axis=1)


def _ragged(hits: CalorimeterHits, columns: Floats) -> Ragged:
    return Ragged(
        torch.from_numpy(columns.astype(np.float32)),
        torch.from_numpy(hits.offsets[:-1].copy()),
        torch.from_numpy(hits.counts),
        tuple(str(i) for i in range(columns.shape[1])),
    )


def _batches(counts: NDArray[np.int64]) -> Iterator[Ints]:
    """Yield events of similar length together, so many that their padded hits are few."""
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] > 0]
    start = 0
    while start < len(order):
        size = max(1, PADDED // int(counts[order[start]]))
        yield order[start : start + size]
        start += size
