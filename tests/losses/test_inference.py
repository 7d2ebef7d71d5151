"""The inference-aware loss against Hessians, inverses and counts by hand."""

import math

import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.losses.inference import (
    InferenceLoss,
    fisher_information,
    profiled_error,
    ratios_to_reference,
    soft_bins,
)


def test_soft_bins_become_the_largest_output() -> None:
    outputs = torch.tensor([[1.0, 2.0, 0.0], [0.3, 0.1, 0.2]])
    torch.testing.assert_close(soft_bins(outputs).sum(1), torch.ones(2))
    hard = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    torch.testing.assert_close(soft_bins(outputs, 1e-3), hard)


def test_information_is_the_hessian_of_the_asimov_likelihood() -> None:
    """Counts that bend with theta: the second derivatives drop out at the expectation."""
    torch.manual_seed(1)
    a, b = torch.rand(6, 3).double(), torch.rand(6, 3).double()

    def counts(theta: torch.Tensor) -> torch.Tensor:
        return 20 + a @ theta + b @ theta**2 + theta[0] * theta[1]

    start = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    data = counts(start)

    def minus(theta: torch.Tensor) -> torch.Tensor:
        n = counts(theta)
        return (n - data * n.log()).sum() + 0.5 * (theta[2] - start[2]) ** 2 / 0.3**2

    slopes = torch.func.jacfwd(counts)(start).T
    found = fisher_information(data, slopes, [None, None, 0.3])
    torch.testing.assert_close(found, torch.func.hessian(minus)(start), rtol=1e-10, atol=1e-10)


def test_profiled_error_is_that_of_the_inverse() -> None:
    torch.manual_seed(2)
    root = torch.randn(4, 7).double()
    information = root @ root.T
    inverse = torch.linalg.inv(information)
    for i in range(4):
        torch.testing.assert_close(profiled_error(information, i), inverse[i, i].sqrt())
    # A counting experiment: sigma(s) = sqrt(n).
    single = fisher_information(torch.tensor([1050.0]), torch.tensor([[1.0]]))
    assert float(profiled_error(single)) == pytest.approx(math.sqrt(1050))


def test_the_loss_of_a_batch_by_hand() -> None:
    """Two bins, two events a process, a shape and a yield: 30 signal on 100 background."""
    # Columns: bins, their derivative by the shape, d ln w by the shape and by the yield.
    outputs = torch.tensor(
        [
            [0.2, 0.8, 0.0, 0.0, 0.0, 0.0],
            [0.4, 0.6, 0.0, 0.0, 0.0, 0.0],
            [0.9, 0.1, -0.3, 0.3, 0.0, 0.01],
            [0.5, 0.5, -0.1, 0.1, 0.0, 0.01],
        ]
    )
    target, weight = torch.tensor([1.0, 1.0, 0.0, 0.0]), torch.tensor([1.0, 3.0, 2.0, 2.0])
    signal = torch.tensor([0.25 * 0.2 + 0.75 * 0.4, 0.25 * 0.8 + 0.75 * 0.6]).double()
    background = 100 * torch.tensor([0.7, 0.3]).double()
    slopes = torch.stack(
        [signal, 100 * torch.tensor([-0.2, 0.2]).double(), 0.01 * background]
    ).double()
    information = slopes @ torch.diag(1 / (30 * signal + background)) @ slopes.T
    information[2, 2] += 1 / 20**2
    exact = torch.linalg.inv(information)[0, 0].sqrt()
    loss = InferenceLoss(2, 30.0, 100.0, widths=(None, 20.0), moving=(0,))
    assert float(loss(outputs, target, weight)) == pytest.approx(float(exact), rel=1e-5)
    # The scale of the weights of a batch is not that of the experiment.
    assert float(loss(outputs, target, 7 * weight)) == pytest.approx(float(exact), rel=1e-5)


def test_more_information_lowers_the_loss_and_gradients_arrive() -> None:
    target = torch.tensor([1.0, 0.0])
    loss = InferenceLoss(2, 30.0, 100.0)
    apart = torch.tensor([[3.0, -3.0], [-3.0, 3.0]], requires_grad=True)
    mixed = torch.zeros(2, 2)
    weight = torch.ones(2)
    better = loss(soft_bins(apart, 1.0), target, weight)
    assert float(better.detach()) < float(loss(soft_bins(mixed, 1.0), target, weight))
    # Nothing told apart: s is the total count less 100.
    assert float(loss(soft_bins(mixed, 1.0), target, weight)) == pytest.approx(math.sqrt(130))
    better.backward()
    assert apart.grad is not None
    assert (apart.grad != 0).all()


def test_a_batch_of_one_process_is_a_sentence() -> None:
    with pytest.raises(InputError, match="larger batches"):
        InferenceLoss(2, 30.0, 100.0)(torch.full((3, 2), 0.5), torch.ones(3), torch.ones(3))


def test_ratios_to_the_reference_are_least_at_the_truth() -> None:
    """Three values of x, two processes, their mixture as reference: the gradient vanishes."""
    p = torch.tensor([[0.2, 0.3, 0.5], [0.7, 0.2, 0.1]])
    reference = p.mean(0)
    exact = (p / reference).log().T
    # One event for each process and value, weighted by its probability; the factor is 1.
    values = torch.arange(3).repeat(2)
    target, weight = torch.arange(2).repeat_interleave(3), p.flatten()
    z = exact.clone().requires_grad_()

    def loss(z: torch.Tensor) -> torch.Tensor:
        own = torch.cat([z[values], torch.ones(6, 1)], 1)
        return ratios_to_reference(torch.cat([own, own], 1), target, weight)

    (slope,) = torch.autograd.grad(loss(z), z)
    torch.testing.assert_close(slope, torch.zeros(3, 2), atol=1e-7, rtol=0.0)
    assert float(loss(exact + 0.1 * torch.eye(3)[:, :2])) > float(loss(exact))
    # By hand: each event -ln p_k/(p_0 + p_1 + p_ref), and half of -ln p_ref/(...) as reference.
    total = p.sum(0) + reference
    hand = -(p * (p / total).log()).sum() - 0.5 * (p * (reference / total).log()).sum()
    assert float(loss(exact)) == pytest.approx(float(hand) / 6, rel=1e-6)
