"""Refinement of a fast simulation: a residual network trained on pairs with the full one.

After 2309.12919: pairs of objects that stand for the same truth, one fast and one full, teach the
network; two losses judge it, object by object and as an ensemble.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.scaling import Standardise
from colliderkit.events.tables import Floats, Table, as_table, validation_mask
from colliderkit.losses.classification import weighted_mean
from colliderkit.losses.constraints import Constrained, Constraint
from colliderkit.losses.mmd import WIDTHS, EnsembleDistance
from colliderkit.methods.method import Method
from colliderkit.networks.mlp import MLP
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit, predict
from colliderkit.training.settings import Epoch, Objective, Training

__all__ = ["Refinement"]

TINY = 1e-4  # of a loss whose size is asked for: a fast simulation that is right already


class Refiner(nn.Module):
    """Map scaled quantities (B, D) and conditions (B, C), side by side, to x + f(x, c), (B, D).

    The last layer begins at zero: the untrained network is the fast simulation.
    """

    def __init__(self, features: int, condition: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.features = features
        self.residual = MLP(features + condition, features, hidden=tuple(hidden))
        last = self.residual.layers[-1]
        nn.init.zeros_(last.weight)  # type: ignore[arg-type]

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        refined: Tensor = values[:, : self.features] + self.residual(values)
        return refined


class PairLoss:
    """Huber loss of paired objects: the mean over D quantities, the weighted mean over objects.

    Outputs are (B, D); of the target (B, D + C) the first D count.
    """

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the loss of a batch, ()."""
        quantities = target[:, : outputs.shape[1]]
        each = nn.functional.huber_loss(outputs, quantities, reduction="none").mean(1)
        return weighted_mean(each, weight)


class Sum:
    """Weighted sum of losses, sum_i f_i L_i."""

    def __init__(self, *terms: tuple[float, Objective]) -> None:
        self.terms = terms

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the sum for a batch, ()."""
        return torch.stack([f * loss(outputs, target, weight) for f, loss in self.terms]).sum()


class Refinement(Method):
    """Refine a table of a fast simulation, (N, D), with the paired rows of the full one.

    With x the fast and y the full quantities of one object, in units of the spread of y, and c
    what is known of its truth, the network x' = x + f(x, c) is judged by

        pairs:     < Huber(x' - y) >, the mean over quantities and objects,
        ensemble:  the squared MMD of (x', c) and (y, c).

    The first alone makes each object as near as can be, and with that too little spread: what y
    does at random cannot be foretold. The second alone gives the right densities, by any map that
    does. One of them is minimised; the other is kept at or below `at_most` (by MDMM), or added
    with `strength`, or left out. The optimiser is given both in units of what they are for the fast
    simulation, so that neither drowns the other.

    Args:
        minimise: "ensemble" or "pairs".
        at_most: limit of the loss that is not minimised.
        strength: factor of the loss that is not minimised, both in those units; not together with
            a limit.
        hidden: widths of the network.
        widths: of the kernels of the MMD, see `losses.mmd`.
        validation: the share of objects, by a hash of their number, that chooses the epoch.
        training: epochs, batch size, learning rate and the like. The MMD needs batches of some
            hundreds.

    After `fit`: `network_`, `history_` of "network", `start_` (both losses of the fast simulation
    itself, pairs and ensemble) and `multiplier_`, the Lagrange multiplier of the limit in units of
    the two (0 without one); `scaling_` of the `features_` quantities, `condition_scaling_` of the
    `conditions_`.
    """

    name: ClassVar[str] = "refinement"
    resumable: ClassVar[bool] = True

    features_: int
    conditions_: int
    network_: Refiner
    scaling_: Standardise
    condition_scaling_: Standardise
    start_: tuple[float, float]
    multiplier_: float
    history_: dict[str, list[Epoch]]

    def __init__(
        self,
        *,
        minimise: Literal["ensemble", "pairs"] = "ensemble",
        at_most: float | None = None,
        strength: float | None = None,
        hidden: tuple[int, ...] = (64, 64),
        widths: tuple[float, ...] = WIDTHS,
        validation: float = 0.2,
        training: Training = Training(epochs=20, batch_size=512, learning_rate=3e-3),
    ) -> None:
        self.minimise = minimise
        self.at_most = at_most
        self.strength = strength
        self.hidden = hidden
        self.widths = widths
        self.validation = validation
        self.training = training

    def fit(
        self,
        fast: ArrayLike,
        full: ArrayLike,
        condition: ArrayLike | None = None,
        *,
        event: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Learn from rows of one object each, `fast` and `full` (N, D); return self.

        `condition` (N, C) are numbers of the truth; `weight` (N,), not negative in sum; `event`
        (N,) int64 parts training from validation, all objects of an event together. Checkpoints
        go to `folder`, from which `resume` goes on. Raises `InputError` for tables that are not
        alike, values that are not finite, or a quantity that is constant in the full simulation.
        """
        self._begin(
            seed=seed,
            folder=folder,
            resume=resume,
            fast=fast,
            full=full,
            condition=condition,
            event=event,
            weight=weight,
        )
        self._check()
        x, y, c = _tables(fast, full, condition)
        events = Table.checked(y, "full", weight=weight, event=event)
        validation = validation_mask(events.event, self.validation, seed)
        constant = np.flatnonzero(y.std(0) == 0)
        if len(constant):
            raise InputError(
                f"quantity {constant[0]} is constant in the full simulation; leave it out."
            )
        self.features_, self.conditions_ = y.shape[1], c.shape[1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "network"))
            self._rebuild()
        self.scaling_.fit(torch.from_numpy(y))
        if self.conditions_:
            self.condition_scaling_.fit(torch.from_numpy(c))
        target = torch.cat([self._scaled(y), self.condition_scaling_(torch.from_numpy(c))], 1)
        unit = torch.from_numpy((events.weight / events.weight.mean()).astype(np.float32))
        data = Dataset(self._inputs(x, c), target.float(), unit)
        start = [float(losses.mean()) for losses in self.losses(x, y, c)]
        self.start_ = max(start[0], TINY), max(start[1], TINY)
        objective = self._objective()
        history = fit(
            self.network_,
            objective,
            *data.split(validation),
            self.training,
            folder=None if folder is None else Path(folder),
            seed=seed,
            resume=resume,
            title="refinement",
            progress=progress,
        )
        self.history_ = {"network": history}
        constrained = isinstance(objective, Constrained)
        self.multiplier_ = objective.multipliers["other loss"] if constrained else 0.0
        return self

    def transform(self, fast: ArrayLike, condition: ArrayLike | None = None) -> Floats:
        """Return the refined quantities of `fast` (N, D) with their conditions (N, C), (N, D)."""
        features, conditions = self.features_, self.conditions_
        x, _, c = _tables(fast, fast, condition)
        if x.shape[1] != features or c.shape[1] != conditions:
            raise InputError(
                f"give {features} quantities and {conditions} conditions, as in fit, not"
                f" {x.shape[1]} and {c.shape[1]}."
            )
        data = Dataset(self._inputs(x, c), torch.zeros(len(x)), torch.ones(len(x)))
        scaled = predict(self.network_, data, 4096).double()
        refined: Floats = (scaled * self.scaling_.std + self.scaling_.mean).numpy()
        return refined

    def losses(
        self,
        refined: ArrayLike,
        full: ArrayLike,
        condition: ArrayLike | None = None,
        *,
        batch: int | None = None,
    ) -> tuple[Floats, Floats]:
        """Return both losses, pairs and ensemble, of batches of rows (N, D): (K,) and (K,).

        Their means are what `at_most` limits, their spread over root K the errors.
        Batches are of the training's size if not given; the rest of the rows is left out.
        """
        pairs, ensemble = PairLoss(), self._ensemble()
        x, y, c = _tables(refined, full, condition)
        size = min(batch or self.training.batch(len(x)), len(x))
        conditions = self.condition_scaling_(torch.from_numpy(c))
        outputs, target = self._scaled(x), torch.cat([self._scaled(y), conditions], 1)
        losses = []
        for start in range(0, len(x) - size + 1, size):
            rows = slice(start, start + size)
            arguments = outputs[rows], target[rows], torch.ones(size, dtype=torch.float64)
            losses.append([float(pairs(*arguments)), float(ensemble(*arguments))])
        both = np.array(losses)
        return both[:, 0], both[:, 1]

    def _check(self) -> None:
        if self.minimise not in ("ensemble", "pairs"):
            raise InputError(f"minimise is '{self.minimise}'; choose ensemble or pairs.")
        if self.at_most is not None and self.strength is not None:
            raise InputError(
                "at_most and strength are two ways to weigh the other loss; give one of them."
            )

    def _ensemble(self) -> EnsembleDistance:
        return EnsembleDistance(widths=self.widths, condition=self.conditions_)

    def _objective(self) -> Any:
        losses: dict[str, Objective] = {"pairs": PairLoss(), "ensemble": self._ensemble()}
        unit = dict(zip(losses, self.start_, strict=True))
        main = losses.pop(self.minimise)
        ((name, other),) = losses.items()
        scaled = Sum((1 / unit[self.minimise], main))
        if self.at_most is not None:
            limit = Constraint.at_most(other, self.at_most, scale=unit[name])
            return Constrained(scaled, {"other loss": limit})
        if self.strength is not None:
            return Sum(*scaled.terms, (self.strength / unit[name], other))
        return scaled

    def _rebuild(self) -> None:
        self.network_ = Refiner(self.features_, self.conditions_, self.hidden)
        self.scaling_ = Standardise(self.features_)
        self.condition_scaling_ = Standardise(self.conditions_)

    def _scaled(self, x: Floats) -> Tensor:
        """Return quantities in units of the full simulation's spread, not clipped."""
        scaled: Tensor = (torch.from_numpy(x) - self.scaling_.mean) / self.scaling_.std
        return scaled

    def _inputs(self, x: Floats, c: Floats) -> Tensor:
        conditions = self.condition_scaling_(torch.from_numpy(c))
        return torch.cat([self._scaled(x), conditions], 1).float()


def _tables(
    fast: ArrayLike, full: ArrayLike, condition: ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    """Return both tables (N, D), and conditions (N, C), of the same objects."""
    x, y = as_table(fast, "fast"), as_table(full, "full")
    none = condition is None or np.shape(condition)[1:] == (0,)
    c = np.zeros((len(x), 0)) if none else as_table(condition, "condition")  # type: ignore[arg-type]
    if x.shape != y.shape or len(c) != len(x):
        raise InputError(
            f"fast, full and condition have shapes {x.shape}, {y.shape} and {c.shape}; give"
            " (objects, quantities) twice and (objects, conditions), row by row the same."
        )
    return x, y, c
