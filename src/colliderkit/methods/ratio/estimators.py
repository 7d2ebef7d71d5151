"""Networks of ln p1/p0: perceptrons on a table, or any network of the package."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.ragged import Ragged
from colliderkit.events.scaling import Standardise
from colliderkit.events.tables import validation_mask
from colliderkit.losses.ratio import RatioLoss
from colliderkit.methods.architecture import Architecture, fit_representation
from colliderkit.networks import NETWORKS
from colliderkit.networks.exponential_family import ExponentialFamily
from colliderkit.networks.model import Model
from colliderkit.networks.parametric import Parametric
from colliderkit.networks.stack import Stack
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit, predict
from colliderkit.training.settings import Epoch, Training
from colliderkit.training.stacks import PIECE, fit_stack

__all__ = ["Inputs", "NetworkRatio", "TableRatio", "same_events", "two_samples"]

Inputs = Ragged | Tensor
LARGEST = 30.0  # |ln p1/p0|: what is beyond is no measurement, and e^30 still a number


def two_samples(
    inputs: Sequence[Inputs],
    weights: Sequence[NDArray[Any]],
    events: Sequence[NDArray[Any]],
    validation: float,
    seed: int,
    context: Sequence[NDArray[Any]] | None = None,
) -> tuple[Dataset, Dataset]:
    """Join p1 (target 1) and p0 (target 0); return training and validation events.

    Each sample gets the same weight, so that the ratio is one of densities. Events of equal number
    stand on one side. Raises `InputError` if a side is empty.
    """
    first, second = inputs
    joined: Inputs
    if isinstance(first, Ragged) and isinstance(second, Ragged):
        joined = Ragged.joined([first, second])
    else:
        assert isinstance(first, Tensor)
        assert isinstance(second, Tensor)
        joined = torch.cat([first, second])
    count = len(first) + len(second)
    target = torch.cat([torch.ones(len(first)), torch.zeros(len(second))])
    scaled = [w / w.sum() * count / 2 for w in weights]
    theta = None if context is None else torch.from_numpy(np.concatenate(context))
    data = Dataset(joined, target, torch.from_numpy(np.concatenate(scaled)).float(), theta)
    return data.split(validation_mask(np.concatenate(events), validation, seed))


def same_events(
    inputs: Inputs,
    weights: tuple[NDArray[Any], NDArray[Any]],
    events: NDArray[Any],
    validation: float,
    seed: int,
) -> tuple[Dataset, Dataset]:
    """Weight the same events as p1 and as p0, in one data set; return as `two_samples`.

    An event of weights (w1, w0), each scaled to the same sum, has weight w1 + w0 and target
    w1 / (w1 + w0): the loss is that of two copies with targets 1 and 0, at half the cost.
    """
    w1, w0 = (w / w.sum() * len(w) / 2 for w in weights)
    total = w1 + w0
    target = np.divide(w1, total, out=np.full(len(total), 0.5), where=total != 0)
    data = Dataset(inputs, torch.from_numpy(target).float(), torch.from_numpy(total).float())
    return data.split(validation_mask(events, validation, seed))


class TableRatio(nn.Module):
    """Model ln p1/p0 of a table (N, C) by M perceptrons, each on top of one exponential family.

    Theta, where there is any, are further columns.
    """

    def __init__(self, columns: int, members: int, hidden: Sequence[int], loss: RatioLoss) -> None:
        super().__init__()
        self.loss = loss
        self.family = ExponentialFamily(columns)
        self.scaling = Standardise(columns)
        self.stack = Stack(members, columns, hidden)

    def fit(
        self,
        train: Dataset,
        validation: Dataset,
        settings: Training,
        *,
        seeds: Sequence[int],
        family: bool = True,
    ) -> list[list[Epoch]]:
        """Fit family, scaling and perceptrons; return the history of each member."""
        tables = [_columns(data.inputs, data.context) for data in (train, validation)]
        offset = None
        if family and self.loss.slope is not None:
            self.family.fit(tables[0], train.target, train.weight)
            before = [self.family(table) / self.loss.slope for table in tables]
            offset = before[0], before[1]
        self.scaling.fit(tables[0])
        scaled = [
            Dataset(self.scaling(table), data.target, data.weight)
            for table, data in zip(tables, (train, validation), strict=True)
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
    def forward(self, inputs: Inputs, context: Tensor | None = None) -> Tensor:
        """Return ln p1/p0 of each member, (N, C) -> (M, N)."""
        table = _columns(inputs, context)
        return torch.cat([self._log_ratio(piece) for piece in table.split(PIECE)], 1)

    def answer(self, values: Tensor, mask: Tensor | None, theta: Tensor | None) -> Tensor:
        """Return what `forward` does for one batch, (B, C) and (B, T) -> (M, B), as one graph."""
        return self._log_ratio(_columns(values, theta))

    def log_ratio_of(self, inputs: Inputs) -> Callable[[Tensor], Tensor]:
        """Return ln p1/p0 of these events as a differentiable function of theta (N or 1, T)."""
        return lambda theta: self._log_ratio(_columns(inputs, theta.expand(len(inputs), -1)))

    def _log_ratio(self, x: Tensor) -> Tensor:
        z = self.stack(self.scaling(x))
        if self.loss.slope is not None:
            z = z + self.family(x) / self.loss.slope
        return self.loss.log_ratio(z).clamp(-LARGEST, LARGEST)


class NetworkRatio(nn.Module):
    """Model ln p1/p0 by M networks of one design, trained one after another by Lightning.

    With parameters theta the network gives the `statistics` of a `Parametric`, whose perceptron
    has the widths `hidden`.
    """

    def __init__(
        self,
        design: Architecture,
        members: int,
        loss: RatioLoss,
        *,
        parameters: int = 0,
        statistics: int = 32,
        hidden: Sequence[int] = (64, 64),
    ) -> None:
        super().__init__()
        if hasattr(NETWORKS.load(design.network), "fit"):
            raise InputError(
                f"network '{design.network}' is grown on classes and has no ratio loss; take"
                " another, or network=None for a table."
            )
        self.design = design
        self.loss = loss
        self.size = parameters
        self.statistics = statistics
        self.hidden = hidden
        self.models = nn.ModuleList(self._built() for _ in range(members))
        self.eval()

    def _built(self) -> nn.Module:
        if not self.size:
            model = self.design.build(1)
            # The ratio begins at 1: a sum over particles would begin far from it, and a small
            # difference drown in what is left of that.
            last = [layer for layer in model.network.modules() if isinstance(layer, nn.Linear)][-1]
            for parameter in last.parameters():
                nn.init.zeros_(parameter)
            return model
        trunk = self.design.build(self.statistics)
        return Parametric(trunk, self.statistics, self.size, hidden=self.hidden)

    def fit(
        self,
        train: Dataset,
        validation: Dataset,
        settings: Training,
        *,
        seeds: Sequence[int],
        folder: Path | None = None,
        resume: bool = False,
        title: str = "ratio",
        progress: bool = True,
    ) -> list[list[Epoch]]:
        """Fit each member in turn; return the history of each. Checkpoints go to `folder`."""
        histories = []
        for m, seed in enumerate(seeds):
            torch.manual_seed(seed)
            self.models[m] = model = self._built()
            whole = model.model if isinstance(model, Parametric) else model
            assert isinstance(whole, Model)
            trunk, *data = fit_representation(whole, train, validation)
            if isinstance(model, Parametric):
                assert train.context is not None
                model.fit(train.context).model = trunk
            history = fit(
                model if isinstance(model, Parametric) else trunk,
                self.loss,
                data[0],
                data[1],
                settings,
                folder=None if folder is None else folder / f"member-{m}",
                seed=seed,
                resume=resume,
                title=title if len(seeds) == 1 else f"{title} {m + 1}",
                progress=progress,
            )
            if isinstance(model, Parametric):
                model.model = whole
            histories.append(history)
        return histories

    @torch.no_grad()
    def forward(self, inputs: Inputs, context: Tensor | None = None) -> Tensor:
        """Return ln p1/p0 of each member, N events -> (M, N)."""
        n = len(inputs)
        data = Dataset(inputs, torch.zeros(n), torch.ones(n), context)
        return torch.stack([self._log_ratio(predict(model, data)) for model in self.models])

    def answer(self, values: Tensor, mask: Tensor | None, theta: Tensor | None) -> Tensor:
        """Return what `forward` does for one padded batch, (B, L, C) -> (M, B), as one graph."""
        batch = (values, mask) if theta is None else (values, mask, theta)
        return torch.stack([self._log_ratio(model(*batch)) for model in self.models])

    def log_ratio_of(self, inputs: Inputs) -> Callable[[Tensor], Tensor]:
        """Return ln p1/p0 of these events as a differentiable function of theta (N or 1, T)."""
        n = len(inputs)
        data = Dataset(inputs, torch.zeros(n), torch.ones(n))
        heads = [model for model in self.models if isinstance(model, Parametric)]
        # Cloned: what inference mode made may not enter a gradient.
        statistics = [predict(model.model, data).clone() * model.scale for model in heads]

        def log_ratio(theta: Tensor) -> Tensor:
            members = []
            for model, t in zip(heads, statistics, strict=True):
                eta, a = model.natural(theta)
                members.append(self._log_ratio((eta * t).sum(1, keepdim=True) - a))
            return torch.stack(members)

        return log_ratio

    def _log_ratio(self, outputs: Tensor) -> Tensor:
        return self.loss.log_ratio(outputs[:, 0]).clamp(-LARGEST, LARGEST)


def _columns(inputs: Inputs, theta: Tensor | None) -> Tensor:
    """Append theta (N, T) to a table (N, C)."""
    assert isinstance(inputs, Tensor)
    return inputs if theta is None else torch.cat([inputs, theta], 1)
