"""Classifiers of two samples in a search: boosted trees or perceptrons, several, averaged.

The two samples are nearly alike, and what is to be learned is far below the noise of one training:
so several are averaged, each with another split into training and validation or another start
(2309.13111), and of perceptrons the epochs of least validation loss (2109.00546).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.events.scaling import Standardise
from colliderkit.events.tables import Floats
from colliderkit.losses.ratio import ratio_loss
from colliderkit.networks.boosted_trees import BoostedTrees
from colliderkit.networks.stack import Stack
from colliderkit.ranges import check
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Training
from colliderkit.training.stacks import fit_stack

__all__ = ["CLASSIFIERS", "Classifiers", "Judge", "Network", "Trees", "TwoSamples", "classifier"]

PIECE = 1 << 14  # events evaluated at a time
QUANTILES = 255  # between which trees split
HELD = 0.5  # of the events choose the number of trees, or the epochs


@dataclass(frozen=True)
class Trees:
    """Settings of boosted trees: `rounds` at most, stopped early, of so many `leaves`."""

    rounds: int = 200
    leaves: int = 31
    learning_rate: float = 0.1


@dataclass(frozen=True)
class Network:
    """Settings of perceptrons.

    `hidden` are the widths of their layers, `best_epochs` those of least validation loss whose
    answers are averaged; the rest as of `Training`.
    """

    hidden: Sequence[int] = (64, 64, 64)
    best_epochs: int = 10
    epochs: int = 50
    batch_size: int = 1024
    learning_rate: float = 2e-3
    patience: int = 12


CLASSIFIERS: dict[str, type[Trees | Network]] = {"trees": Trees, "network": Network}


def classifier(name: str, options: Mapping[str, Any] | None) -> Trees | Network:
    """Return the settings of a kind of classifier; raise `InputError` for others or unknown ones.

    >>> classifier("trees", {"leaves": 7})
    Trees(rounds=200, leaves=7, learning_rate=0.1)
    """
    if name not in CLASSIFIERS:
        raise InputError(f"classifier '{name}' is none of {', '.join(CLASSIFIERS)}.")
    kind, given = CLASSIFIERS[name], dict(options or {})
    known = kind.__dataclass_fields__
    for option in given:
        if option not in known:
            raise InputError(
                f"options: '{option}' is none of the classifier '{name}'; it has"
                f" {', '.join(known)}."
            )
    check(given, owner=kind.__name__, prefix="options.")
    return kind(**given)


@dataclass(frozen=True)
class TwoSamples:
    """Events x (N, F) of two samples: `target` (N,), 1 or 0, and `weight` (N,), alike in sum."""

    x: Floats
    target: NDArray[np.int64]
    weight: Floats

    @classmethod
    def of(cls, first: Floats, second: Floats, weights: tuple[Floats, Floats]) -> "TwoSamples":
        """Join events that are to be found (target 1) and those they are told from (target 0)."""
        count = len(first) + len(second)
        return cls(
            np.concatenate([first, second]),
            np.repeat([1, 0], [len(first), len(second)]),
            np.concatenate([w / w.sum() * count / 2 for w in weights]),
        )

    def __len__(self) -> int:
        return len(self.target)

    def at(self, rows: Any) -> "TwoSamples":
        """Return some of the events."""
        return TwoSamples(self.x[rows], self.target[rows], self.weight[rows])


class Judge(nn.Module):
    """Score of events: `judge(features (N, F), mass (N,)) -> (N,)` float64, of arrays.

    `options` are JSON values that make a module of the same shape, ready for the weights.
    """

    @property
    def options(self) -> Any:
        raise NotImplementedError

    def forward(self, features: Floats, mass: Floats) -> Floats:
        raise NotImplementedError


class Classifiers(Judge):
    """Mean probability of target 1 of M classifiers, whatever the mass.

    The constructor takes the `options` of a fitted one and makes room for its weights.
    """

    def __init__(self, options: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(_part(one) for one in options)
        self.eval()

    @property
    def options(self) -> list[dict[str, Any]]:
        return [part.options for part in self.parts]  # type: ignore[misc]

    @classmethod
    def of(cls, parts: Sequence[nn.Module]) -> "Classifiers":
        """Join parts of fitted classifiers into one."""
        joined = cls([])
        joined.parts.extend(parts)
        return joined.eval()

    @classmethod
    def fit(
        cls,
        settings: Trees | Network,
        train: TwoSamples,
        members: int,
        seed: int,
        *,
        held: TwoSamples | None = None,
    ) -> "Classifiers":
        """Train `members` on two samples; `held` events stop them, or a random half of the events.

        Where `held` is given, members of trees see Poisson-resampled events, if there are several.
        """
        if isinstance(settings, Network):
            if held is None:
                train, held = _halves(train, derive(seed, "half"))
            return cls.of([_Perceptrons.grown(settings, train, held, members, seed)])
        grown = []
        for m in range(members):
            one = derive(seed, "member", m)
            parts = _halves(train, one) if held is None else (train, held)
            if held is not None and members > 1:
                random = np.random.default_rng(derive(one, "resampled"))
                parts = parts[0].at(np.repeat(*_resampled(random, len(train)))), held
            grown.append(_Forest.grown(settings, *parts, one))
        return cls.of(grown)

    @torch.no_grad()
    def each(self, x: Floats) -> Floats:
        """Return the probability of each member, (M, N)."""
        pieces = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float64)).split(PIECE)
        parts = [[part(piece) for piece in pieces] for part in self.parts]
        return torch.cat([torch.cat(one, 1) for one in parts]).numpy()

    def forward(self, features: Floats, mass: Floats) -> Floats:
        probability: Floats = self.each(features).mean(0)
        return probability

    def only(self, member: int) -> nn.Module:
        """Return the part of one member."""
        for part in self.parts:
            count = part.members if isinstance(part, _Perceptrons) else 1
            if member < count:
                return part.only(member) if isinstance(part, _Perceptrons) else part
            member -= count
        raise IndexError(member)


class _Perceptrons(nn.Module):
    """M perceptrons on a standardised table; each is the mean of K epochs of one training."""

    def __init__(self, inputs: int, members: int, epochs: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.options = {
            "inputs": inputs,
            "members": members,
            "epochs": epochs,
            "hidden": list(hidden),
        }
        self.members, self.epochs = members, epochs
        self.scaling = Standardise(inputs)
        self.stack = Stack(members * epochs, inputs, hidden)

    @classmethod
    def grown(
        cls, settings: Network, train: TwoSamples, held: TwoSamples, members: int, seed: int
    ) -> "_Perceptrons":
        inputs = train.x.shape[1]
        trained = Stack(members, inputs, settings.hidden)
        scaling = Standardise(inputs).fit(torch.from_numpy(train.x))
        snapshots: list[list[Tensor]] = [_weights(trained)]
        parts = [
            Dataset(
                scaling(torch.from_numpy(part.x)),
                torch.from_numpy(part.target),
                torch.from_numpy(part.weight).float(),
            )
            for part in (train, held)
        ]
        history = fit_stack(
            trained,
            ratio_loss("bce").each,
            parts[0],
            parts[1],
            Training(
                epochs=settings.epochs,
                batch_size=settings.batch_size,
                learning_rate=settings.learning_rate,
                patience=settings.patience,
                schedule="constant",
            ),
            seeds=[derive(seed, "member", m) for m in range(members)],
            advance=lambda: snapshots.append(_weights(trained)),
        )
        snapshots = snapshots[1:]
        epochs = min(settings.best_epochs, len(snapshots))
        made = cls(inputs, members, epochs, settings.hidden)
        made.scaling.load_state_dict(scaling.state_dict())
        # Members one after the other, of each the epochs of least validation loss.
        for m, epochs_of in enumerate(history):
            losses = np.array([epoch.validation_loss for epoch in epochs_of])
            for place, best in enumerate(np.argsort(losses, kind="stable")[:epochs]):
                for to, weight in zip(made.stack.parameters(), snapshots[best], strict=True):
                    to.data[m * epochs + place] = weight[m]
        return made.eval()

    def only(self, member: int) -> "_Perceptrons":
        made = _Perceptrons(**{**self.options, "members": 1})  # type: ignore[arg-type]
        made.scaling.load_state_dict(self.scaling.state_dict())
        rows = slice(member * self.epochs, (member + 1) * self.epochs)
        for to, weight in zip(made.stack.parameters(), self.stack.parameters(), strict=True):
            to.data.copy_(weight.data[rows])
        return made.eval()

    def forward(self, x: Tensor) -> Tensor:
        answers = torch.sigmoid(self.stack(self.scaling(x)).double())
        return answers.unflatten(0, (self.members, self.epochs)).mean(1)


class _Forest(nn.Module):
    """Boosted trees on a table that is centred before it becomes float32."""

    def __init__(self, inputs: int, trees: Mapping[str, Any]) -> None:
        super().__init__()
        self.scaling = Standardise(inputs)
        self.trees = BoostedTrees(**trees)

    @property
    def options(self) -> dict[str, Any]:
        return {"inputs": len(self.scaling.mean), "trees": self.trees.options}

    @classmethod
    def grown(cls, settings: Trees, train: TwoSamples, held: TwoSamples, seed: int) -> "_Forest":
        inputs = train.x.shape[1]
        scaling = Standardise(inputs).fit(torch.from_numpy(train.x))
        trees = BoostedTrees.fit(
            scaling(torch.from_numpy(train.x)),
            train.target,
            train.weight,
            seed,
            validation=(scaling(torch.from_numpy(held.x)), held.target, held.weight),
            quantiles=QUANTILES,
            max_iter=settings.rounds,
            max_leaf_nodes=settings.leaves,
            learning_rate=settings.learning_rate,
            early_stopping=True,
        )
        made = cls(inputs, trees.options)
        made.scaling.load_state_dict(scaling.state_dict())
        made.trees = trees
        return made.eval()

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.trees(self.scaling(x).float())[:, 1].double())[None]


def _part(options: Mapping[str, Any]) -> nn.Module:
    return _Perceptrons(**options) if "hidden" in options else _Forest(**options)


def _halves(samples: TwoSamples, seed: int) -> tuple[TwoSamples, TwoSamples]:
    """Split events at random, a part to train on and one to stop by."""
    held = np.random.default_rng(seed).random(len(samples)) < HELD
    for part in (held, ~held):
        if len(np.unique(samples.target[part])) < 2:
            raise InputError(
                f"{len(samples)} events are too few to train on one half and validate with the"
                " other; give more events, or a wider signal region."
            )
    return samples.at(~held), samples.at(held)


def _resampled(
    random: np.random.Generator, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.arange(count), random.poisson(1.0, count)


def _weights(stack: Stack) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in stack.parameters()]
