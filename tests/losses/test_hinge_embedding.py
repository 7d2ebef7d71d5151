"""The hinge embedding: values by hand, and events without objects, noise or hits."""

import pytest
import torch

from colliderkit.losses.hinge_embedding import hinge_embedding


@pytest.mark.parametrize("objects", [[], [-1, -1], [0, 0], [0, 2]])
def test_it_is_finite_with_gradients_whatever_is_there(objects):
    x = torch.zeros(len(objects), 2, requires_grad=True)
    labels = torch.tensor(objects, dtype=torch.int64)
    loss = hinge_embedding(x, labels, torch.zeros(2, 0, dtype=torch.int64))
    assert torch.isfinite(loss)
    loss.backward()
    assert torch.isfinite(x.grad).all()


def test_the_hinge_by_hand():
    x = torch.tensor([[0.0], [0.5], [0.9], [5.0]])
    objects = torch.tensor([0, 0, 1, -1])
    pairs = torch.tensor([[0], [1]])
    # Foreign pairs within 1, each from its own side: (0, 2) and (1, 2).
    wanted = 0.25 + 2 * (0.1 + 0.6) / 3
    assert float(hinge_embedding(x, objects, pairs)) == pytest.approx(wanted, rel=1e-5)
