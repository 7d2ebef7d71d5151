"""Learning-rate range test: raise the rate until the loss does (1506.01186)."""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from lightning.pytorch.tuner import Tuner
from numpy.typing import NDArray
from torch import nn

from colliderkit.errors import InputError
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import Data, Module, quiet, trainer_for
from colliderkit.training.settings import Objective, Training

__all__ = ["LearningRates", "find_learning_rate"]


@dataclass(frozen=True)
class LearningRates:
    """Result of a range test: rates, losses, and the `suggestion`, where these fall fastest."""

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    suggestion: float


def find_learning_rate(
    model: nn.Module,
    objective: Objective,
    data: Dataset,
    settings: Training,
    *,
    steps: int = 100,
    seed: int = 0,
) -> LearningRates:
    """Scan the learning rate from 1e-6 to 1 in `steps` steps on a copy of `model` and `objective`.

    Raises `InputError` if the loss falls nowhere.
    """
    module = Module(deepcopy(model), deepcopy(objective), settings, seed)
    with quiet():
        trainer = trainer_for(settings, max_epochs=steps, enable_checkpointing=False)
        scan = Tuner(trainer).lr_find(
            module,
            datamodule=Data(data, data, settings, seed),
            min_lr=1e-6,
            max_lr=1.0,
            num_training=steps,
            attr_name="learning_rate",
            update_attr=False,
        )
    if scan is None:
        raise InputError("the learning-rate scan was interrupted; run it again.")
    rates, losses = np.array(scan.results["lr"]), np.array(scan.results["loss"])
    # Lightning differentiates with respect to the rate itself, which favours the smallest rates;
    # per factor of rate, over a fifth of a decade or more, the noise of single batches is less.
    width = max(3, steps // 10)
    smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
    centres = np.exp(np.convolve(np.log(rates), np.ones(width) / width, mode="valid"))
    slope = np.gradient(smooth, np.log(centres))
    if not (slope < 0).any():
        raise InputError("the loss falls at no learning rate; give more events or steps.")
    return LearningRates(rates, losses, float(centres[np.argmin(slope)]))
