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
    its rank from above over n + 1. Their combination, the "smallest" (where equal, the larger of
    Fisher's sums) or "fisher", is ranked again among the n + 1: p = (k + 1) / (n + 1). The n + 1
    good runs are treated alike, so that P(p <= a) = floor(a (n + 1)) / (n + 1) of a good one for
    every n, whatever the tests and their correlation, without ties. Sidak's formula, which takes
    tests for independent, gives the `share` of each test, not the joint rate.

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
        # The smallest decides; where it is the same, the sum.
        tie = 0.0 if self.combination == "fisher" else 1 / (4 * (count + 1) * tests * -logs[0])
        first = 1.0 if self.combination == "smallest" else 0.0

        def key(rank: Floats) -> Floats:
            log = logs[rank.astype(np.int64) - 1]
            found: Floats = first * log.min(-1) + (tie or 1.0) * log.sum(-1)
            return found

        p = np.empty(len(values))
        step = max(PIECE // max(count * tests, 1), 1)
        for begin in range(0, len(values), step):
            part = values[begin : begin + step]
            with_it = own[None] + (part[:, None] >= self.calibration[None])
            mine = key(self.each(part) * (count + 1))
            p[begin : begin + step] = ((key(with_it) <= mine[:, None]).sum(1) + 1) / (count + 1)
        return p
