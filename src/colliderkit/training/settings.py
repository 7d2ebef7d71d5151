"""Settings of a training, the record of its epochs and the type of an objective.

Neither torch nor Lightning is imported, so that a command line can show the settings at once.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from colliderkit.ranges import check

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Epoch", "Objective", "Training", "no_better_than_guessing"]


# How long a training is that nobody sized: least and most epochs, the steps that are enough, the
# least and most events a step.
EPOCHS, STEPS = (20, 100), 2_000
BATCHES, BATCHES_AN_EPOCH = (32, 256), 100

# (outputs, target, weight) -> loss, (). One that is an nn.Module may have parameters of its own:
# they are trained with the model's.
Objective = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]


@dataclass(frozen=True)
class Training:
    """Settings of a training: epochs, batches, learning rate and schedule, devices.

    What counts is the number of steps, and few events make few of them. So batch size and epochs
    follow the number of training events N where they are not given: a batch is N / 100 events,
    rounded down to a power of two between 32 and 256, and there are 20 epochs, or up to 100 where
    2,000 steps need as many.

    Args:
        epochs: passes over the training events; None follows their number.
        batch_size: events a step, on each device; None follows their number.
        learning_rate: the largest learning rate of the schedule.
        weight_decay: decoupled weight decay (AdamW).
        schedule: "constant", "cosine" to zero, "one-cycle" (up for 30%, then down), or
            "flat-then-decay" (the last 30% fall to 1%, as for the Particle Transformer).
        patience: stop after this many epochs without a better validation loss; None runs all.
        precision: "32-true", "bf16-mixed" or "16-mixed", as Lightning names them.
        devices: processors of one node, "auto" for all GPUs there are (one CPU process if none).
        nodes: machines, each with `devices`; started by the cluster as Lightning documents.
        pool: batches that are sorted by length together; 1 does not sort. Sorted batches save the
            padding of a network that computes on it, but each then holds jets of one kind where
            the multiplicity tells the kinds apart: few of them train badly, and batch
            normalisation learns other means than those of all jets.
        longest: constituents of a jet that a tagger sees, the leading ones, in training and after;
            None keeps all.
    """

    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "one-cycle", "flat-then-decay"] = "one-cycle"
    patience: int | None = None
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    devices: int | Literal["auto"] = "auto"
    nodes: int = 1
    pool: int = 1
    longest: int | None = None

    def __post_init__(self) -> None:
        check(vars(self))

    def batch(self, events: int) -> int:
        """Return the events a step of a training on so many events."""
        if self.batch_size is not None:
            return self.batch_size
        least, most = BATCHES
        return min(max(1 << max(events // BATCHES_AN_EPOCH, 1).bit_length() - 1, least), most)

    def passes(self, events: int) -> int:
        """Return the epochs of a training on so many events."""
        if self.epochs is not None:
            return self.epochs
        steps = -(-max(events, 1) // self.batch(events))
        least, most = EPOCHS
        return min(max(-(-STEPS // steps), least), most)


@dataclass(frozen=True)
class Epoch:
    """Record of one epoch: mean losses over training and validation events, and its seconds.

    Under constraints the losses are the primary ones, `constraints` are their values over the
    validation events and `violation` is the largest beyond the tolerance, 0 where all hold.
    `parts` are the mean training losses of each tenth of its steps, () where they are not kept.
    `guess` is the validation loss of one answer for all events (of a classifier: the shares of the
    classes), None where it is not known: a training that ends above it has learned nothing.
    """

    epoch: int
    training_loss: float
    validation_loss: float
    seconds: float
    best: bool = False
    constraints: Mapping[str, float] = field(default_factory=dict)
    violation: float = 0.0
    guess: float | None = None
    parts: Sequence[float] = ()


def no_better_than_guessing(epochs: Sequence[Epoch]) -> Epoch | None:
    """Return the epoch of the lowest validation loss if that is not below its guess, else None.

    None too where no guess is known.
    """
    known = [e for e in epochs if e.guess is not None and math.isfinite(e.validation_loss)]
    best = min(known, key=lambda epoch: epoch.validation_loss, default=None)
    if best is None or best.guess is None or best.validation_loss < best.guess:
        return None
    return best
