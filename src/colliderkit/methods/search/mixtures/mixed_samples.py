"""What methods that train on mixed samples share: samples for labels, and a simulated start."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.schema import labels_of
from colliderkit.methods.state import attributes
from colliderkit.methods.tagging.classifier import Classifier, Jets
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.networks.model import Model
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Objective, Training

__all__ = ["MixedSamples", "check_fractions"]


def check_fractions(fractions: Mapping[str, float]) -> None:
    """Raise `InputError` unless there are two samples at least, of different fractions."""
    if len(fractions) < 2:
        raise InputError(
            f"fractions names {len(fractions)} sample; two mixed samples are needed at least."
        )
    if len(set(fractions.values())) == 1:
        raise InputError(
            f"the fractions of {', '.join(fractions)} are all {next(iter(fractions.values())):g};"
            " samples of equal fractions say nothing of the classes, take others."
        )


class MixedSamples(Classifier):
    """Train a tagger on mixed samples: the `label` of a jet is the number of its sample.

    A subclass has the arguments below, and gives `names` and `_trained`.
    After `fit`: `tagger_`, the fitted tagger, and `history_`, its epochs.
    """

    method: Tagger
    fractions: Mapping[str, float] | None
    start: Tagger | None

    tagger_: Tagger

    @property
    def tagger(self) -> Tagger:
        return self.method

    @property
    @abstractmethod
    def names(self) -> Sequence[str]:
        """The names of the mixed samples, in the order of the label."""

    def _check(self) -> None:
        if self.method.regress:
            raise InputError("regress: mixed samples teach a class alone; leave regress out.")
        if len(self.method.classes) != 2:
            raise InputError(
                f"classes names {len(self.method.classes)}; mixed samples teach two, background"
                " and signal."
            )
        if len(self.names) < 2:
            raise InputError(
                f"there is {len(self.names)} mixed sample; two are needed at least, of different"
                " fractions."
            )

    def _fit(
        self, jets: Jets, validation: ak.Array | None, weight: ArrayLike | None, **where: Any
    ) -> None:
        chunks = jets if isinstance(jets, ak.Array) else ak.concatenate(list(jets))
        self._check_samples(labels_of(chunks, len(self.names)))
        self.tagger_ = self._trained(chunks, validation, weight, **where)
        self.history_ = self.tagger_.history_

    def _check_samples(self, label: NDArray[np.int64]) -> None:
        """Raise `InputError` for a sample without events."""
        counts = np.bincount(label, minlength=len(self.names))
        for name, count in zip(self.names, counts, strict=True):
            if count == 0:
                raise InputError(f"the sample '{name}' has no events; check its selection.")

    @abstractmethod
    def _trained(
        self, jets: ak.Array, validation: ak.Array | None, weight: ArrayLike | None, **where: Any
    ) -> Tagger:
        """Return the fitted tagger."""

    def _fit_tagger(
        self,
        classes: Sequence[str],
        objective: Callable[[Dataset], Objective] | None,
        jets: ak.Array,
        validation: ak.Array | None,
        weight: ArrayLike | None,
        training: Training | None = None,
        *,
        folder: Path,
        **where: Any,
    ) -> Tagger:
        """Fit the network to tell `classes`; `objective` makes the loss of the training events.

        `training` takes the place of the tagger's, if it is given.
        """
        arguments = self.method.get_params(deep=False) | {"classes": list(classes)}
        arguments |= {} if training is None else {"training": training}
        learner = _OnSamples(**arguments)
        learner.samples, learner.objective_of, learner.start = self.names, objective, self.start
        learner.fit(
            jets, validation, weight=weight, seed=self.seed_, folder=folder / "tagger", **where
        )
        fitted = Tagger(**arguments)
        for name in attributes(Tagger):
            if name in vars(learner):
                setattr(fitted, name, getattr(learner, name))
        return fitted


class _OnSamples(Tagger):
    """Tagger whose labels are numbers of samples, with a loss and weights to begin from."""

    samples: Sequence[str]
    objective_of: Callable[[Dataset], Objective] | None
    start: Tagger | None

    @property
    def _labelled(self) -> Sequence[str]:
        return self.samples

    def _loss(self, train: Dataset) -> Objective:
        return super()._loss(train) if self.objective_of is None else self.objective_of(train)

    def _begun(self, train: Dataset, held_out: Dataset) -> tuple[Model, Dataset, Dataset]:
        if self.objective_of is not None:
            # Files come sample by sample, and a loss of a batch needs all of them in it.
            random = torch.Generator().manual_seed(derive(self.seed_, "validation order"))
            held_out = held_out.at(torch.randperm(len(held_out), generator=random))
        begun = super()._begun(train, held_out)
        if self.start is not None:
            # In place: what is trained shares the weights. A last layer of another size is fresh.
            own, given = self.model_.state_dict(), self.start.model_.state_dict()
            fits = {n: w for n, w in given.items() if n in own and own[n].shape == w.shape}
            self.model_.load_state_dict(own | fits)
        return begun

    def _check(self) -> None:
        super()._check()
        if self._takes_trees and (self.objective_of is not None or self.start is not None):
            which = "label proportions" if self.start is None else "a start"
            raise InputError(
                f"no gradient trains {self.network}, as {which} needs; take a network, or learn"
                " without labels and without start."
            )
        if self.start is None:
            return
        for name in ("network", "options", "representation", "represent"):
            one, other = getattr(self, name), getattr(self.start, name)
            if one != other:
                raise InputError(f"start has the {name} {other} and this fit {one}; give the same.")
        if self.start.columns_ != self._architecture.columns:
            raise InputError(
                f"start takes {', '.join(self.start.columns_)}, and this fit"
                f" {', '.join(self._architecture.columns)}; give the same."
            )
