"""ROC curve (receiver operating characteristic), AUC and rejection, with counting errors.

Convention, here and everywhere in ColliderKit: the curve is exact, one point for each distinct
score; eps_B at a given eps_S is that of the tightest cut that reaches eps_S, interpolated
linearly between the two neighbouring points; rejection is 1 / eps_B.

Negative weights count as they are: efficiencies are ratios of sums of weights, so that the
curve need not rise everywhere and may leave [0, 1] by a fluctuation. A class whose weights do
not sum to something positive has no efficiency and is refused.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaincinv

from colliderkit.errors import InputError
from colliderkit.metrics.value import Value, binomial_variance

__all__ = ["Roc", "auc", "rejection", "roc"]

Floats = NDArray[np.float64]

# No event seen: fewer than this many are expected, at 95% confidence.
NONE_SEEN = -math.log(0.05)
FEW = 10  # background events below which an error is not symmetric
TAIL = 0.15865525  # of a normal distribution beyond one standard deviation


@dataclass(frozen=True)
class Roc:
    """Exact ROC curve, from (0, 0) at threshold +inf to (1, 1) at the lowest score.

    All arrays are float64 (K,), one point for each distinct score and one before them:
    `threshold` falls, an event passes if its score is at least that; `signal_efficiency` and
    `background_efficiency`; `signal_squares` and `background_squares` are the sums of squared
    weights that pass, over the squared sum of all weights. For unit weights these are eps / N.
    """

    threshold: Floats
    signal_efficiency: Floats
    background_efficiency: Floats
    signal_squares: Floats
    background_squares: Floats

    @property
    def auc(self) -> Value:
        """The area under eps_S(eps_B): the share of pairs ordered rightly, ties counting half.

        The error is DeLong's (Biometrics 44 (1988) 837), generalised to weights: the variance
        of each event's share of rightly ordered pairs, over the events of each class.
        """
        beaten = 1 - _middle(self.background_efficiency)
        beating = _middle(self.signal_efficiency)
        area = float(np.sum(np.diff(self.signal_efficiency) * beaten))
        variance = 0.0
        for share, squares in (
            (beaten, self.signal_squares),
            (beating, self.background_squares),
        ):
            # 1 / squares[-1] is the effective number of events n; the factor is n / (n - 1).
            if squares[-1] < 1:
                spread = np.sum(np.diff(squares) * (share - area) ** 2)
                variance += float(spread / (1 - squares[-1]))
        return Value(area, math.sqrt(max(variance, 0.0)))

    def background_at(self, signal_efficiency: ArrayLike) -> tuple[Floats, Floats]:
        """Return eps_B and its error at each signal efficiency (...), float64.

        The variance is that of counting the background that passes and of where the cut lies:
        var(eps_B) + (d eps_B / d eps_S)^2 var(eps_S), each binomial, eps (1 - eps) / N for unit
        weights. The slope is taken over one standard deviation of eps_S to either side.
        """
        target = np.asarray(signal_efficiency, dtype=np.float64)
        background, squares = self._read(target, self.background_efficiency, "background")
        _, signal_squares = self._read(target, self.signal_efficiency, "signal")
        shift = np.sqrt(binomial_variance(target, signal_squares, self.signal_squares[-1]))
        low, high = np.clip(target - shift, 0, 1), np.clip(target + shift, 0, 1)
        below, _ = self._read(low, self.background_efficiency, "background")
        above, _ = self._read(high, self.background_efficiency, "background")
        slope = (above - below) / np.maximum(high - low, 1e-300)
        variance = binomial_variance(background, squares, self.background_squares[-1])
        return background, np.sqrt(variance + (slope * shift) ** 2)

    def rejection(self, signal_efficiency: float) -> Value:
        """Return 1 / eps_B at `signal_efficiency`, in (0, 1].

        Where no background passes: a lower limit, N_eff / 3.0 (eps_B < 3.0 / N_eff at 95%
        confidence), N_eff = (sum w)^2 / sum w^2. Where fewer than ten pass, the errors upwards and
        downwards are those of the central Poisson interval, beside the symmetric one.
        """
        if not 0 < signal_efficiency <= 1:
            raise InputError(f"signal efficiency {signal_efficiency} lies outside (0, 1].")
        background, error = self.background_at(signal_efficiency)
        if background <= 0:
            return Value(1 / (NONE_SEEN * float(self.background_squares[-1])), math.nan, True)
        value = float(1 / background)
        seen = float(background / error) ** 2 if error > 0 else math.inf
        if seen >= FEW:
            return Value(value, float(error / background**2))
        # The central interval of a Poisson mean, by Garwood, of as many events.
        low, high = gammaincinv([seen, seen + 1], [TAIL, 1 - TAIL])
        up, down = value * (seen / low - 1), value * (1 - seen / high)
        return Value(value, float(error / background**2), up=float(up), down=float(down))

    def _read(self, target: Floats, values: Floats, which: str) -> tuple[Floats, Floats]:
        """Interpolate `values` and the squares of a class at signal efficiencies."""
        squares = self.signal_squares if which == "signal" else self.background_squares
        # The running maximum makes "the tightest cut that reaches" a search, whatever the
        # weights; the tolerance keeps 0.3 at 300 of 1000 events despite rounding.
        reached = np.maximum.accumulate(self.signal_efficiency)
        i = np.clip(np.searchsorted(reached, target - 1e-12), 1, len(reached) - 1)
        step = self.signal_efficiency[i] - self.signal_efficiency[i - 1]
        part = (target - self.signal_efficiency[i - 1]) / np.where(step > 0, step, 1.0)
        part = np.where(step > 0, np.clip(part, 0, 1), 1.0)
        return (
            values[i - 1] + part * (values[i] - values[i - 1]),
            squares[i - 1] + part * (squares[i] - squares[i - 1]),
        )


def roc(score: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None) -> Roc:
    """Return the exact ROC curve of `score` (N,), higher for signal.

    `label` (N,) is 1 for signal and 0 for background; `weight` (N,) is 1 if not given. Raises
    `InputError` for a NaN score, other labels, a missing class or a class whose weights sum to
    nothing. O(N log N).
    """
    scores, signal, weights = _checked(score, label, weight)
    order = np.argsort(-scores, kind="stable")
    falling, signal, weights = scores[order], signal[order], weights[order]
    last = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    curves = {}
    for name, of_class in (("signal", signal), ("background", ~signal)):
        passed = np.cumsum(np.where(of_class, weights, 0.0))
        if not passed[-1] > 0:
            raise InputError(
                f"the weights of the {name} sum to {passed[-1]:g}; give positive sums."
            )
        squares = np.cumsum(np.where(of_class, weights**2, 0.0))
        curves[name] = passed[last] / passed[-1], squares[last] / passed[-1] ** 2
    return Roc(
        threshold=np.append(np.inf, falling[last]),
        signal_efficiency=np.append(0.0, curves["signal"][0]),
        background_efficiency=np.append(0.0, curves["background"][0]),
        signal_squares=np.append(0.0, curves["signal"][1]),
        background_squares=np.append(0.0, curves["background"][1]),
    )


def auc(score: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None) -> Value:
    """Return the area under the ROC curve with DeLong's error; arguments as in `roc`."""
    return roc(score, label, weight).auc


def rejection(
    score: ArrayLike,
    label: ArrayLike,
    signal_efficiency: float,
    weight: ArrayLike | None = None,
) -> Value:
    """Return 1 / eps_B at `signal_efficiency` with its counting error; see `Roc.rejection`."""
    return roc(score, label, weight).rejection(signal_efficiency)


def _checked(
    score: ArrayLike, label: ArrayLike, weight: ArrayLike | None
) -> tuple[Floats, NDArray[np.bool_], Floats]:
    scores = np.asarray(score, dtype=np.float64)
    labels = np.asarray(label)
    weights = np.ones(len(scores)) if weight is None else np.asarray(weight, dtype=np.float64)
    if scores.ndim != 1 or labels.shape != scores.shape or weights.shape != scores.shape:
        shapes = f"{scores.shape}, {labels.shape} and {weights.shape}"
        raise InputError(f"scores, labels and weights have shapes {shapes}; give equal ones (N,).")
    for name, column in (("score", scores), ("weight", weights)):
        if np.isnan(column).any():
            first = int(np.argmax(np.isnan(column)))
            raise InputError(f"the {name} is NaN in event {first} (counted from 0).")
    present = np.unique(labels)
    if present.tolist() != [0, 1]:
        raise InputError(f"labels are {present.tolist()}; a ROC curve needs 0 and 1, both.")
    return scores, labels == 1, weights


def _middle(values: Floats) -> Floats:
    return (values[1:] + values[:-1]) / 2
