"""Gradient-boosted decision trees, grown by scikit-learn, evaluated as tensors."""

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from colliderkit.errors import InputError

__all__ = ["BoostedTrees"]


class BoostedTrees(nn.Module):
    """Sum regression trees into logits: ``logit_k(x) = b_k + sum_t value(leaf of x in tree t)``.

    `forward(x (B, inputs)) -> (B, outputs)`, float32. NaN goes the way that training found best.
    For two outputs there is one tree a round, and the logits are (0, sum); for one, a regression's,
    the sum alone is returned.

    `fit` and `fit_regression` make one; the constructor makes room for the nodes that
    `load_state_dict` brings: give it the `options` of the fitted one. Each tree is walked `depth`
    steps from its root, leaves pointing at themselves.
    """

    representation: ClassVar[str] = "table"

    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    missing_left: Tensor
    value: Tensor
    root: Tensor
    baseline: Tensor

    def __init__(
        self, inputs: int, outputs: int = 2, *, rounds: int = 1, nodes: int = 1, depth: int = 0
    ) -> None:
        super().__init__()
        self.options = {
            "inputs": inputs,
            "outputs": outputs,
            "rounds": rounds,
            "nodes": nodes,
            "depth": depth,
        }
        self.inputs, self.outputs, self.depth = inputs, outputs, depth
        self.trees = outputs if outputs > 2 else 1
        for name in ("feature", "left", "right"):
            self.register_buffer(name, torch.zeros(nodes, dtype=torch.int64))
        self.register_buffer("missing_left", torch.zeros(nodes, dtype=torch.bool))
        self.register_buffer("threshold", torch.zeros(nodes))
        self.register_buffer("value", torch.zeros(nodes))
        # Tree k of round r, where k counts the classes.
        self.register_buffer("root", torch.zeros(rounds, self.trees, dtype=torch.int64))
        self.register_buffer("baseline", torch.zeros(self.trees))

    @classmethod
    def fit(
        cls,
        x: NDArray[Any] | Tensor,
        y: NDArray[Any] | Tensor,
        weight: NDArray[Any] | Tensor | None = None,
        seed: int = 0,
        *,
        validation: tuple[Any, Any, Any] | None = None,
        quantiles: int | None = None,
        **options: Any,
    ) -> "BoostedTrees":
        """Grow trees on a table x (N, C) with classes y (N,) 0, 1, ... and weights (N,).

        `options` are those of `sklearn.ensemble.HistGradientBoostingClassifier` (`max_iter`,
        `learning_rate`, `max_leaf_nodes`, `early_stopping`, ...) but for categorical columns.
        `validation` are x, y and weights of events that stop the growth, in place of a random part.
        With `quantiles` (255 at most) splits lie between so many quantiles of the events as they
        are: scikit-learn takes those of the weighted events, which is most of the time that few
        trees on few events take.
        Raises `InputError` for negative weights: with them the loss of a leaf has no minimum.
        """
        from sklearn.ensemble import HistGradientBoostingClassifier

        target = np.asarray(y)
        classes = np.unique(target)
        if len(classes) < 2 or not np.array_equal(classes, np.arange(len(classes))):
            raise InputError(
                f"classes {classes.tolist()}: boosted trees need 0, 1, ... all present."
            )
        return cls._grown(
            HistGradientBoostingClassifier, x, target, weight, seed, options, validation, quantiles
        )

    @classmethod
    def fit_regression(
        cls,
        x: NDArray[Any] | Tensor,
        y: NDArray[Any] | Tensor,
        weight: NDArray[Any] | Tensor | None = None,
        seed: int = 0,
        **options: Any,
    ) -> "BoostedTrees":
        """Grow trees on a table x (N, C) with numbers y (N,) and weights (N,).

        `options` are those of `sklearn.ensemble.HistGradientBoostingRegressor`; with
        `loss="gamma"` (y > 0) or "poisson" (y >= 0) the output is the logarithm of the mean.
        Raises `InputError` for negative weights.
        """
        from sklearn.ensemble import HistGradientBoostingRegressor

        target = np.asarray(y, dtype=np.float64)
        return cls._grown(HistGradientBoostingRegressor, x, target, weight, seed, options)

    @classmethod
    def _grown(
        cls,
        grower: Any,
        x: NDArray[Any] | Tensor,
        target: NDArray[Any],
        weight: NDArray[Any] | Tensor | None,
        seed: int,
        options: dict[str, Any],
        validation: tuple[Any, Any, Any] | None = None,
        quantiles: int | None = None,
    ) -> "BoostedTrees":
        if weight is not None:
            weight = np.asarray(weight, dtype=np.float64)
            if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.any()):
                raise InputError(
                    "weight: boosted trees need finite weights >= 0 that are not all 0;"
                    " drop or merge events with negative weights."
                )
        if "categorical_features" in options:
            raise InputError("categorical_features: boosted trees take numbers only; encode them.")
        # Columns are binned in float32, which is what `forward` compares.
        table = np.asarray(x, dtype=np.float32)
        edges = None if quantiles is None else _quantiles(table, quantiles)
        # Scikit-learn takes seeds of 32 bits.
        estimator = grower(random_state=seed % 2**32, categorical_features=None, **options)
        held: dict[str, Any] = {}
        if validation is not None:
            rows, classes, held_weight = validation
            held = {"X_val": np.asarray(rows, dtype=np.float32), "y_val": np.asarray(classes)}
            held["sample_weight_val"] = held_weight
        if edges is None:
            return cls.from_sklearn(estimator.fit(table, target, sample_weight=weight, **held))
        if held:
            held["X_val"] = _numbered(held["X_val"], edges)
        numbers = _numbered(table, edges)
        network = cls.from_sklearn(estimator.fit(numbers, target, sample_weight=weight, **held))
        # A split between the numbers k and k + 1 is one at edge k; one of NaN and all else is at
        # infinity, where the last edge is.
        number = network.threshold.clamp(max=edges.shape[1] - 1).long()
        network.threshold.copy_(edges[network.feature, number])
        return network

    @classmethod
    def from_sklearn(cls, grown: Any) -> "BoostedTrees":
        """Copy the nodes of a fitted `HistGradientBoosting...` estimator without categories."""
        trees = [tree.nodes for iteration in grown._predictors for tree in iteration]
        nodes = np.concatenate(trees)
        if nodes["is_categorical"].any():
            raise InputError("categorical_features: boosted trees take numbers only; encode them.")
        sizes = [len(tree) for tree in trees]
        starts = np.cumsum([0, *sizes[:-1]])
        network = cls(
            grown.n_features_in_,
            len(getattr(grown, "classes_", [None])),  # a regression has none, and one output
            rounds=len(grown._predictors),
            nodes=len(nodes),
            depth=int(nodes["depth"].max()),
        )
        leaf = nodes["is_leaf"].astype(bool)
        here, offset = np.arange(len(nodes)), np.repeat(starts, sizes)
        columns = {
            "feature": np.where(leaf, 0, nodes["feature_idx"]),
            "left": np.where(leaf, here, nodes["left"] + offset),
            "right": np.where(leaf, here, nodes["right"] + offset),
            "missing_left": nodes["missing_go_to_left"].astype(bool),
            "threshold": _rounded_down(nodes["num_threshold"]),
            "value": np.where(leaf, nodes["value"], 0),
            "root": starts.reshape(network.root.shape),
            "baseline": grown._baseline_prediction.ravel(),
        }
        for name, column in columns.items():
            getattr(network, name).copy_(torch.from_numpy(column))
        return network

    def forward(self, x: Tensor) -> Tensor:
        node = self.root.reshape(1, -1).expand(x.shape[0], -1)
        for _ in range(self.depth):
            tested = x.gather(1, self.feature[node])
            # NaN is not below any threshold.
            goes_left = (tested <= self.threshold[node]) | (
                tested.isnan() & self.missing_left[node]
            )
            node = torch.where(goes_left, self.left[node], self.right[node])
        total = self.value[node].unflatten(1, self.root.shape).sum(1) + self.baseline
        return torch.cat([torch.zeros_like(total), total], 1) if self.outputs == 2 else total


def _quantiles(table: NDArray[np.float32], count: int) -> Tensor:
    """Return values of each column that part it into equal shares, (C, count), inf after the last.

    They are values of the column itself: x <= value answers the same in float32 everywhere.
    """
    edges = np.full((table.shape[1], count), np.inf, dtype=np.float32)
    shares = np.arange(1, count) / count
    for row, column in zip(edges, table.T, strict=True):
        known = column[~np.isnan(column)]
        cuts = np.unique(known)
        if len(cuts) > count:
            cuts = np.unique(np.append(np.quantile(known, shares, method="lower"), cuts[-1]))
        cuts = cuts[:-1]  # nothing lies above the largest value
        row[: len(cuts)] = cuts
    return torch.from_numpy(edges)


def _numbered(table: NDArray[np.float32], edges: Tensor) -> NDArray[np.float32]:
    """Return the number of edges below each value (N, C); NaN stays."""
    numbers = np.empty_like(table)
    for i, row in enumerate(edges.numpy()):
        numbers[:, i] = np.searchsorted(row, table[:, i], side="left")
    numbers[np.isnan(table)] = np.nan
    return numbers


def _rounded_down(threshold: NDArray[np.float64]) -> NDArray[np.float32]:
    """The largest float32 not above: then x <= threshold answers the same for every float32 x."""
    single = threshold.astype(np.float32)
    above = single > threshold
    single[above] = np.nextafter(single[above], np.float32(-np.inf))
    return single
