"""Neyman construction of confidence intervals, in the ordering of Feldman and Cousins."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.methods.method import Method
from colliderkit.metrics.intervals import Intervals, check_confidence, maximum
from colliderkit.seeds import derive

__all__ = ["NeymanConstruction"]

Floats = NDArray[np.float64]
Simulate = Callable[[float, int, np.random.Generator], Any]
LogLikelihood = Callable[[Any, Floats], ArrayLike]
BEYOND = 10  # pseudo-experiments beyond a critical value, at least


class NeymanConstruction(Method):
    """Find critical values of t(theta) = 2 (max ln L - ln L(theta)) by pseudo-experiments.

    An experiment's interval holds each theta at which its t is at most the critical value, below
    which a share `confidence` of the pseudo-experiments of that theta lies: the ordering of
    Feldman and Cousins (physics/9711021). The maximum is over the scan: let it end where the
    parameter does (a signal at zero), and elsewhere reach beyond what any experiment prefers.

    Args:
        confidence: of the intervals.
        experiments: pseudo-experiments drawn at each theta of the scan.

    After `fit`: `scan_` (T,) and `critical_` (T,).
    """

    name: ClassVar[str] = "neyman-construction"

    scan_: Floats
    critical_: Floats

    def __init__(self, *, confidence: float = 0.6827, experiments: int = 1000) -> None:
        self.confidence = confidence
        self.experiments = experiments

    def fit(
        self,
        scan: ArrayLike,
        simulate: Simulate,
        log_likelihood: LogLikelihood,
        *,
        weight: None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Draw pseudo-experiments at each theta of the scan and keep the quantile of their t.

        ``simulate(theta, E, random)`` draws the data of E experiments, and
        ``log_likelihood(data, scan)`` gives (E, T), for an increasing `scan` (T,). Each theta has
        random numbers of its own. A `weight` is refused: pseudo-experiments are drawn, not
        weighted. Raises `InputError` where too few are drawn for the confidence.
        """
        self._begin(seed=seed, folder=folder, resume=resume)
        check_confidence(self.confidence)
        if weight is not None:
            raise InputError("weight is given; pseudo-experiments are drawn and all count one.")
        # The smallest quantile that at least a share `confidence` lies at or below.
        rank = int(np.ceil(self.confidence * self.experiments)) - 1
        if self.experiments * (1 - self.confidence) < BEYOND:
            raise InputError(
                f"{self.experiments} pseudo-experiments leave fewer than {BEYOND} beyond"
                f" {self.confidence}; draw more."
            )
        values = np.asarray(scan, dtype=np.float64)
        critical = np.empty(len(values))
        for i, theta in enumerate(values):
            random = np.random.default_rng(derive(seed, "scan", i))
            data = simulate(float(theta), self.experiments, random)
            _, rows, _, top = maximum(values, log_likelihood(data, values))
            t = 2 * (top - rows[:, i])
            critical[i] = np.partition(t, rank)[rank]
        self.scan_, self.critical_ = values, critical
        return self

    def accepted(self, log_likelihood: ArrayLike) -> NDArray[np.bool_]:
        """Return which theta of the scan each experiment accepts, (E, T) from ln L (E, T)."""
        _, rows, _, top = maximum(self.scan_, log_likelihood)
        return 2 * (top[:, None] - rows) <= self.critical_

    def intervals(self, log_likelihood: ArrayLike) -> Intervals:
        """Return the outermost accepted values of each experiment, from ln L (E, T) or (T,).

        Ends are interpolated in sqrt(t) - sqrt(critical), negative on the other side of the best
        value: a straight line for a Gaussian, where t itself is bent and would cut intervals
        short. An interval that reaches an end of the scan stops there; one that is empty is NaN.
        """
        values, rows, best, top = maximum(self.scan_, log_likelihood)
        root = np.sqrt(np.maximum(2 * (top[:, None] - rows), 0.0))
        level = np.sqrt(self.critical_)
        inside = root <= level
        n = len(values)
        first, last = inside.argmax(1), n - 1 - inside[:, ::-1].argmax(1)
        each = np.arange(len(rows))
        right = np.where(values < best[:, None], -root, root)
        ends = []
        for edge, step in ((first, -1), (last, 1)):
            excess = step * right - level
            beyond = np.clip(edge + step, 0, n - 1)
            here, there = excess[each, edge], excess[each, beyond]
            share = np.where(beyond == edge, 0.0, -here / np.where(there > here, there - here, 1.0))
            ends.append(values[edge] + np.clip(share, 0.0, 1.0) * (values[beyond] - values[edge]))
        empty = ~inside.any(1)
        low, high = (np.where(empty, np.nan, end) for end in ends)
        return Intervals(best, low, high, self.confidence)
