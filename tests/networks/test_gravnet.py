"""GravNet: neighbours, padding, order, and the paper's weights."""

import math

import pytest
import torch

from colliderkit.networks import gravnet
from colliderkit.networks.gravnet import GravNet, GravNetBlock, gathered, nearest


def made(**options: int) -> GravNet:
    torch.manual_seed(1)
    return GravNet(inputs=3, outputs=2, width=8, neighbours=4, **options).eval()


def test_neighbours_are_the_nearest_real_hits(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(2)
    space = torch.rand(2, 12, 3)
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[1, 9:] = False
    near = nearest(space, mask, 4)
    assert near[:, :, 0][mask].tolist() == torch.arange(12).expand(2, 12)[mask].tolist()
    assert near[1, :9].max() < 9
    exact = (space[0, 5] - space[0]).square().sum(1).argsort()[:4]
    assert near[0, 5].tolist() == exact.tolist()
    # From a k-d tree they are the same.
    monkeypatch.setattr(gravnet, "DENSE", 0)
    tree = nearest(space, mask, 4)
    assert tree[mask].tolist() == near[mask].tolist()


@pytest.mark.parametrize("dense", [0, 100])
def test_padding_batch_mates_and_order_change_nothing(
    dense: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gravnet, "DENSE", dense)
    network = made()
    x = torch.randn(1, 3, 3)  # fewer hits than neighbours
    alone = network(x, torch.ones(1, 3, dtype=torch.bool))
    padded = torch.cat([x, torch.randn(1, 6, 3)], 1)
    mask = torch.zeros(2, 9, dtype=torch.bool)
    mask[0, :3], mask[1] = True, True
    both = network(torch.cat([padded, torch.randn(1, 9, 3)]), mask)
    torch.testing.assert_close(both[0, :3], alone[0])
    assert not both[0, 3:].any()
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(network(x[:, order], mask[:1, :3]), alone[:, order])


def test_a_message_falls_with_the_distance_as_published() -> None:
    block = GravNetBlock(1, 3, space=1, propagated=1, neighbours=2)
    with torch.no_grad():
        for layer, weight, bias in ((block.place, 1.0, 0.0), (block.give, 0.0, 1.0)):
            layer.weight.fill_(weight)
            layer.bias.fill_(bias)
        block.out.weight.copy_(torch.eye(3))
        block.out.bias.zero_()
    x = torch.tensor([[[0.0], [0.5]]])
    out = block(x, torch.ones(1, 2, dtype=torch.bool))
    far = math.exp(-10 * 0.25)
    assert out[0, 0].tolist() == pytest.approx([0.0, (1 + far) / 2, 1.0])


def test_an_empty_event_and_gradients_are_finite() -> None:
    network = made(blocks=1).train()
    mask = torch.tensor([[True, True, False], [False, False, False]])
    out = network(torch.randn(2, 3, 3), mask)
    assert torch.isfinite(out).all()
    out.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert gathered(torch.arange(6.0).view(1, 3, 2), torch.tensor([[[2], [0], [1]]]))[
        0, :, 0
    ].tolist() == [[4, 5], [0, 1], [2, 3]]
