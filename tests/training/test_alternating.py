"""Turns of a model and its opponent: who moves when."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from colliderkit.errors import InputError
from colliderkit.losses.classification import weighted_mean
from colliderkit.training.alternating import fit_alternating
from colliderkit.training.batches import Dataset
from colliderkit.training.settings import Training


class Offset(nn.Module):
    """Outputs one number for all events; counts the evaluations with gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(1))
        self.turns = 0

    def forward(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        self.turns += torch.is_grad_enabled()
        return self.value.expand(len(values))


class Follower(nn.Module):
    """An opponent that learns the outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(1))

    def own_loss(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        assert not outputs.requires_grad
        return weighted_mean((outputs - self.value).square(), weight)


def squared(outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    return weighted_mean((outputs - target).square(), weight)


def trained(steps: int, folder: Path) -> tuple[Offset, Follower]:
    data = Dataset(torch.zeros(64, 1), torch.ones(64), torch.ones(64))
    settings = Training(10, 8, learning_rate=0.05, schedule="constant", devices=1)
    model, opponent = Offset(), Follower()
    fit_alternating(
        model, squared, opponent, data, data, settings, steps=steps, folder=folder, progress=False
    )
    return model, opponent


@pytest.mark.parametrize("steps", [1, 4])
def test_the_opponent_moves_on_each_batch(steps: int, tmp_path: Path) -> None:
    model, opponent = trained(steps, tmp_path)
    assert model.turns == 80 // steps
    assert float(model.value) > 0.5
    # It follows the model, which goes towards 1.
    assert float(opponent.value) == pytest.approx(float(model.value), abs=0.3)


def test_no_steps(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 steps"):
        trained(0, tmp_path)
