"""Calibration curve (reliability diagram) of a classifier: is a score of 0.8 right in 80%?"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.metrics.value import Value

__all__ = ["CalibrationCurve", "calibration_curve"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CalibrationCurve:
    """Calibration (reliability) curve over the K filled bins, float64 (K,).

    `predicted` is the mean score in a bin, `observed` the share of signal, `error` its counting
    error, `share` the part of all events in the bin.

    `expected_error` is the expected calibration error, sum of share * |observed - predicted|,
    with its counting error. Counting alone makes it positive: `floor` is what a perfectly
    calibrated score would show on this sample, and how far that scatters.
    """

    predicted: Floats
    observed: Floats
    error: Floats
    share: Floats
    expected_error: Value
    floor: Value


def calibration_curve(
    score: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None, bins: int = 20
) -> CalibrationCurve:
    """Return the calibration curve of P(signal) scores (N,) in [0, 1], in equal bins.

    `label` (N,) is 0 or 1; the weights and the proportions of the classes must be those that
    the score was trained for. The error of `observed` is binomial in the predicted
    probability, sqrt(p (1 - p) / N_eff): it is right for empty and for full bins too. Negative
    weights can leave a bin without a share: they are refused.
    """
    scores = np.asarray(score, dtype=np.float64)
    labels = np.asarray(label, dtype=np.float64)
    weights = np.ones(len(scores)) if weight is None else np.asarray(weight, dtype=np.float64)
    if not ((scores >= 0) & (scores <= 1)).all():
        first = int(np.argmin((scores >= 0) & (scores <= 1)))
        raise InputError(
            f"the score of event {first} is {scores[first]}, no probability in [0, 1]."
        )
    if (weights < 0).any():
        raise InputError("a calibration curve needs positive weights; drop the negative ones.")
    index = np.minimum((scores * bins).astype(np.int64), bins - 1)
    total = np.bincount(index, weights, bins)
    filled = total > 0
    total = total[filled]

    def summed(values: Floats) -> Floats:
        return np.asarray(np.bincount(index, values, bins)[filled], dtype=np.float64)

    predicted = summed(weights * scores) / total
    observed = summed(weights * labels) / total
    error = np.sqrt(summed(weights**2 * scores * (1 - scores))) / total
    share = total / total.sum()
    gap = np.abs(observed - predicted)
    # |x| of a Gaussian x of mean 0 and width s has mean s sqrt(2 / pi), variance s^2 (1 - 2 / pi).
    floor = Value(
        float(np.sum(share * error)) * math.sqrt(2 / math.pi),
        math.sqrt(float(np.sum((share * error) ** 2)) * (1 - 2 / math.pi)),
    )
    spread = math.sqrt(float(np.sum((share * error) ** 2)))
    return CalibrationCurve(
        predicted, observed, error, share, Value(float(np.sum(share * gap)), spread), floor
    )
