"""The likelihood ratio p1/p0 of two samples, learned by a classifier: the core of many methods.

Reweighting, unfolding and inference stand on it. A classifier between events of p1 and p0, each of
total weight 1, is read as p1(x)/p0(x) by the loss it was trained with (`losses.ratio`).
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import awkward as ak
import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.isotonic import IsotonicRegression
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.ragged import Ragged
from colliderkit.events.schema import CONSTITUENTS, JET_COLUMNS
from colliderkit.events.tables import Floats, Table, as_table, validation_mask
from colliderkit.losses.ratio import ratio_loss
from colliderkit.methods.architecture import Architecture
from colliderkit.methods.method import Method
from colliderkit.methods.ratio.diagnostics import Diagnostics, diagnose
from colliderkit.methods.ratio.estimators import Inputs, NetworkRatio, TableRatio, two_samples
from colliderkit.metrics.closure import Gap, gaps
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Epoch, Training

__all__ = ["Ratio", "inputs_of", "jet_summary", "pair_of"]

BIN = 500  # validation events in a bin of the calibration


def inputs_of(
    events: Any,
    what: str,
    architecture: Architecture | None,
    names: Sequence[str] = (),
    *,
    weight: ArrayLike | None = None,
    event: ArrayLike | None = None,
) -> tuple[Inputs, Table]:
    """Return the raw inputs of a network for N events, and the table that is looked at.

    Events are a table (N, C), or a jet array where `architecture` is of a network on particles:
    their table is `jet_summary`. Raises `InputError`, which begins with `what`, for events that
    are no such thing, for numbers that are not finite and for weights that cannot be used.
    """
    if architecture is None or architecture.kind == "table":
        table = Table.checked(events, what, names=names, weight=weight, event=event)
        return torch.from_numpy(table.values), table
    if not isinstance(events, ak.Array):
        raise InputError(
            f"{what}: is no jet array, which network '{architecture.network}' takes; read it with"
            " colliderkit.sources.read, or take network=None for a table."
        )
    inputs = architecture.inputs(events)
    summary, labels = jet_summary(events)
    return inputs, Table.checked(summary, what, names=labels, weight=weight, event=event)


def jet_summary(jets: ak.Array) -> tuple[Floats, list[str]]:
    """Return the columns of jets that diagnostics look at: `JET_COLUMNS` and multiplicity."""
    names = [name for name in JET_COLUMNS if name in jets.fields]
    columns = [np.asarray(jets[name], dtype=np.float64) for name in names]
    columns.append(np.asarray(ak.num(jets[CONSTITUENTS], axis=1), dtype=np.float64))
    return np.stack(columns, 1), [*names, "multiplicity"]


def pair_of(values: Any, what: str) -> tuple[Any, Any]:
    """Return `what` of numerator and denominator, None each if it is not given.

    Raises `InputError` for what is no pair.
    """
    if values is None:
        return None, None
    if not isinstance(values, tuple | list) or len(values) != 2:
        raise InputError(
            f"{what} is of two samples; give a pair (numerator, denominator), None for a sample"
            " that has none."
        )
    return values[0], values[1]


class Ratio(Method):
    """Estimate p1(x)/p0(x) of two samples: of tables, or of jets by any network of the package.

    Args:
        network: a name of `colliderkit.networks.NETWORKS`; None is a perceptron for tables that
            is trained much faster, without Lightning. Networks on tables take tables, all others
            jet arrays.
        options: keyword arguments of the network.
        features: per-particle features, as in `methods.tagging`.
        hidden: widths of the perceptron's hidden layers; with a network and `parameters`, of the
            head that takes theta.
        loss: a name of `losses.ratio.RATIO_LOSSES`.
        power: p or r of the loss, if it has one.
        family: learn the correction to an exponential family, fitted first, instead of all; of
            network=None alone.
        members: networks with other seeds; `combine` takes the "mean" or "median" of their
            ln p1/p0.
        calibrate: shift ln p1/p0 by an isotonic regression on bins of validation events.
        parameters: names of the theta that p1 depends on: the ratio is then
            p(x | theta) / p0(x), and `fit` and the verbs take theta.
        columns: names of the table's columns, for messages and diagnostics.
        validation: the share of events, by a hash of their number, that chooses the epoch.
        training: epochs, batch size, learning rate and the like.

    Negative weights stay negative in the loss, which is unbiased as long as the weighted density
    is positive; each sample must sum to a positive weight. Calibration needs weights >= 0.

    After `fit`: `names_` (C,), the columns of a table, or those that are looked at of jets;
    `range_` (2, T), the smallest and largest theta; `model_`; `history_`, of "network" or
    each "member 0"; `calibration_`; and `diagnostics_`, None for a ratio with parameters.
    """

    name: ClassVar[str] = "ratio"
    resumable = True

    names_: list[str]
    range_: Floats
    model_: TableRatio | NetworkRatio
    history_: dict[str, list[Epoch]]
    calibration_: Tensor
    diagnostics_: Diagnostics | None

    def __init__(
        self,
        *,
        network: str | None = None,
        options: dict[str, Any] | None = None,
        features: Sequence[str] | None = None,
        hidden: Sequence[int] = (64, 64, 64),
        loss: str = "bce",
        power: float | None = None,
        family: bool = True,
        members: int = 1,
        combine: Literal["mean", "median"] = "mean",
        calibrate: bool = False,
        parameters: Sequence[str] = (),
        columns: Sequence[str] = (),
        validation: float = 0.2,
        training: Training = Training(
            epochs=20, batch_size=1024, learning_rate=2e-3, schedule="cosine"
        ),
    ) -> None:
        self.network = network
        self.options = options
        self.features = features
        self.hidden = hidden
        self.loss = loss
        self.power = power
        self.family = family
        self.members = members
        self.combine = combine
        self.calibrate = calibrate
        self.parameters = parameters
        self.columns = columns
        self.validation = validation
        self.training = training

    def fit(
        self,
        numerator: Any,
        denominator: Any,
        *,
        theta: ArrayLike | None = None,
        event: tuple[ArrayLike | None, ArrayLike | None] | None = None,
        weight: tuple[ArrayLike | None, ArrayLike | None] | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on events of p1, (N, C) or N jets, and of p0, (M, C) or M jets; return self.

        `theta` (N, T) are the parameters that each event of p1 was made with; the events of p0
        take those of random events of p1. `event` and `weight` are pairs, of (N,) and (M,) or
        None: events of equal number stand on the same side of the split into training and
        validation, in both samples. A network keeps its checkpoints in `folder`, from which
        `resume` goes on, and shows a bar if `progress`. Raises `InputError` where events or
        weights cannot be used, or where the samples do not overlap at all.
        """
        self._begin(
            seed=seed,
            folder=folder,
            resume=resume,
            numerator=numerator,
            denominator=denominator,
            theta=theta,
            event=event,
            weight=weight,
        )
        if self.members < 1:
            raise InputError(f"members is {self.members}; it must be at least 1.")
        if self.calibrate and self.parameters:
            raise InputError("calibrate is for a ratio without parameters; give one of the two.")
        weights, events = pair_of(weight, "weight"), pair_of(event, "event")
        (first, x), (second, y) = (
            inputs_of(
                sample,
                f"the {what}",
                self._architecture,
                self.columns,
                weight=weights[i],
                event=events[i],
            )
            for i, (sample, what) in enumerate(
                ((numerator, "numerator"), (denominator, "denominator"))
            )
        )
        if x.values.shape[1] != y.values.shape[1]:
            raise InputError(
                f"the numerator has {x.values.shape[1]} columns, the denominator"
                f" {y.values.shape[1]}; give the same observables for both."
            )
        self.names_ = list(x.names)
        missing = gaps(x.values, y.values, self.names_)
        _check_overlap(missing)
        if missing:
            region = "; ".join(map(str, missing[:3]))
            warnings.warn(f"the denominator has no events at {region}", stacklevel=2)
        context = self._context(len(x), len(y), theta)
        train, validation = two_samples(
            (first, second),
            (x.weight, y.weight),
            (x.event, y.event),
            self.validation,
            seed,
            context,
        )
        self._rebuild()
        seeds = [derive(seed, "member", member) for member in range(self.members)]
        if isinstance(self.model_, TableRatio):
            histories = self.model_.fit(
                train, validation, self.training, seeds=seeds, family=self.family
            )
        else:
            histories = self.model_.fit(
                train,
                validation,
                self.training,
                seeds=seeds,
                folder=None if folder is None else Path(folder),
                resume=resume,
                progress=progress,
            )
        names = ["network"] if self.members == 1 else [f"member {m}" for m in range(self.members)]
        self.history_ = dict(zip(names, histories, strict=True))
        self.calibration_ = torch.zeros(2, 0)
        if self.calibrate:
            self._calibrate(validation)
        self.diagnostics_ = None if self.parameters else self._diagnose(x, y, second, missing)
        return self

    def log_ratio(self, events: Any, theta: ArrayLike | None = None) -> Floats:
        """Return ln p1/p0 of N events -> (N,); `theta` is one point (T,) or one an event."""
        inputs = self.inputs(events)
        context = None
        if self.parameters:
            context = torch.from_numpy(self._point(theta, len(inputs)))
        return self.answer(inputs, context).numpy()

    def answer(self, inputs: Inputs, context: Tensor | None) -> Tensor:
        """Return ln p1/p0 of raw inputs at theta (N, T), as `log_ratio` does, unchecked."""
        return self._calibrated(self._combined(inputs, context))

    def weights(self, events: Any, theta: ArrayLike | None = None) -> Floats:
        """Return p1/p0 of N events -> (N,): weights that make p0 look like p1."""
        return np.exp(self.log_ratio(events, theta))

    def inputs(self, events: Any) -> Inputs:
        """Return the raw inputs of the network for events, or for what this made of them."""
        return events if isinstance(events, Ragged) else self._inputs(events)[0]

    def summary(self, events: Any) -> Floats:
        """Return the table (N, C) of columns `names_` that the diagnostics look at."""
        return self._inputs(events)[1].values

    def log_ratio_of(self, events: Any) -> Callable[[Tensor], Tensor]:
        """Return ln p(x | theta)/p0(x) of N events as a function of theta, to be fitted.

        The function takes theta (T,) or (N, T), in the trained range, and gives (N,) float64,
        differentiable. A network on jets embeds each event once, here: a call costs its head.
        """
        if not self.parameters:
            raise InputError("this ratio has no parameters; name them in `parameters`.")
        each = self.model_.log_ratio_of(self.inputs(events))

        def log_ratio(theta: Tensor) -> Tensor:
            point = theta.double().reshape(-1, len(self.parameters))
            return self._merged(each(point).double())

        return log_ratio

    @property
    def particles(self) -> bool:
        """Whether events are jets, and not the rows of a table."""
        return self._architecture is not None and self._architecture.kind != "table"

    @property
    def _architecture(self) -> Architecture | None:
        if self.network is None:
            return None
        return Architecture(self.network, self.options, self.features, observables=self.columns)

    def _inputs(self, events: Any) -> tuple[Inputs, Table]:
        """Return inputs and table of events, checked to have the columns of the fit."""
        architecture = self._architecture
        names = self.names_ if architecture is None or architecture.kind == "table" else ()
        inputs, table = inputs_of(events, "the events", architecture, names)
        return inputs, table

    def _rebuild(self) -> None:
        loss = ratio_loss(self.loss, self.power)
        if self.network is None:
            columns = len(self.names_) + len(self.parameters)
            self.model_ = TableRatio(columns, self.members, self.hidden, loss)
            return
        # A table's columns are known by number where they were given no names.
        self.model_ = NetworkRatio(
            Architecture(self.network, self.options, self.features, observables=self.names_),
            self.members,
            loss,
            parameters=len(self.parameters),
            hidden=self.hidden,
        )

    def _context(self, count: int, others: int, theta: ArrayLike | None) -> list[Floats] | None:
        """Return theta of the events of p1, and for those of p0 drawn from these."""
        self.range_ = np.zeros((2, 0))
        if not self.parameters:
            if theta is not None:
                raise InputError("theta is given; name its columns in `parameters`.")
            return None
        if theta is None:
            raise InputError(f"theta is missing; give one row of {list(self.parameters)} an event.")
        values = as_table(theta, "theta", self.parameters)
        if len(values) != count:
            raise InputError(f"theta has {len(values)} rows for {count} events.")
        self.range_ = np.stack([values.min(0), values.max(0)])
        random = np.random.default_rng(derive(self.seed_, "theta"))
        return [values, values[random.integers(count, size=others)]]

    def _point(self, theta: ArrayLike | None, count: int) -> Floats:
        if theta is None:
            raise InputError(f"the ratio depends on {list(self.parameters)}; give theta.")
        point = np.asarray(theta, dtype=np.float64).reshape(-1, len(self.parameters))
        if len(point) not in (1, count):
            raise InputError(f"theta has {len(point)} rows for {count} events; give one, or each.")
        point = np.repeat(point, count, axis=0) if len(point) < count else point
        for i, name in enumerate(self.parameters):
            low, high = self.range_[:, i]
            margin = 1e-6 * (high - low)
            outside = (point[:, i] < low - margin) | (point[:, i] > high + margin)
            if outside.any():
                raise InputError(
                    f"{name} = {point[outside, i][0]:.6g} is outside the trained range"
                    f" {low:.6g} to {high:.6g}."
                )
        return point

    def _calibrate(self, validation: Dataset) -> None:
        """Fit p(y = 1) as a rising function of the classifier's output on validation events."""
        if bool((validation.weight < 0).any()):
            raise InputError("calibrate needs weights of 0 or more; fit without it.")
        ln_r = self._combined(validation.inputs, validation.context).numpy()
        target, weight = validation.target.numpy(), validation.weight.double().numpy()
        # Bins of enough events of both classes: single events at the ends would be infinite ratios.
        bins = np.array_split(np.argsort(ln_r, kind="stable"), max(2, len(ln_r) // BIN))
        sums = np.array([weight[part].sum() for part in bins])
        knots = np.array([np.average(ln_r[part], weights=weight[part]) for part in bins])
        p = np.array([np.average(target[part], weights=weight[part]) for part in bins])
        p = (
            IsotonicRegression()
            .fit_transform(knots, p, sample_weight=sums)
            .clip(1 / BIN, 1 - 1 / BIN)
        )
        self.calibration_ = torch.from_numpy(np.stack([knots, np.log(p) - np.log1p(-p) - knots]))

    def _combined(self, inputs: Inputs, context: Tensor | None) -> Tensor:
        """Return the members' ln p1/p0 as one, N events -> (N,)."""
        return self._merged(self.model_(inputs, context).double())

    def _merged(self, each: Tensor) -> Tensor:
        return each.mean(0) if self.combine == "mean" else each.quantile(0.5, dim=0)

    def _calibrated(self, ln_r: Tensor) -> Tensor:
        if self.calibration_.shape[1] == 0:
            return ln_r
        knots, shift = self.calibration_.double().numpy()
        return ln_r + torch.from_numpy(np.interp(ln_r.numpy(), knots, shift))

    def _diagnose(self, x: Table, y: Table, inputs: Inputs, missing: list[Gap]) -> Diagnostics:
        """Compare validation events of p1 and of p0, whose `inputs` are reweighted."""
        numerator, denominator = (
            np.flatnonzero(validation_mask(table.event, self.validation, self.seed_))
            for table in (x, y)
        )
        rows = torch.from_numpy(denominator)
        part = inputs[rows] if isinstance(inputs, Tensor) else inputs.at(rows)
        target, source = x.at(numerator), y.at(denominator)
        return diagnose(
            target.values,
            source.values,
            target.weight,
            source.weight * np.exp(self.answer(part, None).numpy()),
            self.names_,
            missing,
            self.seed_,
        )


def _check_overlap(missing: list[Gap]) -> None:
    for gap in missing:
        if gap.share > 0.999:
            raise InputError(
                f"the samples do not overlap in {gap.column}: where the numerator is,"
                f" {gap.low:.4g} to {gap.high:.4g}, the denominator has no events."
            )
