"""Estimates of parameters, and their calibration by pseudo-experiments at known values."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from colliderkit.errors import InputError
from colliderkit.events.tables import as_table, as_weight
from colliderkit.methods.method import Method

__all__ = ["Estimate", "EstimateCalibration"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """An estimate theta (T,) of the parameters `names` with its `covariance` (T, T)."""

    names: tuple[str, ...]
    theta: Floats
    covariance: Floats

    @property
    def error(self) -> Floats:
        """The standard deviations (T,)."""
        return np.sqrt(np.diag(self.covariance))


class EstimateCalibration(Method):
    """Correct estimates by pseudo-experiments at known theta, and widen their errors.

    The estimates of the experiments are fitted by theta_hat = a + B theta, by weighted least
    squares with the weights 1 / (V + s^2): V is the variance that each estimate claims and s^2
    that which makes the residuals' chi^2 equal to its degrees of freedom, 0 at least. a and B are
    the bias of the learned ratio, s what no straight line takes away. An estimate becomes
    B^-1 (theta_hat - a), with B^-1 (V + s^2 + error of a + B theta) B^-T as covariance. Because
    theta_hat is fitted as a function of theta, and not the other way round, no prior of theta
    enters.

    After `fit`: `names_` (T,), `theta_mean_` (T,), the mean of the known theta; `offset_` (T,),
    `slope_` (T, T), `extra_sigma_` (T,): a (at that mean), B and s; and
    `coefficient_covariance_` (T, 1 + T, 1 + T), that of a and a row of B.
    """

    name: ClassVar[str] = "estimate-calibration"

    names_: tuple[str, ...]
    theta_mean_: Floats
    offset_: Floats
    slope_: Floats
    extra_sigma_: Floats
    coefficient_covariance_: Floats

    def fit(
        self,
        estimates: Sequence[Estimate],
        truth: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Learn from E estimates and their theta (E, T); return self.

        An experiment of `weight` (E,) 2 counts as two. Negative weights are refused: the sum of
        squares would have no minimum. Raises `InputError` if there are too few experiments.
        """
        self._begin(seed=seed, folder=folder, resume=resume)
        count = len(estimates)
        names = estimates[0].names if count else ()
        coefficients = len(names) + 1
        if count < 2 * coefficients:
            raise InputError(
                f"{count} pseudo-experiments for {coefficients} coefficients of each parameter;"
                f" give {2 * coefficients} or more."
            )
        true = as_table(truth, "theta", names)
        if len(true) != count:
            raise InputError(f"theta has {len(true)} rows for {count} pseudo-experiments.")
        negative = "a sum of squares has no minimum"
        w = as_weight(weight, count, "the pseudo-experiments", negative=negative)
        theta = as_table(np.stack([e.theta for e in estimates]), "the estimates", names)
        variance = np.stack([np.diag(estimate.covariance) for estimate in estimates])
        self.names_ = names
        self.theta_mean_ = np.average(true, axis=0, weights=w)
        design = np.concatenate([np.ones((count, 1)), true - self.theta_mean_], 1)
        lines = [_line(design, y, v, w) for y, v in zip(theta.T, variance.T, strict=True)]
        self.offset_ = np.array([line[0][0] for line in lines])
        self.slope_ = np.stack([line[0][1:] for line in lines])
        self.extra_sigma_ = np.sqrt([line[2] for line in lines])
        self.coefficient_covariance_ = np.stack([line[1] for line in lines])
        return self

    def correct(self, estimate: Estimate) -> Estimate:
        """Return the corrected estimate; raise `InputError` if it is of other parameters."""
        if estimate.names != self.names_:
            raise InputError(
                f"the calibration is of {', '.join(self.names_)}, the estimate of"
                f" {', '.join(estimate.names)}."
            )
        inverse = np.linalg.inv(self.slope_)
        theta = self.theta_mean_ + inverse @ (estimate.theta - self.offset_)
        row = np.concatenate([[1.0], theta - self.theta_mean_])
        line = np.einsum("i,tij,j->t", row, self.coefficient_covariance_, row)
        covariance = estimate.covariance + np.diag(self.extra_sigma_**2 + line)
        return Estimate(estimate.names, theta, inverse @ covariance @ inverse.T)


def _line(
    design: Floats, y: Floats, variance: Floats, counts: Floats
) -> tuple[Floats, Floats, float]:
    """Return the coefficients, their covariance and s^2 of y = design @ coefficients.

    s^2 >= 0 solves sum counts residual^2 / (variance + s^2) = degrees of freedom.
    """
    freedom = float(counts.sum()) - design.shape[1]

    def solved(extra: float) -> tuple[Floats, Floats, float]:
        weight = counts / (variance + extra)
        covariance = np.asarray(np.linalg.inv((design * weight[:, None]).T @ design), np.float64)
        coefficients = covariance @ (design.T @ (weight * y))
        residual = y - design @ coefficients
        return coefficients, covariance, float((residual**2 * weight).sum()) - freedom

    extra = 0.0
    if solved(0.0)[2] > 0:
        highest = float(np.var(y)) + float(variance.max())
        while solved(highest)[2] > 0:
            highest *= 4
        extra = float(brentq(lambda s2: solved(s2)[2], 0.0, highest, xtol=1e-15 * highest))
    return *solved(extra)[:2], extra
