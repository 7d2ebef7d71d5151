"""The MMD against its closed form between Gaussians."""

import math

import pytest
import torch
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.losses.mmd import WIDTHS, EnsembleDistance, gaussian_kernels, squared_mmd


def expected_kernel(shift: float, variance: float, features: int, widths=WIDTHS) -> float:
    """< k(x, y) > for x - y of mean `shift` in one direction and `variance` in each.

    (s^2 / (s^2 + v))^(D/2) exp(-shift^2 / (2 (s^2 + v))), s the width of the kernel.
    """
    found = 0.0
    for width in widths:
        s2 = width**2 * features
        found += (s2 / (s2 + variance)) ** (features / 2) * math.exp(
            -(shift**2) / 2 / (s2 + variance)
        )
    return found / len(widths)


def normal(count: int, features: int, seed: int, shift: float = 0.0, width: float = 1.0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    x = width * torch.randn(count, features, generator=random, dtype=torch.float64)
    x[:, 0] += shift
    return x


@pytest.mark.parametrize(("shift", "width"), [(0.0, 1.0), (0.7, 1.0), (0.0, 1.6), (1.0, 0.5)])
def test_gaussians_have_the_exact_distance(shift: float, width: float) -> None:
    exact = (
        expected_kernel(0, 2, 2)
        + expected_kernel(0, 2 * width**2, 2)
        - 2 * expected_kernel(shift, 1 + width**2, 2)
    )
    found = torch.stack(
        [
            squared_mmd(normal(300, 2, 2 * i), normal(200, 2, 2 * i + 1, shift, width))
            for i in range(150)
        ]
    )
    error = float(found.std()) / len(found) ** 0.5
    assert float(found.mean()) == pytest.approx(exact, abs=3 * error)
    # Small enough for a wrong term to show: with their diagonals the means would be .004 higher.
    assert error < 1.33e-3


def test_weights_stand_for_a_density() -> None:
    """N(0, 1) weighted by exp(x / 2 - 1 / 8) is N(1/2, 1)."""
    found, plain = [], []
    for i in range(40):
        x, y = normal(500, 1, 2 * i), normal(500, 1, 2 * i + 1, 0.5)
        weight = (x[:, 0] / 2 - 1 / 8).exp()
        found.append(squared_mmd(x, y, weight))
        plain.append(squared_mmd(x, y))
    error = float(torch.stack(found).std()) / 40**0.5
    assert abs(float(torch.stack(found).mean())) < 3 * error
    assert float(torch.stack(plain).mean()) > 20 * error


def test_a_weight_of_two_is_two_events_but_for_their_own_pair() -> None:
    x, y = normal(5, 3, 1), normal(6, 3, 2)
    weight = torch.tensor([2.0, 1.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    kernel = gaussian_kernels(x, x)
    pairs = [(i, j) for i in range(5) for j in range(5) if i != j]
    norm = sum(weight[i] * weight[j] for i, j in pairs)
    own = sum(weight[i] * weight[j] * kernel[i, j] for i, j in pairs) / norm
    other = gaussian_kernels(y, y)
    rest = (other.sum() - other.diagonal().sum()) / 30
    cross = (weight[:, None] * gaussian_kernels(x, y)).sum() / 36
    torch.testing.assert_close(squared_mmd(x, y, weight), own + rest - 2 * cross)


def test_pairs_of_equals_have_no_distance() -> None:
    x = normal(50, 2, 3)
    assert abs(float(squared_mmd(x, x, paired=True))) < 1e-15
    # As if independent, a sample is nearer to itself than to another of its density.
    assert float(squared_mmd(x, x)) < -1e-3


def test_the_condition_sees_what_the_margins_hide() -> None:
    """x = c and x = -c are distributed alike; beside c they are not."""
    c = normal(400, 1, 4).float()
    outputs, target, weight = -c, torch.cat([c, c], 1), torch.ones(400)
    plain = float(EnsembleDistance()(outputs, c, weight))
    assert abs(plain) < 0.01
    assert float(EnsembleDistance(condition=1)(outputs, target, weight)) > 0.1


def test_gradients_lead_together() -> None:
    """a z + b for z itself: a = 1, b = 0."""
    z = normal(150, 1, 5)
    a = torch.tensor([0.5, 1.5], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([a], 0.05)
    for _ in range(300):
        optimiser.zero_grad()
        squared_mmd(a[0] * z + a[1], z, paired=True).backward()
        optimiser.step()
    torch.testing.assert_close(a.detach(), torch.tensor([1.0, 0.0]).double(), atol=1e-3, rtol=0)


def test_gradient_is_that_of_differences() -> None:
    x, y = normal(6, 2, 7).requires_grad_(), normal(5, 2, 8)
    assert torch.autograd.gradcheck(lambda x: squared_mmd(x, y), (x,))


def test_one_event_is_a_sentence() -> None:
    with pytest.raises(InputError, match="two events"):
        squared_mmd(normal(1, 2, 0), normal(5, 2, 0))
