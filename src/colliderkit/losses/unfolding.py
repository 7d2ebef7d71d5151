"""Unfolding loss: the variance of an unfolded spectrum, for detector bins that are learned."""

from dataclasses import dataclass

import torch
from torch import Tensor

from colliderkit.losses.inference import soft_bins

__all__ = ["UnfoldingLoss", "inflation"]

# The weight of a prior on each truth bin, of its own counting: it bounds the inflation by its
# inverse where a batch does not tell two truth bins apart.
PRIOR = 1e-3


def inflation(joint: Tensor, other: Tensor) -> Tensor:
    """Return the variance of each unfolded bin over that of counting its events, (T,) float64.

    `joint` J (T, R) are the expected events of truth bin t and detector bin r, `other` (R,) those
    of no truth bin. For Poisson counts m_r = sum_t J_tr + other_r, scales mu_t of the truth bins
    have the Fisher information F = J diag(1/m) J^T and, inverted, var(mu_t) = (F^-1)_tt. With n_t
    the events of truth bin t it is n_t (F^-1)_tt: 1 for a perfect detector, never less.
    """
    joint, other = joint.double(), other.double()
    counts = (joint.sum(0) + other).clamp(min=1e-9)
    true = joint.sum(1).clamp(min=1e-9)
    information = (joint / counts) @ joint.T + PRIOR * torch.diag(true)
    return true * torch.linalg.inv(information).diagonal()


@dataclass(frozen=True)
class UnfoldingLoss:
    """Mean ln `inflation` of the unfolded variance of a batch.

    Outputs (B, R) give soft detector bins by a softmax; target (B,) is the truth bin, 0 ... T - 1,
    or T for an event that is true in none; `bins` is T.
    """

    bins: int

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        member = soft_bins(outputs, 1.0) * weight[:, None]
        joint = member.new_zeros(self.bins + 1, member.shape[1]).index_add(0, target, member)
        return inflation(joint[:-1], joint[-1]).log().mean().float()
