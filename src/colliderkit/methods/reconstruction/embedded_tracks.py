"""Find tracks by embedding hits where those of a track lie together: object condensation, hinge."""

from typing import ClassVar, Literal

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.hits import TrackerHits
from colliderkit.events.tables import Floats, Ints
from colliderkit.losses.condensation import condensation_loss
from colliderkit.losses.hinge_embedding import hinge_embedding
from colliderkit.methods.reconstruction.learned_tracks import (
    PARAMETERS,
    TRAINING,
    GraphLosses,
    LearnedTracks,
    TrainingGraph,
    inputs,
    on,
    step_loss,
)
from colliderkit.methods.reconstruction.tracking import HitGraph, best, gain, numbered
from colliderkit.metrics.tracking import Interest, figures
from colliderkit.networks.line_graph import HitEmbedding, LineGraph
from colliderkit.training.settings import Training

__all__ = ["EmbeddedTracks"]

Loss = Literal["condensation", "hinge"]
LOSSES: tuple[Loss, ...] = ("condensation", "hinge")
APART = 1e3  # between the events of a portion, in the embedding
RADII = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
BETAS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)


class EmbeddedTracks(LearnedTracks):
    """Find tracks by an embedding of hits: object condensation (2002.03605) or a hinge.

    A network on doublets and triplets (`networks.line_graph`) says what helix each hit may be on;
    averaged over a hit's neighbours by their scores, that gives its coordinates, trained by

    - "condensation": attraction to the hit of the largest beta of a particle, repulsion from that
      of others, beta to 1 for one hit of each; hits within a radius of a hit whose beta is above a
      least one and the largest there are its track;
    - "hinge": attraction between consecutive hits of a particle, repulsion within a distance of 1
      (metric learning); hits that are chained by steps of a radius are a track.

    Both with the cross-entropy of the doublets. Radius and least beta are chosen on validation
    events.

    Args:
        loss: "condensation" or "hinge".
        pt: the least transverse momentum of the particles that windows are learned from, in GeV;
            hits of others count as noise.
        volumes: of the detector that are used, such as 7 8 9, the pixels of TrackML; all if not
            given.
        neighbours: doublets of each hit outwards, and inwards, that fit a helix best.
        overlaid: how many events are laid one upon another to train on, such as 1 3 10 30: dense
            events have to be trained on. Each density counts alike.
        width: of the network's layers.
        rounds: of passing messages.
        dimensions: of the embedding.
        validation: share of the events that radius and least beta are chosen on.
        interest: the particles that they are chosen for.
        training: epochs, batches (of events), learning rate.

    After `fit`: `map_`, the windows; `densest_`, the hits of the largest event of the training;
    `network_` and `embedding_`; `radius_` and `threshold_` (of beta); `history_`; `sample_`, what
    the validation events gave, [value, error] by name.
    """

    name: ClassVar[str] = "embedded-tracks"

    embedding_: HitEmbedding
    radius_: float

    def __init__(
        self,
        *,
        loss: Loss = "condensation",
        pt: float = 0.3,
        volumes: list[int] | None = None,
        neighbours: int = 16,
        overlaid: list[int] | None = None,
        width: int = 32,
        rounds: int = 3,
        dimensions: int = 5,
        validation: float = 0.1,
        interest: Interest = Interest(),
        training: Training = TRAINING,
    ) -> None:
        self.loss = loss
        self.pt = pt
        self.volumes = volumes
        self.neighbours = neighbours
        self.overlaid = [1] if overlaid is None else overlaid
        self.width = width
        self.rounds = rounds
        self.dimensions = dimensions
        self.validation = validation
        self.interest = interest
        self.training = training

    def embed(self, hits: TrackerHits) -> tuple[Floats, Floats]:
        """Return coordinates (h, D) and beta (h,) of the hits in the volumes that are used."""
        placed = [self._embedded(graph) for graph in self.graphs(self.used(hits))]
        nothing = np.zeros((0, self.dimensions)), np.zeros(0)
        coordinates, beta, _ = zip(*placed, strict=True) if placed else ((), (), ())
        return (
            np.concatenate(coordinates) if placed else nothing[0],
            np.concatenate(beta) if placed else nothing[1],
        )

    def _rebuild(self) -> None:
        super()._rebuild()
        self.embedding_ = HitEmbedding(
            PARAMETERS, width=self.width, dimensions=self.dimensions, rounds=self.rounds + 1
        )

    def _losses(self, graphs: list[TrainingGraph]) -> GraphLosses:
        if self.loss not in LOSSES:
            raise InputError(f"loss '{self.loss}' is none of {', '.join(LOSSES)}.")
        return EmbeddingLosses(graphs, self.network_, self.embedding_, self.loss)

    def _labels(self, graph: HitGraph) -> Ints:
        x, beta, there = self._embedded(graph)
        return self._clustered(graph, x, beta, there, self.radius_, self.threshold_)

    def _choose(self, held: TrackerHits) -> None:
        samples = self._held(held)
        placed = [[(g, *self._embedded(g)) for g in self.graphs(one)] for one in samples]
        betas = BETAS if self.loss == "condensation" else (0.0,)

        def worth(choice: tuple[float, float]) -> float:
            return sum(
                gain(
                    figures(
                        sample,
                        np.concatenate([self._clustered(*one, *choice) for one in graphs]),
                        self.interest,
                    )
                )
                for sample, graphs in zip(samples, placed, strict=True)
            )

        choices = [(radius, beta) for radius in RADII for beta in betas]
        self.radius_, self.threshold_ = best(choices, worth)

    @torch.no_grad()
    def _embedded(self, graph: HitGraph) -> tuple[Floats, Floats, Ints]:
        """Return coordinates (H, D), beta (H,) and the hits (n,) that a doublet has."""
        seen = inputs(graph, self.map_)
        logits, state = self.network_(*seen.network)
        *_, ends, count = seen.network
        x, beta = self.embedding_(logits, state, seen.parameters, ends, count)
        there = np.union1d(graph.doublets.inner, graph.doublets.outer)
        return x.double().numpy(), beta.double().numpy(), there

    def _clustered(
        self, graph: HitGraph, x: Floats, beta: Floats, there: Ints, radius: float, least: float
    ) -> Ints:
        """Return the tracks (H,) of an embedding."""
        parts = np.arange(len(x))
        if len(there):
            # Events lie apart, so that one tree serves all of them.
            placed = np.column_stack([x[there], APART * graph.hits.event[there]])
            if self.loss == "hinge":
                which = chained(placed, radius)
            else:
                which = condensed(placed, beta[there], radius, least)
            parts[there] = np.where(which >= 0, there[np.maximum(which, 0)], there)
        return numbered(np.unique(parts, return_inverse=True)[1], graph.hits)


class EmbeddingLosses(GraphLosses):
    """Losses of the doublets and of the embedding of each event."""

    def __init__(
        self,
        graphs: list[TrainingGraph],
        network: LineGraph,
        embedding: HitEmbedding,
        loss: Loss,
    ) -> None:
        super().__init__(graphs, network)
        self.embedding = embedding
        self.loss = loss

    def one(self, graph: TrainingGraph, device: torch.device) -> Tensor:
        """Return the loss of one event."""
        seen = on(graph.inputs.network, device)
        logits, state = self.network(*seen)
        *_, ends, count = seen
        parameters = graph.inputs.parameters.to(device)
        x, beta = self.embedding(logits, state, parameters, ends, count)
        there, objects = graph.there.to(device), graph.objects.to(device)
        x, beta = x[there], beta[there]
        if self.loss == "hinge":
            placed = hinge_embedding(x, objects, graph.pairs.to(device))
        else:
            placed = condensation_loss(beta, x, objects).total()
        return placed + step_loss(logits, graph.steps.to(device))


def condensed(x: Floats, beta: Floats, radius: float, least: float) -> Ints:
    """Return the condensation point (n,) that each hit is near, -1 where there is none.

    A point has a beta above `least` that is the largest within `radius`; of equal ones the first. A
    hit goes to the nearest point within the radius.
    """
    able = np.flatnonzero(beta >= least)
    if not len(able):
        return np.full(len(x), -1)
    # Hits of one track lie so close that pairs are few but for whole events in one place.
    pairs = cKDTree(x[able]).query_pairs(radius, output_type="ndarray")
    one, other = able[pairs[:, 0]], able[pairs[:, 1]]
    first = (beta[one] > beta[other]) | ((beta[one] == beta[other]) & (one < other))
    point = np.zeros(len(x), dtype=bool)
    point[able] = True
    point[np.where(first, other, one)] = False
    points = np.flatnonzero(point)
    distance, nearest = cKDTree(x[points]).query(x, distance_upper_bound=radius)
    found = np.isfinite(distance)
    return np.where(found, points[np.where(found, nearest, 0)], -1)


def chained(x: Floats, radius: float) -> Ints:
    """Return a hit (n,) of the chain of steps below `radius` that each hit is in."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = cKDTree(x).query_pairs(radius, output_type="ndarray")
    shape = (len(x), len(x))
    joined = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=shape)
    _, parts = connected_components(joined, directed=False)
    return np.unique(parts, return_index=True)[1][parts]
