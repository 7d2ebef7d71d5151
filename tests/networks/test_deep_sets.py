"""Deep Sets against their definition, layer by layer."""

import pytest
import torch

from colliderkit.events import fourvectors
from colliderkit.networks import deep_sets
from colliderkit.networks.deep_sets import DIPS, EFN, PFN


def count(network):
    return sum(p.numel() for p in network.parameters())


def jets(lengths, features=3, seed=0):
    """Random jets (features, vectors, mask), the real slots scattered over 12."""
    random = torch.Generator().manual_seed(seed)
    slots = torch.rand(len(lengths), 12, generator=random).argsort(1)
    mask = slots < torch.tensor(lengths)[:, None]
    p = torch.randn(len(lengths), 12, 3, generator=random) + torch.tensor([20.0, 0.0, 5.0])
    vectors = torch.cat([p, p.norm(dim=-1, keepdim=True) + 0.1], -1) * mask[..., None]
    x = torch.randn(len(lengths), 12, features, generator=random) * mask[..., None]
    return x, vectors, mask


def test_parameter_counts_are_the_published_ones():
    assert count(PFN(3)) == 82_458
    assert count(EFN(3)) == 82_358
    # Phi and F of DIPS (100-100-128, 100-100-100-30), batch norm adding two numbers a unit.
    linear = sum((a + 1) * b for a, b in [(6, 100), (100, 100), (100, 128)])
    linear += sum((a + 1) * b for a, b in [(128, 100), (100, 100), (100, 100), (100, 30), (30, 3)])
    assert count(DIPS(6, 3)) == linear + 2 * (100 + 100 + 128 + 100 + 100 + 100 + 30)


def test_pfn_is_f_of_the_sum_of_phi():
    network = PFN(3)
    x, vectors, mask = jets([5, 0, 1, 12])
    expected = network.f(torch.stack([network.phi(a[m]).sum(0) for a, m in zip(x, mask)]))  # noqa: B905
    torch.testing.assert_close(network(x, vectors, mask), expected)


def test_efn_weighs_phi_of_the_angles_by_the_pt_share():
    network = EFN(3)
    x, vectors, mask = jets([5, 0, 1, 12])
    z, deta, dphi = fourvectors.relative(vectors, mask)
    phi = network.filters(torch.stack([deta, dphi], -1))
    expected = network.f((z[..., None] * phi).sum(1))
    torch.testing.assert_close(network(x, vectors, mask), expected)
    assert torch.equal(network(x + 1, vectors, mask), network(x, vectors, mask))


def test_efn_does_not_see_a_collinear_splitting_or_a_soft_particle():
    network = EFN().double()
    _, vectors, mask = (a.double() if a.is_floating_point() else a for a in jets([6, 11]))
    split = torch.cat([vectors, vectors[:, :1] * 0.3], 1)
    split[:, 0] *= 0.7
    real = torch.cat([mask, mask[:, :1]], 1)
    soft = torch.cat([vectors, torch.tensor([[[1e-9, 2e-9, 1e-9, 3e-9]]] * 2).double()], 1)
    expected = network(None, vectors, mask)
    torch.testing.assert_close(network(None, split, real), expected, rtol=1e-9, atol=1e-9)
    there = torch.cat([mask, torch.ones(2, 1, dtype=torch.bool)], 1)
    torch.testing.assert_close(network(None, soft, there), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rows", [4, 2048])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_are_those_of_the_plain_layers(monkeypatch, rows, weighted):
    # Blocks of 4 rows cut through jets, and the last one is not full.
    monkeypatch.setattr(deep_sets, "ROWS", rows)
    network = PFN(3, phi=(7, 6, 5), f=(4,)).double()
    for p in network.parameters():
        torch.nn.init.normal_(p)
    x, _, mask = jets([5, 0, 1, 12])
    x = x.double().requires_grad_()
    weight = torch.rand(mask.shape, dtype=torch.float64, requires_grad=True)
    leaves = [x, *([weight] if weighted else []), *network.phi.parameters()]
    g = torch.randn(4, 5, dtype=torch.float64)
    total = network.summed(x, mask, weight if weighted else None)
    every = network.phi(x) * (weight * mask if weighted else mask)[..., None]
    torch.testing.assert_close(total, every.sum(1))
    found = torch.autograd.grad(total, leaves, g)
    for a, b in zip(found, torch.autograd.grad(every.sum(1), leaves, g), strict=True):
        torch.testing.assert_close(a, b)
    with torch.no_grad():
        again = network.summed(x, mask, weight if weighted else None)
    torch.testing.assert_close(again, total)


def test_batch_norm_counts_real_particles_only():
    network = DIPS(3)
    x, vectors, mask = jets([5, 0, 1, 12])
    network(x + 100 * ~mask[..., None], vectors, mask)
    first, norm = network.phi[0], network.phi[1]
    expected = 0.1 * first(x[mask]).mean(0)
    torch.testing.assert_close(norm.running_mean, expected)


def test_training_on_empty_jets_changes_nothing_in_phi():
    for network in (PFN(3), EFN(3), DIPS(3)):
        x, vectors, mask = jets([0, 0])
        network(x, vectors, mask).sum().backward()
        assert all(p.grad.abs().max() == 0 for p in network.phi.parameters())
