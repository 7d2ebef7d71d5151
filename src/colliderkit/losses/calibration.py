"""Calibration losses: mean, median or mode of p(target | x), and mutual information (x, z).

Those of mutual information are minimal at ln p(x | z) / p(x). Those for a location are taken event
by event, outputs and targets of one shape, as `training.stacks.fit_stack` wants it; targets have a
spread of about 1.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from colliderkit.losses.classification import weighted_mean

__all__ = [
    "LOCATION_LOSSES",
    "MUTUAL_INFORMATION_LOSSES",
    "absolute",
    "contrast",
    "contrasts",
    "donsker_varadhan",
    "leaky_kernel",
    "log_spread",
    "squared",
]

WIDTH = 0.3  # of the kernel
LEAK = 0.02


def squared(outputs: Tensor, target: Tensor) -> Tensor:
    """Return (y - f)^2 / 2, minimal at the mean."""
    return 0.5 * (target - outputs).square()


def absolute(outputs: Tensor, target: Tensor) -> Tensor:
    """Return |y - f|, minimal at the median."""
    return (target - outputs).abs()


def leaky_kernel(outputs: Tensor, target: Tensor) -> Tensor:
    """Return 1 - exp(-u^2 / 2 a^2) + b |u|, u = y - f, minimal at the mode (1910.03773).

    It is the mode of the density smoothed by a normal kernel of width a, 0.3 of the spread;
    b = 0.02 pulls on those that the kernel does not see.
    """
    u = target - outputs
    return -torch.expm1(-0.5 * (u / WIDTH).square()) + LEAK * u.abs()


def log_spread(outputs: Tensor, target: Tensor) -> Tensor:
    """Return (h + y^2 e^-h) / 2, minimal at h = ln E[y^2 | x]."""
    return 0.5 * (outputs + target.square() * (-outputs).exp())


LOCATION_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": squared,
    "median": absolute,
    "mode": leaky_kernel,
}


def contrast(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the mean of -(T_0 - ln <e^T_k>), <> over the K + 1 truths of an event.

    `outputs` (B, K + 1) are T(x, z_k), z_0 the event's own truth and the others drawn from p(z).
    Minimal at T = ln p(x | z) / p(x), for any K and up to a function of x (1807.03748). Each event
    has a normalisation of its own, that no other's can overwhelm. There is no target.
    """
    return weighted_mean(contrasts(outputs), weight)


def contrasts(outputs: Tensor) -> Tensor:
    """Return what `contrast` is the mean of, (B,); minus its mean bounds I(X; Z) from below."""
    t = outputs.double()
    return (t.logsumexp(1) - math.log(t.shape[1]) - t[:, 0]).to(outputs.dtype)


def donsker_varadhan(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return -(E_joint[T] - ln E_marginal[e^T]), the bound of Donsker and Varadhan on -I(X; Z).

    `outputs` (B, K + 1) as in `contrast`; those of index 1 and more are the marginals, of all
    events together. Minimal at T = ln p(x | z) / p(x) up to a constant, but only with the mean of
    e^T over all events: that over a batch is rarely the same, and its logarithm is biased.
    """
    t = outputs.double()
    marginal = t[:, 1:].logsumexp(1) + weight.double().clamp(min=1e-30).log()
    bound = (t[:, 0] * weight).mean() - (marginal.logsumexp(0) - math.log(t[:, 1:].numel()))
    return -bound.to(outputs.dtype)


MUTUAL_INFORMATION_LOSSES = {"contrast": contrast, "donsker-varadhan": donsker_varadhan}
