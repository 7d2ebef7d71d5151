"""Train networks on graphs of hits: what they see, the truth of steps, and the base of members."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from colliderkit.events.hits import NOISE, TrackerHits
from colliderkit.events.tables import Floats
from colliderkit.methods.reconstruction.doublets import LayerMap, consecutive
from colliderkit.methods.reconstruction.tracking import SHORTEST, HitGraph, TrackFinder
from colliderkit.networks.line_graph import LineGraph
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Training

__all__ = [
    "PARAMETERS",
    "TRAINING",
    "GraphLosses",
    "LearnedTracks",
    "TrainingGraph",
    "inputs",
    "on",
    "step_loss",
]

DOUBLET, TRIPLET, PARAMETERS = 12, 5, 5  # numbers of each that a network sees
TRAINING = Training(batch_size=4, learning_rate=2e-3)


class LearnedTracks(TrackFinder):
    """Base of members with a network on the graph of hits (`networks.line_graph`)."""

    resumable: ClassVar[bool] = True

    network_: LineGraph
    history_: list[Epoch]

    width: int
    rounds: int
    training: Training

    def _rebuild(self) -> None:
        self.network_ = LineGraph(DOUBLET, TRIPLET, width=self.width, rounds=self.rounds)

    def _learn(
        self,
        train: TrackerHits,
        held: TrackerHits,
        *,
        seed: int,
        folder: str | Path | None,
        resume: bool,
        progress: bool,
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "network"))
            self._rebuild()
        samples = [*self._overlaid(train), *self._held(held)]
        graphs = [
            TrainingGraph.of(
                HitGraph.of(part.at([n]), self.map_, self.neighbours), self.map_, self.pt
            )
            for part in samples
            for n in range(len(part))
        ]
        losses = self._losses(graphs)
        count = sum(len(part) for part in samples[: len(self.overlaid)])
        # An event of several overlaid counts as those: each density counts alike.
        weight = np.repeat(2 * self.overlaid, [len(part) for part in samples])
        numbers = torch.arange(len(graphs), dtype=torch.float32)[:, None]
        data = Dataset(
            numbers, torch.zeros(len(graphs)), torch.as_tensor(weight, dtype=torch.float32)
        )
        self.history_ = fit(
            losses,
            mean_loss,
            data.at(torch.arange(count)),
            data.at(torch.arange(count, len(graphs))),
            self.training,
            folder=None if folder is None else Path(folder),
            seed=derive(seed, "training"),
            resume=resume,
            title=self.name,
            progress=progress,
        )

    def _losses(self, graphs: list["TrainingGraph"]) -> "GraphLosses":
        raise NotImplementedError

    @torch.no_grad()
    def _scores(self, graph: HitGraph) -> Floats:
        seen = inputs(graph, self.map_)
        logits, _ = self.network_(*seen.network)
        return logits.double().numpy()


@dataclass(frozen=True)
class Inputs:
    """Hold what networks see of a graph: `network` of `LineGraph`, `parameters` (E, 5)."""

    network: tuple[Tensor, Tensor, Tensor, Tensor, int]
    parameters: Tensor


@dataclass(frozen=True)
class TrainingGraph:
    """One event: what a network sees, and its truth.

    `steps` (E,): 1 for doublets of consecutive hits of a particle; `objects` (n,): the particle of
    each hit that a doublet has, -1 for none, of the rows `there` (n,); `pairs` (2, P): consecutive
    hits of one, as places in `there`.
    """

    inputs: Inputs
    steps: Tensor
    there: Tensor
    objects: Tensor
    pairs: Tensor

    @classmethod
    def of(cls, graph: HitGraph, known: LayerMap, pt: float) -> Self:
        """Return the truth of one event beside what is seen of it."""
        hits, made = graph.hits, graph.doublets
        first, second = consecutive(hits)
        count = len(hits.x)
        true = np.isin(made.inner * count + made.outer, first * count + second)
        there = np.union1d(made.inner, made.outer)
        particle = hits.truth("fit")[there]
        rows = hits.particle_rows()[there]
        known_to = hits.particles
        assert known_to is not None
        wanted = particle != NOISE
        if len(known_to.id):
            wanted &= (rows >= 0) & (known_to.pt > pt)[rows]
        _, number, sizes = np.unique(particle, return_inverse=True, return_counts=True)
        wanted &= sizes[number] >= SHORTEST
        objects = np.full(len(there), -1)
        if wanted.any():
            objects[wanted] = np.unique(particle[wanted], return_inverse=True)[1]
        place = np.full(count, -1)
        place[there] = np.arange(len(there))
        pairs = np.stack([place[first], place[second]])
        pairs = pairs[:, (pairs >= 0).all(0)]
        pairs = pairs[:, objects[pairs[0]] >= 0] if len(there) else pairs[:, :0]
        return cls(
            inputs(graph, known),
            torch.as_tensor(true, dtype=torch.float32),
            torch.as_tensor(there),
            torch.as_tensor(objects),
            torch.as_tensor(pairs),
        )


class GraphLosses(nn.Module):
    """Losses of events by their number: (B, 1) numbers in, (B,) losses out."""

    def __init__(self, graphs: list[TrainingGraph], network: LineGraph) -> None:
        super().__init__()
        self.graphs = graphs
        self.network = network

    def forward(self, numbers: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss of each event."""
        return torch.stack([self.one(self.graphs[int(n)], numbers.device) for n in numbers[:, 0]])

    def one(self, graph: TrainingGraph, device: torch.device) -> Tensor:
        """Return the loss of one event."""
        logits, _ = self.network(*on(graph.inputs.network, device))
        return step_loss(logits, graph.steps.to(device))


def on(parts: tuple[Any, ...], device: torch.device) -> tuple[Any, ...]:
    """Return tensors on a device."""
    return tuple(p.to(device) if isinstance(p, Tensor) else p for p in parts)


def step_loss(logits: Tensor, steps: Tensor) -> Tensor:
    """Return the mean cross-entropy of doublets, 0 of none."""
    each = nn.functional.binary_cross_entropy_with_logits(logits, steps, reduction="sum")
    return each / max(len(steps), 1)


def mean_loss(losses: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the mean over events."""
    return (losses * weight).sum() / weight.sum()


def inputs(graph: HitGraph, known: LayerMap) -> Inputs:
    """Return what networks see of a graph, float32, each number of the order of 1."""
    hits, made, triplets = graph.hits, graph.doublets, graph.triplets
    count = len(made)
    middle, half = known.vertex.mean(), np.ptp(known.vertex) / 2
    bend = made.curvature / known.curvature
    z0 = np.clip((made.z0 - middle) / half, -2, 2)
    r = hits.r
    begun = np.bincount(triplets.before, minlength=count)
    ended = np.bincount(triplets.after, minlength=count)
    doublets = [
        np.clip(bend, -2, 2),
        np.clip(np.abs(bend), 0, 2),
        np.arcsinh(made.cot) / 2,
        z0,
        np.log(made.length / 40.0),
        r[made.inner] / 200.0,
        r[made.outer] / 200.0,
        hits.z[made.inner] / 500.0,
        hits.z[made.outer] / 500.0,
        np.log1p(begun),
        np.log1p(ended),
        hits.surface[made.inner] == hits.surface[made.outer],
    ]
    across, along = np.arcsinh(triplets.across), np.arcsinh(triplets.along)
    apart = np.arcsinh((made.z0[triplets.after] - made.z0[triplets.before]) / 2.0)
    residuals = [across, along, np.abs(across), np.abs(along), apart]
    parameters = [
        np.clip(bend, -2, 2),
        np.arcsinh(made.cot),
        z0 * 2,
        2 * np.cos(made.phi0),
        2 * np.sin(made.phi0),
    ]
    return Inputs(
        (
            stacked(doublets),
            stacked(residuals),
            torch.as_tensor(np.stack([triplets.before, triplets.after])),
            torch.as_tensor(np.stack([made.inner, made.outer])),
            len(hits.x),
        ),
        stacked(parameters),
    )


def stacked(columns: list[NDArray[Any]]) -> Tensor:
    """Return columns (n,) as a float32 tensor (n, C)."""
    return torch.as_tensor(np.stack(columns, axis=1).astype(np.float32))
