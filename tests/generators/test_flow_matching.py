"""Flow matching against densities that are known."""

from pathlib import Path

import pytest
import torch

from colliderkit.generators.flow_matching import FlowMatching
from colliderkit.generators.generator import own_loss
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Training


def trained(model: FlowMatching, x: torch.Tensor, c: torch.Tensor, folder: Path) -> FlowMatching:
    data = Dataset(x, torch.zeros(len(x)), torch.ones(len(x)), c)
    held = torch.arange(len(x)) % 10 == 0
    model.fit_scaling(x, c)
    settings = Training(epochs=15, batch_size=500, learning_rate=3e-3, schedule="cosine")
    parts = data.at(torch.nonzero(~held)[:, 0]), data.at(torch.nonzero(held)[:, 0])
    fit(model, own_loss, *parts, settings, folder=folder, progress=False)
    return model


def test_a_conditional_normal_is_learned(tmp_path: Path) -> None:
    # x1 ~ N(c, 1), x2 ~ N(2 x1, 0.5): means c and 2c, widths 1 and sqrt(4.25), correlation 0.970.
    random = torch.Generator().manual_seed(0)
    c = torch.rand(12_000, 1, generator=random) * 2
    first = c + torch.randn(12_000, 1, generator=random)
    x = torch.cat([first, 2 * first + 0.5 * torch.randn(12_000, 1, generator=random)], 1)
    torch.manual_seed(1)
    model = trained(FlowMatching(2, 1, width=48, blocks=2, steps=12), x, c, tmp_path)
    drawn = model.sample(torch.full((8000, 1), 1.5), seed=2)
    assert drawn.mean(0).tolist() == pytest.approx([1.5, 3.0], abs=0.12)
    assert drawn.std(0).tolist() == pytest.approx([1.0, 4.25**0.5], rel=0.08)
    assert float(torch.corrcoef(drawn.T)[0, 1]) == pytest.approx(0.970, abs=0.02)


def test_a_symmetry_is_kept_on_average() -> None:
    swap = torch.tensor([[0, 1, 2], [1, 0, 2]])
    x = torch.randn(500, 3) * torch.tensor([1.0, 3.0, 2.0]) + torch.tensor([0.0, 4.0, 1.0])
    model = FlowMatching(3, 1, width=8, blocks=1, symmetry=swap).fit_scaling(x, torch.zeros(500, 1))
    mean, std = model.scaling.mean, model.scaling.std
    assert float(mean[0]) == pytest.approx(float(mean[1]))
    assert float(std[0]) == pytest.approx(float(std[1]))
    # The variance of a mixture: the mean square less the square of the mean.
    both = torch.cat([x[:, 0], x[:, 1]])
    assert float(std[0]) == pytest.approx(float(both.std(correction=0)), rel=1e-4)


def test_straight_paths_end_where_they_must() -> None:
    # A velocity of zero leaves the noise as it is, scaled.
    model = FlowMatching(4, 2, width=8, blocks=1)
    model.scaling.mean.fill_(3.0)
    model.scaling.std.fill_(2.0)
    z = torch.randn(10, 4)
    assert torch.allclose(model.decode(z, torch.zeros(10, 2)), 2 * z + 3)
    first = model.sample(torch.zeros(6, 2), seed=1)
    assert torch.equal(first, model.sample(torch.zeros(6, 2), seed=1))
