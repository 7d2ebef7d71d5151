"""Objectives that decorrelate a tagger from the mass: DisCo, MoDe, adversary and planing.

Give one to a tagger: ``Tagger("mlp", objective=DisCo(at_most=0.01))``. Its score
s = 1 - p(background) then does not depend, on the background, on the columns `protect`.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.schema import weights_of
from colliderkit.events.tables import Floats, as_table
from colliderkit.events.weights import planing_weights
from colliderkit.losses.classification import cross_entropy
from colliderkit.losses.constraints import Constrained, Constraint
from colliderkit.losses.decorrelation import DistanceCorrelation, MomentDecomposition, Penalty
from colliderkit.methods.decorrelation.adversary import MutualInformation
from colliderkit.seeds import derive
from colliderkit.training.alternating import fit_alternating
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Training

__all__ = ["BACKGROUND", "Adversary", "DisCo", "MoDe", "Penalised", "Planing"]

BACKGROUND = 0  # its class
RATE = 3.0  # of the multiplier: it arrives in some hundred steps


@dataclass(frozen=True, kw_only=True)
class Decorrelation:
    """Protect per-jet columns: what all objectives of this module share.

    Args:
        protect: per-jet columns that the score must not depend on; inputs or not. A nuisance
            parameter that varies from event to event is one too.
    """

    protect: Sequence[str] = ("jet_mass",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "protect", tuple(self.protect))

    def check(self) -> None:
        """Raise `InputError` for options that do not go together; a tagger's `fit` does it."""
        if not self.protect:
            raise InputError(
                "protect is empty; name the columns not to depend on, or leave the objective out."
            )

    def protected(self, per_jet: ak.Array, label: NDArray[np.int64]) -> Floats:
        """Return the protected columns (N, M) of jets with classes `label` (N,).

        Raises `InputError` for a column that is not there, not finite or constant on the
        background, and for fewer than two background events.
        """
        for name in self.protect:
            if name not in per_jet.fields:
                raise InputError(f"protect: the events have no column '{name}'.")
        columns = [ak.to_numpy(per_jet[name]) for name in self.protect]
        table = as_table(np.column_stack(columns), "the events", self.protect)
        background = table[label == BACKGROUND]
        if len(background) < 2:
            raise InputError(
                f"there are {len(background)} background events (label {BACKGROUND}) to"
                " decorrelate; give two at least, and better thousands."
            )
        constant = np.flatnonzero(np.ptp(background, 0) == 0)
        if len(constant):
            raise InputError(
                f"protect: column '{self.protect[constant[0]]}' is"
                f" {background[0, constant[0]]:g} in all background events; nothing can depend on"
                " it, leave it out."
            )
        return table


@dataclass(frozen=True, kw_only=True)
class Planing(Decorrelation):
    """Give all classes one spectrum in the protected columns, by weights in training (planing).

    Nothing is added to the loss, so that trees may be trained with it too. Evaluation takes the
    events as they are: a score may still depend on a column through its inputs.

    Args:
        protect: per-jet columns whose spectra are made equal.
        bins: of each column: a number of equal bins between the extremes, or edges.
        reference: the class whose spectrum all take, "flat" for a flat one; None is the last class.
    """

    bins: int | Sequence[float] = 50
    reference: str | None = None

    def weights(
        self, per_jet: ak.Array, label: NDArray[np.int64], classes: Sequence[str]
    ) -> Floats:
        """Return the weights (N,) of jets with classes `label` (N,), the jets' own included."""
        reference = classes[-1] if self.reference is None else self.reference
        if reference not in ("flat", *classes):
            raise InputError(f"reference is '{reference}'; give flat or one of {list(classes)}.")
        protected = self.protected(per_jet, label)
        return planing_weights(
            dict(zip(self.protect, protected.T, strict=True)),
            label,
            weights_of(per_jet),
            reference="flat" if reference == "flat" else list(classes).index(reference),
            bins=self.bins,
        )


@dataclass(frozen=True, kw_only=True)
class Penalised(Decorrelation):
    """Minimise the cross-entropy with a penalty on the background's score.

    Batches are plain draws, not sorted by the jets' length: a penalty is that of its batch. They
    should hold some hundreds of background events.

    Args:
        protect: per-jet columns that the score must not depend on.
        strength: the factor of the penalty, or
        at_most: keep the penalty at or below this (MDMM, `losses.constraints`). What is limited
            does not depend on the size of the batch: DisCo and MoDe are then `unbiased`.
    """

    strength: float | None = None
    at_most: float | None = None

    name: ClassVar[str]
    # About what the penalty comes to without a limit.
    unit: ClassVar[float] = 1.0

    def check(self) -> None:
        super().check()
        numbers = [value for value in (self.strength, self.at_most) if value is not None]
        if len(numbers) != 1:
            raise InputError(f"{type(self).__name__} needs one of strength and at_most.")
        if not numbers[0] > 0:
            which = "strength" if self.at_most is None else "at_most"
            raise InputError(f"{which} is {numbers[0]:g}; it must be positive.")

    @abstractmethod
    def penalty(self) -> Penalty:
        """Return a fresh penalty."""

    def loss(self, penalty: Penalty) -> nn.Module:
        """Return cross-entropy and penalty."""
        if self.at_most is not None:
            # Between the two. In units of the penalty a tight limit has a multiplier, such as 50
            # for a DisCo of 0.0003, that a thousand steps do not climb to; in units of the limit
            # the damping is stiffer than Adam can follow.
            scale = (self.unit * self.at_most) ** 0.5
            limit = Constraint.at_most(penalty, self.at_most, scale=scale, rate=RATE)
            return Constrained(classification, {self.name: limit})
        assert self.strength is not None
        return Weighted(penalty, self.strength)

    def train(
        self,
        model: nn.Module,
        train: Dataset,
        validation: Dataset,
        training: Training,
        *,
        folder: Path,
        seed: int,
        resume: bool = False,
        title: str = "training",
        progress: bool = True,
    ) -> tuple[list[Epoch], float]:
        """Train `model` in place; return its epochs and the Lagrange multiplier of `at_most`.

        The target (N, 1 + M) of the data sets is the class, and the protected columns in units of
        their spread. The keywords are those of `training.fit.fit`.
        """
        for what, data in (("training", train), ("validation", validation)):
            count = int((data.target[:, 0] == BACKGROUND).sum())
            if count < 2:
                raise InputError(
                    f"{count} background events (label {BACKGROUND}) are for {what}; give two at"
                    " least, and better thousands."
                )
        # Files come class by class: batches of validation need both as well.
        random = torch.Generator().manual_seed(derive(seed, "validation order"))
        mixed = validation.at(torch.randperm(len(validation), generator=random))
        loss, epochs = self._trained(
            model,
            train,
            mixed,
            # A penalty over a batch needs many events of the background in it.
            replace(training, pool=1, batch_size=training.batch_size or 256),
            folder=folder,
            seed=seed,
            resume=resume,
            title=title,
            progress=progress,
        )
        if isinstance(loss, Constrained):
            return epochs, sum(loss.prices.values())
        return epochs, 0.0

    def _trained(
        self,
        model: nn.Module,
        train: Dataset,
        validation: Dataset,
        training: Training,
        **options: object,
    ) -> tuple[nn.Module, list[Epoch]]:
        """Train `model` in place; return the loss it was trained by, and its epochs."""
        loss = self.loss(self.penalty())
        return loss, fit(model, loss, train, validation, training, **options)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class DisCo(Penalised):
    """Penalise the squared distance correlation of score and protected columns (2001.05310).

    Args:
        protect: per-jet columns that the score must not depend on, any number.
        strength: the factor of the penalty, or
        at_most: keep the penalty at or below this (MDMM).
        power: of the squared correlation (`losses.decorrelation.distance_correlation`).
        unbiased: take the U-statistic; None is True under `at_most`, so that the limit is one on a
            large sample, whatever the batch.
    """

    power: float = 1.0
    unbiased: bool | None = None

    name: ClassVar[str] = "disco"

    def penalty(self) -> Penalty:
        unbiased = self.at_most is not None if self.unbiased is None else self.unbiased
        return DistanceCorrelation(self.power, unbiased, BACKGROUND)


@dataclass(frozen=True, kw_only=True)
class MoDe(Penalised):
    """Penalise what of P(score < s | m) is no polynomial in the one column m (2010.09745).

    Args:
        protect: the per-jet column m.
        strength: the factor of the penalty, or
        at_most: keep the penalty at or below this (MDMM).
        order: 0 allows no dependence, 1 a linear one, 2 a quadratic one.
        bins: of equal probability in m, the published form; None takes none
            (`losses.decorrelation.MomentDecomposition`).
        max_slope: the linear coefficient is at most this share of the constant one.
        monotonic: at order 2 the polynomial must rise or fall throughout.
        unbiased: without what independent scores would give; None is True under `at_most`.
    """

    order: Literal[0, 1, 2] = 0
    bins: int | None = None
    max_slope: float | None = None
    monotonic: bool = True
    unbiased: bool | None = None

    name: ClassVar[str] = "mode"
    unit: ClassVar[float] = 0.1

    def check(self) -> None:
        super().check()
        if len(self.protect) > 1:
            raise InputError(
                f"MoDe protects one column, not {len(self.protect)}; take DisCo or Adversary."
            )
        self.penalty()  # for the errors of its options

    def penalty(self) -> Penalty:
        unbiased = self.at_most is not None if self.unbiased is None else self.unbiased
        return MomentDecomposition(
            self.order, self.bins, self.max_slope, self.monotonic, unbiased, BACKGROUND
        )


@dataclass(frozen=True, kw_only=True)
class Adversary(Penalised):
    """Penalise the information in nats that an adversary finds in s (1611.01046, 1703.03507).

    Args:
        protect: per-jet columns that the score must not depend on, any number.
        strength: the factor of the penalty, or
        at_most: keep the penalty at or below this (MDMM).
        steps: of the adversary, on a batch each, for one of the tagger; 0 trains both at once, by
            gradient reversal. All to the last epoch, without `patience`.
        components: normal densities in the adversary's mixture (`networks.mixture_density`).
        hidden: widths of the adversary's layers.
    """

    steps: int = 0
    components: int = 5
    hidden: Sequence[int] = (64, 64)

    name: ClassVar[str] = "adversary"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "hidden", tuple(self.hidden))

    def check(self) -> None:
        super().check()
        if self.steps < 0:
            raise InputError(f"steps is {self.steps}; it must be at least 0.")
        if self.components < 1:
            raise InputError(f"components is {self.components}; it must be at least 1.")

    def penalty(self) -> MutualInformation:
        return MutualInformation(
            len(self.protect),
            components=self.components,
            hidden=self.hidden,
            background=BACKGROUND,
        )

    def _trained(
        self,
        model: nn.Module,
        train: Dataset,
        validation: Dataset,
        training: Training,
        **options: object,
    ) -> tuple[nn.Module, list[Epoch]]:
        adversary = self.penalty()
        loss = self.loss(adversary)
        return loss, fit_alternating(
            model,
            loss,
            adversary,
            train,
            validation,
            training,
            steps=self.steps,
            **options,  # type: ignore[arg-type]
        )


def classification(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the cross-entropy of a target (B, 1 + M) whose first column is the class, ()."""
    return cross_entropy(outputs, target[:, 0].long(), weight)


class Weighted(nn.Module):
    """Cross-entropy and a penalty with a fixed strength."""

    def __init__(self, penalty: Penalty, strength: float) -> None:
        super().__init__()
        self.penalty = penalty
        self.strength = strength

    def forward(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        penalty = self.penalty(outputs, target, weight)
        return classification(outputs, target, weight) + self.strength * penalty
