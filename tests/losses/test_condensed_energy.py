"""Object condensation with energies: the payload is 0 where the factor is right."""

import math

import pytest
import torch

from colliderkit.losses.condensation import condensation_loss
from colliderkit.losses.condensed_energy import CondensedEnergy


def outputs(factor: list[float], *, place: list[float] | None = None) -> torch.Tensor:
    """An event of two objects at 0 and 5, of two hits of 1 and 3 GeV each, and one of padding."""
    places = torch.tensor(place or [0.0, 0.1, 5.0, 5.1, 0.0])
    beta = torch.tensor([2.0, -1.0, 1.0, -2.0, 9.0])
    known = torch.tensor(
        [[1.0, 0, 5.0, 1], [3.0, 0, 5.0, 1], [1.0, 1, 2.0, 1], [3.0, 1, 2.0, 1], [9.0, 0, 9.0, 0]]
    )
    columns = [beta, torch.tensor(factor).log(), places]
    return torch.cat([torch.stack(columns, 1), known], 1)[None].requires_grad_()


def loss(out: torch.Tensor, **options: float) -> float:
    return float(CondensedEnergy(**options)(out, torch.zeros(1), torch.ones(1)).detach())


def test_the_right_factor_has_no_payload_and_others_a_huber_loss() -> None:
    right = outputs([1.25, 1.25, 0.5, 0.5, 7.0])
    terms = condensation_loss(
        torch.sigmoid(right[..., 0]), right[..., 2:3], right[..., 4].long(), 0.5,
        mask=right[..., 6] > 0,
    )  # fmt: skip
    assert loss(right) == pytest.approx(float(terms.total()))
    # Object 0 is off by ln 2, beyond 0.2: 0.2 (ln 2 - 0.1), half of it over both objects.
    wrong = outputs([2.5, 2.5, 0.5, 0.5, 7.0])
    more = 0.2 * (math.log(2) - 0.1) / 2
    assert loss(wrong, payload=2.0) - loss(right, payload=2.0) == pytest.approx(2 * more, rel=1e-4)


def test_the_factor_is_of_what_is_collected() -> None:
    # The second hit of object 0 lies with object 1: 1 GeV is collected of 5, and 7 of 2.
    out = outputs([5.0, 5.0, 2 / 7, 2 / 7, 1.0], place=[0.0, 5.0, 5.0, 5.1, 0.0])
    free = outputs([5.0, 5.0, 2 / 7, 2 / 7, 1.0], place=[0.0, 5.0, 5.0, 5.1, 0.0])
    assert loss(out, payload=1.0) == pytest.approx(loss(free, payload=0.0))


def test_events_without_objects_have_gradients_and_weights_count() -> None:
    out = outputs([1.0] * 5)
    bare = out.detach().clone()
    bare[..., 4] = -1
    bare.requires_grad_()
    CondensedEnergy()(bare, torch.zeros(1), torch.ones(1)).backward()
    assert bare.grad is not None
    assert torch.isfinite(bare.grad).all()
    both = torch.cat([out, bare]).detach()
    one, other = loss(out), loss(bare)
    mean = CondensedEnergy()(both, torch.zeros(2), torch.tensor([3.0, 1.0]))
    assert float(mean) == pytest.approx((3 * one + other) / 4)
