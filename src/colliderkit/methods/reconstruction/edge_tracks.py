"""Find tracks by classifying the steps from hit to hit on a graph, and linking the best."""

from typing import ClassVar

from colliderkit.methods.reconstruction.learned_tracks import (
    TRAINING,
    GraphLosses,
    LearnedTracks,
    TrainingGraph,
)
from colliderkit.metrics.tracking import Interest
from colliderkit.training.settings import Training

__all__ = ["EdgeTracks"]


class EdgeTracks(LearnedTracks):
    """Find tracks by an interaction network on doublets of hits (as 2103.06995, with triplets).

    The graph has the doublets in windows learned from true tracks, of which at least one goes on as
    a helix does. A network that passes messages between doublets that meet (`networks.line_graph`)
    scores whether both hits are consecutive hits of a particle, by cross-entropy. The best are
    linked.

    Args:
        pt: the least transverse momentum of the particles that windows are learned from, in GeV.
        volumes: of the detector that are used, such as 7 8 9, the pixels of TrackML; all if not
            given.
        neighbours: doublets of each hit outwards, and inwards, that fit a helix best.
        overlaid: how many events are laid one upon another to train on, such as 1 3 10 30: dense
            events have to be trained on. Each density counts alike.
        width: of the network's layers.
        rounds: of passing messages.
        validation: share of the events that the threshold is chosen on.
        interest: the particles that the threshold is chosen for.
        training: epochs, batches (of events), learning rate.

    After `fit`: `map_`, the windows; `densest_`, the hits of the largest event of the training;
    `network_`; `threshold_` of the logit; `history_`; `sample_`, what the validation events gave,
    [value, error] by name.
    """

    name: ClassVar[str] = "edge-tracks"

    def __init__(
        self,
        *,
        pt: float = 0.3,
        volumes: list[int] | None = None,
        neighbours: int = 16,
        overlaid: list[int] | None = None,
        width: int = 32,
        rounds: int = 3,
        validation: float = 0.1,
        interest: Interest = Interest(),
        training: Training = TRAINING,
    ) -> None:
        self.pt = pt
        self.volumes = volumes
        self.neighbours = neighbours
        self.overlaid = [1] if overlaid is None else overlaid
        self.width = width
        self.rounds = rounds
        self.validation = validation
        self.interest = interest
        self.training = training

    def _losses(self, graphs: list[TrainingGraph]) -> GraphLosses:
        return GraphLosses(graphs, self.network_)
