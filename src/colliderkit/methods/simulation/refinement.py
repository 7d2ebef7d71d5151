"""Refinement: move a fast simulation's quantities to where the full simulation has them.

After 2309.12919: pairs of objects that stand for the same truth, one fast and one full, teach a
residual network; two losses judge it, object by object and as an ensemble.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.scaling import Standardise
from colliderkit.events.schema import hash_uniform
from colliderkit.losses.classification import weighted_mean
from colliderkit.losses.constraints import Constrained, Constraint
from colliderkit.losses.mmd import WIDTHS, EnsembleDistance
from colliderkit.methods.method import Method
from colliderkit.networks.mlp import MLP
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit, predict
from colliderkit.training.settings import Objective, Training

__all__ = ["Refinement"]

Floats = NDArray[np.float64]
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
        moved: Tensor = values[:, : self.features] + self.residual(values)
        return moved


class PairLoss:
    """Take the weighted mean over objects of the mean Huber loss of their D quantities.

    Outputs are (B, D); of the target (B, D + C) the first D count.
    """

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Return the loss of a batch, ()."""
        own = target[:, : outputs.shape[1]]
        each = nn.functional.huber_loss(outputs, own, reduction="none").mean(1)
        return weighted_mean(each, weight)


class Sum:
    """Add losses with their factors."""

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
    does. One of them is minimised; the other is kept at or below `bound` (by MDMM), or added
    with `share`, or left out. The optimiser is given both in units of what they are for the fast
    simulation, so that neither drowns the other.

    Args:
        minimise: "ensemble" or "pairs".
        bound: of the loss that is not minimised.
        share: of the loss that is not minimised, both in those units; not together with a bound.
        hidden: widths of the network.
        widths: of the kernels of the MMD, see `losses.mmd`.
        validation: the share of objects, by a hash of their number, that chooses the epoch.
        training: epochs, batch size, learning rate and the like. The MMD needs batches of some
            hundreds.

    After `fit`: `network_`, `history_`, `start_` (both losses of the fast simulation itself, pairs
    and ensemble) and `multiplier_`, the Lagrange multiplier of the bound in units of the two (0
    without one).
    """

    name: ClassVar[str] = "refinement"

    def __init__(
        self,
        *,
        minimise: Literal["ensemble", "pairs"] = "ensemble",
        bound: float | None = None,
        share: float | None = None,
        hidden: Sequence[int] = (64, 64),
        widths: Sequence[float] = WIDTHS,
        validation: float = 0.2,
        training: Training = Training(epochs=20, batch_size=512, learning_rate=3e-3),
    ) -> None:
        self.minimise = minimise
        self.bound = bound
        self.share = share
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
        weight: ArrayLike | None = None,
        event: ArrayLike | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> Self:
        """Learn from rows of one object each, `fast` and `full` (N, D); return self.

        `condition` (N, C) are numbers of the truth; `weight` (N,), not negative in sum; `event`
        (N,) int64 parts training from validation, all objects of an event together. Raises
        `InputError` for tables that are not alike, values that are not finite, or a quantity that
        is constant in the full simulation.
        """
        x, y, c = self._tables(fast, full, condition)
        count, features = y.shape
        w = np.ones(count) if weight is None else np.asarray(weight, dtype=np.float64)
        number = np.arange(count) if event is None else np.asarray(event)
        for what, given in (("weight", w), ("event", number)):
            if given.shape != (count,):
                raise InputError(f"{what} has shape {given.shape}; give one for each object.")
        if not w.mean() > 0:
            raise InputError("the weights of the objects do not sum to more than zero.")
        constant = np.flatnonzero(y.std(0) == 0)
        if len(constant):
            raise InputError(
                f"quantity {constant[0]} is constant in the full simulation; leave it out."
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._build(features, c.shape[1])
        self.scaling_.fit(torch.from_numpy(y))
        if c.shape[1]:
            self.condition_scaling_.fit(torch.from_numpy(c))
        target = torch.cat([self._scaled(y), self.condition_scaling_(torch.from_numpy(c))], 1)
        data = Dataset(
            self._inputs(x, c), target.float(), torch.from_numpy((w / w.mean()).astype(np.float32))
        )
        held = hash_uniform(number, seed) < self.validation
        train, validation = data.split(held)
        begin = [float(losses.mean()) for losses in self.losses(x, y, c)]
        self.start_ = max(begin[0], TINY), max(begin[1], TINY)
        objective = self._objective(c.shape[1])
        history = fit(
            self.network_,
            objective,
            train,
            validation,
            self.training,
            seed=seed,
            title="refinement",
            progress=progress,
        )
        self.history_ = [asdict(epoch) for epoch in history]
        constrained = isinstance(objective, Constrained)
        self.multiplier_ = objective.multipliers["bound"] if constrained else 0.0
        return self

    def transform(self, fast: ArrayLike, condition: ArrayLike | None = None) -> Floats:
        """Return the refined quantities of `fast` (N, D) with their conditions (N, C), (N, D)."""
        self._fitted()
        x, _, c = self._tables(fast, fast, condition)
        if x.shape[1] != self.network_.features or c.shape[1] != self.conditions_:
            raise InputError(
                f"give {self.network_.features} quantities and {self.conditions_} conditions, as"
                f" in fit, not {x.shape[1]} and {c.shape[1]}."
            )
        data = Dataset(self._inputs(x, c), torch.zeros(len(x)), torch.ones(len(x)))
        moved = predict(self.network_, data, 4096).double()
        found: Floats = (moved * self.scaling_.std + self.scaling_.mean).numpy()
        return found

    def losses(
        self,
        refined: ArrayLike,
        full: ArrayLike,
        condition: ArrayLike | None = None,
        *,
        batch: int | None = None,
    ) -> tuple[Floats, Floats]:
        """Return both losses, pairs and ensemble, of batches of rows (N, D): (K,) and (K,).

        Their means are the figures that `bound` speaks of, their spread over root K the errors.
        Batches are of the training's size if not given; the rest of the rows is left out.
        """
        self._fitted()
        x, y, c = self._tables(refined, full, condition)
        size = min(batch or self.training.batch_size, len(x))
        conditions = self.condition_scaling_(torch.from_numpy(c))
        outputs, target = self._scaled(x), torch.cat([self._scaled(y), conditions], 1)
        pairs, ensemble = PairLoss(), self._ensemble(c.shape[1])
        found = []
        for start in range(0, len(x) - size + 1, size):
            rows = slice(start, start + size)
            given = outputs[rows], target[rows], torch.ones(size, dtype=torch.float64)
            found.append([float(pairs(*given)), float(ensemble(*given))])
        both = np.array(found)
        return both[:, 0], both[:, 1]

    def _ensemble(self, conditions: int) -> EnsembleDistance:
        return EnsembleDistance(widths=tuple(self.widths), condition=conditions)

    def _objective(self, conditions: int) -> Any:
        losses: dict[str, Objective] = {"pairs": PairLoss(), "ensemble": self._ensemble(conditions)}
        if self.minimise not in losses:
            raise InputError(f"--minimise is '{self.minimise}'; choose ensemble or pairs.")
        if self.bound is not None and self.share is not None:
            raise InputError("--bound and --share are two ways to the same; give one of them.")
        unit = dict(zip(losses, self.start_, strict=True))
        main = losses.pop(self.minimise)
        ((name, other),) = losses.items()
        scaled = Sum((1 / unit[self.minimise], main))
        if self.bound is not None:
            bound = Constraint.at_most(other, self.bound, scale=unit[name])
            return Constrained(scaled, {"bound": bound})
        if self.share is not None:
            return Sum(*scaled.terms, (self.share / unit[name], other))
        return scaled

    def _build(self, features: int, conditions: int) -> None:
        self.network_ = Refiner(features, conditions, self.hidden)
        self.scaling_ = Standardise(features)
        self.condition_scaling_ = Standardise(conditions)
        self.conditions_ = conditions

    def _scaled(self, x: Floats) -> Tensor:
        """Return quantities in units of the full simulation's spread, not clipped."""
        scaled: Tensor = (torch.from_numpy(x) - self.scaling_.mean) / self.scaling_.std
        return scaled

    def _inputs(self, x: Floats, c: Floats) -> Tensor:
        conditions = self.condition_scaling_(torch.from_numpy(c))
        return torch.cat([self._scaled(x), conditions], 1).float()

    def _fitted(self) -> None:
        if not hasattr(self, "network_"):
            raise InputError("nothing is refined yet; call fit or load a fitted one.")

    @staticmethod
    def _tables(
        fast: ArrayLike, full: ArrayLike, condition: ArrayLike | None
    ) -> tuple[Floats, Floats, Floats]:
        x, y = (np.asarray(table, dtype=np.float64) for table in (fast, full))
        c = np.zeros((len(x), 0)) if condition is None else np.asarray(condition, dtype=np.float64)
        c = c[:, None] if c.ndim == 1 else c
        if x.ndim != 2 or x.shape != y.shape or c.ndim != 2 or len(c) != len(x) or len(x) == 0:
            raise InputError(
                f"fast, full and condition have shapes {x.shape}, {y.shape} and {c.shape}; give"
                " (objects, quantities) twice and (objects, conditions), row by row the same."
            )
        for what, table in (("fast", x), ("full", y), ("condition", c)):
            bad = ~np.isfinite(table)
            if bad.any():
                row, column = np.argwhere(bad)[0]
                raise InputError(f"column {column} of object {row} of {what} is NaN or infinite.")
        return x, y, c

    # What follows saves and restores.

    def _tensors(self) -> dict[str, Tensor]:
        parts = {"network": self.network_, "scale": self.scaling_, "c": self.condition_scaling_}
        return {f"{k}.{name}": v for k, m in parts.items() for name, v in m.state_dict().items()}

    def _state(self) -> dict[str, Any]:
        return {
            "features": self.network_.features,
            "conditions": self.conditions_,
            "history": self.history_,
            "multiplier": self.multiplier_,
            "start": list(self.start_),
        }

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self._build(state["features"], state["conditions"])
        self.history_, self.multiplier_ = state["history"], state["multiplier"]
        self.start_ = state["start"][0], state["start"][1]
        parts = {"network": self.network_, "scale": self.scaling_, "c": self.condition_scaling_}
        for key, part in parts.items():
            start = f"{key}."
            own = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
            part.load_state_dict(own)
        self.network_.eval()
