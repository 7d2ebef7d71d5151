"""Estimates of parameters, and their calibration by pseudo-experiments at known values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from colliderkit.errors import InputError

__all__ = ["Calibration", "Estimate"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """Hold theta (T,) of the parameters `names` and its `covariance` (T, T)."""

    names: tuple[str, ...]
    theta: Floats
    covariance: Floats

    @property
    def error(self) -> Floats:
        """The standard deviations (T,)."""
        return np.sqrt(np.diag(self.covariance))


class Calibration:
    """Correct estimates by pseudo-experiments at known theta, and widen their errors.

    The estimates of the experiments are fitted by theta_hat = a + B theta, by weighted least
    squares with the weights 1 / (V + s^2): V is the variance that each estimate claims and s^2
    that which makes the residuals' chi^2 equal to its degrees of freedom, 0 at least. a and B are
    the bias of the learned ratio, s what no straight line takes away. An estimate becomes
    B^-1 (theta_hat - a), with B^-1 (V + s^2 + error of a + B theta) B^-T as covariance. Because
    theta_hat is fitted as a function of theta, and not the other way round, no prior of theta
    enters.

    After `fit`: `offset_` (T,), `slope_` (T, T), `extra_` (T,): a, B and s.
    """

    def fit(self, estimates: Sequence[Estimate], truth: ArrayLike) -> Self:
        """Take E estimates and their theta (E, T); raise `InputError` if they are too few."""
        true = np.asarray(truth, dtype=np.float64)
        count = len(estimates)
        names = estimates[0].names if count else ()
        coefficients = len(names) + 1
        if count < 2 * coefficients:
            raise InputError(
                f"{count} pseudo-experiments for {coefficients} coefficients of each parameter;"
                f" give {2 * coefficients} or more."
            )
        if true.shape != (count, len(names)):
            raise InputError(f"theta has shape {true.shape}; {(count, len(names))} is needed.")
        found = np.stack([estimate.theta for estimate in estimates])
        variance = np.stack([np.diag(estimate.covariance) for estimate in estimates])
        self.names_ = names
        self.middle_ = true.mean(0)
        design = np.concatenate([np.ones((count, 1)), true - self.middle_], 1)
        pieces = [_line(design, y, v) for y, v in zip(found.T, variance.T, strict=True)]
        self.offset_ = np.array([piece[0][0] for piece in pieces])
        self.slope_ = np.stack([piece[0][1:] for piece in pieces])
        self.extra_ = np.sqrt([piece[2] for piece in pieces])
        self.doubt_ = np.stack([piece[1] for piece in pieces])
        return self

    def __call__(self, estimate: Estimate) -> Estimate:
        """Return the corrected estimate; raise `InputError` if it is of other parameters."""
        if estimate.names != self.names_:
            raise InputError(
                f"the calibration is of {', '.join(self.names_)}, the estimate of"
                f" {', '.join(estimate.names)}."
            )
        inverse = np.linalg.inv(self.slope_)
        theta = self.middle_ + inverse @ (estimate.theta - self.offset_)
        place = np.concatenate([[1.0], theta - self.middle_])
        doubt = np.einsum("i,tij,j->t", place, self.doubt_, place)
        covariance = estimate.covariance + np.diag(self.extra_**2 + doubt)
        return Estimate(estimate.names, theta, inverse @ covariance @ inverse.T)


def _line(design: Floats, y: Floats, variance: Floats) -> tuple[Floats, Floats, float]:
    """Return the coefficients, their covariance and s^2 of y = design @ coefficients.

    s^2 >= 0 solves sum residual^2 / (variance + s^2) = degrees of freedom.
    """
    freedom = len(y) - design.shape[1]

    def solved(extra: float) -> tuple[Floats, Floats, float]:
        weight = 1 / (variance + extra)
        covariance = np.asarray(np.linalg.inv((design * weight[:, None]).T @ design), np.float64)
        coefficients = covariance @ (design.T @ (weight * y))
        residual = y - design @ coefficients
        return coefficients, covariance, float((residual**2 * weight).sum()) - freedom

    extra = 0.0
    if solved(0.0)[2] > 0:
        highest = float(np.var(y)) + float(variance.max())
        while solved(highest)[2] > 0:
            highest *= 4
        extra = float(brentq(lambda s2: solved(s2)[2], 0.0, highest))
    return *solved(extra)[:2], extra
