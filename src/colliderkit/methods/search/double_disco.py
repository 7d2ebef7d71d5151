"""ABCDisCoTEC: two scores trained together to be independent, and to close where they are cut."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.scaling import Standardise
from colliderkit.events.tables import Floats, Table, as_table, validation_mask
from colliderkit.losses.closure import (
    SHARES,
    NonClosure,
    PairCorrelation,
    double_cross_entropy,
)
from colliderkit.losses.constraints import Constrained, Constraint
from colliderkit.methods.search.abcd import ABCD, COUNTS, labels
from colliderkit.networks import NETWORKS
from colliderkit.networks.model import Model
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit, predict
from colliderkit.training.settings import Epoch, Objective, Training

__all__ = ["ABCDisCoTEC"]

RATE = 3.0  # of the multipliers: they arrive in some hundred steps
# Of the gaps: values scatter by that from batch to batch, and in smaller units the penalties would
# drown the cross-entropies, so that the scores tell nothing any more.
SCALE = 0.3
PIECE = 16_384  # events evaluated at a time


class ABCDisCoTEC(ABCD):
    r"""Learn two scores for ABCD that tell the signal and not each other (2007.14400, 2506.08826).

    Two networks f and g on the same columns minimise their cross-entropies, under limits on the
    background's scores that MDMM keeps (`losses.constraints`):

    .. math:: \min L(f) + L(g), \quad \mathrm{dCorr}^2(f, g) \le \text{correlation},
              \quad \langle\delta^2\rangle \le \text{nonclosure}^2

    with the relative non-closure delta at a grid of cuts (`losses.closure`). Without a limit both
    networks would learn the likelihood ratio, and N_B N_C / N_D would foretell nothing.

    Args:
        correlation: the limit of the squared distance correlation; None sets none.
        nonclosure: the limit of the non-closure's root mean square; None sets none.
        shares: of the background that fail a cut, for the grid of cuts; the cuts are chosen between
            the least and the largest. Batches should have some events of the background beyond the
            last in both scores.
        network: a name of `colliderkit.networks.NETWORKS`, of those on tables, taken twice.
        options: keyword arguments of the network.
        cuts, least, regions, columns: as of `ABCD`; cuts are probabilities of signal.
        validation: the share of events, by a hash of their number, that chooses the epoch and the
            cuts, and measures the closure of the simulation.
        training: epochs, batch size, learning rate and the like; batches should hold hundreds of
            background events.

    After `fit`, beside what `ABCD` has: `model_`, `inputs_` (columns), `history_` of "network", and
    `multipliers_` of the limits: by so much the loss rises for each unit they are lowered by.
    """

    name: ClassVar[str] = "abcdiscotec"
    resumable = True

    model_: Model
    inputs_: int
    history_: dict[str, list[Epoch]]
    multipliers_: dict[str, float]

    def __init__(
        self,
        *,
        correlation: float | None = 0.001,
        nonclosure: float | None = 0.02,
        shares: Sequence[float] = SHARES,
        network: str = "mlp",
        options: Mapping[str, Any] | None = None,
        cuts: Sequence[float] | None = None,
        least: float = 0.002,
        regions: int = 3,
        columns: Sequence[str] = (),
        validation: float = 0.25,
        training: Training = Training(epochs=40, batch_size=4096, learning_rate=3e-3),
    ) -> None:
        super().__init__(cuts=cuts, least=least, regions=regions, columns=columns)
        self.correlation = correlation
        self.nonclosure = nonclosure
        self.shares = shares
        self.network = network
        self.options = options
        self.validation = validation
        self.training = training

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        event: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on simulated events X (N, C), y (N,) 1 for signal, 0 for background; return self.

        The weights (N,) of each class sum to its expected yield; both classes weigh the same in
        training. `event` (N,) are the numbers by which events are held out, those of the rows if
        None. Checkpoints go to `folder`, from which `resume` goes on. Raises `InputError` as `ABCD`
        does, and for events of one class alone.
        """
        self._begin(
            seed=seed, folder=folder, resume=resume, events=X, labels=y, event=event, weight=weight
        )
        table = Table.checked(
            X, "the events", names=self.columns, weight=weight, event=event, negative=COUNTS
        )
        label = labels(y, len(table))
        if len(np.unique(label)) < 2:
            raise InputError("y: has one class; two scores are learned from signal and background.")
        self.inputs_ = table.values.shape[1]
        held = validation_mask(table.event, self.validation, seed)
        # Batches for validation need both classes as well, and files come class by class.
        order = np.random.default_rng(derive(seed, "order")).permutation(len(table))
        sides = order[~held[order]], order[held[order]]
        totals = np.bincount(label, table.weight, 2)
        balance = (table.weight / totals[label]).astype(np.float32)
        whole = Dataset(
            torch.from_numpy(table.values),
            torch.from_numpy(label),
            torch.from_numpy(balance / balance.mean()),
        )
        train, validation = (whole.at(torch.from_numpy(side)) for side in sides)
        torch.manual_seed(derive(seed, "network"))
        self._rebuild()
        assert isinstance(train.inputs, Tensor)
        representation: Any = self.model_.representation
        representation.fit(train.inputs)
        objective = self._objective()
        history = fit(
            self.model_,
            objective,
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
        self.multipliers_ = objective.prices if isinstance(objective, Constrained) else {}
        # Events that nothing was trained on, with the weight of all.
        w = (
            table.weight[held]
            * (totals / np.bincount(label[held], table.weight[held], 2))[label[held]]
        )
        failing = min(self.shares), max(self.shares)
        self._choose(self._scores(table.values[held]), label[held], w, failing)
        return self

    def scores(self, X: ArrayLike) -> Floats:
        """Return the probabilities of signal by both networks, of events (N, C), (N, 2)."""
        inputs = self.inputs_
        table = as_table(X, "the events", self.columns)
        if table.shape[1] != inputs:
            raise InputError(
                f"the events have {table.shape[1]} columns; fitted was a table of {inputs} columns."
            )
        return self._scores(table)

    def _scores(self, table: Floats) -> Floats:
        n = len(table)
        data = Dataset(torch.from_numpy(table), torch.zeros(n), torch.ones(n))
        return np.asarray(torch.sigmoid(predict(self.model_, data, PIECE).double()).numpy())

    def _objective(self) -> Objective:
        limits: dict[str, Constraint] = {}
        if self.correlation is not None:
            limits["correlation"] = _limit(PairCorrelation(), self.correlation)
        if self.nonclosure is not None:
            limits["nonclosure"] = _limit(NonClosure(tuple(self.shares)), self.nonclosure**2)
        if not limits:
            return double_cross_entropy
        return Constrained(double_cross_entropy, limits, strict=True)

    def _rebuild(self) -> None:
        network = NETWORKS.load(self.network)
        options = {"hidden": (64, 64)} if self.options is None else dict(self.options)
        pair = (network(self.inputs_, 1, **options) for _ in range(2))
        self.model_ = Model(Standardise(self.inputs_), Pair(*pair))


class Pair(nn.Module):
    """Two networks on the same table (B, C), one logit each, (B, 2)."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.second = second

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.first(x), self.second(x)], 1)


def _limit(loss: Any, most: float) -> Constraint:
    """Return the constraint that a loss is at most `most`."""
    return Constraint.at_most(loss, most, scale=SCALE, rate=RATE)
