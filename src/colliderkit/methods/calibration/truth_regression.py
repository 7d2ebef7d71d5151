"""Regression of the truth on what is measured, which depends on the prior (2205.05084)."""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.scaling import Standardise
from colliderkit.events.tables import Floats, Table, validation_mask
from colliderkit.losses.calibration import LOCATION_LOSSES, log_spread
from colliderkit.methods.calibration.calibration import Calibrated, Calibration
from colliderkit.metrics.response import Statistic
from colliderkit.networks.stack import Stack
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Epoch, Training
from colliderkit.training.stacks import PIECE, fit_stack

__all__ = ["QUICK", "TableLocation", "TruthRegression"]

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
        table: Table,
        y: Floats,
        statistic: Statistic,
        training: Training,
        *,
        validation: float,
        seed: int,
    ) -> dict[str, list[Epoch]]:
        """Fit to a table (N, C) and y (N,); return the history of location and spread."""
        if statistic not in LOCATION_LOSSES:
            raise InputError(f"statistic '{statistic}' is unknown; choose mean, median or mode.")
        held = validation_mask(table.event, validation, seed)
        c, w = torch.from_numpy(table.values), torch.from_numpy(table.weight)
        self.scaling.fit(c)
        columns = self.scaling(c)
        ones = torch.cat([torch.ones(len(c), 1), columns], 1).double()
        root = w.sqrt()[:, None]
        target = torch.from_numpy(y)
        self.line.copy_(
            torch.linalg.lstsq(ones * root, (target[:, None] * root), driver="gelsd").solution[:, 0]
        )
        straight = ones @ self.line
        self.scale[0] = (w * (target - straight).square()).mean().sqrt()
        rest = (target - straight) / self.scale[0]

        def fitted(stack: Stack, what: str, target: Tensor, start: float) -> list[Epoch]:
            parts = Dataset(columns, target.float(), w.float()).split(held)
            offset = (torch.full((len(parts[0]),), start), torch.full((len(parts[1]),), start))
            loss = LOCATION_LOSSES.get(what, log_spread)
            seeds = [derive(seed, what)]
            return fit_stack(stack, loss, *parts, training, seeds=seeds, offset=offset)[0]

        history = {"location": fitted(self.location, statistic, rest, 0.0)}
        left = rest - _evaluated(self.location, columns)
        self.scale[1] = (w * left.square()).mean().log()
        history["spread"] = fitted(self.spread, "spread", left, float(self.scale[1]))
        return history

    def at(self, table: Floats) -> Floats:
        """Return f of rows (N, C), (N,)."""
        columns = self.scaling(torch.from_numpy(table))
        straight = self.line[0] + columns.double() @ self.line[1:]
        curved = _evaluated(self.location, columns)
        return np.asarray((straight + self.scale[0] * curved).numpy())

    def spread_at(self, table: Floats) -> Floats:
        """Return sigma of rows (N, C), (N,)."""
        columns = self.scaling(torch.from_numpy(table))
        log_square = self.scale[1] + _evaluated(self.spread, columns)
        return np.asarray((self.scale[0] * (0.5 * log_square).exp()).numpy())


@torch.no_grad()
def _evaluated(stack: Stack, columns: Tensor) -> Tensor:
    return torch.cat([stack(piece)[0] for piece in columns.split(PIECE)]).double()


class TruthRegression(Calibration):
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

    After `fit`: `network_`, and `history_` of its "location" and "spread".
    """

    name: ClassVar[str] = "regression-calibration"
    prior_dependent: ClassVar[bool] = True
    network_: TableLocation
    history_: dict[str, list[Epoch]]

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

    def _fit(self, table: Table, truth: Floats, *, seed: int, **training: Any) -> None:
        self._rebuild()
        self.history_ = self.network_.fit(
            table, truth, self.statistic, self.training, validation=self.validation, seed=seed
        )

    def _rebuild(self) -> None:
        self.network_ = TableLocation(len(self.names_), tuple(self.hidden))

    def _predict(self, columns: Floats) -> Calibrated:
        return Calibrated(self.network_.at(columns), self.network_.spread_at(columns))
