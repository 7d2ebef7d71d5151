"""The likelihood ratio p1/p0 of two samples, learned by a classifier: the core of many methods.

Reweighting, unfolding and inference stand on it. A classifier between events of p1 and p0, each of
total weight 1, is read as p1(x)/p0(x) by the loss it was trained with (`losses.ratio`).
"""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.isotonic import IsotonicRegression
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.scaling import Standardise
from colliderkit.events.schema import hash_uniform
from colliderkit.losses.ratio import RatioLoss, ratio_loss
from colliderkit.methods.exponential_family import ExponentialFamily
from colliderkit.methods.method import Method
from colliderkit.metrics.closure import Agreement, Gap, agreement, effective_size, gaps
from colliderkit.networks.stack import Stack
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import Epoch, Training
from colliderkit.training.tables import PIECE, fit_stack

__all__ = ["Diagnostics", "Ratio", "TableRatio"]

Floats = NDArray[np.float64]
BIN = 500  # held-out events in a bin of the calibration
LARGEST = 30.0  # |ln p1/p0|: what is beyond is no measurement, and e^30 still a number


@dataclass(frozen=True)
class Diagnostics:
    """Say how good a ratio is, by events that it was not trained on.

    - `agreement`: the reweighted denominator against the numerator, by column;
    - `effective_size`: of the reweighted denominator, and `events`, how many it has;
    - `largest`: the largest weight over the mean weight;
    - `gaps`: regions of the numerator that the denominator does not reach.
    """

    agreement: dict[str, Agreement]
    effective_size: float
    events: int
    largest: float
    gaps: list[Gap]


def two_samples(
    tables: Sequence[NDArray[Any]],
    weights: Sequence[NDArray[Any]],
    events: Sequence[NDArray[Any]],
    validation: float,
    seed: int,
) -> tuple[Dataset, Dataset]:
    """Join p1 (target 1) and p0 (target 0); return what is trained on and what is held.

    Each sample gets the same weight, so that the ratio is one of densities. Events of equal number
    stand on one side. Raises `InputError` if a side is empty.
    """
    x = torch.from_numpy(np.concatenate(tables).astype(np.float32))
    target = torch.cat([torch.ones(len(tables[0])), torch.zeros(len(tables[1]))])
    scaled = [w / w.sum() * len(x) / 2 for w in weights]
    weight = torch.from_numpy(np.concatenate(scaled).astype(np.float32))
    held = torch.from_numpy(hash_uniform(np.concatenate(events), seed) < validation)
    if not bool(held.any()) or bool(held.all()):
        raise InputError("no events to train on or to validate with; give more events.")
    data = Dataset(x, target, weight)
    return data.at(torch.nonzero(~held)[:, 0]), data.at(torch.nonzero(held)[:, 0])


class TableRatio(nn.Module):
    """Model ln p1/p0 of a table (N, C) by M perceptrons, each on top of one exponential family."""

    def __init__(self, columns: int, members: int, hidden: Sequence[int], loss: RatioLoss) -> None:
        super().__init__()
        self.loss = loss
        self.family = ExponentialFamily(columns)
        self.scaling = Standardise(columns)
        self.stack = Stack(members, columns, hidden)

    def fit(
        self,
        train: Dataset,
        held: Dataset,
        settings: Training,
        *,
        seeds: Sequence[int],
        family: bool = True,
    ) -> list[list[Epoch]]:
        """Fit family, scaling and perceptrons; return the history of each member."""
        assert isinstance(train.inputs, Tensor)
        assert isinstance(held.inputs, Tensor)
        offset = None
        if family and self.loss.slope is not None:
            self.family.fit(train.inputs, train.target, train.weight)
            before = [self.family(data.inputs) / self.loss.slope for data in (train, held)]
            offset = before[0], before[1]
        self.scaling.fit(train.inputs)
        scaled = [
            Dataset(self.scaling(data.inputs), data.target, data.weight) for data in (train, held)
        ]
        return fit_stack(
            self.stack,
            self.loss.each,
            scaled[0],
            scaled[1],
            settings,
            seeds=seeds,
            offset=offset,
        )

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Return ln p1/p0 of each member, (N, C) -> (M, N)."""
        parts = []
        for piece in x.split(PIECE):
            z = self.stack(self.scaling(piece))
            if self.loss.slope is not None:
                z = z + self.family(piece) / self.loss.slope
            parts.append(self.loss.log_ratio(z).clamp(-LARGEST, LARGEST))
        return torch.cat(parts, 1)


class Ratio(Method):
    """Estimate p1(x)/p0(x) of two samples of a table.

    Args:
        hidden: widths of the perceptron's hidden layers.
        loss: a name of `losses.ratio.RATIO_LOSSES`; `power` is its p or r, if it has one.
        family: learn the correction to an exponential family, fitted first, instead of all.
        members: perceptrons with other seeds; `combine` takes the "mean" or "median" of their
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
        numerator: ArrayLike,
        denominator: ArrayLike,
        *,
        theta: ArrayLike | None = None,
        numerator_weight: ArrayLike | None = None,
        denominator_weight: ArrayLike | None = None,
        numerator_event: ArrayLike | None = None,
        denominator_event: ArrayLike | None = None,
        seed: int = 0,
    ) -> Self:
        """Train on events of p1, (N, C), and of p0, (M, C), and return self.

        `theta` (N, T) are the parameters that each event of p1 was made with; the events of p0
        take those of random events of p1. Events of equal number stand on the same side of the
        split into training and validation, in both samples. Raises `InputError` where a table or
        weight cannot be used, or where the samples do not overlap at all.
        """
        if self.members < 1:
            raise InputError(f"--members is {self.members}; it must be at least 1.")
        names = list(self.columns)
        tables = [_table(numerator, "numerator", names), _table(denominator, "denominator", names)]
        if tables[0].shape[1] != tables[1].shape[1]:
            raise InputError(
                f"the numerator has {tables[0].shape[1]} columns, the denominator"
                f" {tables[1].shape[1]}; give the same observables for both."
            )
        names = names or [f"column {i}" for i in range(tables[0].shape[1])]
        weights = [
            _weight(numerator_weight, len(tables[0]), "numerator"),
            _weight(denominator_weight, len(tables[1]), "denominator"),
        ]
        self.names_ = names
        missing = gaps(tables[0], tables[1], names)
        _check_overlap(tables, missing)
        if missing:
            region = "; ".join(map(str, missing[:3]))
            warnings.warn(f"the denominator has no events at {region}", stacklevel=2)
        numbers = [
            np.arange(len(table)) if event is None else np.asarray(event)
            for table, event in zip(tables, (numerator_event, denominator_event), strict=True)
        ]
        inputs = self._with_theta(tables, theta, seed)
        train, validation = two_samples(inputs, weights, numbers, self.validation, seed)
        self.model_ = self._build(inputs[0].shape[1])
        self.seed_ = seed
        self.history_ = self.model_.fit(
            train,
            validation,
            self.training,
            seeds=[seed * 1_000 + member for member in range(self.members)],
            family=self.family,
        )
        self.calibration_ = torch.zeros(2, 0)
        if self.calibrate:
            self._calibrate(validation)
        if not self.parameters:
            held = [hash_uniform(number, seed) < self.validation for number in numbers]
            self.diagnostics_ = self._diagnose(tables, weights, held, missing)
        return self

    def log_ratio(self, events: ArrayLike, theta: ArrayLike | None = None) -> Floats:
        """Return ln p1/p0 of events (N, C) -> (N,); `theta` is one point (T,) or one an event."""
        if not hasattr(self, "model_"):
            raise InputError("the ratio is not fitted; call fit or load a fitted one.")
        table = _table(events, "events", self.names_)
        if self.parameters:
            point = self._point(theta, len(table))
            table = np.concatenate([table, point], axis=1)
        return self._calibrated(self._combined(torch.from_numpy(table.astype(np.float32)))).numpy()

    def weights(self, events: ArrayLike, theta: ArrayLike | None = None) -> Floats:
        """Return p1/p0 of events (N, C) -> (N,): weights that make p0 look like p1."""
        return np.exp(self.log_ratio(events, theta))

    def _build(self, inputs: int) -> TableRatio:
        loss = ratio_loss(self.loss, self.power)
        return TableRatio(inputs, self.members, self.hidden, loss)

    def _with_theta(
        self, tables: list[Floats], theta: ArrayLike | None, seed: int
    ) -> list[NDArray[Any]]:
        """Append theta to both tables, for p0 drawn from that of p1."""
        if not self.parameters:
            if theta is not None:
                raise InputError("theta is given; name its columns in `parameters`.")
            return list(tables)
        if theta is None:
            raise InputError(f"theta is missing; give one row of {list(self.parameters)} an event.")
        values = np.asarray(theta, dtype=np.float64).reshape(-1, len(self.parameters))
        if len(values) != len(tables[0]):
            raise InputError(f"theta has {len(values)} rows for {len(tables[0])} events.")
        self.range_ = np.stack([values.min(0), values.max(0)])
        drawn = np.random.default_rng([seed, 1]).integers(len(values), size=len(tables[1]))
        return [
            np.concatenate(pair, 1) for pair in zip(tables, (values, values[drawn]), strict=True)
        ]

    def _point(self, theta: ArrayLike | None, count: int) -> Floats:
        if theta is None:
            raise InputError(f"the ratio depends on {list(self.parameters)}; give theta.")
        point = np.asarray(theta, dtype=np.float64)
        point = np.broadcast_to(
            point.reshape(-1, len(self.parameters)), (count, len(self.parameters))
        )
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
        assert isinstance(held.inputs, Tensor)
        ln_r = self._combined(held.inputs).numpy()
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

    def _combined(self, x: Tensor) -> Tensor:
        """Return the members' ln p1/p0 as one, (N, C) -> (N,)."""
        each = self.model_(x).double()
        return each.mean(0) if self.combine == "mean" else each.quantile(0.5, dim=0)

    def _calibrated(self, ln_r: Tensor) -> Tensor:
        if self.calibration_.shape[1] == 0:
            return ln_r
        knots, shift = self.calibration_.double().numpy()
        return ln_r + torch.from_numpy(np.interp(ln_r.numpy(), knots, shift))

    def _diagnose(
        self,
        tables: list[Floats],
        weights: list[Floats],
        held: list[NDArray[np.bool_]],
        missing: list[Gap],
    ) -> Diagnostics:
        (x, y), (wx, wy) = (
            [values[part] for values, part in zip(pair, held, strict=True)]
            for pair in (tables, weights)
        )
        moved = wy * self.weights(y)
        return Diagnostics(
            {
                name: agreement(y[:, i], x[:, i], source_weight=moved, target_weight=wx)
                for i, name in enumerate(self.names_)
            },
            effective_size(moved),
            len(y),
            float(moved.max() / moved.mean()),
            missing,
        )

    # What follows saves and restores.

    def _tensors(self) -> dict[str, Tensor]:
        return {**self.model_.state_dict(), "calibration": self.calibration_}

    def _state(self) -> dict[str, Any]:
        return {
            "names": self.names_,
            "inputs": len(self.names_) + len(self.parameters),
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
        self.model_ = self._build(state["inputs"])
        self.model_.load_state_dict(tensors)


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


def _weight(weight: ArrayLike | None, count: int, what: str) -> Floats:
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
