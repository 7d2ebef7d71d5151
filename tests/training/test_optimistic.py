"""Optimistic steps: their formula, and the game that plain ones do not settle."""

import pytest
import torch

from colliderkit.training.optimistic import OptimisticAdamW


def played(kind: type[torch.optim.AdamW], steps: int = 480) -> float:
    """Return the distance from the solution of min_x max_y x y after steps from (.5, .5)."""
    x, y = (torch.nn.Parameter(torch.tensor(0.5)) for _ in range(2))
    options = {"lr": 0.05, "betas": (0.0, 0.9), "weight_decay": 0.0}
    ours, theirs = kind([x], **options), kind([y], **options)
    for _ in range(steps):
        x.grad, y.grad = y.detach().clone(), -x.detach().clone()
        ours.step()
        theirs.step()
    return float(torch.hypot(x, y).detach())


def test_a_bilinear_game() -> None:
    assert played(torch.optim.AdamW) > 0.4
    # Adam's steps have the size of the learning rate to the end.
    assert played(OptimisticAdamW) < 2 * 0.05


def test_the_step_is_along_twice_the_gradient_less_the_last() -> None:
    values = [0.3, -0.2, 0.5]
    ours, plain = (torch.nn.Parameter(torch.zeros(2)) for _ in range(2))
    one, other = OptimisticAdamW([ours], 0.1), torch.optim.AdamW([plain], 0.1)
    before = None
    for value in values:
        ours.grad = torch.full((2,), value)
        extrapolated = value if before is None else 2 * value - before
        plain.grad = torch.full((2,), extrapolated)
        before = value
        one.step()
        other.step()
    torch.testing.assert_close(ours, plain)


def test_what_is_remembered_is_saved() -> None:
    found = []
    for stop in (False, True):
        weight = torch.nn.Parameter(torch.zeros(1))
        optimiser = OptimisticAdamW([weight], 0.1)
        for step in range(4):
            if stop and step == 2:
                state = optimiser.state_dict()
                optimiser = OptimisticAdamW([weight], 0.1)
                optimiser.load_state_dict(state)
            optimiser.zero_grad()
            ((weight - 1 - step) ** 2).sum().backward()
            optimiser.step()
        found.append(weight.item())
    assert found[0] == pytest.approx(found[1], abs=0)
