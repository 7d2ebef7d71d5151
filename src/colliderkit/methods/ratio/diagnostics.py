"""Diagnostics of a likelihood ratio: closure, classifier test, effective sample size, gaps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from colliderkit.metrics.closure import Agreement, Gap, agreement, effective_size
from colliderkit.metrics.roc import auc
from colliderkit.metrics.value import Value
from colliderkit.networks.boosted_trees import BoostedTrees
from colliderkit.seeds import derive

__all__ = ["Diagnostics", "classifier_test", "diagnose"]

Floats = NDArray[np.float64]
TESTED = 40_000  # events of the classifier test
FEWEST = 100  # events of each sample, below which the trees are not asked
TREES: dict[str, Any] = {"max_iter": 50, "max_leaf_nodes": 16, "early_stopping": False}


@dataclass(frozen=True)
class Diagnostics:
    """Closure of a ratio on events that it was not trained on.

    - `agreement`: the reweighted denominator against the numerator, by column (of jets: those of
      `jet_summary`);
    - `auc`: of boosted trees, on the same columns, between the numerator and the reweighted
      denominator: 0.5 where nothing is left to find; None where weights are negative or one of
      the samples holds fewer than `FEWEST` events;
    - `effective_size`: of the reweighted denominator, and `events`, how many it has;
    - `largest`: the largest weight over the mean weight;
    - `gaps`: regions of the numerator that the denominator does not reach.
    """

    agreement: dict[str, Agreement]
    auc: Value | None
    effective_size: float
    events: int
    largest: float
    gaps: list[Gap]

    @property
    def degrees(self) -> int:
        """The degrees of freedom of all columns together."""
        return sum(agreement.ndf for agreement in self.agreement.values())

    @property
    def chi2_per_bin(self) -> float:
        """chi^2 over the degrees of freedom, summed over the columns."""
        return sum(agreement.chi2 for agreement in self.agreement.values()) / self.degrees


def diagnose(
    numerator: Floats,
    denominator: Floats,
    numerator_weight: Floats,
    moved: Floats,
    names: Sequence[str],
    missing: Sequence[Gap],
    seed: int,
) -> Diagnostics:
    """Compare tables (N, C) and (M, C), the denominator with the weights `moved` (M,)."""
    signed = bool((numerator_weight < 0).any() or (moved < 0).any())
    few = min(len(numerator), len(denominator)) < FEWEST
    return Diagnostics(
        {
            name: agreement(
                denominator[:, i],
                numerator[:, i],
                source_weight=moved,
                target_weight=numerator_weight,
            )
            for i, name in enumerate(names)
        },
        None
        if signed or few
        else classifier_test(numerator, denominator, numerator_weight, moved, seed),
        effective_size(moved),
        len(denominator),
        float(moved.max() / moved.mean()),
        list(missing),
    )


def classifier_test(
    numerator: Floats,
    denominator: Floats,
    numerator_weight: Floats,
    denominator_weight: Floats,
    seed: int = 0,
) -> Value:
    """Return the AUC of boosted trees between two weighted tables, (N, C) and (M, C).

    Half of the events, at most `TESTED`, grow the trees, the others are tested. 0.5 within the
    error says that the trees find no difference; weights must not be negative.
    """
    random = np.random.default_rng(derive(seed, "classifier test"))
    parts = []
    for label, table, weight in (
        (1, numerator, numerator_weight),
        (0, denominator, denominator_weight),
    ):
        rows = random.permutation(len(table))[: TESTED // 2]
        parts.append((table[rows], np.full(len(rows), label), weight[rows] / weight.mean()))
    x, y, w = (np.concatenate(column) for column in zip(*parts, strict=True))
    x = x - x.mean(0)  # before the trees cut it to float32
    grown = random.random(len(x)) < 0.5
    trees = BoostedTrees.fit(x[grown], y[grown], w[grown], seed=seed, **TREES)
    scores = trees(torch.from_numpy(x[~grown].astype(np.float32)))[:, 1].numpy()
    return auc(scores, y[~grown], w[~grown])
