"""Many fits of one method: ensembles over seeds, and folds for out-of-sample scores."""

from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.schema import hash_uniform
from colliderkit.methods.method import Method

__all__ = ["CrossFit", "Ensemble"]


class _Several(Method):
    """Save and restore a list of fitted methods in one folder."""

    method: Any
    members_: list[Any]

    def _tensors(self) -> dict[str, Tensor]:
        return {
            f"{i}.{name}": value
            for i, member in enumerate(self.members_)
            for name, value in member._tensors().items()
        }

    def _parameters(self) -> dict[str, Any]:
        parameters = self.get_params(deep=False)
        inner = {"name": self.method.name, "parameters": self.method._parameters()}
        return {**parameters, "method": inner}

    @classmethod
    def _from_parameters(cls, parameters: dict[str, Any]) -> Self:
        from colliderkit.methods import METHODS

        inner = parameters["method"]
        module, attribute = METHODS[inner["name"]].split(":")
        method = getattr(import_module(module), attribute)._from_parameters(inner["parameters"])
        return cls(**{**parameters, "method": method})

    def _state(self) -> dict[str, Any]:
        return {"members": [member._state() for member in self.members_], "seed": self.seed_}

    def _restore(self, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        self.seed_ = state["seed"]
        self.members_ = []
        for i, member_state in enumerate(state["members"]):
            prefix = f"{i}."
            member = clone(self.method)
            own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            member._restore(own, member_state)
            self.members_.append(member)


class Ensemble(_Several):
    """Fit `method` with `members` seeds and combine their probabilities.

    Args:
        method: an unfitted classifier of the package, such as a `Tagger`.
        members: how many.
        combine: "mean", or "median" (then normalised to sum to 1).
    """

    name: ClassVar[str] = "ensemble"

    def __init__(
        self, method: Any, *, members: int = 5, combine: Literal["mean", "median"] = "mean"
    ) -> None:
        self.method = method
        self.members = members
        self.combine = combine

    def fit(
        self,
        jets: ak.Array,
        *args: Any,
        seed: int = 0,
        folder: str | Path | None = None,
        **options: Any,
    ) -> Self:
        """Fit member i with seed ``seed + i``; the rest is passed to each member's ``fit``."""
        if self.members < 1:
            raise InputError(f"--members is {self.members}; it must be at least 1.")
        self.seed_ = seed
        self.members_ = [
            clone(self.method).fit(
                jets, *args, seed=seed + i, folder=_subfolder(folder, "member", i), **options
            )
            for i in range(self.members)
        ]
        return self

    def member_probabilities(self, jets: ak.Array) -> NDArray[np.float64]:
        """Return each member's probabilities, (members, N, K)."""
        return np.stack([member.predict_proba(jets) for member in self.members_])

    def predict_proba(self, jets: ak.Array) -> NDArray[np.float64]:
        """Return the combined probability of each class, (N, K)."""
        each = self.member_probabilities(jets)
        if self.combine == "mean":
            return each.mean(0)
        middle = np.median(each, axis=0)
        return middle / middle.sum(1, keepdims=True)


class CrossFit(_Several):
    """Fit `method` once per fold on the events outside it, and score each event out of sample.

    The fold of an event is a hash of its number and the seed: `predict_proba` finds for each
    event of the training sample the one member that has not seen it, and is as unbiased on
    events that none has seen.
    """

    name: ClassVar[str] = "cross-fit"

    def __init__(self, method: Any, *, folds: int = 5) -> None:
        self.method = method
        self.folds = folds

    def fold(self, jets: ak.Array, seed: int) -> NDArray[np.int64]:
        """Return the fold of each event, (N,), 0 to folds - 1."""
        if "event" not in jets.fields:
            raise InputError("folds need the column 'event', the same for a jet at fit and apply.")
        # Another key than that of the split into training and validation inside a member.
        uniform = hash_uniform(np.asarray(ak.to_numpy(jets["event"])), seed + 7919)
        return (uniform * self.folds).astype(np.int64)

    def fit(
        self, jets: ak.Array, *, seed: int = 0, folder: str | Path | None = None, **options: Any
    ) -> Self:
        """Fit member k on all events outside fold k."""
        if self.folds < 2:
            raise InputError(f"--folds is {self.folds}; it must be at least 2.")
        self.seed_ = seed
        fold = self.fold(jets, seed)
        self.members_ = [
            clone(self.method).fit(
                jets[fold != k], seed=seed + k, folder=_subfolder(folder, "fold", k), **options
            )
            for k in range(self.folds)
        ]
        return self

    def predict_proba(self, jets: ak.Array) -> NDArray[np.float64]:
        """Return each event's probabilities by the member that has not seen it, (N, K)."""
        fold = self.fold(jets, self.seed_)
        first = self.members_[0]
        scores = np.zeros((len(jets), len(first.classes)))
        for k, member in enumerate(self.members_):
            if (fold == k).any():
                scores[fold == k] = member.predict_proba(jets[fold == k])
        return scores


def _subfolder(folder: str | Path | None, kind: str, number: int) -> Path | None:
    return None if folder is None else Path(folder) / f"{kind}-{number}"
