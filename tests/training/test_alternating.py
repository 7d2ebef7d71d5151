"""A model and its adversary: who moves when, and what is left."""

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
    """An adversary that learns the outputs."""

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
    model, adversary = Offset(), Follower()
    fit_alternating(
        model, squared, adversary, data, data, settings, steps=steps, folder=folder, progress=False
    )
    return model, adversary


@pytest.mark.parametrize("steps", [1, 4])
def test_the_adversary_moves_on_each_batch(steps: int, tmp_path: Path) -> None:
    model, adversary = trained(steps, tmp_path)
    assert model.turns == 80 // steps
    assert model.value.item() > 0.5
    # It follows the model, which goes towards 1.
    assert adversary.value.item() == pytest.approx(model.value.item(), abs=0.3)


def test_both_at_once(tmp_path: Path) -> None:
    model, adversary = trained(0, tmp_path)
    assert model.turns == 80
    assert model.value.item() > 0.5
    assert adversary.value.item() == pytest.approx(model.value.item(), abs=0.3)


class Dodge(Follower):
    """Also an objective: the model goes away from where the adversary believes it to be."""

    def forward(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        return weighted_mean(outputs * self.value.detach(), weight)

    def own_loss(self, outputs: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        return -weighted_mean(outputs * self.value, weight)


@pytest.mark.parametrize("steps", [0, 1])
def test_a_bilinear_game_settles(steps: int, tmp_path: Path) -> None:
    """min_x max_y x y has its solution at 0, which plain gradients go around ever further out."""
    data = Dataset(torch.zeros(64, 1), torch.ones(64), torch.ones(64))
    settings = Training(60, 8, learning_rate=0.02, schedule="one-cycle", devices=1)
    model, adversary = Offset(), Dodge()
    with torch.no_grad():
        model.value.fill_(0.5)
        adversary.value.fill_(0.5)
    history = fit_alternating(
        model, adversary, adversary, data, data, settings, steps=steps, folder=tmp_path,
        progress=False,
    )  # fmt: skip
    assert history[-1].best
    assert abs(model.value.item()) < 0.05
    assert abs(adversary.value.item()) < 0.05


def test_what_is_left_is_the_average(tmp_path: Path) -> None:
    model, _ = trained(1, tmp_path)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert model.value.item() == checkpoint["leaves"]["model.value"].item()
    assert model.value.item() != checkpoint["state_dict"]["model.value"].item()


def test_what_cannot_be_trained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="-1 steps"):
        trained(-1, tmp_path)
    data = Dataset(torch.zeros(64, 1), torch.ones(64), torch.ones(64))
    with pytest.raises(InputError, match="patience is 3; leave it out"):
        fit_alternating(
            Offset(), squared, Follower(), data, data, Training(patience=3), steps=1
        )  # fmt: skip
