"""Split conformal prediction: intervals of any regression, calibrated to cover."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Table, as_column, as_weight, validation_mask
from colliderkit.methods.method import Method
from colliderkit.methods.regression.regression import (
    NEGATIVE,
    Prediction,
    Regression,
    check_level,
)
from colliderkit.seeds import derive

__all__ = ["Conformal", "conformal_quantile"]


class Conformal(Method):
    """Widen or narrow the intervals of a regression until they cover (split conformal).

    n calibration events that the regression has not seen give scores s_i of how far y is out,

        "scaled":   s = |y - estimate| / std,        interval estimate -+ q std (1604.04173),
        "shifted":  s = max(low - y, y - high),      interval [low - q, high + q] (1905.03222),

    with [low, high] the regression's own interval of that level, and q is the ceil((n + 1) level)
    smallest of them. If calibration events and later ones are exchangeable, an interval holds y
    with a probability between level and level + 1/(n + 1), whatever the regression and the density
    are: on average over all events, not at each x. For the calibration that one happens to have,
    the coverage scatters by sqrt(level (1 - level) / n).

    Args:
        method: an unfitted regression.
        score: "scaled", or "shifted", which suits quantiles.
        levels: of the intervals that can be asked for.
        share: of the events given to `fit` that calibrate, by a hash of their number.

    After `fit`: `method_`, the fitted regression, and `factors_`, q of each level: for scaled
    scores those of a right, normal density are Phi^-1((1 + level) / 2), for shifted ones 0.
    """

    name: ClassVar[str] = "conformal"
    method_: Regression
    factors_: list[float]

    def __init__(
        self,
        method: Regression,
        *,
        score: Literal["scaled", "shifted"] = "scaled",
        levels: tuple[float, ...] = (0.68, 0.95),
        share: float = 0.25,
    ) -> None:
        self.method = method
        self.score = score
        self.levels = levels
        self.share = share

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        names: Sequence[str] = (),
        event: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Fit the regression on a part of the events, x (N, F) and y (N,), calibrate on the rest.

        `names` are those of the features. Rows of one number of `event` (N,) are not parted.
        `weight` (N,) must not be negative.
        """
        self._begin(seed=seed, folder=folder, resume=resume)
        self._check()
        table = Table.checked(x, "x", names=names, weight=weight, event=event, negative=NEGATIVE)
        target = as_column(y, len(table), "y")
        if not 0 < self.share < 1:
            raise InputError(f"share is {self.share:g}; give a number between 0 and 1.")
        # Another key than that of the split into training and validation inside the method.
        held = validation_mask(table.event, self.share, derive(seed, "calibration"))
        train, rest = table.at(~held), table.at(held)
        method = clone(self.method).fit(
            train.values,
            target[~held],
            names=train.names,
            event=train.event,
            weight=train.weight,
            seed=seed,
            progress=progress,
        )
        return self.calibrate(method, rest.values, target[held], weight=rest.weight)

    def calibrate(
        self, method: Regression, x: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None
    ) -> Self:
        """Calibrate the intervals of a fitted regression, on events (n, F), (n,) it has not seen.

        Raises `InputError` if there are too few of them for a level.
        """
        self._begin(seed=method.seed_)
        self._check()
        target = as_column(y, len(np.asarray(x)), "y")
        self.method_ = method
        self.factors_ = [
            conformal_quantile(self._scores(x, target, level), level, weight)
            for level in self.levels
        ]
        return self

    def _check(self) -> None:
        if self.score not in ("scaled", "shifted"):
            raise InputError(f"score is '{self.score}'; choose scaled or shifted.")

    @property
    def names_(self) -> list[str]:
        """The names of the features."""
        return self.method_.names_

    def predict(self, x: ArrayLike) -> Prediction:
        """Return what the regression itself predicts."""
        return self.method_.predict(x)

    def interval(self, x: ArrayLike, level: float = 0.68) -> tuple[Floats, Floats]:
        """Return the calibrated interval at features x (N, F), (N,) each; one of `levels`.

        A shifted interval whose ends have crossed is the point between them.
        """
        factors = self.factors_
        numbers = [i for i, known in enumerate(self.levels) if math.isclose(known, level)]
        if not numbers:
            levels = ", ".join(f"{known:g}" for known in self.levels)
            raise InputError(f"level {level:g} is not calibrated, only {levels}; fit with it.")
        factor = factors[numbers[0]]
        if self.score == "scaled":
            answer = self.method_.predict(x)
            return answer.estimate - factor * answer.std, answer.estimate + factor * answer.std
        low, high = self.method_.interval(x, level)
        half_width = np.maximum((high - low) / 2 + factor, 0)
        middle = (low + high) / 2
        return middle - half_width, middle + half_width

    def _scores(self, x: ArrayLike, y: Floats, level: float) -> Floats:
        if self.score == "scaled":
            answer = self.method_.predict(x)
            return np.asarray(np.abs(y - answer.estimate) / answer.std)
        low, high = self.method_.interval(x, level)
        return np.maximum(low - y, y - high)


def conformal_quantile(scores: ArrayLike, level: float, weight: ArrayLike | None = None) -> float:
    """Return the ceil((n + 1) level) smallest of n scores.

    One more score from the same density is at most that with a probability between level and
    level + 1/(n + 1) (exactly ceil((n + 1) level) / (n + 1) without ties). With weights it is the
    smallest score whose share of the sum of weights, the largest of them once more, reaches the
    level (1904.06019, for later events of at most that weight). Raises `InputError` where that is
    beyond all scores, or for negative weights.
    """
    values = np.asarray(scores, dtype=np.float64)
    check_level(level)
    w = as_weight(weight, len(values), "calibration", negative="a quantile would have no place")
    order = np.argsort(values, kind="stable")
    total = np.cumsum(w[order])
    # A part in 1e12 less: level (n + 1) may be a whole number, but for rounding.
    needed = level * (total[-1] + w.max()) * (1 - 1e-12) if len(values) else math.inf
    number = int(np.searchsorted(total, needed)) if len(values) else 0
    if number >= len(values):
        least = math.ceil(level / (1 - level))
        raise InputError(
            f"{len(values)} calibration events do not reach a level of {level:g}; give at least"
            f" {least}, or more where weights differ."
        )
    return float(values[order][number])
