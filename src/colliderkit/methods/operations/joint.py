"""Several tests at one joint rate of false alarms: combined p-values, exact for any sample size."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.metrics.p_values import ranked, sidak_share

__all__ = ["Combination", "Joint"]

Combination = Literal["smallest", "fisher"]
PIECE = 1 << 22  # numbers that are compared at a time


@dataclass(frozen=True)
class Joint:
    """Combine the statistics of m tests to one p-value, by their ranks in n good runs.

    In the n + 1 of the good runs and the one that is judged each test gives each run a p-value,
    its rank from above over n + 1. Their combination, the "smallest" or "fisher", is ranked again
    among the n + 1: p = (k + 1) / (n + 1). Where it is the same, as of all that are the first of
    one test, that run is ahead which is farther off in any test, in units of the test's own spread,
    84% quantile less median of the n + 1. The n + 1 are treated alike, so that
    P(p <= a) <= a of a good run for every n, whatever the tests and their correlation, and it is
    floor(a (n + 1)) / (n + 1) but for what is exactly equal. Sidak's formula, which takes tests for
    independent, gives the `share` of each test, not the joint rate.

    - `names` (m,); `calibration` (n, m): statistics of good runs, higher is worse; `rate`: joint.
    """

    names: list[str]
    calibration: Floats
    rate: float
    combination: Combination

    def __post_init__(self) -> None:
        if self.combination not in ("smallest", "fisher"):
            raise InputError(
                f"combination is '{self.combination}'; choose one of smallest, fisher."
            )
        if (least := int(np.ceil(1 / self.rate)) - 1) > len(self.calibration):
            raise InputError(
                f"{len(self.calibration)} good runs calibrate p-values of"
                f" {1 / (len(self.calibration) + 1):.2g} at least, and the rate is {self.rate:g};"
                f" give {least} good runs to calibrate, or a higher rate."
            )

    @property
    def share(self) -> float:
        """The level of each test, of which independent ones have the joint rate."""
        return sidak_share(self.rate, len(self.names))

    def each(self, statistics: ArrayLike) -> Floats:
        """Return the p-values (R, m) of each test."""
        values = np.asarray(statistics, dtype=np.float64)
        columns = zip(values.T, self.calibration.T, strict=True)
        return np.stack([ranked(value, known) for value, known in columns], axis=1)

    def cuts(self) -> Floats:
        """Return the least statistic (m,) of each test whose p-value is at most its share.

        Where the good runs are too few for any to be so small, it is above all of them.
        """
        most = int(np.floor(self.share * (len(self.calibration) + 1))) - 1
        known = np.sort(self.calibration, axis=0)[::-1]
        cuts: Floats = np.nextafter(known[max(most, 0)], np.inf)
        return cuts

    def combined(self, statistics: ArrayLike) -> Floats:
        """Return the joint p-values (R,) of statistics (R, m)."""
        values = np.asarray(statistics, dtype=np.float64)
        count, tests = self.calibration.shape
        # Good runs at least as far as each good run, itself one of them.
        own = np.stack([ranked(x, x) for x in self.calibration.T], axis=1) * (count + 1) - 1
        logs = np.log(np.arange(1, count + 2) / (count + 1))
        known = np.sort(self.calibration, axis=0)

        def order_statistic(x: Floats, k: int) -> Floats:
            """Return the one of number k, from 0, of the good runs and each of x (R, m)."""
            k = min(max(k, 1), count - 1)
            return np.clip(x, known[k - 1], known[k])

        def key(rank: Floats, excess: Floats) -> Floats:
            log = logs[rank.astype(np.int64) - 1]
            combined = log.sum(-1) if self.combination == "fisher" else log.min(-1)
            far = excess.max(-1)
            # Less than ranks one apart, whose logarithms differ by 1 / (n + 1) or more.
            found: Floats = combined - far / (1 + np.abs(far)) / (4 * (count + 1))
            return found

        p = np.empty(len(values))
        step = max(PIECE // max(count * tests, 1), 1)
        for begin in range(0, len(values), step):
            part = values[begin : begin + step]
            middle = order_statistic(part, count // 2)
            spread = order_statistic(part, int(0.84 * count)) - middle
            spread = np.where(spread > 0, spread, 1.0)
            others = own[None] + (part[:, None] >= self.calibration[None])
            away = (self.calibration[None] - middle[:, None]) / spread[:, None]
            mine = key(self.each(part) * (count + 1) + 0.5, (part - middle) / spread)
            k = (key(others + 0.5, away) <= mine[:, None]).sum(1)
            p[begin : begin + step] = (k + 1) / (count + 1)
        return p
