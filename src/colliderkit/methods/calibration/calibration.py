"""Base of all calibrations: checked tables, one estimate an event, and the test of closure."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, Table, as_column, as_table
from colliderkit.methods.method import Method
from colliderkit.metrics.response import Closure, Statistic, closure, equal_bins

__all__ = ["Calibrated", "Calibration"]

Outside = Literal["warn", "refuse", "extrapolate"]
MARGIN = 0.05  # of the range: a sample ends within what it was drawn from
NEGATIVE = "under negative weights a response has no median, mode or spread"


class Calibrated(NamedTuple):
    """Estimate and resolution of N events: `estimate` of the truth (N,), `resolution` one sigma.

    A truth of D numbers has (N, D) of both.
    """

    estimate: Floats
    resolution: Floats


class Calibration(Method):
    """Estimate the truth z of each event from what was measured of it, x, and features theta.

    A subclass gives `_fit` and `_predict`, on tables that are checked here. Those that learn
    p(x | z), or a location of it, do not depend on how the truth is distributed in the sample they
    learn from; those that learn p(z | x) do (`prior_dependent`).

    After `fit`: `range_` (2, D), the smallest and largest truth calibrated with, `seen_`
    (2, 1 + F), those of what was measured and of the features, and `names_`. What is measured
    beyond is calibrated by extrapolation, which `predict` warns of or refuses.
    """

    prior_dependent: ClassVar[bool] = False
    several: ClassVar[bool] = False  # truths may be more than one number

    range_: Floats
    seen_: Floats
    names_: list[str]

    def fit(
        self,
        measured: ArrayLike,
        truth: ArrayLike,
        features: ArrayLike | None = None,
        *,
        names: Sequence[str] = (),
        event: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Learn from simulated events: `measured` (N,), `truth` (N,), `features` (N, F).

        `names` are those of what is measured and of the features. Rows of one number of `event`
        (N,) are not parted where some are held out. `weight` (N,) are not negative: under negative
        weights a response has no median, mode or spread. `folder` and `resume` are for those that
        train a density or a likelihood ratio. Raises `InputError` for tables that are not alike or
        not finite, a truth or measurement that is constant, and a response that does not rise with
        the truth.
        """
        self._begin(
            seed=seed,
            folder=folder,
            resume=resume,
            measured=measured,
            truth=truth,
            features=features,
            event=event,
            weight=weight,
        )
        x = np.atleast_1d(np.asarray(measured, dtype=np.float64))
        table = Table.checked(
            _columns(x, features),
            "the events",
            names=names,
            weight=weight,
            event=event,
            negative=NEGATIVE,
        )
        if self.several and np.ndim(truth) == 2:
            z = as_table(truth, "truth")
        else:
            z = as_column(truth, len(table), "truth")[:, None]
        if len(z) != len(table):
            raise InputError(
                f"truth: has {len(z)} rows for {len(table)} events; give one for each."
            )
        used = table.weight > 0
        table, z = table.at(used), z[used]
        for what, columns in (
            ("truth", z),
            ("measured", table.values[:, :1]),
            ("features", table.values[:, 1:]),
        ):
            constant = np.flatnonzero(np.ptp(columns, axis=0) == 0)
            if len(constant):
                raise InputError(
                    f"column {int(constant[0])} of {what} is constant; nothing can be learned from"
                    " it, leave it out or give other events."
                )
        self.range_ = np.stack([z.min(0), z.max(0)])
        self.seen_ = np.stack([table.values.min(0), table.values.max(0)])
        self.names_ = list(table.names)
        table = replace(table, weight=table.weight / table.weight.mean())
        training = {"folder": folder and Path(folder), "resume": resume, "progress": progress}
        self._fit(table, z if self.several else z[:, 0], seed=seed, **training)
        return self

    def predict(
        self,
        measured: ArrayLike,
        features: ArrayLike | None = None,
        *,
        outside: Outside = "warn",
    ) -> Calibrated:
        """Return estimate and resolution of events, `measured` (N,), `features` (N, F).

        `outside`: of events beyond what was calibrated with by more than 5% of its range, "warn",
        "refuse", or "extrapolate" without a word. Raises `InputError` for those refused, where
        something is not finite, or a resolution cannot be defined.
        """
        columns = self._checked(measured, features)
        self._within(columns, outside)
        answer = self._predict(columns)
        bad = ~np.isfinite(np.stack([np.atleast_1d(answer.estimate), answer.resolution])).all(0)
        bad |= ~(answer.resolution > 0)
        if bad.any():
            event = int(np.argwhere(bad)[0][0])
            raise InputError(
                f"the resolution of event {event}, measured as {columns[event, 0]:.6g}, cannot be"
                " defined; leave it out or calibrate with events like it."
            )
        return answer

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
        if estimate.ndim != 1:
            raise InputError(
                f"the estimate has shape {estimate.shape}; closure takes one number an event, see"
                " colliderkit.metrics.response for several."
            )
        z = as_column(truth, len(estimate), "truth")
        low, high = (float(end) for end in self.range_[:, 0])
        if isinstance(bins, int | np.integer):
            inside = z[(z >= low) & (z <= high)]
            if not 0 < bins <= len(inside):
                raise InputError(
                    f"{bins} bins for {len(inside)} events between {low:.6g} and {high:.6g}, where"
                    " the truths calibrated with are; give at least one, and events for each."
                )
            edges = equal_bins(inside, int(bins))
        else:
            edges = np.asarray(bins, dtype=np.float64)
            if len(edges) and (edges.min() < low or edges.max() > high):
                raise InputError(
                    f"the bins reach from {edges.min():.6g} to {edges.max():.6g}, the truths"
                    f" calibrated with from {low:.6g} to {high:.6g}; choose bins within."
                )
        return closure(estimate, z, edges, weight=weight, statistic=statistic)

    def _fit(self, table: Table, truth: Floats, *, seed: int, **training: Any) -> None:
        """Learn from x and features, the columns (N, 1 + F) of `table`, and the truth.

        The truth is (N,), or (N, D) where a method takes several; weights have mean 1. `training`
        is `folder`, `resume` and `progress` of `training.fit.fit`.
        """
        raise NotImplementedError

    def _predict(self, columns: Floats) -> Calibrated:
        """Return what `predict` does, of checked columns (N, 1 + F)."""
        raise NotImplementedError

    def _within(self, columns: Floats, outside: Outside) -> None:
        """Warn of or refuse events (N, 1 + F) that are beyond those calibrated with."""
        if outside not in get_args(Outside):
            known = ", ".join(get_args(Outside))
            raise InputError(f"outside is '{outside}'; choose from {known}.")
        # Those saved by earlier versions do not say.
        if outside == "extrapolate" or "seen_" not in self.__dict__:
            return
        low, high = self.seen_
        beyond = (columns < low - MARGIN * (high - low)) | (columns > high + MARGIN * (high - low))
        if not beyond.any():
            return
        event, column = (int(i) for i in np.argwhere(beyond)[0])
        sentence = (
            f"{int(beyond.any(1).sum())} of {len(columns)} events are outside what was calibrated"
            f" with; {self.names_[column]} is {columns[event, column]:.6g} in event {event} (from"
            f" 0), the range is {low[column]:.6g} to {high[column]:.6g}"
        )
        if outside == "refuse":
            raise InputError(f"{sentence}; leave them out, or give outside='warn' to extrapolate.")
        warnings.warn(f"{sentence}; their estimates are extrapolated.", stacklevel=3)

    def _checked(self, measured: ArrayLike, features: ArrayLike | None) -> Floats:
        """Return what was measured and the features as columns (N, 1 + F); raise `InputError`."""
        columns = _columns(np.atleast_1d(np.asarray(measured, dtype=np.float64)), features)
        if columns.shape[1] != len(self.names_):
            raise InputError(
                f"{columns.shape[1] - 1} features are given; fit had {len(self.names_) - 1}."
            )
        return columns


def _columns(measured: Floats, features: ArrayLike | None) -> Floats:
    x = as_column(measured, len(measured), "measured")
    if features is None:
        return x[:, None]
    table = as_table(features, "features")
    if len(table) != len(x):
        raise InputError(f"features: has {len(table)} rows for {len(x)} events; give one for each.")
    return np.column_stack([x, table])
