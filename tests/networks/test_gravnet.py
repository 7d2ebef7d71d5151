"""GravNet: neighbours, padding, order, and the paper's weights."""

import math

import pytest
import torch

from colliderkit.networks import gravnet
from colliderkit.networks.gravnet import GravNet, GravNetBlock, faded, gathered, nearest


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
    mask = torch.ones(1, 2, dtype=torch.bool)
    out = block(x, mask, *block.neighbourhood(x, mask))
    far = math.exp(-10 * 0.25)
    assert out[0, 0].tolist() == pytest.approx([0.0, (1 + far) / 2, 1.0])
    # A third one, which is no neighbour, takes from both what it would have itself.
    x = torch.tensor([[[0.0], [0.5], [-0.6]]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    out = block(x, mask, *block.neighbourhood(x, mask))
    border = math.exp(-10 * 0.36)
    assert out[0, 0].tolist() == pytest.approx([0.0, (1 + far) / 2 - border, 1 - border])


@torch.no_grad()
def test_a_hit_that_crosses_the_border_changes_nothing_at_once() -> None:
    """Which of two is nearer is decided by rounding: the answers are the same to rounding."""
    network = made().double()
    # Places are the features: 0.5 and -0.5 away are the last neighbour and the first that is none.
    torch.manual_seed(3)
    x = torch.randn(1, 9, 3, dtype=torch.float64)
    mask = torch.ones(1, 9, dtype=torch.bool)
    block = network.blocks[0]
    seen = network.before[0](torch.cat([x, x.mean(1, keepdim=True).expand_as(x)], 2))
    away = (block.place(seen)[0] - block.place(seen)[0, 0]).square().sum(1)
    last, first = away.argsort()[3:5]
    # On the way from the one to the other they change places.
    at = [seen.clone() for _ in range(2)]
    for moved, share in zip(at, (0.5 - 1e-9, 0.5 + 1e-9), strict=True):
        moved[0, last] = seen[0, first] + share * (seen[0, last] - seen[0, first])
        moved[0, first] = seen[0, first] + (1 - share) * (seen[0, last] - seen[0, first])
    near = [block.neighbourhood(moved, mask)[0][0, :, 0].tolist() for moved in at]
    assert set(near[0]) != set(near[1])
    out = [block(moved, mask, *block.neighbourhood(moved, mask))[0, 0] for moved in at]
    torch.testing.assert_close(out[0], out[1], atol=1e-7, rtol=0)
    fade = faded(block.place(at[0]), mask, nearest(block.place(at[0]), mask, 5).transpose(1, 2), 4)
    assert 0 <= float(fade.min()) < 1e-6
    assert float(fade.max()) > 0


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
