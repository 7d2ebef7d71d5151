"""Maximum mean discrepancy (MMD) of two samples as a loss: a distance of ensembles."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from colliderkit.errors import InputError

__all__ = ["WIDTHS", "EnsembleDistance", "gaussian_kernels", "squared_mmd"]

# In units of the features' standard deviation and of the root of their number: from what a batch
# resolves to beyond its spread, so that some kernel always has a slope.
WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)


def gaussian_kernels(x: Tensor, y: Tensor, widths: Sequence[float] = WIDTHS) -> Tensor:
    """Return the mean over widths s of exp(-|x - y|^2 / (2 s^2 D)), (N, D), (M, D) -> (N, M)."""
    square = x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.t()
    # Rounding can make the distance of a point from itself negative.
    exponent = -square.clamp(min=0) / (2 * x.shape[1])
    return torch.stack([(exponent / width**2).exp() for width in widths]).mean(0)


def squared_mmd(
    x: Tensor,
    y: Tensor,
    x_weight: Tensor | None = None,
    y_weight: Tensor | None = None,
    *,
    widths: Sequence[float] = WIDTHS,
    paired: bool = False,
) -> Tensor:
    """Return the squared MMD of samples (N, D) and (M, D) of densities p and q, ().

        < k(x, x') > + < k(y, y') > - 2 < k(x, y) >,

    each a weighted mean over pairs of different events (JMLR 13 (2012) 723): without bias for
    any number of events, 0 in the mean for p = q, and therefore sometimes negative. With `paired`,
    x_i and y_i belong to one event and do not meet either: for x = y it is 0 exactly. Features
    should be of order 1. Raises `InputError` unless there are two events of each at least.
    """
    if len(x) < 2 or len(y) < 2:
        raise InputError("an MMD needs two events of each sample; take larger batches.")
    v = x.new_ones(len(x)) if x_weight is None else x_weight
    w = x.new_ones(len(y)) if y_weight is None else y_weight
    return (
        _mean(gaussian_kernels(x, x, widths), v, v, others=True)
        + _mean(gaussian_kernels(y, y, widths), w, w, others=True)
        - 2 * _mean(gaussian_kernels(x, y, widths), v, w, others=paired)
    )


def _mean(kernel: Tensor, v: Tensor, w: Tensor, *, others: bool) -> Tensor:
    """Return the weighted mean over all pairs, or over those of different events alone."""
    total, norm = v @ kernel @ w, v.sum() * w.sum()
    if others:
        total, norm = total - (v * w) @ kernel.diagonal(), norm - v @ w
    return total / norm


@dataclass(frozen=True)
class EnsembleDistance:
    """Squared MMD between the outputs and the targets of a batch.

    Both are (B, D), of order 1; event by event they may differ as long as together they are
    distributed alike. `condition` further columns of the target are what they depend on: they are
    set beside both, so that the two agree for each value of the condition too.
    """

    widths: Sequence[float] = WIDTHS
    condition: int = 0

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the distance of outputs (B, D) and target (B, D + condition), weight (B,)."""
        size = target.shape[1] - self.condition
        x = torch.cat([outputs[:, :size], target[:, size:]], 1)
        return squared_mmd(x, target, weight, weight, widths=self.widths, paired=True)
