"""Non-closure of the ABCD plane as a loss: what two scores leave of N_A N_D = N_B N_C.

It is the term that ABCDisCoTEC (2506.08826) adds to the distance correlation of two scores
(2007.14400): a correlation that is small everywhere may still be all in the corner of the cuts.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.losses.decorrelation import distance_correlation

__all__ = ["SHARES", "NonClosure", "PairCorrelation", "double_cross_entropy"]

SHARES = (0.5, 0.7, 0.8, 0.9, 0.95)  # of the background that fail a cut


def double_cross_entropy(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the cross-entropies of two classifiers, summed: logits (B, 2), target (B,), ()."""
    both = target[:, None].to(outputs.dtype).expand_as(outputs)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(outputs, both, reduction="none")
    return (loss.sum(1) * weight).mean()


@dataclass(frozen=True)
class NonClosure:
    r"""Mean square over cuts of the relative non-closure of the background's two scores.

    With soft steps t = sigmoid((z - c) / (softness * spread)) of logits z at cuts c, the quantiles
    of the batch's background at `shares`, the regions weigh a = <t_x t_y>, b = <t_x (1 - t_y)>,
    c = <(1 - t_x) t_y>, d = <(1 - t_x)(1 - t_y)>, and

    .. math:: \delta(c_x, c_y) = 2 \frac{a d - b c}{a d + b c},

    which is N_A N_D / (N_B N_C) - 1 to first order and stays between -2 and 2. The loss is the mean
    of delta_1 delta_2 over pairs of cuts, the two taken from the halves of a batch: of independent
    halves it estimates delta^2 without the 1 / N that squared noise would add, and may be negative.
    A batch in which the background does not fill both halves contributes 0.
    """

    shares: tuple[float, ...] = SHARES
    softness: float = 0.1
    background: int = 0

    def __post_init__(self) -> None:
        if not self.shares or not all(0 < share < 1 for share in self.shares):
            raise InputError(f"shares are {self.shares}; give some between 0 and 1.")

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the loss of logits (B, 2), target (B,) and weights (B,), ()."""
        chosen = target == self.background
        z, w = outputs[chosen].double(), weight[chosen].double()
        half = len(z) // 2
        parts = slice(half), slice(half, 2 * half)
        if half < 2 or not all(bool(w[part].sum() > 0) for part in parts):
            return outputs.sum() * 0.0
        shares = torch.tensor(self.shares, dtype=z.dtype)
        cuts = torch.quantile(z.detach(), shares, dim=0)  # (K, 2)
        width = self.softness * z.detach().std(0).clamp(min=1e-12)
        steps = torch.sigmoid((z[:, None, :] - cuts) / width)  # (B, K, 2)
        deltas = []
        for part in parts:
            share = w[part] / w[part].sum()
            x, y = steps[part, :, 0], steps[part, :, 1]
            p, q = (share @ x)[:, None], (share @ y)[None]
            a = (share[:, None] * x).t() @ y
            # a d - b c = a - p q, and a d + b c is that and twice b c.
            excess = a - p * q
            deltas.append(2 * excess / (excess + 2 * (p - a) * (q - a)).clamp(min=1e-12))
        return (deltas[0] * deltas[1]).mean().to(outputs.dtype)


@dataclass(frozen=True)
class PairCorrelation:
    """Squared distance correlation of the background's two scores (Double DisCo, 2007.14400).

    Of their probabilities, as the U-statistic: its mean over batches is that of a large sample. The
    gradients are of both scores. A batch in which it is not defined contributes 0.
    """

    background: int = 0

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the loss of logits (B, 2), target (B,) and weights (B,), ()."""
        chosen = target == self.background
        x, y = torch.sigmoid(outputs[chosen].double()).unbind(1)
        try:
            of_x = distance_correlation(x, y, weight[chosen], unbiased=True)
            of_y = distance_correlation(y, x, weight[chosen], unbiased=True)
        except InputError:  # too few events, or a score that is constant
            return outputs.sum() * 0.0
        # Each is differentiable in its first argument: one value, the gradients of both.
        return (of_x + of_y - of_y.detach()).to(outputs.dtype)
