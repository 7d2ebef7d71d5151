"""Quantile regression: quantiles of y given x, by the pinball loss."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.stats import norm
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.losses.regression import Pinball
from colliderkit.methods.regression.regression import QUICK, Perceptrons, check_level
from colliderkit.training.settings import Training

__all__ = ["QuantileRegression"]

SIGMA = float(norm.cdf(1))  # the level one standard deviation above the median, 0.8413


class QuantileRegression(Perceptrons):
    """Learn quantiles of y given x, which make no assumption on the shape of its density.

    Between the levels that are learned quantiles are interpolated in Phi^-1(level), in which those
    of a normal density are a line. The estimate is the median, the standard deviation half the
    central 68.3%; there is no epistemic part.

    Args:
        levels: of the quantiles, rising; the outermost bound the intervals that can be asked for.
        hidden: widths of the perceptron.
        validation: the share of events that chooses the epoch.
        training: epochs, batch size, learning rate and the like.
    """

    name: ClassVar[str] = "quantile-regression"
    has_epistemic: ClassVar[bool] = False

    def __init__(
        self,
        *,
        levels: tuple[float, ...] = (0.025, 0.05, 0.16, 0.5, 0.84, 0.95, 0.975),
        hidden: tuple[int, ...] = (64, 64, 64),
        validation: float = 0.2,
        training: Training = QUICK,
    ) -> None:
        self.levels = levels
        self.hidden = hidden
        self.validation = validation
        self.training = training

    def _loss(self) -> Pinball:
        return Pinball(self.levels)

    def quantile(self, x: ArrayLike, level: float) -> Floats:
        """Return the quantile of y of one level at features x (N, F), (N,)."""
        (quantile,) = self._in_pieces(x, lambda rows: [self._at(rows, [level])[:, 0]])
        return self._unscaled(quantile)

    def interval(self, x: ArrayLike, level: float = 0.68) -> tuple[Floats, Floats]:
        """Return the quantiles of (1 -+ level) / 2; `InputError` beyond the learned levels."""
        check_level(level)
        ends = [(1 - level) / 2, (1 + level) / 2]
        low, high = self._in_pieces(x, lambda rows: self._at(rows, ends).unbind(1))
        return self._unscaled(low), self._unscaled(high)

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        low, middle, high = self._at(x, [1 - SIGMA, 0.5, SIGMA]).unbind(1)
        variance = ((high - low) / 2).square()
        return middle, variance, torch.zeros_like(variance)

    def _at(self, x: Tensor, levels: Sequence[float]) -> Tensor:
        """Return quantiles of each of `levels` at features (N, F), (N, L) float64."""
        first, last = self.levels[0], self.levels[-1]
        for level in levels:
            # A level like (1 - 0.95) / 2 may miss the learned 0.025 by rounding.
            if not first - 1e-9 <= level <= last + 1e-9:
                raise InputError(
                    f"the quantile of {level:g} is beyond the learned {first:g} to {last:g}; fit"
                    " with further levels."
                )
        learned = self._loss().quantiles(self.network_(x).squeeze(0)).double()
        knots, asked = norm.ppf(self.levels), norm.ppf(np.clip(levels, first, last))
        right = np.clip(np.searchsorted(knots, asked), 1, len(knots) - 1)
        share = torch.from_numpy((asked - knots[right - 1]) / (knots[right] - knots[right - 1]))
        below, above = learned[:, right - 1], learned[:, right]
        return below + share * (above - below)
