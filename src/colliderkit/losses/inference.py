"""Inference-aware losses (INFERNO): Fisher information, profiled error, ratios to a reference.

INFERNO (1806.04743): a summary sorts events into K bins; the counts n(theta) say how well the
parameters theta can be measured. For Poisson counts at their expectation (the Asimov data set) the
Hessian of -ln L is the Fisher information

    I_ij = sum_k (d_i n_k)(d_j n_k) / n_k + delta_ij / sigma_i^2,

exactly and with first derivatives alone, sigma_i the width of a Gaussian constraint; the square
root of an element of I^-1 is the error of a parameter when all others float.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.losses.classification import weighted_mean

__all__ = [
    "InferenceLoss",
    "fisher_information",
    "profiled_error",
    "ratios_to_reference",
    "soft_bins",
]

TINY = 1e-9


def soft_bins(outputs: Tensor, temperature: float = 0.1) -> Tensor:
    """Return the membership softmax(outputs / temperature) of each event in each bin, (..., K).

    As the temperature falls it becomes the bin of the largest output.
    """
    return torch.softmax(outputs / temperature, -1)


def fisher_information(
    counts: Tensor, slopes: Tensor, widths: Sequence[float | None] = ()
) -> Tensor:
    """Return the Fisher information (P, P) of Poisson counts, float64.

    `counts` (K,) are expected, `slopes` (P, K) their derivatives by the parameters; `widths` (P,)
    are those of Gaussian constraints, None where a parameter is free.
    """
    slopes = slopes.double()
    # A bin that expects nothing tells nothing: its slopes vanish faster than its count.
    information = slopes @ (slopes / counts.double().clamp(min=TINY)).T
    if not widths:
        return information
    constraint = [0.0 if width is None else width**-2 for width in widths]
    return information + torch.diag(information.new_tensor(constraint))


def profiled_error(information: Tensor, index: int = 0) -> Tensor:
    """Return sqrt((I^-1)_ii): the expected error of parameter `index`, the others profiled.

    By the Schur complement, I_ii - I_io I_oo^-1 I_oi = 1 / (I^-1)_ii.
    """
    others = [i for i in range(len(information)) if i != index]
    conditional = information[index, index]
    if others:
        cross = information[others, index]
        block = information[others][:, others]
        # Parameters that the counts barely tell apart would make the block singular.
        block = block + 1e-12 * torch.diag(block.diagonal() + TINY)
        conditional = conditional - cross @ torch.linalg.solve(block, cross)
    return conditional.clamp(min=TINY).rsqrt()


@dataclass(frozen=True)
class InferenceLoss:
    """Estimate the error of the signal yield from a batch, nuisance parameters profiled.

    The outputs of an event, (B, K + D K + R), are its soft bins p, the derivatives of p by the D
    nuisance parameters that move events, and the derivatives of ln w by all R = len(`widths`)
    nuisance parameters, in their order; `moving` (D,) are the places of the D among the R. Events
    of the signal have target 1. Within a batch the weights of a process are rescaled to its
    expected yield, and

        n_k = sum_j w_j p_jk,   d_i n_k = sum_j w_j (d_i p_jk + p_jk d_i ln w_j).

    The returned sigma(s) is in expected signal events.
    """

    bins: int
    signal: float
    background: float
    widths: Sequence[float | None] = ()
    moving: Sequence[int] = ()

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return sigma(s) from outputs (B, ...), target (B,) 0 or 1 and weight (B,)."""
        size = 1 + len(self.moving)
        parts = outputs[:, : size * self.bins].view(-1, size, self.bins)
        bins, bin_slopes = parts[:, 0], parts[:, 1:]
        logs = outputs[:, size * self.bins :]
        is_signal = target > 0.5
        totals = weight[is_signal].sum(), weight[~is_signal].sum()
        if not (float(totals[0]) > 0 and float(totals[1]) > 0):
            raise InputError(
                "a batch holds no signal or no background, or weights that sum to zero;"
                " take larger batches."
            )
        share = torch.where(is_signal, weight / totals[0], 0.0)
        signal = share @ bins
        expected = torch.where(
            is_signal, share * self.signal, weight * (self.background / totals[1])
        )
        slopes = [signal]
        for i in range(len(self.widths)):
            slope = (expected * logs[:, i]) @ bins
            if i in self.moving:
                slope = slope + expected @ bin_slopes[:, self.moving.index(i)]
            slopes.append(slope)
        information = fisher_information(expected @ bins, torch.stack(slopes), [None, *self.widths])
        return profiled_error(information).to(outputs.dtype)


def ratios_to_reference(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the cross-entropy of K processes and their reference, the class of logit 0.

    Each event appears twice: as one of its process, and as one of the reference, which is all
    processes in equal parts. `outputs` (B, 2 (K + 1)) are, for the one and for the other, the
    ln p_k / p_ref (K,) and a factor on the event's weight; `target` (B,) int64 is the process and
    `weight` (B,) the same in sum for each. Minimal at the true ratios.
    """
    of_process, of_reference = outputs.chunk(2, 1)
    total = torch.zeros_like(weight)
    reference = torch.full_like(target, of_process.shape[1] - 1)
    for part, kind, share in (
        (of_process, target, 1.0),
        (of_reference, reference, 1 / (of_process.shape[1] - 1)),
    ):
        logits = torch.nn.functional.pad(part[:, :-1], (0, 1))
        each = torch.nn.functional.cross_entropy(logits, kind, reduction="none")
        total = total + share * part[:, -1] * each
    return weighted_mean(total, weight)
