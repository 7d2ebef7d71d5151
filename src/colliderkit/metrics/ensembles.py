"""Ensembles of trainings of one model: combined scores, and the rejection that they gain."""

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.metrics.roc import rejection
from colliderkit.metrics.value import Value, over_seeds

__all__ = ["EnsembleRejection", "combine", "ensemble_rejection"]


def combine(scores: ArrayLike, how: Literal["mean", "median"] = "mean") -> NDArray[np.float64]:
    """Combine the scores of E members, (E, N) or (E, N, C), into (N,) or (N, C).

    Medians of more than two classes are scaled to sum to 1 again.
    """
    members = np.asarray(scores, dtype=np.float64)
    if members.ndim < 2 or len(members) == 0:
        raise InputError(f"scores have shape {members.shape}; an ensemble needs (members, events).")
    if how == "mean":
        return np.asarray(members.mean(axis=0))
    middle = np.asarray(np.median(members, axis=0))
    return middle / middle.sum(axis=-1, keepdims=True) if middle.ndim > 1 else middle


class EnsembleRejection(NamedTuple):
    """Rejection of an ensemble, one row of the landscape table.

    `single` is mean ± std over the members; the `mean` and `median` ensembles have their counting
    errors. If any member has a lower limit alone, so does `single`: the smallest value of all.
    """

    single: Value
    mean: Value
    median: Value


def ensemble_rejection(
    scores: ArrayLike,
    label: ArrayLike,
    signal_efficiency: float,
    weight: ArrayLike | None = None,
) -> EnsembleRejection:
    """Return the rejection of the members (E, N) and of their mean and median (1902.09914)."""
    members = np.asarray(scores, dtype=np.float64)
    each = [rejection(s, label, signal_efficiency, weight) for s in members]
    if any(value.lower_limit for value in each):
        single = Value(min(value.value for value in each), math.nan, lower_limit=True)
    else:
        single = Value(*over_seeds(each)[:2])
    return EnsembleRejection(
        single,
        rejection(combine(members, "mean"), label, signal_efficiency, weight),
        rejection(combine(members, "median"), label, signal_efficiency, weight),
    )
