"""What all regressions share: an estimate with its standard deviation, and intervals."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.scaling import Standardise
from colliderkit.events.schema import hash_uniform
from colliderkit.losses.regression import RegressionLoss
from colliderkit.methods.method import Method
from colliderkit.networks.stack import Stack
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Epoch, Training
from colliderkit.training.stacks import PIECE, fit_stack

__all__ = ["QUICK", "Perceptrons", "Prediction", "Regression"]

Floats = NDArray[np.float64]
QUICK = Training(epochs=40, batch_size=256, learning_rate=2e-3)


@dataclass(frozen=True)
class Prediction:
    """Hold estimates of N events and their standard deviations, float64 (N,) in units of y.

    - `estimate`: the mean of y given x, or the median where quantiles are learned;
    - `aleatoric`: how far y scatters about it, however many events one learns from;
    - `epistemic`: how far the estimate itself is uncertain for want of training events; None where
      the method does not tell.
    """

    estimate: Floats
    aleatoric: Floats
    epistemic: Floats | None = None

    @property
    def std(self) -> Floats:
        """The standard deviation of y given x, both parts in quadrature."""
        if self.epistemic is None:
            return self.aleatoric
        return np.hypot(self.aleatoric, self.epistemic)


class Regression(Method):
    """Estimate a number y from a table of features x, with its uncertainty.

    A subclass gives `_build` (what holds the parameters), `_learn` (their fit) and `_moments`; all
    of them see features and targets of mean 0 and standard deviation 1.
    """

    validation: float
    scaling_: Standardise
    target_: Standardise
    network_: nn.Module
    history_: list[list[dict[str, Any]]]

    def fit(
        self, x: ArrayLike, y: ArrayLike, *, weight: ArrayLike | None = None, seed: int = 0
    ) -> Self:
        """Learn from features x (N, F) and targets y (N,); return self.

        `weight` (N,) must not be negative: a width has no maximum of likelihood under negative
        weights. A share of the events, `validation`, chooses the epoch. Raises `InputError` for
        tables that do not fit together, numbers that are not finite, a constant y, or negative
        weights.
        """
        table, target, w = _training_tables(x, y, weight)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._build(table.shape[1])
        self.scaling_.fit(table)
        self.target_.fit(target[:, None])
        scaled = (target - self.target_.mean) / self.target_.std
        data = Dataset(self.scaling_(table.float()), scaled.float(), (w / w.mean()).float())
        held = hash_uniform(np.arange(len(table)), seed) < self.validation
        if not held.any() or held.all():
            raise InputError(
                f"{len(table)} events with --validation {self.validation:g} leave none to train on"
                " or to validate with; give more."
            )
        train, validation = data.split(held)
        self.history_ = [
            [asdict(epoch) for epoch in member] for member in self._learn(train, validation, seed)
        ]
        return self

    def predict(self, x: ArrayLike) -> Prediction:
        """Return estimates and standard deviations at features x (N, F)."""
        mean, aleatoric, epistemic = self._in_pieces(x, self._moments)
        spread = float(self.target_.std)
        return Prediction(
            self._unscaled(mean),
            spread * np.sqrt(aleatoric.numpy()),
            spread * np.sqrt(epistemic.numpy()) if self.has_epistemic else None,
        )

    def interval(self, x: ArrayLike, level: float = 0.68) -> tuple[Floats, Floats]:
        """Return the ends of the central interval that y is in with probability `level`, (N,) each.

        Here for a normal density: estimate -+ Phi^-1((1 + level) / 2) std.
        """
        check_level(level)
        found = self.predict(x)
        reach = float(norm.ppf((1 + level) / 2)) * found.std
        return found.estimate - reach, found.estimate + reach

    has_epistemic = True

    @abstractmethod
    def _build(self, columns: int, **shape: Any) -> None:
        """Make `network_`, and call `_scales` for the rest; `shape` is that of `_shape`."""

    @abstractmethod
    def _learn(self, train: Dataset, held: Dataset, seed: int) -> list[list[Epoch]]:
        """Fit `network_`; return the history of each of its members."""

    @abstractmethod
    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return estimate, aleatoric and epistemic variance at features (N, F), float64 (N,)."""

    def _shape(self) -> dict[str, Any]:
        """Return what `_build` must be told beside the number of columns."""
        return {}

    def _scales(self, columns: int) -> None:
        self.scaling_, self.target_ = Standardise(columns), Standardise(1)

    def _unscaled(self, values: Tensor) -> Floats:
        """Return numbers of the scale of the network as numbers of y."""
        found: Floats = (values.double() * self.target_.std + self.target_.mean).numpy()
        return found

    @torch.no_grad()
    def _in_pieces(
        self, x: ArrayLike, answer: Callable[[Tensor], Sequence[Tensor]]
    ) -> list[Tensor]:
        """Return the parts of an answer at features x (N, F), of some thousand events at a time."""
        if not hasattr(self, "network_"):
            raise InputError("nothing is fitted yet; call fit or load a fitted one.")
        table = _finite_table(x)
        columns = len(self.scaling_.mean)
        if table.shape[1] != columns:
            raise InputError(f"x has {table.shape[1]} columns; give the {columns} of fit.")
        parts = [answer(self.scaling_(piece)) for piece in table.float().split(PIECE)]
        return [torch.cat(part) for part in zip(*parts, strict=True)]

    # What follows saves and restores.

    def _modules(self) -> dict[str, nn.Module]:
        return {"scaling": self.scaling_, "target": self.target_, "network": self.network_}

    def _tensors(self) -> dict[str, Tensor]:
        return {
            f"{key}.{name}": value
            for key, module in self._modules().items()
            for name, value in module.state_dict().items()
        }

    def _state(self) -> dict[str, Any]:
        return {
            "columns": len(self.scaling_.mean),
            "shape": self._shape(),
            "history": self.history_,
        }

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self._build(state["columns"], **state["shape"])
        self.history_ = state["history"]
        for key, module in self._modules().items():
            start = f"{key}."
            own = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
            module.load_state_dict(own)
            module.eval()


class Perceptrons(Regression):
    """Learn by a `Stack` of perceptrons, trained side by side with one loss."""

    hidden: Sequence[int]
    training: Training
    network_: Stack

    def _loss(self) -> RegressionLoss:
        raise NotImplementedError

    def _members(self) -> int:
        return 1

    def _build(self, columns: int, **shape: Any) -> None:
        self._scales(columns)
        self.network_ = Stack(
            self._members(), columns, tuple(self.hidden), outputs=self._loss().outputs
        )

    def _learn(self, train: Dataset, held: Dataset, seed: int) -> list[list[Epoch]]:
        seeds = [seed * 1009 + member for member in range(self._members())]
        return fit_stack(self.network_, self._loss().each, train, held, self.training, seeds=seeds)


def check_level(level: float) -> None:
    """Raise `InputError` unless `level` is a probability between 0 and 1."""
    if not 0 < level < 1:
        raise InputError(f"the level of an interval is {level:g}; give a number between 0 and 1.")


def _finite_table(x: ArrayLike) -> Tensor:
    table = np.asarray(x, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] == 0:
        raise InputError(f"x has shape {table.shape}; give (events, features).")
    bad = ~np.isfinite(table)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InputError(f"feature {column} of event {row} is NaN or infinite; drop the event.")
    return torch.from_numpy(table)


def _training_tables(
    x: ArrayLike, y: ArrayLike, weight: ArrayLike | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return features (N, F), targets (N,) and weights (N,), float64, or say what is wrong."""
    table, target = _finite_table(x), np.asarray(y, dtype=np.float64)
    w = np.ones(len(target)) if weight is None else np.asarray(weight, dtype=np.float64)
    if target.shape != (len(table),) or w.shape != target.shape:
        raise InputError(
            f"x, y and weight have shapes {tuple(table.shape)}, {target.shape} and {w.shape}; give"
            " one row, one number and one weight for each event."
        )
    for what, values in (("y", target), ("weight", w)):
        if not np.isfinite(values).all():
            bad = int(np.argmin(np.isfinite(values)))
            raise InputError(f"{what} of event {bad} is {values[bad]}; drop the event.")
    if (w < 0).any() or not w.any():
        raise InputError(
            "weights of a regression must not be negative, nor all zero: a width has no maximum of"
            " likelihood under negative weights; drop or merge these events."
        )
    if np.ptp(target) == 0:
        raise InputError(f"y is {target[0]:g} for all events; there is nothing to learn.")
    return table, torch.from_numpy(target), torch.from_numpy(w)
