"""Numerical inversion: learn what is measured of a truth, and turn it round (1609.05195)."""

from typing import Any, ClassVar

from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.methods.calibration.calibration import Calibrated, Calibration, Floats
from colliderkit.methods.calibration.response import FEWEST, Response
from colliderkit.metrics.response import Statistic

__all__ = ["NumericalInversion"]


class NumericalInversion(Calibration):
    """Calibrate by the inverse of the response, z_hat = f^-1(x) with f(z) a location of p(x | z).

    f does not depend on how z is distributed. The median closes exactly, f^-1(median) being the
    median of f^-1(x). The mean does not where f is curved:

        E[z_hat | z] - z = -f''(z) sigma(z)^2 / 2 f'(z)^3 + ...

    The resolution is sigma / f'. Features are not used.

    Args:
        statistic: the location: "mean", "median" or "mode".
        bins: of equally many events, through which f and sigma are drawn as smoothing splines.

    After `fit`: `response_`.
    """

    name: ClassVar[str] = "numerical-inversion"

    def __init__(self, *, statistic: Statistic = "mean", bins: int = 100) -> None:
        self.statistic = statistic
        self.bins = bins

    def _fit(
        self, x: Floats, z: Floats, features: Floats, weight: Floats, seed: int, progress: bool
    ) -> None:
        if self.bins < FEWEST:
            raise InputError(f"--bins is {self.bins}; it must be at least {FEWEST}.")
        self.response_ = Response.fitted(x, z, weight, self.bins, self.statistic).rising()

    def _predict(self, x: Floats, features: Floats) -> Calibrated:
        return self.response_.calibrated(x)

    def _tensors(self) -> dict[str, Tensor]:
        return self.response_.tensors()

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        super()._restore(tensors, state)
        self.response_ = Response.of_tensors(tensors)
