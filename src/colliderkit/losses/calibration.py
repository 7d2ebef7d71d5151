"""Losses of a regression, event by event: each is minimal at another location of p(target | x).

They take outputs and targets of one shape and return the loss of each event, as
`training.tables.fit_stack` wants it. Targets have a spread of about 1.
"""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["LOCATION_LOSSES", "absolute", "leaky_kernel", "log_spread", "squared"]

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

    It is the mode of the density smoothed by a normal kernel of width a, .3 of the spread; b = .02
    pulls on those that the kernel does not see.
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
