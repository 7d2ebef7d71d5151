"""Classification losses: weighted cross-entropy."""

import torch
from torch import Tensor

__all__ = ["cross_entropy", "guessing", "weighted_mean"]


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


def guessing(target: Tensor, weight: Tensor) -> float | None:
    """Return the least `cross_entropy` of outputs that are the same for every event.

    It is -sum_k W_k ln(W_k / W) / N with the weights W_k of the classes of `target` (N,), W their
    sum: ln 2 for two classes of equal weight 1. None where a class does not weigh more than 0.
    """
    sums = torch.zeros(int(target.max()) + 1, dtype=torch.float64)
    sums.index_add_(0, target, weight.double())
    sums = sums[sums != 0]
    if not bool((sums > 0).all()) or len(sums) == 0:
        return None
    return float(-(sums * (sums / sums.sum()).log()).sum() / len(target))
