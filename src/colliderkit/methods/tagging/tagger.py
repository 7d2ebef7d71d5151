"""Tagging: classify jets with any network of the package (PFN, ParticleNet, ParT, trees, ...)."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import awkward as ak
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from colliderkit.claims import claim, content, first_process
from colliderkit.errors import InputError
from colliderkit.events.ragged import Ragged
from colliderkit.events.schema import labels_of, weights_of
from colliderkit.events.tables import Floats, as_table, as_weight, validation_mask
from colliderkit.events.weights import class_weights, spectrum_weights
from colliderkit.losses.classification import cross_entropy
from colliderkit.losses.multitask import ClassAndRegression
from colliderkit.methods.architecture import Architecture, Inputs, fit_representation
from colliderkit.methods.decorrelation.objectives import (
    BACKGROUND,
    Adversary,
    DisCo,
    MoDe,
    Penalised,
    Planing,
)
from colliderkit.methods.tagging.classifier import Classifier, Jets
from colliderkit.networks import NETWORKS
from colliderkit.networks.boosted_trees import BoostedTrees
from colliderkit.networks.model import Model
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit, predict
from colliderkit.training.settings import Epoch, Objective, Training

__all__ = ["Tagger"]


class Tagger(Classifier):
    """Classify jets with any network of the package.

    Args:
        network: a name of `colliderkit.networks.NETWORKS`.
        options: keyword arguments of the network.
        features: per-particle features of networks on sets and sequences: names of
            `events.sets.FEATURES` or of further constituent columns; None takes (z, deta, dphi)
            for "pfn" and "efn" as published, and `events.sets.LOG_FEATURES` for the others. Of
            networks on tables, columns with a number an event, in place of `observables`.
        representation: a name of `events.representations.REPRESENTATIONS`; None takes the
            network's own ("efp" with the network "linear" is the linear EFP tagger).
        represent: keyword arguments of the representation (image size, order, ...).
        observables: what networks on tables take: a preset or names of `events.observables`; of
            events without constituents, names of their columns.
        classes: their names, in the order of the label; the second of two is the signal.
        objective: what is minimised: None for the cross-entropy alone, or one of
            `methods.decorrelation.objectives` (`DisCo`, `MoDe`, `Adversary`, `Planing`) for a score
            that does not depend, on the background, on protected columns.
        regress: per-jet columns that the same trunk learns beside the class.
        balance: give every class the same total weight.
        spectrum: reweight the (pt, eta) spectrum of each class to be "flat", or equal to that
            of the class of this name.
        validation: the share of events kept for the choice of the epoch, by a hash of `event`.
        training: epochs, batch size, learning rate and the like; batch size and epochs follow the
            number of jets where they are not given (`Training`). Under an `objective` with a
            penalty, batches should hold some hundreds of background events.

    After `fit`: `model_` (raw columns to outputs), `columns_`, `history_` (one `Epoch` each of
    "network"), `events_` (how many train and validate), `multiplier_`, the Lagrange multiplier of
    the objective's `at_most` (0 without one): by so much the cross-entropy rises for each unit that
    the limit is lowered by, and as a `strength` it leads to about the same tagger.
    """

    name: ClassVar[str] = "tagging"

    model_: Model
    columns_: tuple[str, ...]
    events_: dict[str, int]
    multiplier_: float
    trees_: dict[str, int] | None  # the size of boosted trees, for `_rebuild`
    target_mean_: Floats  # of the columns beside the class, in their units, and their spread
    target_scale_: Floats

    def __init__(
        self,
        network: str = "pfn",
        *,
        options: dict[str, Any] | None = None,
        features: Sequence[str] | None = None,
        representation: str | None = None,
        represent: dict[str, Any] | None = None,
        observables: str | Sequence[str] = "standard",
        classes: Sequence[str] = ("background", "signal"),
        objective: DisCo | MoDe | Adversary | Planing | None = None,
        regress: Sequence[str] = (),
        balance: bool = False,
        spectrum: str | None = None,
        validation: float = 0.15,
        training: Training = Training(learning_rate=2e-3),
    ) -> None:
        self.network = network
        self.options = options
        self.features = features
        self.representation = representation
        self.represent = represent
        self.observables = observables
        self.classes = classes
        self.objective = objective
        self.regress = regress
        self.balance = balance
        self.spectrum = spectrum
        self.validation = validation
        self.training = training

    @property
    def tagger(self) -> "Tagger":
        return self

    def _fit(
        self, jets: Jets, validation: ak.Array | None, weight: ArrayLike | None, **where: Any
    ) -> None:
        self.columns_ = self._architecture.columns
        # Chunks go to a file, one for each process of a distributed training.
        spool = where["folder"] / f"events-{os.environ.get('LOCAL_RANK', 0)}"
        inputs, per_jet = self._read(jets, None if isinstance(jets, ak.Array) else spool)
        if not isinstance(jets, ak.Array) and first_process():
            note, way_out = "chunks.json", "choose another folder"
            claim(where["folder"], {"the jets": content((inputs, per_jet))}, note, way_out=way_out)
        if weight is not None:
            factor = as_weight(weight, len(per_jet))
            per_jet = ak.with_field(per_jet, weights_of(per_jet) * factor, "weight")
        if validation is not None:
            train = self._dataset(inputs, per_jet)
            held_out = self._dataset(*self._read(validation, None), fitted=True)
        else:
            mask = validation_mask(np.asarray(per_jet["event"]), self.validation, self.seed_)
            train, held_out = self._dataset(inputs, per_jet).split(mask)
        self.events_ = {"training": len(train), "validation": len(held_out)}
        self.multiplier_, self.trees_ = 0.0, None
        if self._takes_trees:
            self.history_ = {"network": self._fit_trees(train, held_out)}
            return
        torch.manual_seed(derive(self.seed_, "network"))
        self._rebuild()
        trained, train, held_out = self._begun(train, held_out)
        where |= {"seed": self.seed_, "title": self.network}
        if isinstance(self.objective, Penalised):
            epochs, self.multiplier_ = self.objective.train(
                trained, train, held_out, self.training, **where
            )
        else:
            epochs = fit(trained, self._loss(train), train, held_out, self.training, **where)
        self.history_ = {"network": epochs}

    def predict_proba(self, jets: ak.Array) -> NDArray[np.float64]:
        """Return the probability of each class, (N, K); rows sum to 1."""
        logits = self._outputs(jets)[:, : len(self.classes)]
        return torch.softmax(logits.double(), dim=1).numpy()

    def regression(self, jets: ak.Array) -> dict[str, NDArray[np.float32]]:
        """Return the regressed quantities in their own units, each (N,)."""
        outputs = self._outputs(jets)[:, len(self.classes) :].numpy()
        values = (outputs * self.target_scale_ + self.target_mean_).astype(np.float32)
        return {name: values[:, i] for i, name in enumerate(self.regress)}

    def inputs(self, jets: ak.Array) -> Ragged | Tensor:
        """Return what `model_` takes for these jets: ragged raw columns, or a table."""
        return self._architecture.inputs(jets)

    def per_jet(self, jets: ak.Array, first: int = 0) -> ak.Array:
        """Return the columns of each jet that training needs: label, weight, event and targets.

        Jets without a column `event` are numbered from `first`.
        """
        wanted = {"label", "weight", "event", "jet_pt", "jet_eta", *self._extra_targets}
        columns = jets[[name for name in jets.fields if name in wanted]]
        if "event" not in columns.fields:
            columns = ak.with_field(columns, np.arange(first, first + len(jets)), "event")
        return columns

    @property
    def _architecture(self) -> Architecture:
        return Architecture(
            self.network,
            self.options,
            self.features,
            self.representation,
            self.represent,
            self.observables,
        )

    @property
    def takes_table(self) -> bool:
        """Whether the network takes a table: observables of jets, or columns of events."""
        return self._architecture.kind == "table"

    @property
    def _takes_trees(self) -> bool:
        """Whether the network is grown, and not trained by a gradient."""
        return hasattr(NETWORKS.load(self.network), "fit")

    @property
    def _labelled(self) -> Sequence[str]:
        """The names of what the label of an event counts."""
        return self.classes

    def _loss(self, train: Dataset) -> Objective:
        """Return what is minimised on the training events, where no penalty is asked for."""
        return ClassAndRegression(len(self.classes)) if self.regress else cross_entropy

    def _begun(self, train: Dataset, held_out: Dataset) -> tuple[Model, Dataset, Dataset]:
        """Return the model as training begins, and on what; it is fresh, its inputs scaled."""
        return fit_representation(self.model_, train, held_out)

    @property
    def _extra_targets(self) -> Sequence[str]:
        """Per-jet columns that training needs beside the class."""
        return self.regress if self.objective is None else self.objective.protect

    def _check(self) -> None:
        if self.spectrum not in (None, "flat", *self._labelled):
            raise InputError(
                f"spectrum is '{self.spectrum}'; give flat or one of {list(self._labelled)}."
            )
        if self.regress and self._takes_trees:
            raise InputError(f"regress: {self.network} has no trunk to share; use a network.")
        if self.objective is None:
            return
        self.objective.check()
        if self.regress:
            raise InputError("regress and objective both add to the loss; give one of them.")
        if isinstance(self.objective, Planing) and self.spectrum is not None:
            raise InputError("spectrum and planing both set spectra; give one of them.")
        if isinstance(self.objective, Penalised) and self._takes_trees:
            raise InputError(
                f"no gradient trains {self.network}; take a network, planing, or a map of its"
                " score (methods.decorrelation.maps)."
            )

    def _read(self, jets: Jets, folder: Path | None) -> tuple[Ragged | Tensor, ak.Array]:
        """Return the network's raw inputs and the per-jet columns, in one pass over chunks."""
        inputs, per_jet, count = Inputs(self._architecture, folder), [], 0
        for chunk in [jets] if isinstance(jets, ak.Array) else jets:
            per_jet.append(self.per_jet(chunk, count))
            inputs.append(chunk)
            count += len(chunk)
        if not per_jet:
            raise InputError("the jets come in no chunks at all; check the files.")
        return inputs.whole(), ak.concatenate(per_jet) if len(per_jet) > 1 else per_jet[0]

    def _dataset(self, inputs: Ragged | Tensor, per_jet: ak.Array, fitted: bool = False) -> Dataset:
        label = labels_of(per_jet, len(self._labelled))
        target = self._target(per_jet, label, fitted)
        weight = self._weights(per_jet, label)
        return Dataset(
            inputs, target, torch.from_numpy((weight / weight.mean()).astype(np.float32))
        )

    def _weights(self, per_jet: ak.Array, label: NDArray[np.int64]) -> Floats:
        """Return the weights that events have in the loss, on any scale, (N,)."""
        weight = self._spectrum_weights(per_jet, label)
        if self.balance:
            weight = class_weights(label, weight)
        for k, name in enumerate(self._labelled):
            if (label == k).any() and weight[label == k].sum() <= 0:
                raise InputError(
                    f"the weights of class '{name}' sum to {weight[label == k].sum():.3g};"
                    " a tagger needs a positive sum for each class."
                )
        return weight

    def _spectrum_weights(self, per_jet: ak.Array, label: NDArray[np.int64]) -> Floats:
        """Return the jets' weights, with the spectra that are asked for, (N,)."""
        if isinstance(self.objective, Planing):
            return self.objective.weights(per_jet, label, self.classes)
        if self.spectrum is None:
            return weights_of(per_jet)
        reference: Literal["flat"] | int = "flat"
        if self.spectrum != "flat":
            reference = list(self._labelled).index(self.spectrum)
        return spectrum_weights(per_jet, reference=reference)

    def _target(self, per_jet: ak.Array, label: NDArray[np.int64], fitted: bool) -> Tensor:
        """Return the class (N,), or class and standardised columns (N, 1 + T) float32.

        Protected columns are in units of their spread on the background.
        """
        if isinstance(self.objective, Penalised):
            table, spread_of = self.objective.protected(per_jet, label), label == BACKGROUND
        else:
            if self.objective is not None:
                self.objective.protected(per_jet, label)  # for its errors
            if not self.regress:
                return torch.tensor(label)
            table, spread_of = _columns(per_jet, self.regress), label >= 0
        if not fitted:
            self.target_mean_ = table[spread_of].mean(0)
            self.target_scale_ = table[spread_of].std(0).clip(1e-6)
        standard = (table - self.target_mean_) / self.target_scale_
        return torch.from_numpy(np.column_stack([label, standard]).astype(np.float32))

    def _rebuild(self) -> None:
        if self.trees_ is not None:
            self.model_ = Model(nn.Identity(), BoostedTrees(**self.trees_))
        else:
            outputs = len(self.classes) + len(self.regress)
            self.model_ = self._architecture.build(outputs, self.training.longest)

    def _fit_trees(self, train: Dataset, validation: Dataset) -> list[Epoch]:
        """Fit boosted trees, which no gradient trains, and return the one epoch of it."""
        assert isinstance(train.inputs, Tensor)
        begin = time.perf_counter()
        trees = BoostedTrees.fit(
            train.inputs,
            train.target,
            train.weight,
            seed=derive(self.seed_, "trees"),
            **(self.options or {}),
        )
        seconds = time.perf_counter() - begin
        self.model_, self.trees_ = Model(nn.Identity(), trees), trees.options
        losses = [
            float(cross_entropy(predict(self.model_, data), data.target, data.weight))
            for data in (train, validation)
        ]
        return [Epoch(0, losses[0], losses[1], seconds, best=True)]

    def _outputs(self, jets: ak.Array) -> Tensor:
        model, events = self.model_, len(jets)
        return predict(model, Dataset(self.inputs(jets), torch.zeros(events), torch.ones(events)))


def _columns(per_jet: ak.Array, names: Sequence[str]) -> Floats:
    """Return regressed columns (N, T), or raise for one that is not there or not finite."""
    for name in names:
        if name not in per_jet.fields:
            raise InputError(f"regress: the jets have no column '{name}'.")
    return as_table(np.column_stack([ak.to_numpy(per_jet[n]) for n in names]), "the jets", names)
