"""Conformal intervals: the coverage of any regression, made right on events kept for that."""

import math
from collections.abc import Sequence
from importlib import import_module
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.schema import hash_uniform
from colliderkit.methods.method import Method
from colliderkit.methods.regression.regression import Prediction, Regression

__all__ = ["Conformal", "conformal_quantile"]

Floats = NDArray[np.float64]


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

    def __init__(
        self,
        method: Regression,
        *,
        score: Literal["scaled", "shifted"] = "scaled",
        levels: Sequence[float] = (0.68, 0.95),
        share: float = 0.25,
    ) -> None:
        self.method = method
        self.score = score
        self.levels = levels
        self.share = share

    def fit(
        self, x: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None, seed: int = 0
    ) -> Self:
        """Fit the regression on a part of the events, x (N, F) and y (N,), calibrate on the rest.

        `weight` (N,) must not be negative.
        """
        table, target = np.asarray(x), np.asarray(y)
        w = None if weight is None else np.asarray(weight)
        if not len(table) == len(target) == (len(table) if w is None else len(w)):
            raise InputError("x, y and weight have other numbers of events; give one row for each.")
        # Another key than that of the split into training and validation inside the method.
        kept = hash_uniform(np.arange(len(table)), seed + 7919) < self.share
        method = clone(self.method).fit(
            table[~kept], target[~kept], weight=None if w is None else w[~kept], seed=seed
        )
        return self.calibrate(
            method, table[kept], target[kept], weight=None if w is None else w[kept]
        )

    def calibrate(
        self, method: Regression, x: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None
    ) -> Self:
        """Take a regression that is fitted already, and events (n, F), (n,) that it has not seen.

        Raises `InputError` if there are too few of them for a level.
        """
        if self.score not in ("scaled", "shifted"):
            raise InputError(f"--score is '{self.score}'; choose scaled or shifted.")
        self.method_ = method
        target = np.asarray(y, dtype=np.float64)
        if target.shape != (len(np.asarray(x)),) or not np.isfinite(target).all():
            raise InputError("calibration needs a y for each event, all of them finite numbers.")
        self.factors_ = [
            conformal_quantile(self._scores(x, target, level), level, weight)
            for level in self.levels
        ]
        return self

    def predict(self, x: ArrayLike) -> Prediction:
        """Return what the regression itself predicts."""
        self._fitted()
        return self.method_.predict(x)

    def interval(self, x: ArrayLike, level: float = 0.68) -> tuple[Floats, Floats]:
        """Return the calibrated interval at features x (N, F), (N,) each; one of `levels`.

        A shifted interval whose ends have crossed is the point between them.
        """
        self._fitted()
        known = [i for i, own in enumerate(self.levels) if math.isclose(own, level)]
        if not known:
            given = ", ".join(f"{own:g}" for own in self.levels)
            raise InputError(f"level {level:g} is not calibrated, only {given}; fit with --levels.")
        factor = self.factors_[known[0]]
        if self.score == "scaled":
            found = self.method_.predict(x)
            return found.estimate - factor * found.std, found.estimate + factor * found.std
        low, high = self.method_.interval(x, level)
        reach = np.maximum((high - low) / 2 + factor, 0)
        middle = (low + high) / 2
        return middle - reach, middle + reach

    def _scores(self, x: ArrayLike, y: Floats, level: float) -> Floats:
        if self.score == "scaled":
            found = self.method_.predict(x)
            return np.asarray(np.abs(y - found.estimate) / found.std)
        low, high = self.method_.interval(x, level)
        return np.maximum(low - y, y - high)

    def _fitted(self) -> None:
        if not hasattr(self, "method_"):
            raise InputError("nothing is calibrated yet; call fit or load a fitted one.")

    # What follows saves and restores.

    def _tensors(self) -> dict[str, Tensor]:
        return self.method_._tensors()

    def _state(self) -> dict[str, Any]:
        return {"factors": self.factors_, "method": self.method_._state()}

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self.method_ = clone(self.method)
        self.method_._restore(tensors, state["method"])
        self.factors_ = state["factors"]

    def _parameters(self) -> dict[str, Any]:
        # `calibrate` may have been given another one than the constructor.
        method = self.method_
        inner = {"name": method.name, "parameters": method._parameters()}
        return {**self.get_params(deep=False), "method": inner}

    @classmethod
    def _from_parameters(cls, parameters: dict[str, Any]) -> Self:
        from colliderkit.methods import METHODS

        inner = parameters["method"]
        module, attribute = METHODS[inner["name"]].split(":")
        method = getattr(import_module(module), attribute)._from_parameters(inner["parameters"])
        return cls(**{**parameters, "method": method})


def conformal_quantile(scores: ArrayLike, level: float, weight: ArrayLike | None = None) -> float:
    """Return the ceil((n + 1) level) smallest of n scores.

    One more score from the same density is at most that with a probability between level and
    level + 1/(n + 1) (exactly ceil((n + 1) level) / (n + 1) without ties). With weights it is the
    smallest score whose share of the sum of weights, the largest of them once more, reaches the
    level (1904.06019, for later events of at most that weight). Raises `InputError` where that is
    beyond all scores, or for negative weights.
    """
    values = np.asarray(scores, dtype=np.float64)
    if not 0 < level < 1:
        raise InputError(f"the level of an interval is {level:g}; give a number between 0 and 1.")
    w = np.ones(len(values)) if weight is None else np.asarray(weight, dtype=np.float64)
    if w.shape != values.shape or not (w >= 0).all():
        raise InputError("calibration needs one weight for each event, none of them negative.")
    order = np.argsort(values, kind="stable")
    total = np.cumsum(w[order])
    # A part in 1e12 less: level (n + 1) may be a whole number, but for rounding.
    needed = level * (total[-1] + w.max()) * (1 - 1e-12) if len(values) else math.inf
    place = int(np.searchsorted(total, needed)) if len(values) else 0
    if place >= len(values):
        least = math.ceil(level / (1 - level))
        raise InputError(
            f"{len(values)} calibration events do not reach a level of {level:g}; give at least"
            f" {least}, or more where weights differ."
        )
    return float(values[order][place])
