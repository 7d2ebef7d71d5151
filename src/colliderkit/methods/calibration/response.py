"""The response curve: location and spread of one quantity as smooth functions of another."""

from typing import Any, Self

import numpy as np
import torch
from scipy.interpolate import CubicSpline, make_smoothing_spline
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.methods.calibration.calibration import Calibrated, Floats
from colliderkit.metrics.response import Statistic, profile

__all__ = ["FEWEST", "Curve", "Response", "quantiles"]

FEWEST = 6  # bins that a smoothing spline takes
PER_BIN = 20  # events at least
GRID = 1024


class Curve:
    """Hold a natural cubic spline through (K,) knots, a straight line or `flat` beyond them."""

    def __init__(self, knots: Floats, values: Floats, *, flat: bool = False) -> None:
        self.knots, self.values, self.flat = knots, values, flat
        self.spline = CubicSpline(knots, values, bc_type="natural")

    @classmethod
    def smoothed(cls, knots: Floats, values: Floats, errors: Floats, *, flat: bool = False) -> Self:
        """Fit a smoothing spline, min sum (y - f)^2 / e^2 + lambda Int f''^2.

        Lambda is chosen by generalised cross-validation. Points on a straight line give that line.
        """
        unit = np.ptp(knots)
        fitted = make_smoothing_spline(knots / unit, values, 1 / errors**2)
        return cls(knots, np.asarray(fitted(knots / unit)), flat=flat)

    def __call__(self, at: Floats) -> Floats:
        """Return the curve at points of any shape."""
        inside = np.clip(at, self.knots[0], self.knots[-1])
        value = self.spline(inside)
        return np.asarray(value if self.flat else value + (at - inside) * self.spline(inside, 1))

    def slope(self, at: Floats) -> Floats:
        """Return the derivative."""
        return np.asarray(self.spline(np.clip(at, self.knots[0], self.knots[-1]), 1))


class Response:
    """Hold f(z), a location of p(x | z), and sigma(z), its spread.

    Both are smoothing splines through bins of equally many events. Beyond the outermost bins f
    goes on as a straight line and sigma keeps its value.
    """

    def __init__(self, location: Curve, log_spread: Curve) -> None:
        self.location, self.log_spread = location, log_spread

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

        `where` is said in the error: " for feature 2 from 0 to 1".
        """
        few = len(z) < PER_BIN * FEWEST
        edges = np.zeros(0)
        if not few:
            place = np.linspace(0, 1, min(bins, len(z) // PER_BIN) + 1)
            edges = np.unique(quantiles(z, weight, place))
        if few or len(edges) <= FEWEST:
            raise InputError(
                f"{len(z)} events with {len(np.unique(z))} truths are too few for a"
                f" response curve{where}; at least {PER_BIN * FEWEST} with {FEWEST + 1} truths are"
                " needed."
            )
        rough = profile(x, z, edges, weight=weight, statistic=statistic)
        # Within a bin x rises too: location and spread are those of what is left of it.
        line = Curve(rough.centre, rough.value)
        found = profile(x - line(z), z, edges, weight=weight, statistic=statistic)
        value = line(found.centre) + found.value
        # A median of few events can have an error that is too small by far, by accident.
        errors = np.maximum(found.error, 0.5 * np.median(found.error))
        spread_errors = np.maximum(found.spread_error, 0.5 * np.median(found.spread_error))
        return cls(
            Curve.smoothed(found.centre, value, errors),
            Curve.smoothed(
                found.centre, np.log(found.spread), spread_errors / found.spread, flat=True
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
        reach = np.ptp(knots)
        grid = np.linspace(knots[0], knots[-1], GRID)
        ends = np.array([knots[0] - reach, knots[-1] + reach])
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

    def tensors(self, prefix: str = "") -> dict[str, Tensor]:
        """Return what the response is made of, each name after `prefix`."""
        curves = {"location": self.location, "log_spread": self.log_spread}
        return {
            f"{prefix}{name}.{part}": torch.from_numpy(np.ascontiguousarray(getattr(curve, part)))
            for name, curve in curves.items()
            for part in ("knots", "values")
        }

    @classmethod
    def of_tensors(cls, tensors: dict[str, Any], prefix: str = "") -> Self:
        """Return the response that `tensors` gave, its names after `prefix`."""
        location, log_spread = (
            (tensors[f"{prefix}{name}.knots"].numpy(), tensors[f"{prefix}{name}.values"].numpy())
            for name in ("location", "log_spread")
        )
        return cls(Curve(*location), Curve(*log_spread, flat=True))


def quantiles(values: Floats, weight: Floats, place: Floats) -> Floats:
    """Return the values below which there are shares `place` (K,) of the weight, (K,)."""
    order = np.argsort(values)
    below = np.cumsum(weight[order])
    below = (below - below[0]) / (below[-1] - below[0])
    return np.asarray(np.interp(place, below, values[order]))
