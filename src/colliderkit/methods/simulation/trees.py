"""Boosted trees that tell samples of showers apart, a stronger test than the published network."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from colliderkit.files import release
from colliderkit.methods.simulation.samples import DescribedShowers
from colliderkit.metrics.roc import auc
from colliderkit.metrics.value import Value
from colliderkit.seeds import derive

__all__ = ["SEEN", "tree_areas"]

SEEN = ("E/E_inc", "log10 E")
CELLS = 20_000_000  # numbers of a training table: minutes on one core
FLOOR = 1e-6  # of the incident energy: where nothing is, a decade below any hit

Rows = NDArray[np.int64]


def tree_areas(
    samples: Sequence[DescribedShowers],
    rows: Sequence[Sequence[Rows]],
    threshold: float,
    seed: int,
) -> dict[str, Value]:
    """Return the AUC of boosted trees on the test showers of two samples, by what they see.

    They see log10 E_inc and the voxels, cut at the threshold [MeV], over E_inc or as logarithms:
    trees need no scales, so that faint hits count as bright ones do. `rows` are those of `splits`;
    training and validation showers train, scikit-learn holding out a tenth for the number of
    trees, and no more of each sample than keep a table within 20 million numbers.
    """
    columns = samples[0].showers.voxels.shape[1] + 1
    most = max(100, CELLS // (2 * columns))
    tables = [_shares(samples, [np.sort(np.concatenate(r[:2]))[:most] for r in rows], threshold)]
    tables.append(_shares(samples, [np.sort(r[2])[:most] for r in rows], threshold))
    areas = {}
    for name in SEEN:
        if name == "log10 E":
            for table, _ in tables:
                np.log10(np.maximum(table[:, 1:], FLOOR), out=table[:, 1:])
        trees = HistGradientBoostingClassifier(
            max_iter=200, learning_rate=0.1, max_leaf_nodes=31, early_stopping=True,
            random_state=derive(seed, "trees", name) % 2**32,
        )  # fmt: skip
        trees.fit(*tables[0])
        areas[name] = auc(trees.decision_function(tables[1][0]), tables[1][1])
    return areas


def _shares(
    samples: Sequence[DescribedShowers], rows: Sequence[Rows], threshold: float
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return log10 E_inc and voxels over E_inc (N, 1 + V) float32, and the sample's number (N,)."""
    parts = []
    for sample, some in zip(samples, rows, strict=True):
        voxels = np.asarray(sample.showers.voxels[some], dtype=np.float32)
        incident = sample.showers.incident[some].astype(np.float32)[:, None]
        parts.append(
            np.hstack([np.log10(incident), np.where(voxels < threshold, 0, voxels) / incident])
        )
        release(sample.showers.voxels)
    label = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
    return np.concatenate(parts), label
