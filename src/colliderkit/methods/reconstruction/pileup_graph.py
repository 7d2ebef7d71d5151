"""A graph network against pileup: the probability of each particle to be of the hard collision."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from colliderkit.errors import InputError
from colliderkit.events.pileup import Particles
from colliderkit.methods.reconstruction.learned import Learned
from colliderkit.networks.radius_graph import RadiusGraph
from colliderkit.training.settings import Training

__all__ = ["PileupGraph"]

HIDDEN = 0.1  # share of the charged particles whose vertices are hidden in a step


class PileupGraph(Learned):
    """Weigh each particle of no known vertex by P(of the hard collision | what surrounds it).

    A `RadiusGraph` passes messages between particles within 0.4 of each other and is trained by
    binary cross entropy, a particle counting by its pT (up to 50 GeV): its answer is then the
    expected share of the hard collision, which as a weight makes the least squared error of a sum
    of momenta that weights can make without knowing of other particles' fates.

    Labels are the truth of a simulation (supervised), or those that data have as well: vertices of
    charged particles, a tenth of which is hidden in each step, to be found from their surroundings
    as if they were neutral (semi-supervised, 2203.15823). What is learned so is used for neutrals.

    Where the events have times of particles (`Particles.delay`), the network sees these too, and
    such a graph cannot do without them.

    Args:
        labels: "truth" or "charged".
        rings: edges of the rings of distance in which messages are summed apart.
        channels: messages of each ring.
        width: of the hidden layers.
        rounds: of messages.
        validation: the share of events that chooses the epoch.
        training: epochs, batch size, learning rate and the like; a batch is of whole events.
    """

    name: ClassVar[str] = "pileup-graph"
    times: ClassVar[bool] = True

    network_: RadiusGraph

    def __init__(
        self,
        *,
        labels: Literal["truth", "charged"] = "truth",
        rings: Sequence[float] = (0.0, 0.05, 0.1, 0.2, 0.4),
        channels: int = 8,
        width: int = 48,
        rounds: int = 2,
        validation: float = 0.2,
        training: Training = Training(epochs=20, batch_size=4, learning_rate=3e-3),
    ) -> None:
        self.labels = labels
        self.rings = rings
        self.channels = channels
        self.width = width
        self.rounds = rounds
        self.validation = validation
        self.training = training

    def _check(self, particles: Particles) -> None:
        if self.labels not in ("truth", "charged"):
            raise InputError(f"labels is '{self.labels}'; choose truth or charged.")
        rings = list(self.rings)
        if len(rings) < 2 or rings != sorted(set(rings)) or not rings[0] >= 0 or rings[-1] > 2:
            raise InputError(f"rings are {rings}; give two edges or more, rising, from 0 to 2.")
        if self.labels == "truth":
            super()._check(particles)
        elif not (particles.leading.any() and (particles.vertex > 0).any()):
            raise InputError(
                "labels are those of charged particles, and the events do not have some of the"
                " leading vertex and some of others; give events with a column vertex."
            )

    def _rebuild(self) -> None:
        self.network_ = RadiusGraph(
            rings=self.rings,
            channels=int(self.channels),
            width=int(self.width),
            rounds=int(self.rounds),
            usual=self.usual_,
            hidden_share=HIDDEN if self.labels == "charged" else None,
            timed=self.timed,
        )

    @staticmethod
    def _objective(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        logit, truth, asked = outputs.unbind(-1)
        each = binary_cross_entropy_with_logits(logit, truth, reduction="none") * asked
        # Over the asked of all events alike: an event counts by its weight, not by its batch.
        return (weight[:, None] * each).sum() / asked.sum().clamp_min(1e-6)

    def _shares(self, values: Tensor, mask: Tensor) -> Tensor:
        hidden, self.network_.hidden_share = self.network_.hidden_share, None
        try:
            logit = self.network_(values, mask)[..., 0]
        finally:
            self.network_.hidden_share = hidden
        return torch.sigmoid(logit[mask])
