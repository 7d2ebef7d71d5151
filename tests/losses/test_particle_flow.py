"""The loss of particle flow: right answers are best, and events without a particle are safe."""

import torch

from colliderkit.losses.particle_flow import OUTPUTS, TRUTH, element_loss


def outputs(there: float, kind: float = 0.0, real: float = 1.0) -> torch.Tensor:
    """Return two elements of one event: said nothing, and what is true of them."""
    said = torch.zeros(1, 2, OUTPUTS)
    known = torch.tensor([there, kind, 0.5, 1.0, -1.0, 4.0, real]).expand(1, 2, TRUTH)
    return torch.cat([said, known], dim=2).requires_grad_()


def test_nothing_said_costs_ln_2_and_the_kinds():
    one = torch.ones(1)
    none = element_loss(outputs(0.0), one, one)
    assert torch.isclose(none, torch.tensor(2.0).log())
    # Where there is none, kind and momentum cost nothing.
    some = element_loss(outputs(1.0), one, one)
    assert some > none + torch.tensor(5.0).log()


def test_events_without_particles_or_elements_have_finite_gradients():
    for there, real in ((0.0, 1.0), (0.0, 0.0)):
        values = outputs(there, real=real)
        loss = element_loss(values, torch.ones(1), torch.ones(1))
        loss.backward()
        assert torch.isfinite(values.grad).all()
        if real == 0:
            assert loss == 0


def test_a_hard_element_counts_more():
    values = outputs(1.0).detach()
    values[0, 0, OUTPUTS + 5] = 100.0
    values.requires_grad_()
    element_loss(values, torch.ones(1), torch.ones(1)).backward()
    hard, soft = values.grad[0, 0, 6].abs(), values.grad[0, 1, 6].abs()
    torch.testing.assert_close(hard / soft, torch.tensor(5.0))
