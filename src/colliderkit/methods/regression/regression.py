"""Base of all regressions: an estimate with its standard deviation, and intervals."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.stats import norm
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.scaling import Standardise
from colliderkit.events.tables import (
    Floats,
    Table,
    as_column,
    as_table,
    validation_mask,
)
from colliderkit.losses.regression import RegressionLoss
from colliderkit.methods.method import Method
from colliderkit.networks.stack import Stack
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import warn_of_guessing
from colliderkit.training.settings import Epoch, Training
from colliderkit.training.stacks import PIECE, fit_stack

__all__ = ["NEGATIVE", "QUICK", "Perceptrons", "Prediction", "Regression", "check_level"]

NEGATIVE = "a width has no maximum of likelihood under negative weights"
QUICK = Training(epochs=40, batch_size=256, learning_rate=2e-3)


@dataclass(frozen=True)
class Prediction:
    """Estimates of N events and their standard deviations, float64 (N,) in units of y.

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

    A subclass gives `_rebuild` (what holds the parameters), `_learn` (their fit) and `_moments`;
    all of them see features and targets of mean 0 and standard deviation 1.

    After `fit`: `names_`, those of the features, the scales of x and y, `network_`, and
    `history_` by "member 0", "member 1", ...
    """

    has_epistemic: ClassVar[bool] = True

    validation: float
    names_: list[str]
    scaling_: Standardise
    target_: Standardise
    network_: nn.Module
    history_: dict[str, list[Epoch]]

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        names: Sequence[str] = (),
        event: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Learn from features x (N, F) and targets y (N,); return self.

        `names` are those of the features. A share of the events, `validation`, chooses the epoch;
        rows of one number of `event` (N,) are not parted by it. `weight` (N,) must not be negative:
        a width has no maximum of likelihood under negative weights. There are no checkpoints and no
        bar, a fit is short.
        Raises `InputError` for tables that do not fit together, numbers that are not finite, a
        constant y, or negative weights.
        """
        self._begin(seed=seed, folder=folder, resume=resume)
        table = Table.checked(x, "x", names=names, weight=weight, event=event, negative=NEGATIVE)
        target = torch.from_numpy(as_column(y, len(table), "y"))
        if not target.max() > target.min():
            raise InputError(f"y is {target[0]:g} for all events; there is nothing to learn.")
        held = validation_mask(table.event, self.validation, seed)
        self.names_ = list(table.names)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "weights"))
            self._rebuild()
        features = torch.from_numpy(table.values)
        self.scaling_.fit(features)
        self.target_.fit(target[:, None])
        scaled = self.target_.unclipped(target)
        weights = torch.from_numpy(table.weight / table.weight.mean())
        data = Dataset(self.scaling_(features), scaled, weights.float())
        members = self._learn(*data.split(held), seed)
        self.history_ = {f"member {i}": member for i, member in enumerate(members)}
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
        answer = self.predict(x)
        half_width = float(norm.ppf((1 + level) / 2)) * answer.std
        return answer.estimate - half_width, answer.estimate + half_width

    @abstractmethod
    def _learn(self, train: Dataset, held: Dataset, seed: int) -> list[list[Epoch]]:
        """Fit `network_`; return the history of each of its members."""

    @abstractmethod
    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return estimate, aleatoric and epistemic variance at features (N, F), float64 (N,)."""

    def _rebuild(self) -> None:
        self.scaling_, self.target_ = Standardise(len(self.names_)), Standardise(1)

    def _unscaled(self, values: Tensor) -> Floats:
        """Return numbers of the scale of the network as numbers of y."""
        unscaled: Floats = self.target_.restored(values).numpy()
        return unscaled

    @torch.no_grad()
    def _in_pieces(
        self, x: ArrayLike, answer: Callable[[Tensor], Sequence[Tensor]]
    ) -> list[Tensor]:
        """Return the parts of an answer at features x (N, F), of some thousand events at a time."""
        table = torch.from_numpy(as_table(x, "x", self.names_))
        parts = [answer(self.scaling_(piece)) for piece in table.split(PIECE)]
        return [torch.cat(part) for part in zip(*parts, strict=True)]


class Perceptrons(Regression):
    """Learn by a `Stack` of perceptrons, trained side by side with one loss."""

    hidden: tuple[int, ...]
    training: Training
    network_: Stack

    def _loss(self) -> RegressionLoss:
        raise NotImplementedError

    def _members(self) -> int:
        return 1

    def _rebuild(self) -> None:
        super()._rebuild()
        self.network_ = Stack(
            self._members(), len(self.names_), tuple(self.hidden), outputs=self._loss().outputs
        )

    def _learn(self, train: Dataset, held: Dataset, seed: int) -> list[list[Epoch]]:
        seeds = [derive(seed, "member", member) for member in range(self._members())]
        each = self._loss().each
        histories = fit_stack(self.network_, each, train, held, self.training, seeds=seeds)
        return self._judged(histories, held)

    def _judged(self, histories: list[list[Epoch]], held: Dataset) -> list[list[Epoch]]:
        """Note the loss of one answer for all events, and warn if that is as good as it gets."""
        guess = self._loss().guess(held.target, held.weight)
        judged = [[replace(epoch, guess=guess) for epoch in history] for history in histories]
        every = [epoch for history in judged for epoch in history]
        warn_of_guessing(self.name, every, "one answer for all events", "x tells of y")
        return judged


def check_level(level: float) -> None:
    """Raise `InputError` unless `level` is a probability between 0 and 1."""
    if not 0 < level < 1:
        raise InputError(f"the level of an interval is {level:g}; give a number between 0 and 1.")
