"""Nuisance parameters as transformations of events, and the base of methods that know them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.tables import Table, as_column, as_table, validation_mask
from colliderkit.methods.method import Method
from colliderkit.networks.model import Model
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Objective, Training

__all__ = ["TRANSFORMATIONS", "Nuisance", "NuisanceMethod", "Transformation"]

Transformation = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
Process = Literal["background", "signal", "all"]


@dataclass(frozen=True)
class Nuisance:
    """A nuisance parameter: its name, its constraint and what it does to events.

    - `transform`: a function ``(x (N, C), weight (N,), value) -> (x, weight)`` of torch, which
      changes nothing at `nominal` and can be differentiated by the value, or the name of one of
      `TRANSFORMATIONS`, which acts on `column` of x;
    - `process`: whose events it changes, "background" (label 0), "signal" (1) or "all";
    - `width`: the standard deviation of its Gaussian constraint; None: it is free;
    - `step`: how far histograms are varied to either side, by default `width`.
    """

    name: str
    transform: str | Transformation
    process: Process = "background"
    nominal: float = 0.0
    width: float | None = None
    step: float | None = None
    column: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.transform, str):
            if self.transform not in TRANSFORMATIONS:
                raise InputError(
                    f"nuisance '{self.name}': no transformation is called '{self.transform}';"
                    f" choose one of {', '.join(TRANSFORMATIONS)} or give a function."
                )
            if self.transform != "yield" and self.column is None:
                raise InputError(f"nuisance '{self.name}': '{self.transform}' needs a column.")
            if self.transform != "shift" and self.nominal == 0:
                raise InputError(
                    f"nuisance '{self.name}': '{self.transform}' multiplies by value over nominal;"
                    " give a nominal value other than 0."
                )
        for name in ("width", "step"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"nuisance '{self.name}': {name} is {value}, not positive.")
        if self.width is None and self.step is None:
            raise InputError(f"nuisance '{self.name}' is free and needs a step.")
        if self.process not in ("background", "signal", "all"):
            raise InputError(
                f"nuisance '{self.name}': process '{self.process}' is none of background, signal,"
                " all."
            )

    @property
    def size(self) -> float:
        """The step of its variations."""
        size = self.width if self.step is None else self.step
        assert size is not None
        return size

    def touches(self, label: Tensor) -> Tensor:
        """Pick the events (N,) that it changes."""
        if self.process == "all":
            return torch.ones_like(label, dtype=torch.bool)
        return (label > 0.5) == (self.process == "signal")

    def apply(
        self, x: Tensor, weight: Tensor, label: Tensor, value: Tensor | float
    ) -> tuple[Tensor, Tensor]:
        """Return events (N, C) and weights (N,) at `value`, a number or one for each event."""
        value = torch.as_tensor(value, dtype=x.dtype)
        if isinstance(self.transform, str):
            moved, scaled = TRANSFORMATIONS[self.transform](self, x, weight, value)
        else:
            moved, scaled = self.transform(x, weight, value)
        touched = self.touches(label)
        return torch.where(touched[:, None], moved, x), torch.where(touched, scaled, weight)

    def slopes(self, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Return dx/dvalue (N, C) and d ln w/dvalue (N,) at the nominal value."""
        ones = torch.ones_like(label, dtype=x.dtype)

        def at(value: Tensor) -> tuple[Tensor, Tensor]:
            return self.apply(x, ones, label, value)

        start = torch.tensor(self.nominal, dtype=x.dtype)
        slopes: tuple[Tensor, Tensor] = torch.func.jvp(at, (start,), (torch.ones_like(start),))[1]
        return slopes


class NuisanceMethod(Method):
    """Train a network on signal and background events, some of which nuisance parameters change.

    The base checks the events, splits them, trains and keeps the best epoch. A subclass gives
    `_build` (the network), `_dataset`, `_module` (what is trained: the network, and what shows it
    the nuisance parameters), `_loss` and, where something is left to do, `_finish`.

    After `fit`: `columns_`, how many there are; `yields_`, the expected events of "signal" and
    "background"; `model_` and `history_`, of "network".
    """

    resumable = True

    nuisances: Sequence[Nuisance]
    network: str
    options: Mapping[str, Any] | None
    validation: float
    training: Training

    columns_: int
    yields_: dict[str, float]
    model_: Model
    history_: dict[str, list[Epoch]]

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        event: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on events X (N, C), y (N,) 1 for signal and 0 for background; return self.

        The weights (N,) of a process sum to its expected yield; without, each event counts one.
        Negative ones are refused: a bin could then expect less than nothing. A share `validation`
        of the events chooses the epoch, by a hash of their numbers `event` (N,), those of the rows
        if None. Checkpoints go to `folder`, from which `resume` goes on. Raises `InputError` for
        events, labels or weights that cannot be used, and for a process without events.
        """
        self._begin(
            seed=seed,
            folder=folder,
            resume=resume,
            event=event,
            weight=weight,
            events=X,
            labels=y,
        )
        table = Table.checked(
            X, "events", weight=weight, event=event, negative="a bin could expect less than nothing"
        )
        x, weights = torch.from_numpy(table.values), torch.from_numpy(table.weight)
        label = _labels(y, len(table))
        self.columns_ = x.shape[1]
        self.yields_ = {
            name: float(weights[label == kind].sum())
            for kind, name in enumerate(("background", "signal"))
        }
        for name, total in self.yields_.items():
            if not total > 0:
                raise InputError(f"no {name} events, or weights that sum to zero; give some.")
        self._prepare(x, label, weights)
        validation_events = validation_mask(table.event, self.validation, seed)
        # In an order of their own: batches that are not shuffled have both processes in them.
        order = np.random.default_rng(derive(seed, "order")).permutation(len(table))
        train, validation = (
            self._dataset(x[part], label[part], weights[part])
            for part in (order[~validation_events[order]], order[validation_events[order]])
        )
        torch.manual_seed(derive(seed, "network"))
        self.model_ = self._build()
        assert isinstance(train.inputs, Tensor)
        scaling: Any = self.model_.representation
        scaling.fit(train.inputs[:, : self.columns_])
        history = fit(
            self._module(),
            self._loss(),
            train,
            validation,
            self.training,
            folder=None if folder is None else Path(folder),
            seed=derive(seed, "training"),
            resume=resume,
            title=self.name,
            progress=progress,
        )
        self.history_ = {"network": history}
        self._finish(validation)
        return self

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write as every method does; raise `InputError` for a function as transformation."""
        for nuisance in self.nuisances:
            if not isinstance(nuisance.transform, str):
                raise InputError(
                    f"nuisance '{nuisance.name}' is a function, which no file can hold; use one of"
                    f" {', '.join(TRANSFORMATIONS)}."
                )
        return super().save(folder, force=force)

    def _prepare(self, x: Tensor, label: Tensor, weight: Tensor) -> None:
        """Learn what a subclass needs of all events (N, C) before it builds its network."""

    def _build(self) -> Model:
        """Return a fresh network of `columns_` columns, whose representation scales them."""
        raise NotImplementedError

    def _rebuild(self) -> None:
        self.model_ = self._build()

    def _dataset(self, x: Tensor, label: Tensor, weight: Tensor) -> Dataset:
        """Return events (N, C), labels (N,) and weights (N,) as they are trained on."""
        raise NotImplementedError

    def _module(self) -> nn.Module:
        """Return what is trained."""
        raise NotImplementedError

    def _loss(self) -> Objective:
        """Return the objective of `_module`."""
        raise NotImplementedError

    def _finish(self, validation: Dataset) -> None:
        """Use the validation events once more, after the training."""

    def _table(self, X: ArrayLike) -> Tensor:
        """Return events (N, C) as float64, checked to have the columns of the fit."""
        table = as_table(X, "events")
        if table.shape[1] != self.columns_:
            raise InputError(
                f"events have {table.shape[1]} columns; fitted was a table of {self.columns_}"
                " columns."
            )
        return torch.from_numpy(table)

    def _options(self) -> dict[str, Any]:
        """Return the keywords of the network."""
        return {"hidden": (100, 100)} if self.options is None else dict(self.options)


def _labels(y: ArrayLike, count: int) -> Tensor:
    """Return labels (N,) int64, 1 for signal and 0 for background, or raise `InputError`."""
    label = as_column(y, count, "y")
    if not np.isin(label, (0, 1)).all():
        event = int(np.argmin(np.isin(label, (0, 1))))
        raise InputError(
            f"y: labels must be 1 for signal and 0 for background; that of event {event} (counted"
            f" from 0) is {label[event]:g}."
        )
    return torch.from_numpy(label).long()


def _shift(nuisance: Nuisance, x: Tensor, weight: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """x + value - nominal."""
    return _column(nuisance, x, lambda c: c + value - nuisance.nominal), weight


def _scale(nuisance: Nuisance, x: Tensor, weight: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """x value / nominal."""
    return _column(nuisance, x, lambda c: c * value / nuisance.nominal), weight


def _rate(nuisance: Nuisance, x: Tensor, weight: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """x nominal / value: an exponential of rate nominal becomes one of rate value."""
    return _column(nuisance, x, lambda c: c * nuisance.nominal / value), weight


def _yield(nuisance: Nuisance, x: Tensor, weight: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """w value / nominal."""
    return x, weight * value / nuisance.nominal


def _column(nuisance: Nuisance, x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    columns = list(x.unbind(1))
    assert nuisance.column is not None
    columns[nuisance.column] = change(columns[nuisance.column])
    return torch.stack(columns, 1)


TRANSFORMATIONS: dict[str, Callable[[Nuisance, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "shift": _shift,
    "scale": _scale,
    "rate": _rate,
    "yield": _yield,
}
