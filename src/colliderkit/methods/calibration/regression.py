"""Regression of the truth on what is measured: what calibration should not be (2205.05084)."""

from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.scaling import Standardise
from colliderkit.losses.calibration import LOCATION_LOSSES, log_spread
from colliderkit.methods.calibration.calibration import (
    Calibrated,
    Calibration,
    Floats,
    held_apart,
)
from colliderkit.metrics.response import Statistic
from colliderkit.networks.stack import Stack
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Epoch, Training
from colliderkit.training.stacks import PIECE, fit_stack

__all__ = ["QUICK", "Regression", "TableLocation"]

QUICK = Training(epochs=20, batch_size=1024, learning_rate=3e-3, schedule="one-cycle", patience=6)


class TableLocation(nn.Module):
    """Model location and spread of y given a table c: a straight line plus a small perceptron each.

        f(c) = a + b . c + g(c),    sigma(c) = s e^(h(c) / 2)

    The line is that of least squares, the perceptrons begin at zero and are kept where they help
    on held events (`fit_stack`). sigma^2 is the mean of (y - f)^2.
    """

    line: Tensor
    scale: Tensor

    def __init__(self, columns: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.scaling = Standardise(columns)
        self.location = Stack(1, columns, hidden)
        self.spread = Stack(1, columns, hidden)
        self.register_buffer("line", torch.zeros(columns + 1, dtype=torch.float64))
        # Of y, its spread, and of (y - f) / spread, the logarithm of its mean square.
        self.register_buffer("scale", torch.tensor([1.0, 0.0], dtype=torch.float64))

    def fit(
        self,
        table: Floats,
        y: Floats,
        weight: Floats,
        statistic: Statistic,
        training: Training,
        *,
        validation: float,
        seed: int,
    ) -> list[Epoch]:
        """Fit to a table (N, C), y (N,) and weight (N,); return the history of the location."""
        if statistic not in LOCATION_LOSSES:
            raise InputError(f"statistic '{statistic}' is unknown; choose mean, median or mode.")
        c = torch.from_numpy(table)
        self.scaling.fit(c)
        columns = self.scaling(c).double()
        ones = torch.cat([torch.ones(len(c), 1, dtype=torch.float64), columns], 1)
        root = torch.from_numpy(np.sqrt(weight))[:, None]
        target = torch.from_numpy(y)
        self.line.copy_(
            torch.linalg.lstsq(ones * root, (target[:, None] * root), driver="gelsd").solution[:, 0]
        )
        straight = ones @ self.line
        w = torch.from_numpy(weight)
        self.scale[0] = (w * (target - straight).square()).mean().sqrt()
        train, held = (torch.from_numpy(n) for n in held_apart(len(y), validation, seed))
        rest = (target - straight) / self.scale[0]
        history = self._fit_stack(
            self.location, statistic, columns, rest, w, train, held, training, seed
        )
        left = rest - _evaluated(self.location, columns.float())
        self.scale[1] = (w * left.square()).mean().log()
        self._fit_stack(
            self.spread, "spread", columns, left, w, train, held, training, seed + 500_000
        )
        return history

    def _fit_stack(
        self,
        stack: Stack,
        what: str,
        columns: Tensor,
        target: Tensor,
        weight: Tensor,
        train: Tensor,
        held: Tensor,
        training: Training,
        seed: int,
    ) -> list[Epoch]:
        loss = LOCATION_LOSSES.get(what, log_spread)
        base = float(self.scale[1]) if what == "spread" else 0.0
        data = Dataset(columns.float(), target.float(), weight.float())
        both = data.at(train), data.at(held)
        offset = torch.full((len(train),), base), torch.full((len(held),), base)
        return fit_stack(stack, loss, *both, training, seeds=[seed], offset=offset)[0]

    def at(self, table: Floats) -> Floats:
        """Return f of rows (N, C), (N,)."""
        columns = self.scaling(torch.from_numpy(table))
        straight = self.line[0] + columns.double() @ self.line[1:]
        curved = _evaluated(self.location, columns.float())
        return np.asarray((straight + self.scale[0] * curved).numpy())

    def spread_at(self, table: Floats) -> Floats:
        """Return sigma of rows (N, C), (N,)."""
        columns = self.scaling(torch.from_numpy(table)).float()
        log_square = self.scale[1] + _evaluated(self.spread, columns)
        return np.asarray((self.scale[0] * (0.5 * log_square).exp()).numpy())


@torch.no_grad()
def _evaluated(stack: Stack, columns: Tensor) -> Tensor:
    return torch.cat([stack(piece)[0] for piece in columns.split(PIECE)]).double()


class Regression(Calibration):
    """Estimate the truth by a network f(x, theta) of least loss, for comparison.

    The squared loss learns the mean of p(z | x) = p(x | z) p(z) / p(x), the absolute one the
    median, a leaky kernel the mode: each with the sample's own p(z) in it. Where x is uncertain
    the estimate is drawn to where truths are frequent, and is biased also for the sample's own
    truth:

        E[f(X) | Z = z] = Int f(x) p(x | z) dx != z.

    The resolution is the spread of the truth at what is measured.

    Args:
        statistic: "mean", "median" or "mode".
        hidden: widths of the network, which comes on top of a straight line.
        validation: the share of events that chooses the epoch.
        training: epochs, batch size, learning rate, schedule and patience.

    After `fit`: `network_` and `history_`.
    """

    name: ClassVar[str] = "regression-calibration"
    prior_dependent: ClassVar[bool] = True

    def __init__(
        self,
        *,
        statistic: Statistic = "mean",
        hidden: tuple[int, ...] = (64, 64),
        validation: float = 0.2,
        training: Training = QUICK,
    ) -> None:
        self.statistic = statistic
        self.hidden = hidden
        self.validation = validation
        self.training = training

    def _fit(
        self, x: Floats, z: Floats, features: Floats, weight: Floats, seed: int, progress: bool
    ) -> None:
        self.network_ = self._built()
        history = self.network_.fit(
            np.column_stack([x, features]),
            z,
            weight,
            self.statistic,
            self.training,
            validation=self.validation,
            seed=seed,
        )
        self.history_ = [asdict(epoch) for epoch in history]

    def _built(self) -> TableLocation:
        return TableLocation(1 + self.features_, tuple(self.hidden))

    def _predict(self, x: Floats, features: Floats) -> Calibrated:
        table = np.column_stack([x, features])
        return Calibrated(self.network_.at(table), self.network_.spread_at(table))

    def _tensors(self) -> dict[str, Tensor]:
        return dict(self.network_.state_dict())

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), "history": self.history_}

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        super()._restore(tensors, state)
        self.history_ = state["history"]
        self.network_ = self._built()
        self.network_.load_state_dict(tensors)
