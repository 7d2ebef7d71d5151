"""Multi-task loss: a class and further quantities of a jet from one trunk."""

from dataclasses import dataclass

import torch
from torch import Tensor

from colliderkit.losses.classification import cross_entropy, weighted_mean

__all__ = ["ClassAndRegression"]


@dataclass(frozen=True)
class ClassAndRegression:
    """Cross-entropy of `classes` classes plus a Huber loss of regressed quantities.

    L = CE(outputs[:, :K], class) + `strength` * mean_t Huber(outputs[:, K + t] - target_t), where
    the targets (B, 1 + T) float32 hold the class index first and then T standardised quantities.
    """

    classes: int
    strength: float = 1.0

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        classification = cross_entropy(outputs[:, : self.classes], target[:, 0].long(), weight)
        difference = torch.nn.functional.huber_loss(
            outputs[:, self.classes :], target[:, 1:], reduction="none"
        )
        return classification + self.strength * weighted_mean(difference.mean(1), weight)
