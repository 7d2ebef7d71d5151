"""Beta-binomial test: pulls and chi2 of a monitor against reference runs."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln
from scipy.stats import chi2

from colliderkit.errors import InputError
from colliderkit.events.monitors import MonitorRuns
from colliderkit.events.tables import Floats
from colliderkit.methods.operations.measured import Measured, robust_total

__all__ = ["BetaBinomial", "log_relative_probability", "pulls"]

LEAST = 1e-300  # a smaller probability is written as this


@dataclass(frozen=True)
class BetaBinomial:
    """Compare the bins of a monitor with those of reference runs, as AutoDQM does (2501.13789).

    Statistics: the largest |pull|, and chi2 = sum of pull^2 over filled bins.

    - `references` (K, bins): entries of K reference runs;
    - `tolerance`: relative, of a bin of the reference.
    """

    monitor: str
    references: Floats
    tolerance: float

    @classmethod
    def learned(cls, runs: MonitorRuns, monitor: str, *, count: int, tolerance: float) -> Self:
        """Take the last `count` runs as references; raise `InputError` for one without entries."""
        last = runs.at(slice(max(len(runs) - count, 0), None))
        entries = last.sums(monitor).reshape(len(last), -1)
        if (empty := entries.sum(1) == 0).any():
            raise InputError(
                f"reference run {last.run[int(np.argmax(empty))]} has no entries in monitor"
                f" '{monitor}'; leave the run out, or the monitor."
            )
        return cls(monitor, entries, tolerance)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the statistics."""
        return f"{self.monitor}: pull", f"{self.monitor}: chi2"

    def measure(self, runs: MonitorRuns) -> Measured:
        """Return the statistics of runs, and their |pull| by bin."""
        data = runs.sums(self.monitor).reshape(len(runs), -1)
        shares = self.references / self.references.sum(1, keepdims=True)
        total = robust_total(data, shares.mean(0))
        away = pulls(data, self.references, self.tolerance, total=total)
        filled = (data > 0) | (self.references > 0).any(0)
        size = np.maximum(filled.sum(1), 1)
        statistics = np.stack([np.abs(away).max(1), (away**2).sum(1) / size], axis=1)
        return Measured(statistics, np.abs(away), away)


def pulls(
    data: ArrayLike,
    references: ArrayLike,
    tolerance: float = 0.01,
    *,
    total: ArrayLike | None = None,
) -> Floats:
    """Return signed pulls of the bins of data (N, bins) against references (K, bins), (N, bins).

    With D_i of D entries in data and r_i of R in a reference, D_i is beta-binomial: n = D,
    alpha = s r_i + 1, beta = s R - s r_i + 1, where s = 1 / sqrt(1 + (r_i t^2)^2) makes a reference
    as small as a tolerance t asks for. p = P(D_i) / P(mode), the mean over references;
    pull = sqrt(chi2.isf(p, 1)) with the sign of D_i / D - r_i / R (AutoDQM, 2501.13789). D is the
    sum of the bins, or `total` (N, 1).
    """
    observed = np.atleast_2d(np.asarray(data, dtype=np.float64))
    reference = np.atleast_2d(np.asarray(references, dtype=np.float64))
    entries = observed.sum(1, keepdims=True) if total is None else np.asarray(total)
    entries = np.maximum(entries, observed.max(1, keepdims=True, initial=0.0))
    p, expected = np.zeros_like(observed), np.zeros_like(observed)
    for r in reference:
        shrink = 1 / np.sqrt(1 + (r * tolerance**2) ** 2)
        alpha, beta = shrink * r + 1, shrink * (r.sum() - r) + 1
        p += np.exp(log_relative_probability(observed, entries, alpha, beta))
        expected += entries * r / max(r.sum(), 1)
    size = np.sqrt(chi2.isf(np.clip(p / len(reference), LEAST, 1), 1))
    signed: Floats = np.where(observed * len(reference) < expected, -size, size)
    return signed


def log_relative_probability(k: Any, n: Any, alpha: Any, beta: Any) -> Floats:
    """Return ln P(k) / P(mode) of a beta-binomial with alpha, beta >= 1.

    P(k) is proportional to Gamma(k + a) Gamma(n - k + b) / (Gamma(k + 1) Gamma(n - k + 1)), and
    rises while k (a + b - 2) <= n (a - 1) - (b - 1).
    """
    k, n, alpha, beta = (np.asarray(x, dtype=np.float64) for x in (k, n, alpha, beta))
    with np.errstate(divide="ignore", invalid="ignore"):
        turn = np.floor((n * (alpha - 1) - (beta - 1)) / (alpha + beta - 2)) + 1
    mode = np.clip(np.nan_to_num(turn), 0, n)  # a = b = 1 is flat

    def log_weight(x: Any) -> Any:
        rising = gammaln(x + alpha) - gammaln(x + 1)
        return rising + gammaln(n - x + beta) - gammaln(n - x + 1)

    relative: Floats = np.minimum(log_weight(k) - log_weight(mode), 0.0)
    return relative
