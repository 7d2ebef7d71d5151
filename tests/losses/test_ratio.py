"""The losses of likelihood ratios: their minimum is the exact ratio."""

import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.losses.ratio import RATIO_LOSSES, ratio_loss

POWERS = {"p-mse": 1.5, "r-sqr": 0.7, "exponential-r-sqr": 0.7}


@pytest.mark.parametrize("name", RATIO_LOSSES)
@pytest.mark.parametrize("ratio", [0.2, 1.0, 4.0])
def test_the_minimum_is_the_ratio_of_the_densities(name: str, ratio: float) -> None:
    # At a point where p1 = ratio, p0 = 1 the loss is p1 l1(z) + p0 l0(z).
    loss = ratio_loss(name, POWERS.get(name))
    z = torch.linspace(-12, 12, 480_001, dtype=torch.float64)
    total = ratio * loss.numerator(z) + loss.denominator(z)
    found = loss.log_ratio(z)[total.argmin()].exp()
    assert float(found) == pytest.approx(ratio, rel=2e-4)


@pytest.mark.parametrize("name", RATIO_LOSSES)
def test_the_slope_says_how_the_output_is_read(name: str) -> None:
    loss = ratio_loss(name, POWERS.get(name))
    z = torch.linspace(-3, 3, 7, dtype=torch.float64)
    linear = loss.log_ratio(z) / z
    if loss.slope is None:
        assert float(linear[0] - linear[-1]) > 0.1
    else:
        assert torch.allclose(loss.log_ratio(z), loss.slope * z)


def test_events_count_by_their_class_and_weight() -> None:
    loss = ratio_loss("bce")
    outputs = torch.tensor([[0.3], [-1.2], [2.0]])
    target, weight = torch.tensor([1.0, 0.0, 1.0]), torch.tensor([2.0, 1.0, -0.5])
    f = outputs[:, 0].sigmoid()
    by_hand = (-2 * f[0].log() - (1 - f[1]).log() + 0.5 * f[2].log()) / 3
    assert torch.allclose(loss(outputs, target, weight), by_hand)


@pytest.mark.parametrize(
    ("name", "power", "message"),
    [
        ("hinge", None, "loss 'hinge' is unknown"),
        ("bce", 2.0, "takes no power"),
        ("p-mse", 1.0, "needs a power above 1"),
        ("r-sqr", None, "needs a power above 0"),
    ],
)
def test_a_loss_that_does_not_exist_is_named(name: str, power: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ratio_loss(name, power)
