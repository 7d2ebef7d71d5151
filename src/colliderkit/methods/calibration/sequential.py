"""Global sequential calibration: numerical inversion, then one feature after the other."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Table
from colliderkit.methods.calibration.calibration import Calibrated, Calibration
from colliderkit.methods.calibration.response import Response, check_bins, quantiles
from colliderkit.metrics.response import Statistic

__all__ = ["SequentialCalibration"]


@dataclass(frozen=True, eq=False)
class Slices:
    """Responses in S slices of one feature, and the mean of the feature in each, (S,)."""

    centres: Floats
    responses: list[Response]

    def calibrated(self, x: Floats, feature: Floats) -> Calibrated:
        """Return inverse and resolution, interpolated between the middles of the slices."""
        parts = [response.calibrated(x) for response in self.responses]
        position = np.interp(feature, self.centres, np.arange(len(self.centres)))
        low = np.minimum(position.astype(np.int64), len(self.centres) - 2)
        share, rows = position - low, np.arange(len(x))
        estimate, resolution = (
            (1 - share) * table[low, rows] + share * table[low + 1, rows]
            for table in (np.stack([part[i] for part in parts]) for i in (0, 1))
        )
        return Calibrated(estimate, resolution)


class SequentialCalibration(Calibration):
    """Calibrate by numerical inversion, and its result again at fixed features, one by one:

        z_0 = f^-1(x),    z_k = f_k^-1(z_(k-1); theta_k),    f_k(z; theta_k) a location of
                                                             p(z_(k-1) | z, theta_k)

    as the experiments' global sequential calibration does. Each step is right on the mean over
    the other features: where they are correlated with theta_k, a later step spoils an earlier.

    Args:
        statistic: the location: "mean", "median" or "mode".
        bins: of each response curve.
        slices: of equally many events, of each feature; a step is interpolated between them.

    After `fit`: `response_`, of no feature, and `steps_`, one for each feature in its order.
    """

    name: ClassVar[str] = "sequential-calibration"
    response_: Response
    steps_: list[Slices]

    def __init__(self, *, statistic: Statistic = "mean", bins: int = 100, slices: int = 10) -> None:
        self.statistic = statistic
        self.bins = bins
        self.slices = slices

    def _fit(self, table: Table, truth: Floats, *, seed: int, **training: Any) -> None:
        check_bins(self.bins)
        if self.slices < 2:
            raise InputError(f"slices is {self.slices}; it must be at least 2.")
        x, features, weight = table.values[:, 0], table.values[:, 1:], table.weight
        self.response_ = Response.fitted(x, truth, weight, self.bins, self.statistic).rising()
        self.steps_ = []
        estimate = self.response_.calibrated(x).estimate
        for number, feature in enumerate(features.T):
            step = self._step(estimate, truth, feature, weight, number)
            self.steps_.append(step)
            estimate = step.calibrated(estimate, feature).estimate

    def _step(
        self, estimate: Floats, truth: Floats, feature: Floats, weight: Floats, number: int
    ) -> Slices:
        inner = quantiles(feature, weight, np.linspace(0, 1, self.slices + 1)[1:-1])
        slices = np.searchsorted(np.unique(inner), feature)
        centres, responses = [], []
        for part in (slices == n for n in np.unique(slices)):
            ends = feature[part].min(), feature[part].max()
            where = f" for feature {number} from {ends[0]:.4g} to {ends[1]:.4g}"
            response = Response.fitted(
                estimate[part], truth[part], weight[part], self.bins, self.statistic, where
            )
            responses.append(response.rising(where))
            centres.append(float(np.average(feature[part], weights=weight[part])))
        if len(centres) < 2:
            raise InputError(f"feature {number} has nearly always one value; leave it out.")
        return Slices(np.array(centres), responses)

    def _predict(self, columns: Floats) -> Calibrated:
        answer = self.response_.calibrated(columns[:, 0])
        for step, feature in zip(self.steps_, columns.T[1:], strict=True):
            answer = step.calibrated(answer.estimate, feature)
        return answer
