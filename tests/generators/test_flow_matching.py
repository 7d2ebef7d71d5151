"""Flow matching against densities that are known."""

from pathlib import Path

import pytest
import torch

from colliderkit.generators.flow_matching import FlowMatching
from colliderkit.generators.generator import own_loss
from colliderkit.training.batches import Dataset
from colliderkit.training.fit import fit
from colliderkit.training.settings import Training


@pytest.mark.slow
@pytest.mark.statistical
def test_a_conditional_normal_is_learned(tmp_path: Path, seed: int) -> None:
    # x1 ~ N(c, 1), x2 ~ N(2 x1, 0.5): means c and 2c, widths 1 and sqrt(4.25), correlation 0.970.
    # Batches are large, as noise and times are drawn anew for each: of 12,000 events in batches of
    # 500 some seeds had means that were .2 off, of these events and batches .05.
    count = 40_000
    random = torch.Generator().manual_seed(seed)
    c = torch.rand(count, 1, generator=random) * 2
    first = c + torch.randn(count, 1, generator=random)
    x = torch.cat([first, 2 * first + 0.5 * torch.randn(count, 1, generator=random)], 1)
    torch.manual_seed(seed + 1)
    model = FlowMatching(2, 1, width=48, blocks=2, steps=12).fit_scaling(x, c)
    data = Dataset(x, torch.zeros(count), torch.ones(count), c)
    train, validation = data.split(torch.arange(count) % 10 == 0)
    settings = Training(epochs=40, batch_size=4000, learning_rate=3e-3, schedule="cosine")
    fit(model, own_loss, train, validation, settings, folder=tmp_path, seed=seed, progress=False)
    c = torch.rand(20_000, 1, generator=random) * 2
    apart = model.sample(c, seed=seed + 2) - torch.cat([c, 2 * c], 1)
    slope = (apart * (c - 1)).mean(0) / (c - 1).square().mean()
    assert apart.mean(0).tolist() == pytest.approx([0.0, 0.0], abs=0.12)
    assert slope.tolist() == pytest.approx([0.0, 0.0], abs=0.12)
    assert apart.std(0).tolist() == pytest.approx([1.0, 4.25**0.5], rel=0.08)
    assert float(torch.corrcoef(apart.T)[0, 1]) == pytest.approx(0.970, abs=0.02)


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
    torch.testing.assert_close(model.decode(z, torch.zeros(10, 2)).float(), 2 * z + 3)
    first = model.sample(torch.zeros(6, 2), seed=1)
    assert torch.equal(first, model.sample(torch.zeros(6, 2), seed=1))
