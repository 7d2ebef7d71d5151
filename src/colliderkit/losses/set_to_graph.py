"""Loss of set to graph: cross-entropy of pairs and one less the F1 of each set."""

import torch
from torch import Tensor

from colliderkit.losses.classification import weighted_mean

__all__ = ["set_to_graph"]


def set_to_graph(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean over sets of the pairs' cross-entropy and 1 - F1 (2008.02831).

        F1 = (2 sum_ij y_ij s_ij + 1) / (sum_ij y_ij + sum_ij s_ij + 1),

    with s the sigmoid of the logits and y = 1 where both of a pair are of one part. The ones let a
    set without such a pair, or without any pair, have a loss that is finite, 0 for the latter.

    `outputs` (B, L, L + 2): logits of pairs, behind them the part of each (as a number) and whether
    it is there; `target` (B,) is not asked, `weight` (B,).
    """
    logits, part, real = outputs[..., :-2], outputs[..., -2], outputs[..., -1] > 0.5
    pairs = (real[:, :, None] & real[:, None]).triu(1).to(logits.dtype)
    same = (part[:, :, None] == part[:, None]).to(logits.dtype)
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, same, reduction="none")
    entropy = (each * pairs).sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)
    score = torch.sigmoid(logits) * pairs
    agreed = (score * same).sum((1, 2))
    total = (same * pairs).sum((1, 2)) + score.sum((1, 2))
    return weighted_mean(entropy + 1 - (2 * agreed + 1) / (total + 1), weight)
