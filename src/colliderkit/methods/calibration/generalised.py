"""Generalised numerical inversion: all features at once (ATL-PHYS-PUB-2018-013)."""

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Table
from colliderkit.methods.calibration.calibration import Calibrated, Calibration
from colliderkit.methods.calibration.response import Response, check_bins
from colliderkit.methods.calibration.truth_regression import QUICK, TableLocation
from colliderkit.metrics.response import Statistic
from colliderkit.seeds import derive
from colliderkit.training.settings import Epoch, Training

__all__ = ["GeneralisedInversion"]

REACH = 8.0  # resolutions to each side, in which an inverse is looked for
DOUBLINGS = 6
HALVINGS = 28
CHECKED = 20_000  # events at which the response has to rise
WRONG = 0.01  # of them, where it may not: a network has kinks


class GeneralisedInversion(Calibration):
    """Calibrate by the inverse of f(z, theta), a location of p(x | z, theta), at fixed theta.

    With f0 and sigma0 the response without features, a network learns the location g of

        u = (x - f0(z)) / sigma0(z),    f = f0(z) + sigma0(z) g(r(z), theta),

    with r the rank of z, by the squared loss (mean), the absolute one (median) or a leaky kernel
    (mode, 1910.03773). As f is learned at fixed z, how z is distributed does not enter. The
    publication trains a second network on (f(z, theta), theta) -> z; a search for the z with
    f(z, theta) = x, by halving an interval, is exact and needs no training.

    Args:
        statistic: "mean", "median" or "mode".
        bins: of f0 and sigma0.
        hidden: widths of the network, which comes on top of a straight line.
        validation: the share of events that chooses the epoch.
        training: epochs, batch size, learning rate, schedule and patience.

    After `fit`: `response_` (f0, sigma0), `network_` (g and its spread) and `history_`.
    """

    name: ClassVar[str] = "generalised-inversion"
    response_: Response
    network_: TableLocation
    history_: dict[str, list[Epoch]]

    def __init__(
        self,
        *,
        statistic: Statistic = "mean",
        bins: int = 100,
        hidden: tuple[int, ...] = (64, 64),
        validation: float = 0.2,
        training: Training = QUICK,
    ) -> None:
        self.statistic = statistic
        self.bins = bins
        self.hidden = hidden
        self.validation = validation
        self.training = training

    def _fit(self, table: Table, truth: Floats, *, seed: int, **training: Any) -> None:
        check_bins(self.bins)
        x, features = table.values[:, 0], table.values[:, 1:]
        self.response_ = Response.fitted(x, truth, table.weight, self.bins, self.statistic).rising()
        self._rebuild()
        self.history_ = self.network_.fit(
            replace(table, values=self._table(truth, features)),
            (x - self.response_.location(truth)) / self.response_.spread(truth),
            self.statistic,
            self.training,
            validation=self.validation,
            seed=seed,
        )
        random = np.random.default_rng(derive(seed, "slope"))
        some = random.permutation(len(truth))[:CHECKED]
        falls = truth[some][~(self._slope(truth[some], features[some]) > 0)]
        if len(falls) > WRONG * len(some):
            raise InputError(
                f"the response at fixed features does not rise for {len(falls) / len(some):.1%} of"
                f" the events, with truths of {falls.min():.4g} to {falls.max():.4g}; cut the truth"
                " or leave a feature out that nearly is the truth."
            )

    def location(self, truth: Floats, features: Floats) -> Floats:
        """Return f(z, theta) of truths (N,) and features (N, F), (N,)."""
        g = self.network_.at(self._table(truth, features))
        return np.asarray(self.response_.location(truth) + self.response_.spread(truth) * g)

    def _predict(self, columns: Floats) -> Calibrated:
        x, features = columns[:, 0], columns[:, 1:]
        start, width = self.response_.calibrated(x)
        low, high = start - REACH * width, start + REACH * width
        for _ in range(DOUBLINGS):
            above = self.location(low, features) > x
            below = self.location(high, features) < x
            if not (above | below).any():
                break
            low = np.where(above, low - (high - low), low)
            high = np.where(below, high + (high - low), high)
        else:
            event = int(np.argmax(above | below))
            raise InputError(
                f"event {event}, measured as {x[event]:.6g}, has no truth whose response that is;"
                " its features are far from those calibrated with, leave it out."
            )
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = self.location(middle, features) < x
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        z = (low + high) / 2
        spread = self.response_.spread(z) * self.network_.spread_at(self._table(z, features))
        return Calibrated(z, spread / self._slope(z, features))

    def _slope(self, z: Floats, features: Floats) -> Floats:
        """Return df/dz over one resolution: the network's own slope has steps."""
        half = self.response_.spread(z) / self.response_.location.slope(z) / 2
        rise = self.location(z + half, features) - self.location(z - half, features)
        return np.asarray(rise / (2 * half))

    def _table(self, z: Floats, features: Floats) -> Floats:
        # The knots are the middles of bins of equally many events.
        knots = self.response_.location.knots
        rank = np.interp(z, knots, np.linspace(-1, 1, len(knots)))
        return np.column_stack([rank, features])

    def _rebuild(self) -> None:
        self.network_ = TableLocation(len(self.names_), tuple(self.hidden))
