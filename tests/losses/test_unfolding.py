"""The variance of unfolding as a loss, against the inverse by hand."""

import pytest
import torch

from colliderkit.losses.unfolding import PRIOR, UnfoldingLoss, inflation


def test_perfect_detector_and_losses_of_events():
    joint = torch.diag(torch.tensor([10.0, 100.0]))
    # The prior of .001 takes 1 to 1 / 1.001.
    torch.testing.assert_close(
        inflation(joint, torch.zeros(2)), torch.full((2,), 1 / (1 + PRIOR), dtype=torch.float64)
    )
    # Half of each bin is fakes: twice the variance.
    doubled = inflation(joint, joint.sum(0))
    torch.testing.assert_close(doubled, torch.full((2,), 1 / (0.5 + PRIOR), dtype=torch.float64))


def test_migration_by_hand():
    # A share e goes to the other bin: P = [[1-e, e], [e, 1-e]], n = 1: var = (P P^T)^-1.
    e = 0.2
    p = torch.tensor([[1 - e, e], [e, 1 - e]], dtype=torch.float64)
    by_hand = torch.linalg.inv(p @ p.T).diagonal()
    torch.testing.assert_close(inflation(p, torch.zeros(2)), by_hand, rtol=10 * PRIOR, atol=0)


def test_batch():
    outputs = torch.tensor([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 0.0]])
    target, weight = torch.tensor([0, 0, 1, 2]), torch.tensor([1.0, 2.0, 1.0, 3.0])
    member = outputs.softmax(1) * weight[:, None]
    joint = torch.stack([member[:2].sum(0), member[2]])
    expected = inflation(joint, member[3]).log().mean()
    assert float(UnfoldingLoss(2)(outputs, target, weight)) == pytest.approx(float(expected))


def test_gradient_leads_to_a_diagonal_response():
    outputs = (
        0.1 * torch.randn(200, 2, generator=torch.Generator().manual_seed(1))
    ).requires_grad_()
    target = torch.arange(200) % 2
    optimiser = torch.optim.Adam([outputs], 0.3)
    for _ in range(60):
        optimiser.zero_grad()
        loss = UnfoldingLoss(2)(outputs, target, torch.ones(200))
        loss.backward()
        optimiser.step()
    assert abs(loss.item()) < 0.02
