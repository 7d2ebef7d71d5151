"""Boosted trees: one sum for the mean, one for the squared residual."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from colliderkit.methods.regression.regression import Regression
from colliderkit.networks.boosted_trees import BoostedTrees
from colliderkit.seeds import derive
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Epoch

__all__ = ["BoostedRegression"]

SMALLEST = 1e-12  # of a squared residual over the variance of y, whose logarithm is taken
STOPPING = {"early_stopping": True, "validation_fraction": 0.1, "n_iter_no_change": 10}


class BoostedRegression(Regression):
    """Grow trees for the mean of y given x, then others for the variance about it.

    The second ones learn the squared residuals of the share `validation` of events, which the
    first have not seen, by the gamma likelihood: L = ln s^2 + r^2 / s^2, whose minimum is the mean
    of r^2 given x. Residuals of the events that were trained on would be too small. There is no
    epistemic part, and intervals are those of a normal density.

    Args:
        leaves: the largest number in a tree of the mean; trees of the variance have a quarter.
        rounds: the largest number of trees of each; they end where held-out events gain no more.
        learning_rate: of each tree.
        validation: the share of events that gives the variance.

    After `fit`: `network_` and `variance_`, and `shape_`, how many nodes they have. There are no
    epochs: `history_` is empty.
    """

    name: ClassVar[str] = "boosted-regression"
    has_epistemic: ClassVar[bool] = False
    network_: BoostedTrees
    variance_: BoostedTrees
    shape_: dict[str, dict[str, int]]

    def __init__(
        self,
        *,
        leaves: int = 31,
        rounds: int = 500,
        learning_rate: float = 0.05,
        validation: float = 0.3,
    ) -> None:
        self.leaves = leaves
        self.rounds = rounds
        self.learning_rate = learning_rate
        self.validation = validation

    def _rebuild(self) -> None:
        super()._rebuild()
        if hasattr(self, "shape_"):  # of trees that are grown already
            self.network_ = BoostedTrees(**self.shape_["network"])
            self.variance_ = BoostedTrees(**self.shape_["variance"])

    def _learn(self, train: Dataset, held: Dataset, seed: int) -> list[list[Epoch]]:
        assert isinstance(train.inputs, Tensor)
        assert isinstance(held.inputs, Tensor)
        options: dict[str, Any] = {
            "max_iter": self.rounds,
            "learning_rate": self.learning_rate,
            **STOPPING,
        }
        self.network_ = BoostedTrees.fit_regression(
            train.inputs,
            train.target,
            train.weight,
            derive(seed, "mean"),
            max_leaf_nodes=self.leaves,
            **options,
        )
        residual = held.target - self.network_(held.inputs)[:, 0]
        self.variance_ = BoostedTrees.fit_regression(
            held.inputs,
            residual.double().square().clamp(min=SMALLEST),
            held.weight,
            derive(seed, "variance"),
            loss="gamma",
            max_leaf_nodes=max(self.leaves // 4, 2),
            **options,
        )
        self.shape_ = {"network": self.network_.options, "variance": self.variance_.options}
        return []

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean = self.network_(x)[:, 0].double()
        variance = self.variance_(x)[:, 0].double().exp()
        return mean, variance, torch.zeros_like(variance)
