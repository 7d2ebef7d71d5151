"""The network on densities along the beams: as many bins out as in, and gradients everywhere."""

import torch

from colliderkit.networks.vertex_density import VertexDensity


def test_it_keeps_the_bins_and_moves_with_its_input():
    network = VertexDensity(channels=3, kernels=(7, 5, 3))
    values = torch.rand(2, 2 * 100)
    out = network(values)
    assert out.shape == (2, 100)
    assert (out >= 0).all()
    # What is two bins later comes out two bins later, away from the ends.
    moved = network(values.view(2, 2, 100).roll(2, 2).reshape(2, 200))
    torch.testing.assert_close(moved[:, 20:80], out.roll(2, 1)[:, 20:80], rtol=1e-4, atol=1e-5)
    out.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
