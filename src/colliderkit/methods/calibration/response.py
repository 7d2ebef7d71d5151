"""Response curve: location and spread of what is measured, as smoothing splines of the truth."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from scipy.interpolate import CubicSpline, make_smoothing_spline

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.methods.calibration.calibration import Calibrated
from colliderkit.metrics.response import Statistic, profile

__all__ = ["Curve", "Response", "check_bins", "quantiles"]

FEWEST = 6  # bins that a smoothing spline takes
PER_BIN = 20  # events at least
GRID = 1024


@dataclass(frozen=True, eq=False)
class Curve:
    """Natural cubic spline through (K,) knots, a straight line or `flat` beyond them."""

    knots: Floats
    values: Floats
    flat: bool = False

    @cached_property
    def spline(self) -> CubicSpline:
        """The spline between the first and the last knot."""
        return CubicSpline(self.knots, self.values, bc_type="natural")

    @classmethod
    def smoothed(cls, knots: Floats, values: Floats, errors: Floats, *, flat: bool = False) -> Self:
        """Fit a smoothing spline, min sum (y - f)^2 / e^2 + lambda Int f''^2.

        Lambda is chosen by generalised cross-validation. Points on a straight line give that line.
        """
        # Near zero and of order 1, where its polynomials lose no digits.
        at, middle = (knots - knots[0]) / np.ptp(knots), values.mean()
        fitted = make_smoothing_spline(at, values - middle, 1 / errors**2)
        return cls(knots, middle + np.asarray(fitted(at)), flat=flat)

    def __call__(self, at: Floats) -> Floats:
        """Return the curve at points of any shape."""
        inside = np.clip(at, self.knots[0], self.knots[-1])
        value = self.spline(inside)
        return np.asarray(value if self.flat else value + (at - inside) * self.spline(inside, 1))

    def slope(self, at: Floats) -> Floats:
        """Return the derivative."""
        return np.asarray(self.spline(np.clip(at, self.knots[0], self.knots[-1]), 1))


@dataclass(frozen=True, eq=False)
class Response:
    """Response curve f(z), a location of p(x | z), and its spread sigma(z), as ln sigma.

    Both are smoothing splines through bins of equally many events. Beyond the outermost bins f
    goes on as a straight line and sigma keeps its value.
    """

    location: Curve
    log_spread: Curve

    @classmethod
    def fitted(
        cls,
        x: Floats,
        z: Floats,
        weight: Floats,
        bins: int,
        statistic: Statistic,
        where: str = "",
    ) -> Self:
        """Fit to events x, z and weight (N,); raise `InputError` if they are too few.

        Events that are alike are one with the sum of their weights, so that an event of weight 2
        and one that is there twice give the same curve. `where` is said in the error: " for
        feature 2 from 0 to 1".
        """
        pairs, number = np.unique(z + 1j * x, return_inverse=True)
        x, z = np.asarray(pairs.imag), np.asarray(pairs.real)
        weight = np.asarray(np.bincount(number, weight), dtype=np.float64)
        few = len(z) < PER_BIN * FEWEST
        edges = np.zeros(0)
        if not few:
            shares = np.linspace(0, 1, min(bins, len(z) // PER_BIN) + 1)
            edges = np.unique(quantiles(z, weight, shares))
        if few or len(edges) <= FEWEST:
            raise InputError(
                f"{len(z)} events with {len(np.unique(z))} truths are too few for a"
                f" response curve{where}; at least {PER_BIN * FEWEST} with {FEWEST + 1} truths are"
                " needed."
            )
        rough = profile(x, z, edges, weight=weight, statistic=statistic)
        # Within a bin x rises too: location and spread are those of what is left of it.
        line = Curve(rough.centre, rough.value)
        rest = profile(x - line(z), z, edges, weight=weight, statistic=statistic)
        value = line(rest.centre) + rest.value
        # A median of few events can have an error that is too small by far, by accident.
        errors = np.maximum(rest.error, 0.5 * np.median(rest.error))
        spread_errors = np.maximum(rest.spread_error, 0.5 * np.median(rest.spread_error))
        return cls(
            Curve.smoothed(rest.centre, value, errors),
            Curve.smoothed(
                rest.centre, np.log(rest.spread), spread_errors / rest.spread, flat=True
            ),
        )

    def spread(self, z: Floats) -> Floats:
        """Return sigma(z)."""
        return np.asarray(np.exp(self.log_spread(z)))

    def rising(self, where: str = "") -> Self:
        """Return the response, or raise `InputError` where it does not rise with the truth."""
        grid = np.linspace(self.location.knots[0], self.location.knots[-1], GRID)
        wrong = np.flatnonzero(~(self.location.slope(grid) > 0))
        if len(wrong):
            raise InputError(
                f"the response does not rise between truths of {grid[wrong[0]]:.4g} and"
                f" {grid[wrong[-1]]:.4g}{where}, and has no inverse there; cut the truth or give"
                " more events."
            )
        return self

    def inverse(self, x: Floats) -> Floats:
        """Return z with f(z) = x, for x of any shape; f rises."""
        knots = self.location.knots
        length = np.ptp(knots)
        grid = np.linspace(knots[0], knots[-1], GRID)
        ends = np.array([knots[0] - length, knots[-1] + length])
        grid = np.concatenate([ends[:1], grid, ends[1:]])
        z = np.interp(x, self.location(grid), grid)
        # The ends are straight lines, so that one step is exact there; within the bins three
        # are, from a start this near.
        for _ in range(3):
            z = z - (self.location(z) - x) / self.location.slope(z)
        return np.asarray(z)

    def calibrated(self, x: Floats) -> Calibrated:
        """Return z = f^-1(x) and the resolution sigma / f' there."""
        z = self.inverse(x)
        return Calibrated(z, self.spread(z) / self.location.slope(z))


def check_bins(bins: int) -> None:
    """Raise `InputError` for fewer bins than a smoothing spline takes."""
    if bins < FEWEST:
        raise InputError(f"bins is {bins}; it must be at least {FEWEST}.")


def quantiles(values: Floats, weight: Floats, shares: Floats) -> Floats:
    """Return the smallest values that have `shares` (K,) of the weight at or below them, (K,).

    A value of weight 2 counts as one that is there twice.
    """
    order = np.argsort(values)
    below = np.cumsum(weight[order])
    # A part in 1e12 less: a share of the sum may be a whole number, but for rounding.
    numbers = np.searchsorted(below, shares * below[-1] * (1 - 1e-12))
    return np.asarray(values[order][numbers])
