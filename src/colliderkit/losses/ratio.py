"""Likelihood-ratio losses (BCE, MSE, MLC, SQR): their minimum is p1/p0.

Events of the numerator p1 have target 1, those of the denominator p0 target 0. With both classes
of equal weight, each loss is minimal where `RatioLoss.log_ratio` of the outputs is
ln p1(x)/p0(x). After 2305.10500 (and 2101.07263 for MLC and SQR).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.losses.classification import weighted_mean

__all__ = ["RATIO_LOSSES", "RatioLoss", "ratio_loss"]

TINY = 1e-12
START = math.log(math.e - 1)
Term = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class RatioLoss:
    """Likelihood-ratio loss: that of an event of each class, and ln p1/p0 of the output z.

    `slope` is a where ln p1/p0 = a z, None where it is no multiple of z.
    """

    numerator: Term
    denominator: Term
    log_ratio: Term
    slope: float | None

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the weighted mean loss: `outputs` (B, 1), `target` (B,) 0 or 1, `weight` (B,)."""
        return weighted_mean(self.each(outputs[:, 0], target), weight)

    def each(self, z: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each event, z and `target` of one shape.

        A target between 0 and 1 is an event that stands in both samples with these shares.
        """
        return target * self.numerator(z) + (1 - target) * self.denominator(z)


def _bce() -> RatioLoss:
    """-y ln f - (1 - y) ln(1 - f), f = sigmoid(z): p1/p0 = f/(1 - f) = e^z."""
    return RatioLoss(lambda z: F.softplus(-z), F.softplus, lambda z: z, 1.0)


def _mse(power: float = 2.0) -> RatioLoss:
    """y (1 - f)^p + (1 - y) f^p, f = sigmoid(z): p1/p0 = (f/(1 - f))^(p - 1)."""
    return RatioLoss(
        lambda z: torch.sigmoid(-z) ** power,
        lambda z: torch.sigmoid(z) ** power,
        lambda z: (power - 1) * z,
        power - 1,
    )


def _mlc() -> RatioLoss:
    """-y ln f - (1 - y)(1 - f), f = softplus(z + c), f(0) = 1: p1/p0 = f."""
    return RatioLoss(lambda z: -_log_softplus(z), lambda z: _softplus(z) - 1, _log_softplus, None)


def _exponential_mlc() -> RatioLoss:
    """The same with f = e^z."""
    return RatioLoss(lambda z: -z, torch.expm1, lambda z: z, 1.0)


def _sqr(power: float = 1.0) -> RatioLoss:
    """y f^(-r/2) + (1 - y) f^(r/2), f = softplus(z + c), f(0) = 1: p1/p0 = f^r."""
    return RatioLoss(
        lambda z: torch.exp(-0.5 * power * _log_softplus(z)),
        lambda z: torch.exp(0.5 * power * _log_softplus(z)),
        lambda z: power * _log_softplus(z),
        None,
    )


def _exponential_sqr(power: float = 1.0) -> RatioLoss:
    """The same with f = e^z."""
    return RatioLoss(
        lambda z: torch.exp(-0.5 * power * z),
        lambda z: torch.exp(0.5 * power * z),
        lambda z: power * z,
        power,
    )


def _log_softplus(z: Tensor) -> Tensor:
    return _softplus(z).clamp(min=TINY).log()


def _softplus(z: Tensor) -> Tensor:
    # Positive with a gradient everywhere, where a rectifier would stop learning; 1 at z = 0.
    return F.softplus(z + START)


RATIO_LOSSES: dict[str, Callable[..., RatioLoss]] = {
    "bce": _bce,
    "mse": _mse,
    "p-mse": _mse,
    "mlc": _mlc,
    "exponential-mlc": _exponential_mlc,
    "sqr": _sqr,
    "exponential-sqr": _exponential_sqr,
    "r-sqr": _sqr,
    "exponential-r-sqr": _exponential_sqr,
}
POWERED = ("p-mse", "r-sqr", "exponential-r-sqr")


def ratio_loss(name: str, power: float | None = None) -> RatioLoss:
    """Return a loss by name; `power` is the p of "p-mse" and the r of the "r-sqr" losses.

    Raises `InputError` for an unknown name, or a power that is missing, not taken or outside
    p > 1, r > 0.
    """
    if name not in RATIO_LOSSES:
        raise InputError(f"loss '{name}' is unknown; choose from {', '.join(RATIO_LOSSES)}.")
    if name not in POWERED:
        if power is not None:
            raise InputError(f"loss '{name}' takes no power; {', '.join(POWERED)} do.")
        return RATIO_LOSSES[name]()
    if power is None or not power > (1 if name == "p-mse" else 0):
        least = "above 1" if name == "p-mse" else "above 0"
        raise InputError(f"loss '{name}' needs a power {least}, got {power}.")
    return RATIO_LOSSES[name](power)
