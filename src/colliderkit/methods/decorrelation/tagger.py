"""Taggers whose score does not depend, on background, on quantities that a search looks at."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.schema import weights_of
from colliderkit.events.weights import planing_weights
from colliderkit.losses.classification import cross_entropy
from colliderkit.losses.constraints import Constrained, Constraint
from colliderkit.losses.decorrelation import DisCo, MoDe, Penalty
from colliderkit.methods.decorrelation.adversary import Adversary
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.networks import NETWORKS
from colliderkit.networks.model import Model
from colliderkit.training.alternating import fit_alternating
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Epoch, Objective, Training

__all__ = ["PENALTIES", "DecorrelatedTagger"]

PENALTIES = ("disco", "mode", "adversary", "planing")
BACKGROUND = 0
# About what a penalty comes to without a bound. Gaps in units of a tight bound would be large, and
# the damping stiffer than Adam can follow: the score would leap between dependence and none.
UNITS = {"disco": 1.0, "mode": 0.1, "adversary": 1.0}
RATE = 3.0  # of the multiplier: it arrives in some hundred steps
OPTIONS = {
    "disco": ("power", "unbiased"),
    "mode": ("order", "bins", "max_slope", "monotonic", "unbiased"),
    "adversary": ("steps", "components", "hidden"),
    "planing": ("bins", "reference"),
}


class Classification(nn.Module):
    """Take the cross-entropy of a target (B, 1 + M) whose first column is the class."""

    def forward(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        return cross_entropy(outputs, target[:, 0].long(), weight)


class Penalised(nn.Module):
    """Add a penalty with a fixed strength."""

    def __init__(self, primary: Objective, penalty: Objective, strength: float) -> None:
        super().__init__()
        self.primary = primary
        self.penalty = penalty
        self.strength = strength

    def forward(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        penalty = self.penalty(outputs, target, weight)
        return self.primary(outputs, target, weight) + self.strength * penalty


class DecorrelatedTagger(Tagger):
    """Classify jets by a score that does not depend, on background, on `protect`.

    The cross-entropy is minimised together with a penalty on the background's score
    s = 1 - p(background):

    - "disco": the squared distance correlation of s and the protected columns (2001.05310);
    - "mode": what of P(score < s | m) is no polynomial in the one column m (2010.09745);
    - "adversary": the information in nats that a network finds in s (1611.01046, 1703.03507);
    - "planing": none; the background's spectrum in the columns is made that of the signal, or
      both are made flat, by weights in training. Evaluation takes the events as they are;
    - None: a `Tagger`, to compare with.

    Args:
        network: a name of `colliderkit.networks.NETWORKS`.
        protect: per-jet columns that the score must not depend on; inputs or not. A nuisance
            parameter that varies from event to event is one too.
        penalty: one of the above.
        penalty_options: of "disco" and "mode" those of `losses.decorrelation`; of "adversary"
            `components` and `hidden` (`networks.mixture_density`) and `steps`, on a batch each,
            that it takes for one of the tagger (0: both at once, by gradient reversal; the
            default), all to the last epoch, without `patience`; of "planing" `bins` and
            `reference` (the name of a class, or flat).
        strength: the factor of the penalty, or
        at_most: keep the penalty at or below this (MDMM, `losses.constraints`). What is bounded
            does not depend on the size of the batch: "disco" and "mode" are `unbiased`.
        options, features, representation, represent, observables, classes, balance, spectrum,
            validation, training: as of `Tagger`; class 0 is the background. Without constituents
            the `observables` are columns of the events.

    Batches are plain draws, not sorted by the jets' length: a penalty is that of its batch. They
    should hold some hundreds of background events.

    After `fit` there is what a `Tagger` has, and `price_`, the Lagrange multiplier of `at_most` (0
    without one): by so much the cross-entropy rises for each unit that the bound is lowered by.
    As a `strength` it leads to about the same tagger.
    """

    name: ClassVar[str] = "decorrelated-tagging"
    regress: Sequence[str] = ()

    def __init__(
        self,
        network: str = "mlp",
        *,
        protect: Sequence[str] = ("jet_mass",),
        penalty: Literal["disco", "mode", "adversary", "planing"] | None = "disco",
        penalty_options: dict[str, Any] | None = None,
        strength: float | None = None,
        at_most: float | None = None,
        options: dict[str, Any] | None = None,
        features: Sequence[str] | None = None,
        representation: str | None = None,
        represent: dict[str, Any] | None = None,
        observables: str | Sequence[str] = "standard",
        classes: Sequence[str] = ("background", "signal"),
        balance: bool = False,
        spectrum: str | None = None,
        validation: float = 0.15,
        training: Training = Training(batch_size=1024),
    ) -> None:
        super().__init__(
            network,
            options=options,
            features=features,
            representation=representation,
            represent=represent,
            observables=observables,
            classes=classes,
            balance=balance,
            spectrum=spectrum,
            validation=validation,
            training=training,
        )
        self.protect = protect
        self.penalty = penalty
        self.penalty_options = penalty_options
        self.strength = strength
        self.at_most = at_most

    @property
    def _penalises(self) -> bool:
        """Whether the loss has a term for it."""
        return self.penalty in ("disco", "mode", "adversary")

    @property
    def _beside(self) -> Sequence[str]:
        return self.protect

    def _check(self) -> None:
        """Raise `InputError` for arguments that do not go together."""
        if self.penalty is not None and self.penalty not in PENALTIES:
            raise InputError(f"--penalty {self.penalty}: give one of {', '.join(PENALTIES)}.")
        known = OPTIONS.get(str(self.penalty), ())
        for name in self.penalty_options or {}:
            if name not in known:
                has = f"has {', '.join(known)}" if known else "has none"
                raise InputError(f"--penalty_options: {self.penalty} has no '{name}'; it {has}.")
        given = [value for value in (self.strength, self.at_most) if value is not None]
        if self._penalises and len(given) != 1:
            raise InputError(f"{self.penalty} needs one of --strength and --at_most.")
        if not self._penalises and given:
            raise InputError(f"--strength and --at_most: {self.penalty} adds nothing to the loss.")
        if any(not value > 0 for value in given):
            raise InputError(f"--strength or --at_most is {given[0]:g}; it must be positive.")
        if not self.protect:
            raise InputError(
                "--protect is empty; name the columns not to depend on, or fit tagging."
            )
        if self.penalty == "mode" and len(self.protect) > 1:
            raise InputError(
                f"mode protects one column, not {len(self.protect)}; take disco or adversary."
            )
        if self._penalises and hasattr(NETWORKS.load(self.network), "fit"):
            raise InputError(
                f"no gradient trains {self.network}; take a network, planing, or a map of its"
                " score (methods.decorrelation.maps)."
            )

    def _shaped(self, light: ak.Array, label: NDArray[np.int64]) -> NDArray[np.float64]:
        if self.penalty != "planing":
            return super()._shaped(light, label)
        if self.spectrum is not None:
            raise InputError("--spectrum and planing both set spectra; give one of them.")
        given = dict(self.penalty_options or {})
        reference = given.get("reference", self.classes[-1])
        if reference != "flat" and reference not in self.classes:
            raise InputError(f"reference {reference}: give flat or one of {list(self.classes)}.")
        return planing_weights(
            {name: ak.to_numpy(light[name]) for name in self.protect},
            label,
            weights_of(light),
            reference="flat" if reference == "flat" else list(self.classes).index(reference),
            bins=given.get("bins", 50),
        )

    def _dataset(self, inputs: Any, light: ak.Array, fitted: bool = False) -> Dataset:
        self._check()
        self._protected(light)
        return super()._dataset(inputs, light, fitted)

    def _protected(self, light: ak.Array) -> NDArray[np.float64]:
        """Return the protected columns (N, M); raise `InputError` for what cannot be protected."""
        for name in self.protect:
            if name not in light.fields:
                raise InputError(f"--protect {name}: the events have no such column.")
        table = np.stack([ak.to_numpy(light[name]) for name in self.protect], 1).astype(np.float64)
        bad = ~np.isfinite(table)
        if bad.any():
            event, column = np.argwhere(bad)[0]
            raise InputError(
                f"--protect {self.protect[column]}: NaN or infinite in event {event} (counted from"
                " 0); mend the file or drop the event with a selection."
            )
        own = ak.to_numpy(light["label"]) == BACKGROUND if "label" in light.fields else None
        background = table[own] if own is not None else table
        if len(background) < 2:
            raise InputError(
                f"there are {len(background)} background events (label {BACKGROUND}) to"
                " decorrelate; give two at least, and better thousands."
            )
        constant = np.flatnonzero(np.ptp(background, 0) == 0)
        if len(constant):
            raise InputError(
                f"--protect {self.protect[constant[0]]}: is {background[0, constant[0]]:g} in all"
                " background events; nothing can depend on it, leave it out."
            )
        return table

    def _target(self, light: ak.Array, label: NDArray[np.int64], fitted: bool) -> Tensor:
        """Return the class, and in units of their spread the columns that a penalty takes."""
        if not self._penalises:
            return super()._target(light, label, fitted)
        table = self._protected(light)
        if not fitted:
            own = table[label == BACKGROUND]
            self.protected_mean_, self.protected_scale_ = own.mean(0), own.std(0)
        standard = (table - self.protected_mean_) / self.protected_scale_
        return torch.from_numpy(np.column_stack([label, standard]).astype(np.float32))

    def _train(self, model: Model, data: Dataset, held: Dataset, **where: Any) -> list[Epoch]:
        self.price_ = 0.0
        if not self._penalises:
            return super()._train(model, data, held, **where)
        for what, part in (("training", data), ("validation", held)):
            count = int((part.target[:, 0] == BACKGROUND).sum())
            if count < 2:
                raise InputError(
                    f"{count} background events (label {BACKGROUND}) are for {what}; give two at"
                    " least, and better thousands."
                )
        # Files come class by class: batches of validation need both as well.
        mixed = torch.randperm(len(held), generator=torch.Generator().manual_seed(self.seed_))
        settings = replace(self.training, pool=1)
        options: dict[str, Any] = {"seed": self.seed_, "title": self.network, **where}
        given = dict(self.penalty_options or {})
        steps = given.pop("steps", 0)
        penalty = self._penalty(given)
        objective = self._joined(Classification(), penalty)
        if isinstance(penalty, Adversary):
            history = fit_alternating(
                model, objective, penalty, data, held.at(mixed), settings, steps=steps, **options
            )
        else:
            history = fit(model, objective, data, held.at(mixed), settings, **options)
        if isinstance(objective, Constrained):
            self.price_ = sum(objective.multipliers.values()) / UNITS[str(self.penalty)]
        return history

    def _penalty(self, given: dict[str, Any]) -> Penalty | Adversary:
        if self.penalty == "adversary":
            return Adversary(len(self.protect), **given)
        unbiased = given.pop("unbiased", self.at_most is not None)
        kind = DisCo if self.penalty == "disco" else MoDe
        return kind(unbiased=unbiased, **given)

    def _joined(self, primary: Classification, penalty: Penalty | Adversary) -> nn.Module:
        """Return the objective."""
        if self.at_most is not None:
            unit = UNITS[str(self.penalty)]
            bound = Constraint.at_most(penalty, self.at_most, scale=unit, rate=RATE)
            return Constrained(primary, {str(self.penalty): bound})
        assert self.strength is not None
        return Penalised(primary, penalty, self.strength)

    # What follows saves and restores.

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), "price": getattr(self, "price_", 0.0)}

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        super()._restore(tensors, state)
        self.price_ = state["price"]
