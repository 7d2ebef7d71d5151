"""Global sequential calibration: numerical inversion, then one feature after the other."""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.methods.calibration.calibration import Calibrated, Calibration, Floats
from colliderkit.methods.calibration.response import FEWEST, Response, quantiles
from colliderkit.metrics.response import Statistic

__all__ = ["SequentialCalibration"]


class Slices:
    """Hold responses in S slices of one feature, and the mean of the feature in each, (S,)."""

    def __init__(self, centres: Floats, responses: list[Response]) -> None:
        self.centres, self.responses = centres, responses

    def calibrated(self, x: Floats, feature: Floats) -> Calibrated:
        """Return inverse and resolution, interpolated between the middles of the slices."""
        parts = [response.calibrated(x) for response in self.responses]
        place = np.interp(feature, self.centres, np.arange(len(self.centres)))
        low = np.minimum(place.astype(np.int64), len(self.centres) - 2)
        share, rows = place - low, np.arange(len(x))
        found = [
            (1 - share) * table[low, rows] + share * table[low + 1, rows]
            for table in (np.stack([part[i] for part in parts]) for i in (0, 1))
        ]
        return Calibrated(*found)


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

    def __init__(self, *, statistic: Statistic = "mean", bins: int = 100, slices: int = 10) -> None:
        self.statistic = statistic
        self.bins = bins
        self.slices = slices

    def _fit(
        self, x: Floats, z: Floats, features: Floats, weight: Floats, seed: int, progress: bool
    ) -> None:
        if self.bins < FEWEST or self.slices < 2:
            raise InputError(f"--bins must be at least {FEWEST}, --slices at least 2.")
        self.response_ = Response.fitted(x, z, weight, self.bins, self.statistic).rising()
        self.steps_: list[Slices] = []
        now = self.response_.calibrated(x).estimate
        for number, feature in enumerate(features.T):
            step = self._step(now, z, feature, weight, f" for feature {number}")
            self.steps_.append(step)
            now = step.calibrated(now, feature).estimate

    def _step(self, now: Floats, z: Floats, feature: Floats, weight: Floats, what: str) -> Slices:
        inner = quantiles(feature, weight, np.linspace(0, 1, self.slices + 1)[1:-1])
        place = np.searchsorted(np.unique(inner), feature)
        found = []
        for number in np.unique(place):
            own = place == number
            where = f"{what} from {feature[own].min():.4g} to {feature[own].max():.4g}"
            response = Response.fitted(
                now[own], z[own], weight[own], self.bins, self.statistic, where
            )
            centre = float(np.average(feature[own], weights=weight[own]))
            found.append((centre, response.rising(where)))
        if len(found) < 2:
            raise InputError(f"{what[5:]} has nearly always one value; leave it out.")
        return Slices(np.array([c for c, _ in found]), [response for _, response in found])

    def _predict(self, x: Floats, features: Floats) -> Calibrated:
        found = self.response_.calibrated(x)
        for step, feature in zip(self.steps_, features.T, strict=True):
            found = step.calibrated(found.estimate, feature)
        return found

    def _tensors(self) -> dict[str, Tensor]:
        tensors = self.response_.tensors()
        for k, step in enumerate(self.steps_):
            tensors[f"{k}.centres"] = torch.from_numpy(step.centres)
            for s, response in enumerate(step.responses):
                tensors |= response.tensors(f"{k}.{s}.")
        return tensors

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        super()._restore(tensors, state)
        self.response_ = Response.of_tensors(tensors)
        self.steps_ = []
        for k in range(self.features_):
            centres = tensors[f"{k}.centres"].numpy()
            responses = [Response.of_tensors(tensors, f"{k}.{s}.") for s in range(len(centres))]
            self.steps_.append(Slices(centres, responses))
