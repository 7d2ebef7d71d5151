"""Comparison of taggers: several, each trained with several seeds, scored on the same jets."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.events.tables import Floats
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.training.settings import Training

__all__ = ["TEST_SEED", "TRAIN_SEED", "Compared", "Entry", "Plan", "compare"]

TRAIN_SEED, TEST_SEED = 1, 2  # of the jets that are generated


@dataclass(frozen=True)
class Entry:
    """Name a tagger, its arguments and the published values by quantity: (value, error)."""

    name: str
    tagger: Mapping[str, Any]
    published: Mapping[str, tuple[float, float | None]] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True)
class Plan:
    """Choose how much is compared.

    - `train`, `test`: jets of each class;
    - `seeds`: trainings of each tagger;
    - `entries`: the names of the taggers;
    - `training`: settings in place of the tagger's own, by its name.
    """

    train: int
    test: int
    seeds: int
    entries: Sequence[str]
    training: Mapping[str, Training] = field(default_factory=dict)


@dataclass(frozen=True)
class Compared:
    """Trainings of one entry and their probabilities (seeds, N, K) on the test jets.

    `seconds` is what it takes to score the N jets.
    """

    entry: Entry
    taggers: Sequence[Tagger]
    probabilities: Floats
    seconds: float

    @property
    def parameters(self) -> int:
        """The number of trained parameters."""
        return sum(p.numel() for p in self.taggers[0].model_.parameters())

    @property
    def throughput(self) -> float:
        """Jets trained a second, in the epochs alone, with the first seed."""
        tagger = self.taggers[0]
        epochs = tagger.history_["network"]
        seconds = sum(epoch.seconds for epoch in epochs)
        return tagger.events_["training"] * len(epochs) / seconds if seconds else float("nan")


def compare(
    entries: Sequence[Entry],
    plan: Plan,
    train: ak.Array,
    test: ak.Array,
    *,
    classes: Sequence[str],
    seeds: Sequence[int],
    fit: Callable[..., Tagger],
) -> list[Compared]:
    """Train the entries of a plan with each of `seeds`, and score the test jets.

    `fit(name, tagger, jets, seed=seed)` returns the fitted tagger: `studies.run.Run.fitted`, which
    keeps what it has fitted, or a function that calls `Tagger.fit`.
    """
    compared = []
    for entry in entries:
        if entry.name not in plan.entries:
            continue
        arguments = {**entry.tagger, "classes": tuple(classes)}
        if entry.name in plan.training:
            arguments["training"] = plan.training[entry.name]
        taggers = [
            fit(f"{entry.name}, seed {seed}", Tagger(**arguments), train, seed=seed)
            for seed in seeds
        ]
        begin = time.perf_counter()
        probabilities = np.stack([tagger.predict_proba(test) for tagger in taggers])
        seconds = (time.perf_counter() - begin) / len(taggers)
        compared.append(Compared(entry, taggers, probabilities, seconds))
    return compared
