"""What every calibration shares: tables that are checked, one estimate an event, and closure."""

from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.schema import hash_uniform
from colliderkit.methods.method import Method
from colliderkit.metrics.response import Closure, Statistic, closure

__all__ = ["Calibrated", "Calibration", "Floats", "held_apart"]

Floats = NDArray[np.float64]


class Calibrated(NamedTuple):
    """Hold, event by event, the `estimate` of the truth (N,) and its `resolution` (N,), one sigma.

    A truth of D numbers has (N, D) of both.
    """

    estimate: Floats
    resolution: Floats


class Calibration(Method):
    """Estimate the truth z of each event from what was measured of it, x, and features theta.

    A subclass gives `_fit` and `_predict`, on tables that are checked here. Those that learn
    p(x | z), or a location of it, do not depend on how the truth is distributed in the sample they
    learn from; those that learn p(z | x) do (`prior_dependent`).

    After `fit`: `range_` (2, D), the smallest and largest truth calibrated with. What is measured
    beyond is calibrated by extrapolation.
    """

    prior_dependent: ClassVar[bool] = False
    several: ClassVar[bool] = False  # truths may be more than one number

    def fit(
        self,
        measured: ArrayLike,
        truth: ArrayLike,
        features: ArrayLike | None = None,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> Self:
        """Learn from simulated events: `measured` (N,), `truth` (N,), `features` (N, F).

        `weight` (N,) are not negative: under negative weights a response has no median, mode or
        spread. Raises `InputError` for tables that are not alike or not finite, a truth or
        measurement that is constant, and a response that does not rise with the truth.
        """
        x, f = self._measured(measured, features)
        z = np.asarray(truth, dtype=np.float64)
        z = z[:, None] if z.ndim == 1 else z
        if z.ndim != 2 or len(z) != len(x) or (z.shape[1] != 1 and not self.several):
            raise InputError(
                f"truth has shape {np.shape(truth)}, measured {np.shape(measured)}; give one number"
                " each for every event."
            )
        w = np.ones(len(x)) if weight is None else np.asarray(weight, dtype=np.float64)
        if w.shape != (len(x),):
            raise InputError(f"weight has shape {w.shape}; give one for each event.")
        for what, table in (("truth", z), ("weight", w[:, None])):
            _finite(table, what)
        if (w < 0).any() or not w.sum() > 0:
            event = int(np.argmin(w))
            raise InputError(
                f"the weight of event {event} is {w[event]:g}; a calibration takes weights that are"
                " not negative, with a positive sum."
            )
        used = w > 0
        x, z, f, w = x[used], z[used], f[used], w[used]
        for what, table in (("truth", z), ("measured", x[:, None]), ("features", f)):
            constant = np.flatnonzero(np.ptp(table, axis=0) == 0) if len(table) else np.zeros(1)
            if len(constant):
                raise InputError(
                    f"column {int(constant[0])} of {what} is constant; nothing can be learned from"
                    " it, leave it out or give other events."
                )
        self.range_ = np.stack([z.min(0), z.max(0)])
        self.features_ = f.shape[1]
        self._fit(x, z if self.several else z[:, 0], f, w / w.mean(), seed, progress)
        return self

    def predict(self, measured: ArrayLike, features: ArrayLike | None = None) -> Calibrated:
        """Return estimate and resolution of events, `measured` (N,), `features` (N, F).

        Raises `InputError` where something is not finite, or a resolution cannot be defined.
        """
        x, f = self._measured(measured, features)
        if f.shape[1] != self._fitted():
            raise InputError(f"{f.shape[1]} features are given; fit had {self.features_}.")
        found = self._predict(x, f)
        bad = ~np.isfinite(np.stack([np.atleast_1d(found.estimate), found.resolution])).all(0)
        bad |= ~(found.resolution > 0)
        if bad.any():
            event = int(np.argwhere(bad)[0][0])
            raise InputError(
                f"the resolution of event {event}, measured as {x[event]:.6g}, cannot be defined;"
                " leave it out or calibrate with events like it."
            )
        return found

    def closure(
        self,
        measured: ArrayLike,
        truth: ArrayLike,
        features: ArrayLike | None = None,
        *,
        bins: int | ArrayLike = 10,
        weight: ArrayLike | None = None,
        statistic: Statistic = "mean",
    ) -> Closure:
        """Compare the estimates of events with their truth (N,), in bins of it.

        `bins` are edges, or a number of bins that hold equally many events. Bias, response and
        resolution are those of the `statistic`. Raises `InputError` where bins reach beyond the
        truths calibrated with, or hold too few events; truths outside the bins do not count.
        """
        estimate = self.predict(measured, features).estimate
        z = np.asarray(truth, dtype=np.float64)
        if estimate.ndim != 1 or z.shape != estimate.shape:
            raise InputError(
                f"truth has shape {z.shape}, the estimate {estimate.shape}; closure takes one"
                " number an event, see colliderkit.metrics.response for several."
            )
        _finite(z[:, None], "truth")
        low, high = (float(end) for end in self.range_[:, 0])
        if isinstance(bins, int | np.integer):
            inside = z[(z >= low) & (z <= high)]
            if not 0 < bins <= len(inside):
                raise InputError(
                    f"{bins} bins for {len(inside)} events between {low:.6g} and {high:.6g}, where"
                    " the truths calibrated with are; give at least one, and events for each."
                )
            edges = np.unique(np.quantile(inside, np.linspace(0, 1, int(bins) + 1)))
        else:
            edges = np.asarray(bins, dtype=np.float64)
            if len(edges) and (edges.min() < low or edges.max() > high):
                raise InputError(
                    f"the bins reach from {edges.min():.6g} to {edges.max():.6g}, the truths"
                    f" calibrated with from {low:.6g} to {high:.6g}; choose bins within."
                )
        return closure(estimate, z, edges, weight=weight, statistic=statistic)

    def _fit(
        self, x: Floats, z: Floats, features: Floats, weight: Floats, seed: int, progress: bool
    ) -> None:
        """Learn from x (N,), z (N,) or (N, D), features (N, F) and weights of mean 1."""
        raise NotImplementedError

    def _predict(self, x: Floats, features: Floats) -> Calibrated:
        """Return what `predict` does, of tables that are checked."""
        raise NotImplementedError

    def _fitted(self) -> int:
        """Return how many features there are."""
        if not hasattr(self, "range_"):
            raise InputError("nothing is calibrated yet; call fit or load a fitted one.")
        return self.features_

    @staticmethod
    def _measured(measured: ArrayLike, features: ArrayLike | None) -> tuple[Floats, Floats]:
        x = np.asarray(measured, dtype=np.float64)
        f = np.zeros((len(x), 0)) if features is None else np.asarray(features, dtype=np.float64)
        f = f[:, None] if f.ndim == 1 else f
        if x.ndim != 1 or len(x) == 0 or f.ndim != 2 or len(f) != len(x):
            raise InputError(
                f"measured has shape {x.shape}, features {f.shape}; give (events,) and"
                " (events, features)."
            )
        _finite(x[:, None], "measured")
        _finite(f, "features")
        return x, f

    def _state(self) -> dict[str, Any]:
        return {"range": self.range_.tolist(), "features": self.features_}

    def _restore(self, tensors: dict[str, Any], state: dict[str, Any]) -> None:
        self.range_, self.features_ = np.array(state["range"]), state["features"]


def _finite(table: Floats, what: str) -> None:
    bad = ~np.isfinite(table)
    if bad.any():
        event, column = np.argwhere(bad)[0]
        where = f"column {column} of {what}" if table.shape[1] > 1 else what
        raise InputError(
            f"{where} is {table[event, column]} in event {event}; drop the event or repair it."
        )


def held_apart(count: int, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of the events to train on and of those held for validation."""
    held = hash_uniform(np.arange(count), seed) < share
    train, validation = np.flatnonzero(~held), np.flatnonzero(held)
    if len(train) < 2 or len(validation) < 2:
        raise InputError(f"{count} events are too few to train on and to validate with.")
    return train, validation
