"""Learning from label proportions: train on mixed samples whose fractions of signal are known."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import awkward as ak
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.losses.proportions import MixtureLikelihood, Proportions
from colliderkit.methods.search.mixtures.mixed_samples import MixedSamples, check_fractions
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Objective

__all__ = ["LabelProportions"]

BATCH = 8  # events of each sample, on average


class LabelProportions(MixedSamples):
    """Learn to tell two classes apart from mixed samples of known fractions, and no labels.

    The `label` of a jet is the number of its sample, in the order of `fractions`. Three losses
    match the mean output of each sample in a batch to its fraction (1702.00414, 1801.10158); the
    likelihood needs no batch:

        absolute     sum_a |f_a - <h>_a|
        WMSE         sum_a (f_a - <h>_a)^2
        WCE          sum_a CE(f_a, <h>_a)
        likelihood   -ln sum_k P(sample | class k) h_k(x), event by event (1609.03683)

    Of n events a sample such a sum has Var(h) / n beside the mean. It is this part that has one
    minimum, at a monotonic function of the likelihood ratio: wrong fractions move that function and
    not the order of the events. Its gradient falls as 1 / n, the noise of a batch's mean as
    1 / sqrt(n): of as many events, signal over noise falls as 1 / n. And where n is large h becomes
    a step, without an order on either side. So batches are small: where the training names no size,
    `BATCH` events a sample.

    Args:
        method: an unfitted `Tagger`, with any network but trees; its two `classes` are those of
            the mixture, the second the signal.
        fractions: of signal, by the name of the sample: two or more, not all equal.
        loss: what is minimised.
        start: a tagger fitted to simulation, of the same network and inputs, whose weights the
            training begins from.

    After `fit`: `tagger_`, fitted, and `history_`. `predict_proba` gives h; it is p(signal | x)
    among the events of the training where the loss is the likelihood, and no probability else.
    """

    name: ClassVar[str] = "label-proportions"

    fractions: Mapping[str, float]

    def __init__(
        self,
        method: Tagger,
        *,
        fractions: Mapping[str, float],
        loss: Literal["absolute", "WMSE", "WCE", "likelihood"] = "WMSE",
        start: Tagger | None = None,
    ) -> None:
        self.method = method
        self.fractions = fractions
        self.loss = loss
        self.start = start

    @property
    def names(self) -> Sequence[str]:
        return list(self.fractions)

    def predict_proba(self, jets: ak.Array) -> NDArray[np.float64]:
        """Return 1 - h and h of each jet, (N, 2)."""
        return self.tagger_.predict_proba(jets)

    def _check(self) -> None:
        super()._check()
        check_fractions(self.fractions)
        if self.method.objective is not None:
            raise InputError(
                "objective and label proportions are both losses; decorrelate the score afterwards"
                " (fit decorrelation)."
            )

    def _trained(
        self, jets: ak.Array, validation: ak.Array | None, weight: ArrayLike | None, **where: Any
    ) -> Tagger:
        training = self.method.training
        if self.loss != "likelihood" and training.batch_size is None:
            training = replace(training, batch_size=BATCH * len(self.fractions))
        return self._fit_tagger(
            self.method.classes, self._objective, jets, validation, weight, training, **where
        )

    def _objective(self, train: Dataset) -> Objective:
        fractions = list(self.fractions.values())
        if self.loss != "likelihood":
            return Proportions(fractions, self.loss)
        sums = torch.zeros(len(fractions), dtype=torch.float64)
        sums.index_add_(0, train.target, train.weight.double())
        return MixtureLikelihood(fractions, (sums / sums.sum()).tolist())
