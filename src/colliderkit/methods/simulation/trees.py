"""Boosted trees that tell samples of showers apart, a stronger test than the published network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from colliderkit.files import release
from colliderkit.methods.simulation.classifiers import nothing
from colliderkit.methods.simulation.samples import DescribedShowers
from colliderkit.metrics.roc import auc
from colliderkit.metrics.value import Value
from colliderkit.seeds import derive

__all__ = ["SEEN", "tree_areas"]

SEEN = ("E/E_inc", "log10 E")
CELLS = 20_000_000  # numbers of a training table: minutes on one core

Rows = NDArray[np.int64]


def tree_areas(
    samples: Sequence[DescribedShowers],
    rows: Sequence[Sequence[Rows]],
    threshold: float,
    seed: int,
) -> dict[str, tuple[Value, Value]]:
    """Return the AUC of boosted trees on validation and test showers of two samples, by inputs.

    They see log10 E_inc and the voxels, cut at the threshold [MeV]: over E_inc, or log10 of their
    energies. Trees need no scales, so that faint hits count as bright ones do; but a sum of
    voxels, or an energy by which all are divided, takes them many cuts. `rows` are those of
    `splits`: the validation showers choose the number of trees. No more of each sample grow them
    than keep a table within 20 million numbers.
    """
    columns = samples[0].showers.voxels.shape[1] + 1
    most = max(100, CELLS // (2 * columns))
    areas = {}
    for name in SEEN:
        tables = [
            _table(samples, [np.sort(r[part])[:most] for r in rows], threshold, name)
            for part in range(3)
        ]
        trees = HistGradientBoostingClassifier(
            max_iter=200, learning_rate=0.1, max_leaf_nodes=31, early_stopping=True,
            random_state=derive(seed, "trees", name) % 2**32,
        )  # fmt: skip
        trees.fit(*tables[0], X_val=tables[1][0], y_val=tables[1][1])
        validation, test = (auc(trees.decision_function(x), y) for x, y in tables[1:])
        areas[name] = validation, test
    return areas


def _table(
    samples: Sequence[DescribedShowers], rows: Sequence[Rows], threshold: float, seen: str
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return log10 E_inc and voxels as `seen` (N, 1 + V) float32, and the sample's number (N,)."""
    parts = []
    for sample, some in zip(samples, rows, strict=True):
        voxels = np.asarray(sample.showers.voxels[some], dtype=np.float32)
        incident = sample.showers.incident[some].astype(np.float32)[:, None]
        hits = np.where(voxels < threshold, np.float32(0), voxels)
        if seen == "log10 E":
            hits = np.log10(np.maximum(hits, np.float32(nothing(threshold))))
        else:
            hits /= incident
        parts.append(np.hstack([np.log10(incident), hits]))
        release(sample.showers.voxels)
    label = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    return np.concatenate(parts), label
