"""Numerical inversion: learn what is measured of a truth, and turn it round (1609.05195)."""

from typing import Any, ClassVar

from colliderkit.events.tables import Floats, Table
from colliderkit.methods.calibration.calibration import Calibrated, Calibration
from colliderkit.methods.calibration.response import Response, check_bins
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
    response_: Response

    def __init__(self, *, statistic: Statistic = "mean", bins: int = 100) -> None:
        self.statistic = statistic
        self.bins = bins

    def _fit(self, table: Table, truth: Floats, *, seed: int, **training: Any) -> None:
        check_bins(self.bins)
        self.response_ = Response.fitted(
            table.values[:, 0], truth, table.weight, self.bins, self.statistic
        ).rising()

    def _predict(self, columns: Floats) -> Calibrated:
        return self.response_.calibrated(columns[:, 0])
