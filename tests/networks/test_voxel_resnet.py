"""The three-dimensional ResNet: its symmetry and its size."""

import pytest
import torch

from colliderkit.networks.voxel_resnet import VoxelResNet


def test_showers_turned_around_the_axis_look_alike() -> None:
    torch.manual_seed(0)
    # Of 4 angles none is halved: turning by any of them is exact.
    network = VoxelResNet((9, 4, 6), width=4).eval()
    showers = torch.rand(3, 9, 4, 6)
    number = torch.rand(3, 1)
    tables = [torch.cat([number, showers.roll(turn, 2).flatten(1)], 1) for turn in range(4)]
    with torch.no_grad():
        outputs = [network(table) for table in tables]
    for other in outputs[1:]:
        torch.testing.assert_close(other, outputs[0], rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        moved = network(torch.cat([number, showers.roll(1, 1).flatten(1)], 1))
    assert not torch.allclose(moved, outputs[0], rtol=1e-4, atol=1e-5)


def test_the_number_is_seen() -> None:
    torch.manual_seed(1)
    network = VoxelResNet((5, 4, 3), width=4).eval()
    table = torch.rand(2, 61)
    other = table.clone()
    other[:, 0] += 1
    with torch.no_grad():
        assert not torch.allclose(network(table), network(other))


@pytest.mark.parametrize("shape", [(45, 16, 9), (3, 1, 2)])
def test_it_is_a_resnet_18(shape: tuple[int, int, int]) -> None:
    network = VoxelResNet(shape, 3, width=8)
    layers = [m for m in network.modules() if isinstance(m, torch.nn.Conv3d)]
    # A stem and four stages of four; three stages begin with a 1x1x1 beside.
    assert sum(m.kernel_size == (3, 3, 3) for m in layers) == 17
    assert network(torch.rand(4, 1 + shape[0] * shape[1] * shape[2])).shape == (4, 3)
