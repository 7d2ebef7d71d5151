"""Object condensation and the hinge: values by hand, and events without objects, noise or hits."""

import math

import pytest
import torch

from colliderkit.losses.condensation import hinge_embedding, object_condensation


def test_the_loss_of_three_hits_by_hand():
    x = torch.tensor([[0.0], [0.5], [0.7]])
    beta = torch.tensor([0.8, 0.3, 0.6])
    objects = torch.tensor([0, 0, 1])
    q = [math.atanh(b) ** 2 + 0.1 for b in (0.8, 0.3, 0.6)]
    # Hits 0 and 1 are one object, condensed in 0; hit 2 is alone.
    attraction = q[1] * q[0] * 0.25
    repulsion = q[2] * q[0] * 0.3 + q[0] * q[2] * 0.3 + q[1] * q[2] * 0.8
    wanted = (attraction + repulsion) / 3 + (0.2 + 0.4) / 2
    found = object_condensation(x, beta, objects)
    assert float(found) == pytest.approx(wanted, rel=1e-5)


def test_noise_is_repelled_and_its_beta_suppressed():
    x, objects = torch.tensor([[0.0], [0.25]]), torch.tensor([0, -1])
    beta = torch.tensor([0.5, 0.4])
    q = [math.atanh(b) ** 2 + 0.1 for b in (0.5, 0.4)]
    wanted = q[1] * q[0] * 0.75 / 2 + 0.5 + 2.0 * 0.4
    found = object_condensation(x, beta, objects, noise=2.0)
    assert float(found) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("objects", [[], [-1, -1], [0, 0], [0, 2]])
def test_it_is_finite_with_gradients_whatever_is_there(objects):
    x = torch.zeros(len(objects), 2, requires_grad=True)
    beta = torch.ones(len(objects), requires_grad=True)  # at its end, where artanh is infinite
    labels = torch.tensor(objects, dtype=torch.int64)
    for loss in (
        object_condensation(x, beta, labels),
        hinge_embedding(x, labels, torch.zeros(2, 0, dtype=torch.int64)),
    ):
        assert torch.isfinite(loss)
        loss.backward()
        assert torch.isfinite(x.grad).all()
    assert torch.isfinite(beta.grad).all()


def test_the_hinge_by_hand():
    x = torch.tensor([[0.0], [0.5], [0.9], [5.0]])
    objects = torch.tensor([0, 0, 1, -1])
    pairs = torch.tensor([[0], [1]])
    # Foreign pairs within 1, each from its own side: (0, 2) and (1, 2).
    wanted = 0.25 + 2 * (0.1 + 0.6) / 3
    assert float(hinge_embedding(x, objects, pairs)) == pytest.approx(wanted, rel=1e-5)
