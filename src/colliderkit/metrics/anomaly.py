"""Figures of merit of anomaly scores, as the Dark Machines challenge compares them."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.metrics.roc import auc, roc
from colliderkit.metrics.value import Value

__all__ = ["BACKGROUND_EFFICIENCIES", "dark_machines", "signal_efficiency"]

BACKGROUND_EFFICIENCIES = (1e-2, 1e-3, 1e-4)


def signal_efficiency(
    score: ArrayLike,
    label: ArrayLike,
    background_efficiency: float,
    weight: ArrayLike | None = None,
) -> Value:
    """Return eps_S of the loosest cut that passes a share eps_B of the background, with its error.

    `score` (N,) is higher for signal (label 1). The variance is that of counting the signal that
    passes, and of where the cut lies: eps_B is known to sqrt(eps_B (1 - eps_B) / N_B) alone. The
    error is at least that of one signal event. Where eps_B is less than one event of the effective
    N_B, the efficiency cannot be measured: NaN.
    Raises `InputError` for an eps_B outside (0, 1), and as `metrics.roc.roc` does.
    """
    if not 0 < background_efficiency < 1:
        raise InputError(f"background efficiency {background_efficiency:g} lies outside (0, 1).")
    # The curve read from its other end: of signal and background exchanged, and the score turned.
    turned = roc(-np.asarray(score, dtype=np.float64), 1 - np.asarray(label), weight)
    if background_efficiency < turned.signal_squares[-1]:
        return Value(math.nan, math.nan)
    left, error = turned.background_at(1 - background_efficiency)
    one = float(turned.background_squares[-1])  # 1 / N of the signal
    return Value(float(1 - left), max(float(error), one))


def dark_machines(
    score: ArrayLike, label: ArrayLike, weight: ArrayLike | None = None
) -> Mapping[str, Value]:
    """Return AUC and eps_S at eps_B = 1e-2, 1e-3 and 1e-4 by name, with errors (2105.14027)."""
    return {"AUC": auc(score, label, weight)} | {
        f"eps_S at eps_B = {share:g}": signal_efficiency(score, label, share, weight)
        for share in BACKGROUND_EFFICIENCIES
    }
