"""Classification losses: weighted cross-entropy."""

import torch
from torch import Tensor

__all__ = ["cross_entropy", "weighted_mean"]


def weighted_mean(loss: Tensor, weight: Tensor) -> Tensor:
    """Return sum_i w_i l_i / N, both (B,).

    The sum is divided by the number of events and not by the sum of weights, so that the
    batches of an epoch add up to the weighted loss of the sample also where weights are
    negative. Weights of mean 1 over the sample keep the scale of the unweighted loss.
    """
    return (loss * weight).mean()


def cross_entropy(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean of -ln softmax(outputs)[target].

    `outputs` (B, K) logits, `target` (B,) int64 class index, `weight` (B,).
    """
    loss = torch.nn.functional.cross_entropy(outputs, target, reduction="none")
    return weighted_mean(loss, weight)
