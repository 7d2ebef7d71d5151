"""Mean of a loss that the model has computed row by row: of generators and densities."""

from torch import Tensor

from colliderkit.losses.classification import weighted_mean

__all__ = ["own_loss"]


def own_loss(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean of the loss (B, 1) that the model computed; there is no target."""
    return weighted_mean(outputs[:, 0], weight)
