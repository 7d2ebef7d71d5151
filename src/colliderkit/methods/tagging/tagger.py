"""Tagging: which class does a jet belong to?"""

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal, Self, TypeAlias

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.ragged import Ragged
from colliderkit.events.schema import hash_uniform, labels_of, weights_of
from colliderkit.events.weights import class_weights, spectrum_weights
from colliderkit.losses.classification import cross_entropy
from colliderkit.losses.multitask import ClassAndRegression
from colliderkit.methods.architecture import Architecture, fit_representation
from colliderkit.methods.method import Method
from colliderkit.networks import NETWORKS
from colliderkit.networks.boosted_trees import BoostedTrees
from colliderkit.networks.model import Model
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit, predict
from colliderkit.training.settings import Epoch, Objective, Training

__all__ = ["Tagger"]

# A jet array, or chunks of one.
Jets: TypeAlias = Any


class Tagger(Method):
    """Classify jets with any network of the package.

    Args:
        network: a name of `colliderkit.networks.NETWORKS`.
        options: keyword arguments of the network.
        features: per-particle features of networks on sets and sequences: names of
            `events.sets.FEATURES` or of further constituent columns; None takes (z, deta, dphi)
            for "pfn" and "efn" as published, and `events.sets.LOG_FEATURES` for the others.
        representation: a name of `events.representations.REPRESENTATIONS`; None takes the
            network's own ("efp" with the network "linear" is the linear EFP tagger).
        represent: keyword arguments of the representation (image size, order, ...).
        observables: what networks on tables take: a preset or names of `events.observables`.
        classes: their names, in the order of the label; the second of two is the signal.
        regress: per-jet columns that the same trunk learns beside the class.
        balance: give every class the same total weight.
        spectrum: reweight the (pt, eta) spectrum of each class to be "flat", or equal to that
            of the class of this name.
        validation: the share of events kept for the choice of the epoch, by a hash of `event`.
        training: epochs, batch size, learning rate and the like.

    After `fit`: `model_` (raw columns to outputs), `columns_`, `history_` (one `Epoch` each).
    """

    name: ClassVar[str] = "tagging"

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
        regress: Sequence[str] = (),
        balance: bool = False,
        spectrum: str | None = None,
        validation: float = 0.15,
        training: Training = Training(),
    ) -> None:
        self.network = network
        self.options = options
        self.features = features
        self.representation = representation
        self.represent = represent
        self.observables = observables
        self.classes = classes
        self.regress = regress
        self.balance = balance
        self.spectrum = spectrum
        self.validation = validation
        self.training = training

    def fit(
        self,
        jets: Jets,
        validation: ak.Array | None = None,
        *,
        weight: NDArray[np.floating[Any]] | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train on jets with a `label` and return self.

        `jets` is a jet array, or chunks of one: these are written to `folder` one by one and
        trained from there, so that memory does not grow with their number. `validation` jets
        choose the epoch; without them a share `self.validation` of the events does. `weight`
        multiplies the jets' own. Negative weights stay negative in the loss, which is then
        unbiased as long as each class sums to a positive weight. Checkpoints go to `folder`;
        `resume` goes on from the last.
        """
        if folder is None:
            with TemporaryDirectory(prefix="colliderkit-") as temporary:
                return self.fit(
                    jets,
                    validation,
                    weight=weight,
                    seed=seed,
                    folder=temporary,
                    resume=resume,
                    progress=progress,
                )
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.columns_ = self._architecture.columns
        inputs, light = self._inputs(jets, folder / f"events-{os.environ.get('LOCAL_RANK', 0)}")
        if weight is not None:
            light = ak.with_field(light, weights_of(light) * np.asarray(weight), "weight")
        if validation is not None:
            held_inputs, held_light = self._inputs(validation, None)
            data = self._dataset(inputs, light)
            held = self._dataset(held_inputs, held_light, fitted=True)
        else:
            everything = self._dataset(inputs, light)
            apart = hash_uniform(np.asarray(light["event"]), seed) < self.validation
            data, held = everything.split(apart)
        torch.manual_seed(seed)
        self.seed_ = seed
        self.events_ = {"training": len(data), "validation": len(held)}
        if hasattr(NETWORKS.load(self.network), "fit"):
            self._grow(data, held, seed)
            return self
        self.model_ = self._build()
        trained, data, held = fit_representation(self.model_, data, held)
        self.history_ = self._train(
            trained, data, held, folder=folder, resume=resume, progress=progress
        )
        return self

    def predict_proba(self, jets: ak.Array) -> NDArray[np.float64]:
        """Return the probability of each class, (N, K); rows sum to 1."""
        logits = self._outputs(jets)[:, : len(self.classes)]
        return torch.softmax(logits.double(), dim=1).numpy()

    def predict(self, jets: ak.Array) -> NDArray[np.int64]:
        """Return the likeliest class of each jet, (N,)."""
        return self.predict_proba(jets).argmax(1)

    def regression(self, jets: ak.Array) -> dict[str, NDArray[np.float32]]:
        """Return the regressed quantities in their own units, each (N,)."""
        outputs = self._outputs(jets)[:, len(self.classes) :]
        values = (outputs * self.target_scale_ + self.target_mean_).numpy()
        return {name: values[:, i] for i, name in enumerate(self.regress)}

    def inputs(self, jets: ak.Array) -> Ragged | Tensor:
        """Return what `model_` takes for these jets: ragged raw columns, or a table."""
        return self._inputs(jets, None)[0]

    # What follows turns jets into tensors.

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

    def _inputs(self, jets: Jets, folder: Path | None) -> tuple[Ragged | Tensor, ak.Array]:
        """Return the network's raw inputs and the per-jet columns that training needs."""
        per_jet = {"label", "weight", "event", "jet_pt", "jet_eta", *self._beside}
        chunks = [jets] if isinstance(jets, ak.Array) else jets
        light: list[ak.Array] = []
        count = 0

        def noted() -> Iterable[ak.Array]:
            nonlocal count
            for chunk in chunks:
                part = chunk[[name for name in chunk.fields if name in per_jet]]
                if "event" not in part.fields:
                    part = ak.with_field(part, np.arange(count, count + len(chunk)), "event")
                count += len(chunk)
                light.append(part)
                yield chunk

        in_memory = isinstance(jets, ak.Array) or folder is None
        inputs = self._architecture.inputs(noted(), None if in_memory else folder)
        return inputs, ak.concatenate(light) if len(light) > 1 else light[0]

    def _dataset(self, inputs: Ragged | Tensor, light: ak.Array, fitted: bool = False) -> Dataset:
        label = labels_of(light, len(self.classes))
        weight = self._weights(light, label)
        target = self._target(light, label, fitted)
        return Dataset(
            inputs, target, torch.from_numpy((weight / weight.mean()).astype(np.float32))
        )

    def _weights(self, light: ak.Array, label: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the weights that events have in the loss, on any scale, (N,)."""
        weight = self._shaped(light, label)
        if self.balance:
            weight = class_weights(label, weight)
        for k, name in enumerate(self.classes):
            if (label == k).any() and weight[label == k].sum() <= 0:
                raise InputError(
                    f"the weights of class '{name}' sum to {weight[label == k].sum():.3g};"
                    " a tagger needs a positive sum for each class."
                )
        return weight

    def _shaped(self, light: ak.Array, label: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the jets' weights, with the spectra that are asked for, (N,)."""
        weight = weights_of(light)
        if self.spectrum is not None:
            reference: Literal["flat"] | int = "flat"
            if self.spectrum != "flat":
                if self.spectrum not in self.classes:
                    raise InputError(
                        f"--spectrum {self.spectrum}: give flat or one of {list(self.classes)}."
                    )
                reference = list(self.classes).index(self.spectrum)
            weight = spectrum_weights(light, reference=reference)
        return weight

    @property
    def _beside(self) -> Sequence[str]:
        """Per-jet columns that the target has beside the class."""
        return self.regress

    def _target(self, light: ak.Array, label: NDArray[np.int64], fitted: bool) -> Tensor:
        """Return the class (N,), or class and standardised columns (N, 1 + T) float32."""
        target = torch.tensor(label)
        if self.regress:
            for name in self.regress:
                if name not in light.fields:
                    raise InputError(f"--regress {name}: the jets have no such column.")
            stacked = np.stack([ak.to_numpy(light[name]) for name in self.regress], 1)
            quantities = torch.from_numpy(stacked.astype(np.float32))
            if not fitted:
                self.target_mean_ = quantities.mean(0)
                self.target_scale_ = quantities.std(0).clamp(min=1e-6)
            standard = (quantities - self.target_mean_) / self.target_scale_
            target = torch.cat([target[:, None].float(), standard], 1)
        return target

    def _train(self, model: Model, data: Dataset, held: Dataset, **where: Any) -> list[Epoch]:
        """Train `model` in place and return its history; `where` are further keywords of `fit`."""
        objective = self._objective()
        return fit(
            model,
            objective,
            data,
            held,
            self.training,
            seed=self.seed_,
            title=self.network,
            **where,
        )

    def _objective(self) -> Objective:
        return ClassAndRegression(len(self.classes)) if self.regress else cross_entropy

    def _build(self) -> Model:
        return self._architecture.build(len(self.classes) + len(self.regress))

    def _grow(self, train: Dataset, held: Dataset, seed: int) -> None:
        """Fit boosted trees, which no gradient trains."""
        assert isinstance(train.inputs, Tensor)
        if self.regress:
            raise InputError(f"--regress: {self.network} has no trunk to share; use a network.")
        begin = time.perf_counter()
        trees = BoostedTrees.fit(
            train.inputs, train.target, train.weight, seed=seed, **(self.options or {})
        )
        seconds = time.perf_counter() - begin
        self.model_ = Model(nn.Identity(), trees)
        losses = [
            float(cross_entropy(predict(self.model_, data), data.target, data.weight))
            for data in (train, held)
        ]
        self.history_ = [Epoch(0, losses[0], losses[1], seconds, best=True)]

    def _outputs(self, jets: ak.Array) -> Tensor:
        if not hasattr(self, "model_"):
            raise InputError("the tagger is not fitted; call fit or load a fitted one.")
        inputs = self.inputs(jets)
        n = len(jets)
        return predict(self.model_, Dataset(inputs, torch.zeros(n), torch.ones(n)))

    # What follows saves and restores.

    def _tensors(self) -> dict[str, Tensor]:
        return dict(self.model_.state_dict())

    def _state(self) -> dict[str, Any]:
        state = {
            "columns": list(self.columns_),
            "seed": self.seed_,
            "events": self.events_,
            "history": [asdict(epoch) for epoch in self.history_],
        }
        if isinstance(self.model_.network, BoostedTrees):
            state["trees"] = self.model_.network.options
        if self.regress:
            state["target_mean"] = self.target_mean_.tolist()
            state["target_scale"] = self.target_scale_.tolist()
        return state

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self.columns_ = tuple(state["columns"])
        self.seed_ = state["seed"]
        self.events_ = state["events"]
        self.history_ = [Epoch(**epoch) for epoch in state["history"]]
        if self.regress:
            self.target_mean_ = torch.tensor(state["target_mean"])
            self.target_scale_ = torch.tensor(state["target_scale"])
        if "trees" in state:
            self.model_ = Model(nn.Identity(), BoostedTrees(**state["trees"]))
        else:
            self.model_ = self._build()
        self.model_.load_state_dict(tensors)
        self.model_.eval()
