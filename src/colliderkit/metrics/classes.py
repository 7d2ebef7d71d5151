"""Accuracy, ROC and AUC of pairs of classes, confusion matrix."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.metrics.roc import Roc, auc, roc
from colliderkit.metrics.value import Value, binomial_variance

__all__ = [
    "Confusion",
    "accuracy",
    "auc_of_classes",
    "best_accuracy",
    "confusion",
    "one_against",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Confusion:
    """Confusion matrix: row is the true class, column the predicted one; (C, C) float64.

    `sum` is the summed weight; `fraction` that over the row's total, `error` its binomial error.
    """

    sum: Floats
    fraction: Floats
    error: Floats


def accuracy(
    score: ArrayLike,
    label: ArrayLike,
    weight: ArrayLike | None = None,
    threshold: float = 0.5,
) -> Value:
    """Return the share of rightly classified events with its binomial error.

    `score` is P(signal) (N,), signal from `threshold` on, or one column a class (N, C), where
    the largest is taken. `label` (N,) holds class indices.
    """
    scores = np.asarray(score, dtype=np.float64)
    guess = scores >= threshold if scores.ndim == 1 else scores.argmax(axis=1)
    weights = np.ones(len(scores)) if weight is None else np.asarray(weight, dtype=np.float64)
    total = weights.sum()
    if not total > 0:
        raise InputError(f"the weights sum to {total:g}; an accuracy needs a positive sum.")
    right = guess == np.asarray(label)
    value = float(weights[right].sum() / total)
    squares = weights**2 / total**2
    variance = binomial_variance(value, squares[right].sum(), squares.sum())
    return Value(value, math.sqrt(float(variance)))


def best_accuracy(
    score: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None
) -> tuple[Value, float]:
    """Return the largest accuracy of P(signal) scores (N,) and the threshold that gives it.

    The classes count as they are in the sample. Quoted for the events that chose the
    threshold, it flatters by less than its error.
    """
    curve = roc(score, label, weight)
    weights = np.ones(len(np.asarray(score))) if weight is None else np.asarray(weight)
    signal = np.asarray(label) == 1
    right = (
        weights[signal].sum() * curve.signal_efficiency
        - weights[~signal].sum() * curve.background_efficiency
    )
    threshold = float(curve.threshold[np.argmax(right)])
    return accuracy(score, label, weight, threshold), threshold


def one_against(
    scores: ArrayLike,
    label: ArrayLike,
    signal: int,
    background: int | Sequence[int] | None = None,
    weight: ArrayLike | None = None,
) -> Roc:
    """Return the ROC of class `signal` against class(es) `background`, all others if not given.

    The discriminant is P_S / (P_S + sum of P_B), the likelihood ratio of the classes at the
    training's own proportions (2202.03772); events of further classes are left out.
    `scores` (N, C) are probabilities.
    """
    scores = np.asarray(scores, dtype=np.float64)
    label = np.asarray(label)
    if background is None:
        others = [c for c in range(scores.shape[1]) if c != signal]
    else:
        others = [background] if isinstance(background, int) else list(background)
    if signal in others or not all(0 <= c < scores.shape[1] for c in (signal, *others)):
        raise InputError(
            f"class {signal} against {others} does not fit scores of {scores.shape[1]} classes."
        )
    of_pair = np.isin(label, [signal, *others])
    of_signal = scores[of_pair, signal]
    of_both = of_signal + scores[of_pair][:, others].sum(axis=1)
    ratio = np.divide(of_signal, of_both, out=np.full(len(of_both), 0.5), where=of_both > 0)
    weights = None if weight is None else np.asarray(weight)[of_pair]
    return roc(ratio, label[of_pair] == signal, weights)


def auc_of_classes(
    scores: ArrayLike,
    label: ArrayLike,
    weight: ArrayLike | None = None,
    how: Literal["one-vs-one", "one-vs-rest"] = "one-vs-one",
) -> float:
    """Return the unweighted mean AUC over classes, (N, C) scores.

    "one-vs-one" averages all ordered pairs (a, b): column a on events of a and b alone (Hand
    and Till, Machine Learning 45 (2001) 171; what JetClass results quote, 2202.03772).
    "one-vs-rest" averages column a on all events. Take its error from `bootstrap`.
    """
    scores = np.asarray(scores, dtype=np.float64)
    label = np.asarray(label)
    weights = np.ones(len(label)) if weight is None else np.asarray(weight, dtype=np.float64)
    classes = range(scores.shape[1])
    areas = []
    for a in classes:
        if how == "one-vs-rest":
            areas.append(auc(scores[:, a], label == a, weights).value)
            continue
        for b in classes:
            of_pair = (label == a) | (label == b)
            if a != b:
                areas.append(auc(scores[of_pair, a], label[of_pair] == a, weights[of_pair]).value)
    return float(np.mean(areas))


def confusion(scores: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None) -> Confusion:
    """Return the confusion matrix of (N, C) scores, the largest of which is the prediction.

    A class without events has NaN fractions.
    """
    scores = np.asarray(scores, dtype=np.float64)
    classes = scores.shape[1]
    label = np.asarray(label, dtype=np.int64)
    if label.min() < 0 or label.max() >= classes:
        raise InputError(
            f"labels from {label.min()} to {label.max()} do not fit {classes} columns of scores."
        )
    cell = label * classes + scores.argmax(axis=1)
    weights = np.ones(len(scores)) if weight is None else np.asarray(weight, dtype=np.float64)
    size = classes * classes
    summed: Floats = np.bincount(cell, weights, size).reshape(classes, classes).astype(np.float64)
    squares = np.bincount(cell, weights**2, size).reshape(classes, classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = summed.sum(axis=1, keepdims=True)
        fraction = summed / total
        passing = squares / total**2
        error = np.sqrt(binomial_variance(fraction, passing, passing.sum(axis=1, keepdims=True)))
    return Confusion(summed, fraction, error)
