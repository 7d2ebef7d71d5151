"""The likelihood ratio p1/p0 of two samples, learned by a classifier: the core of many methods.

Reweighting, unfolding and inference stand on it. A classifier between events of p1 and p0, each of
total weight 1, is read as p1(x)/p0(x) by the loss it was trained with (`losses.ratio`).
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import awkward as ak
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.isotonic import IsotonicRegression
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.schema import CONSTITUENTS, JET_COLUMNS, hash_uniform
from colliderkit.losses.ratio import ratio_loss
from colliderkit.methods.architecture import Architecture
from colliderkit.methods.method import Method
from colliderkit.methods.ratio.diagnostics import Diagnostics, diagnose
from colliderkit.methods.ratio.estimators import Inputs, NetworkRatio, TableRatio, two_samples
from colliderkit.metrics.closure import Gap, gaps
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Epoch, Training

__all__ = ["Events", "Ratio", "events_of", "weight_of"]

Floats = NDArray[np.float64]
BIN = 500  # held-out events in a bin of the calibration


@dataclass(frozen=True)
class Events:
    """Hold events as a ratio takes them: `inputs` of the network, and a `table` to look at.

    The table is (N, C) float64 with `names` (C,): the events themselves, or a summary of jets.
    """

    inputs: Inputs
    table: Floats
    names: list[str]

    def __len__(self) -> int:
        return len(self.table)


def events_of(
    events: Any, what: str, design: Architecture | None, names: Sequence[str] = ()
) -> Events:
    """Take a table (N, C), or a jet array where `design` is of a network on particles.

    Raises `InputError`, which begins with `what`, for events that are no such thing and for
    numbers that are not finite.
    """
    if design is None or design.kind == "table":
        table = _table(events, what, names)
        labels = list(names) or [f"column {i}" for i in range(table.shape[1])]
        return Events(torch.from_numpy(table.astype(np.float32)), table, labels)
    if not isinstance(events, ak.Array):
        raise InputError(
            f"the {what} is no jet array, which network '{design.network}' takes; read it with"
            " colliderkit.sources.read, or take network=None for a table."
        )
    inputs = design.inputs(events)
    summary, columns = jet_summary(events)
    return Events(inputs, _table(summary, what, columns), columns)


def jet_summary(jets: ak.Array) -> tuple[Floats, list[str]]:
    """Return what is looked at of jets beside their particles: `JET_COLUMNS` and multiplicity."""
    kept = [name for name in JET_COLUMNS if name in jets.fields]
    columns = [np.asarray(jets[name], dtype=np.float64) for name in kept]
    columns.append(np.asarray(ak.num(jets[CONSTITUENTS], axis=1), dtype=np.float64))
    return np.stack(columns, 1), [*kept, "multiplicity"]


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
        loss: a name of `losses.ratio.RATIO_LOSSES`; `power` is its p or r, if it has one.
        family: learn the correction to an exponential family, fitted first, instead of all; of
            network=None alone.
        members: networks with other seeds; `combine` takes the "mean" or "median" of their
            ln p1/p0.
        calibrate: shift ln p1/p0 by an isotonic regression on bins of the held-out events.
        parameters: names of the theta that p1 depends on: the ratio is then
            p(x | theta) / p0(x), and `fit` and the verbs take theta.
        columns: names of the table's columns, for messages and diagnostics.
        validation: the share of events, by a hash of their number, that chooses the epoch.
        training: epochs, batch size, learning rate and the like.

    Negative weights stay negative in the loss, which is unbiased as long as the weighted density
    is positive; each sample must sum to a positive weight. Calibration needs weights >= 0.

    After `fit`: `model_`, `history_` (one list of `Epoch` a member), `diagnostics_`.
    """

    name: ClassVar[str] = "ratio"

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
        numerator_weight: ArrayLike | None = None,
        denominator_weight: ArrayLike | None = None,
        numerator_event: ArrayLike | None = None,
        denominator_event: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on events of p1, (N, C) or N jets, and of p0, (M, C) or M jets; return self.

        `theta` (N, T) are the parameters that each event of p1 was made with; the events of p0
        take those of random events of p1. Events of equal number stand on the same side of the
        split into training and validation, in both samples. A network keeps its checkpoints in
        `folder`, from which `resume` goes on, and shows a bar if `progress`. Raises `InputError`
        where events or weights cannot be used, or where the samples do not overlap at all.
        """
        if self.members < 1:
            raise InputError(f"--members is {self.members}; it must be at least 1.")
        if self.calibrate and self.parameters:
            raise InputError("calibrate is for a ratio without parameters; give one of the two.")
        samples = [
            events_of(numerator, "numerator", self._architecture, self.columns),
            events_of(denominator, "denominator", self._architecture, self.columns),
        ]
        tables = [sample.table for sample in samples]
        if tables[0].shape[1] != tables[1].shape[1]:
            raise InputError(
                f"the numerator has {tables[0].shape[1]} columns, the denominator"
                f" {tables[1].shape[1]}; give the same observables for both."
            )
        weights = [
            weight_of(numerator_weight, len(tables[0]), "numerator"),
            weight_of(denominator_weight, len(tables[1]), "denominator"),
        ]
        self.names_ = samples[0].names
        missing = gaps(tables[0], tables[1], self.names_)
        _check_overlap(tables, missing)
        if missing:
            region = "; ".join(map(str, missing[:3]))
            warnings.warn(f"the denominator has no events at {region}", stacklevel=2)
        numbers = [
            np.arange(len(table)) if event is None else np.asarray(event)
            for table, event in zip(tables, (numerator_event, denominator_event), strict=True)
        ]
        context = self._context(tables, theta, seed)
        inputs = [sample.inputs for sample in samples]
        train, validation = two_samples(inputs, weights, numbers, self.validation, seed, context)
        self.seed_ = seed
        self.model_ = self._build()
        seeds = [seed * 1_000 + member for member in range(self.members)]
        if isinstance(self.model_, TableRatio):
            self.history_ = self.model_.fit(
                train, validation, self.training, seeds=seeds, family=self.family
            )
        else:
            self.history_ = self.model_.fit(
                train,
                validation,
                self.training,
                seeds=seeds,
                folder=None if folder is None else Path(folder),
                resume=resume,
                progress=progress,
            )
        self.calibration_ = torch.zeros(2, 0)
        if self.calibrate:
            self._calibrate(validation)
        if not self.parameters:
            held = [hash_uniform(number, seed) < self.validation for number in numbers]
            self.diagnostics_ = self._diagnose(samples, weights, held, missing)
        return self

    def log_ratio(self, events: Any, theta: ArrayLike | None = None) -> Floats:
        """Return ln p1/p0 of N events -> (N,); `theta` is one point (T,) or one an event."""
        given = self._given(events)
        context = None
        if self.parameters:
            context = torch.from_numpy(self._point(theta, len(given))).float()
        return self.answer(given.inputs, context).numpy()

    def answer(self, inputs: Inputs, context: Tensor | None) -> Tensor:
        """Return ln p1/p0 of raw inputs at theta (N, T), as `log_ratio` does, unchecked."""
        return self._calibrated(self._combined(inputs, context))

    def weights(self, events: Any, theta: ArrayLike | None = None) -> Floats:
        """Return p1/p0 of N events -> (N,): weights that make p0 look like p1."""
        return np.exp(self.log_ratio(events, theta))

    def inputs(self, events: Any) -> Inputs:
        """Return the raw inputs of the network for events."""
        return self._given(events).inputs

    def summary(self, events: Any) -> Floats:
        """Return the table (N, C) of columns `names_` that the diagnostics look at."""
        return self._given(events).table

    def bound(self, events: Any) -> Callable[[Tensor], Tensor]:
        """Return ln p(x | theta)/p0(x) of N events as a function of theta, to be fitted.

        The function takes theta (T,) or (N, T), in the trained range, and gives (N,) float64,
        differentiable. A network on jets embeds each event once, here: a call costs its head.
        """
        if not self.parameters:
            raise InputError("this ratio has no parameters; name them in `parameters`.")
        given = self._given(events)
        each = self.model_.bound(given.inputs)

        def log_ratio(theta: Tensor) -> Tensor:
            point = theta.float().reshape(-1, len(self.parameters))
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

    def _given(self, events: Any) -> Events:
        if not hasattr(self, "model_"):
            raise InputError("the ratio is not fitted; call fit or load a fitted one.")
        design = self._architecture
        names = self.names_ if design is None or design.kind == "table" else ()
        return events_of(events, "events", design, names)

    def _build(self) -> TableRatio | NetworkRatio:
        loss = ratio_loss(self.loss, self.power)
        if self.network is None:
            columns = len(self.names_) + len(self.parameters)
            return TableRatio(columns, self.members, self.hidden, loss)
        # A table's columns are known by number where they were given no names.
        design = Architecture(self.network, self.options, self.features, observables=self.names_)
        return NetworkRatio(
            design, self.members, loss, parameters=len(self.parameters), hidden=self.hidden
        )

    def _context(
        self, tables: list[Floats], theta: ArrayLike | None, seed: int
    ) -> list[Floats] | None:
        """Return theta of the events of p1, and for those of p0 drawn from these."""
        if not self.parameters:
            if theta is not None:
                raise InputError("theta is given; name its columns in `parameters`.")
            return None
        if theta is None:
            raise InputError(f"theta is missing; give one row of {list(self.parameters)} an event.")
        values = np.asarray(theta, dtype=np.float64).reshape(-1, len(self.parameters))
        if len(values) != len(tables[0]):
            raise InputError(f"theta has {len(values)} rows for {len(tables[0])} events.")
        self.range_ = np.stack([values.min(0), values.max(0)])
        drawn = np.random.default_rng([seed, 1]).integers(len(values), size=len(tables[1]))
        return [values, values[drawn]]

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

    def _calibrate(self, held: Dataset) -> None:
        """Fit p(y = 1) as a rising function of the classifier's output on the held events."""
        if bool((held.weight < 0).any()):
            raise InputError("calibrate needs weights of 0 or more; fit without it.")
        ln_r = self._combined(held.inputs, held.context).numpy()
        target, weight = held.target.numpy(), held.weight.double().numpy()
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

    def _diagnose(
        self,
        samples: list[Events],
        weights: list[Floats],
        held: list[NDArray[np.bool_]],
        missing: list[Gap],
    ) -> Diagnostics:
        (x, y), (wx, wy) = (
            [values[part] for values, part in zip(pair, held, strict=True)]
            for pair in ([sample.table for sample in samples], weights)
        )
        inputs, chosen = samples[1].inputs, torch.from_numpy(np.flatnonzero(held[1]))
        part = inputs[chosen] if isinstance(inputs, Tensor) else inputs.at(chosen)
        moved = wy * np.exp(self.answer(part, None).numpy())
        return diagnose(x, y, wx, moved, self.names_, missing, self.seed_)

    # What follows saves and restores.

    def _tensors(self) -> dict[str, Tensor]:
        return {**self.model_.state_dict(), "calibration": self.calibration_}

    def _state(self) -> dict[str, Any]:
        return {
            "names": self.names_,
            "range": self.range_.tolist() if self.parameters else [],
            "seed": self.seed_,
            "history": [[asdict(epoch) for epoch in member] for member in self.history_],
        }

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self.names_ = state["names"]
        self.seed_ = state["seed"]
        if self.parameters:
            self.range_ = np.array(state["range"])
        self.history_ = [[Epoch(**epoch) for epoch in member] for member in state["history"]]
        self.calibration_ = tensors.pop("calibration")
        self.model_ = self._build()
        self.model_.load_state_dict(tensors)
        self.model_.eval()


def _table(events: ArrayLike, what: str, names: Sequence[str]) -> Floats:
    """Return events as (N, C) float64; raise `InputError` naming the event that is no number."""
    table = np.asarray(events, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or len(table) == 0:
        raise InputError(f"the {what} has shape {table.shape}; give a table (events, columns).")
    if names and len(names) != table.shape[1]:
        raise InputError(f"the {what} has {table.shape[1]} columns, {len(names)} are named.")
    bad = ~np.isfinite(table)
    if bad.any():
        event, column = np.argwhere(bad)[0]
        name = names[column] if names else f"column {column}"
        raise InputError(f"{name} of event {event} of the {what} is {table[event, column]}.")
    return table


def weight_of(weight: ArrayLike | None, count: int, what: str) -> Floats:
    """Return the weights (N,) of a sample, 1 if None; raise `InputError` if they cannot be used."""
    w = np.ones(count) if weight is None else np.asarray(weight, dtype=np.float64)
    if w.shape != (count,):
        raise InputError(f"the {what} has {count} events and {w.shape} weights; give one each.")
    if not np.isfinite(w).all():
        raise InputError(
            f"the weight of event {np.argmin(np.isfinite(w))} of the {what} is not finite."
        )
    if not w.sum() > 0:
        raise InputError(f"the weights of the {what} sum to {w.sum():.3g}; they must be positive.")
    return w


def _check_overlap(tables: list[Floats], missing: list[Gap]) -> None:
    for gap in missing:
        if gap.share > 0.999:
            raise InputError(
                f"the samples do not overlap in {gap.column}: where the numerator is,"
                f" {gap.low:.4g} to {gap.high:.4g}, the denominator has no events."
            )
