"""Object condensation: exact terms of a hand-made event, and events without objects or noise."""

import math

import pytest
import torch

from colliderkit.losses.condensation import condensation_loss

# Two objects of two hits each on a line, and one hit of noise beside the second.
BETA = torch.tensor([0.8, 0.1, 0.2, 0.6, 0.3], dtype=torch.float64)
PLACE = torch.tensor([[0.0], [0.5], [3.0], [2.0], [2.25]], dtype=torch.float64)
OBJECT = torch.tensor([0, 0, 1, 1, -1])


def charge(beta: float) -> float:
    return math.atanh(beta) ** 2 + 0.1


def test_the_terms_are_those_of_the_equations() -> None:
    terms = condensation_loss(BETA, PLACE, OBJECT)
    q = [charge(b) for b in BETA.tolist()]
    # Only the noise is nearer than 1 to the point of an object that is not its own.
    assert float(terms.attractive) == pytest.approx(
        (q[1] * q[0] * 0.25 / 2 + q[2] * q[3] * 1.0 / 2) / 2
    )
    assert float(terms.repulsive) == pytest.approx(q[4] * q[3] * 0.75 / 5 / 2)
    assert float(terms.beta) == pytest.approx((0.2 + 0.4) / 2)
    assert float(terms.noise) == pytest.approx(0.3)
    assert terms.point.tolist() == [0, 3]
    assert float(terms.total(2.0)) == pytest.approx(float(sum(terms[:3])) + 0.6)


def test_padding_and_batch_mates_change_nothing() -> None:
    alone = condensation_loss(BETA, PLACE, OBJECT)
    other = condensation_loss(BETA[:1], PLACE[:1], OBJECT[:1])
    pad = torch.nn.functional.pad
    mask = torch.tensor([[True] * 5 + [False] * 2, [True] + [False] * 6])
    both = condensation_loss(
        torch.stack([pad(BETA, (0, 2), value=0.9), pad(BETA[:1], (0, 6), value=0.9)]),
        torch.stack([pad(PLACE, (0, 0, 0, 2)), pad(PLACE[:1], (0, 0, 0, 6))]),
        torch.stack([pad(OBJECT, (0, 2), value=1), pad(OBJECT[:1], (0, 6), value=0)]),
        mask=mask,
    )
    for term, first, second in zip(both[:4], alone, other, strict=False):
        torch.testing.assert_close(term, torch.stack([first, second]))


@pytest.mark.parametrize("object", [[-1, -1], [0, 0], [0, 1], []])
def test_events_without_object_noise_or_hits_have_finite_gradients(object: list[int]) -> None:
    beta = torch.tensor([1.0, 0.0])[: len(object)].requires_grad_()
    # Two hits at one place: the root of the distance has no slope there.
    place = torch.zeros(len(object), 2, requires_grad=True)
    terms = condensation_loss(beta, place, torch.tensor(object, dtype=torch.int64))
    terms.total().backward()
    assert torch.isfinite(terms.total())
    assert beta.grad is not None
    assert place.grad is not None
    assert torch.isfinite(beta.grad).all()
    assert torch.isfinite(place.grad).all()
    if object == [-1, -1]:
        assert beta.grad.tolist() == [0.5, 0.5]


def test_the_gradient_pulls_hits_of_an_object_together_and_pushes_others() -> None:
    place = PLACE.clone().requires_grad_()
    condensation_loss(BETA, place, OBJECT).total().backward()
    assert place.grad is not None
    # A step against the gradient: hit 1 moves to hit 0, hit 2 to hit 3, and noise off hit 3.
    assert place.grad[1] > 0
    assert place.grad[2] > 0
    assert place.grad[4] < 0
