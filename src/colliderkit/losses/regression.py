"""Regression losses: squared, Huber, Gaussian, pinball (quantiles) and evidential.

They take one number, a density or quantiles from K outputs an event.

Each is a callable ``(outputs (B, K), target (B,), weight (B,)) -> scalar``; ``each`` gives the loss
event by event, for any shapes in front of the K outputs, and ``outputs`` is K. Targets should be of
size one: methods standardise them.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.losses.classification import weighted_mean

__all__ = ["Evidential", "Gaussian", "Huber", "Pinball", "RegressionLoss", "Squared"]

TINY = 1e-6  # of a width or a count of evidence, which must not be zero


class RegressionLoss(ABC):
    """Base of regression losses: the loss of each event becomes that of a batch."""

    outputs: int

    @abstractmethod
    def each(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each event, outputs (..., K) and target (...) -> (...)."""

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted mean over a batch, ()."""
        return weighted_mean(self.each(outputs, target), weight)

    def guess(self, target: Tensor, weight: Tensor) -> float:
        """Return the least loss of outputs that are the same for every event.

        Of a squared error that is the variance of `target` (N,), of a likelihood that of the
        marginal density; found by descent from outputs of 0, in float64. Weights are not negative.
        """
        y, w = target.detach().double(), weight.detach().double()
        outputs = torch.zeros(self.outputs, dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.LBFGS([outputs], max_iter=50, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimiser.zero_grad()
            value = self(outputs.expand(len(y), -1), y, w)
            value.backward()
            return value

        with torch.enable_grad():
            optimiser.step(loss)
            return float(loss().detach())


class Squared(RegressionLoss):
    """Squared error (y - z)^2: its minimum is the mean of y given x."""

    outputs = 1

    def each(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each event."""
        return (target - outputs[..., 0]).square()


class Huber(RegressionLoss):
    """Huber loss of r = y - z: r^2 / 2 up to |r| = `delta`, and delta (|r| - delta / 2) beyond.

    Its minimum lies between mean and median, and outliers pull on it by no more than `delta`.
    Raises `InputError` unless `delta` is positive.
    """

    outputs = 1

    def __init__(self, delta: float = 1.0) -> None:
        if not delta > 0:
            raise InputError(f"delta of a Huber loss is {delta:g}; it must be positive.")
        self.delta = delta

    def each(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each event."""
        return F.huber_loss(outputs[..., 0], target, reduction="none", delta=self.delta)


class Gaussian(RegressionLoss):
    """Gaussian likelihood -ln N(y; m, s^2), outputs (m, ln s^2): mean and variance of y given x.

    L = [ln s^2 + (y - m)^2 / s^2 + ln 2 pi] / 2.
    """

    outputs = 2

    def each(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each event."""
        mean, log_variance = outputs.unbind(-1)
        pull2 = (target - mean).square() * torch.exp(-log_variance)
        return 0.5 * (log_variance + pull2 + math.log(2 * math.pi))


class Pinball(RegressionLoss):
    """Pinball (quantile) loss: the sum over levels p of max(p r, (p - 1) r), r = y - q_p.

    Its minimum are the quantiles q_p of y given x. They cannot cross: the middle output is the
    middle quantile, and each further one is a softplus away from its neighbour. Raises
    `InputError` for levels that do not rise between 0 and 1.
    """

    def __init__(self, levels: Sequence[float]) -> None:
        inside = [0.0, *levels, 1.0]
        if not levels or any(a >= b for a, b in zip(inside[:-1], inside[1:], strict=True)):
            raise InputError(f"levels {list(levels)} of quantiles must rise between 0 and 1.")
        self.levels = tuple(levels)
        self.outputs = len(levels)

    def quantiles(self, outputs: Tensor) -> Tensor:
        """Return the quantiles, rising, of outputs of the same shape (..., K)."""
        middle = self.outputs // 2
        centre = outputs[..., middle : middle + 1]
        up = centre + F.softplus(outputs[..., middle + 1 :]).cumsum(-1)
        down = centre - F.softplus(outputs[..., :middle]).flip(-1).cumsum(-1).flip(-1)
        return torch.cat([down, centre, up], -1)

    def each(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each event."""
        levels = outputs.new_tensor(self.levels)
        rest = target[..., None] - self.quantiles(outputs)
        return torch.maximum(levels * rest, (levels - 1) * rest).sum(-1)


class Evidential(RegressionLoss):
    """Evidential loss: -ln St(y) of a Normal-Inverse-Gamma prior, and a regulariser (1910.02600).

    The outputs give gamma, nu > 0, alpha > 1 and beta > 0 of a prior of mean and variance of y;
    with both integrated out y is distributed as Student's t with 2 alpha degrees of freedom, the
    centre gamma and the scale^2 beta (1 + nu) / (nu alpha):

        L = -ln St(y) + regulariser |y - gamma| (2 nu + alpha).

    The first term knows of the scale alone, not of nu and beta apart (2205.10060): along
    beta (1 + nu) / nu = const. it does not change, and what tells the two apart is the regulariser,
    no data. The "epistemic" part is therefore an indication at best.
    """

    outputs = 4

    def __init__(self, regulariser: float = 0.01) -> None:
        self.regulariser = regulariser

    @staticmethod
    def parameters(outputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return gamma, nu, alpha and beta of outputs (..., 4), each (...)."""
        gamma, nu, alpha, beta = outputs.unbind(-1)
        # The softplus, in a form that onnxruntime has for float64.
        positive = [torch.logaddexp(z, torch.zeros_like(z)) + TINY for z in (nu, alpha, beta)]
        return gamma, positive[0], positive[1] + 1, positive[2]

    def each(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each event."""
        gamma, nu, alpha, beta = self.parameters(outputs)
        rest = target - gamma
        omega = 2 * beta * (1 + nu)
        likelihood = (
            0.5 * torch.log(math.pi / nu)
            - alpha * torch.log(omega)
            + (alpha + 0.5) * torch.log(nu * rest.square() + omega)
            + torch.lgamma(alpha)
            - torch.lgamma(alpha + 0.5)
        )
        return likelihood + self.regulariser * rest.abs() * (2 * nu + alpha)
