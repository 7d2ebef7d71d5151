"""Ensembles of taggers over seeds, and cross-fitting: folds for out-of-sample scores."""

from pathlib import Path
from typing import Any, ClassVar, Literal

import awkward as ak
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from colliderkit.errors import InputError
from colliderkit.events.schema import hash_uniform
from colliderkit.events.tables import as_weight
from colliderkit.methods.tagging.classifier import Classifier, Jets
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.seeds import derive
from colliderkit.training.settings import Epoch

__all__ = ["CrossFit", "Ensemble"]


class _Several(Classifier):
    """Fit one classifier several times, each member in a folder of its own."""

    kind: ClassVar[str]
    method: Classifier
    members_: list[Classifier]

    @property
    def tagger(self) -> Tagger:
        return self.method.tagger

    @property
    def history_(self) -> dict[str, list[Epoch]]:  # type: ignore[override]
        """The epochs of each member."""
        return {
            f"{self.kind} {i}" + ("" if key == "network" else f" {key}"): epochs
            for i, member in enumerate(self.members_)
            for key, epochs in member.history_.items()
        }

    def _member(self, number: int, *data: Any, folder: Path, **options: Any) -> Any:
        """Return member `number`, fitted with a seed and in a folder of its own."""
        options |= {"folder": folder / f"{self.kind}-{number}"}
        seed = derive(self.seed_, self.kind, number)
        return clone(self.method).fit(*data, seed=seed, **options)


class Ensemble(_Several):
    """Fit `method` with `members` seeds and combine their probabilities.

    Args:
        method: an unfitted classifier, such as a `Tagger`.
        members: how many.
        combine: "mean", or "median" (then normalised to sum to 1).

    Member i has the seed ``derive(seed, "member", i)``. After `fit`: `members_` and `history_`,
    the epochs of "member 0", "member 1", ...
    """

    name: ClassVar[str] = "ensemble"
    kind = "member"

    def __init__(
        self, method: Classifier, *, members: int = 5, combine: Literal["mean", "median"] = "mean"
    ) -> None:
        self.method = method
        self.members = members
        self.combine = combine

    def _check(self) -> None:
        if self.members < 1:
            raise InputError(f"members is {self.members}; it must be at least 1.")

    def _fit(
        self, jets: Jets, validation: ak.Array | None, weight: ArrayLike | None, **where: Any
    ) -> None:
        whole = _whole(jets)
        self.members_ = [
            self._member(i, whole, validation, weight=weight, **where) for i in range(self.members)
        ]

    def member_probabilities(self, jets: ak.Array) -> NDArray[np.float64]:
        """Return each member's probabilities, (members, N, K)."""
        return np.stack([member.predict_proba(jets) for member in self.members_])

    def predict_proba(self, jets: ak.Array) -> NDArray[np.float64]:
        """Return the combined probability of each class, (N, K)."""
        each = self.member_probabilities(jets)
        if self.combine == "mean":
            return each.mean(0)
        median = np.median(each, axis=0)
        return median / median.sum(1, keepdims=True)


class CrossFit(_Several):
    """Fit `method` once per fold on the events outside it, and score each event out of sample.

    The fold of an event is a hash of its number and the seed: `predict_proba` finds for each
    event of the training sample the one member that has not seen it, and is as unbiased on
    events that none has seen.

    Args:
        method: an unfitted classifier, such as a `Tagger`.
        folds: how many.

    After `fit`: `members_` and `history_`, the epochs of "fold 0", "fold 1", ...
    """

    name: ClassVar[str] = "cross-fit"
    kind = "fold"

    def __init__(self, method: Classifier, *, folds: int = 5) -> None:
        self.method = method
        self.folds = folds

    def fold(self, jets: ak.Array, seed: int) -> NDArray[np.int64]:
        """Return the fold of each event, (N,), 0 to folds - 1."""
        if "event" not in jets.fields:
            raise InputError("folds need the column 'event', the same for a jet at fit and apply.")
        # Another key than that of the split into training and validation inside a member.
        uniform = hash_uniform(np.asarray(ak.to_numpy(jets["event"])), derive(seed, "folds"))
        return (uniform * self.folds).astype(np.int64)

    def _check(self) -> None:
        if self.folds < 2:
            raise InputError(f"folds is {self.folds}; it must be at least 2.")

    def _fit(
        self, jets: Jets, validation: ak.Array | None, weight: ArrayLike | None, **where: Any
    ) -> None:
        whole = _whole(jets)
        fold = self.fold(whole, self.seed_)
        factor = as_weight(weight, len(whole))
        self.members_ = [
            self._member(k, whole[fold != k], validation, weight=factor[fold != k], **where)
            for k in range(self.folds)
        ]

    def predict_proba(self, jets: ak.Array) -> NDArray[np.float64]:
        """Return each event's probabilities by the member that has not seen it, (N, K)."""
        fold = self.fold(jets, self.seed_)
        scores = np.zeros((len(jets), len(self.tagger.classes)))
        for k, member in enumerate(self.members_):
            if (fold == k).any():
                scores[fold == k] = member.predict_proba(jets[fold == k])
        return scores


def _whole(jets: Jets) -> ak.Array:
    """Return all jets: they are needed several times."""
    return jets if isinstance(jets, ak.Array) else ak.concatenate(list(jets))
