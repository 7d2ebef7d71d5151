"""Losses of mixed samples: exact values, and their limits."""

import math

import pytest
import torch

from colliderkit.losses.classification import cross_entropy
from colliderkit.losses.proportions import PROPORTION_LOSSES, MixtureLikelihood, Proportions


def logits(signal):
    """The outputs of these signal probabilities."""
    signal = torch.tensor(signal, dtype=torch.float64)
    return torch.stack([(1 - signal).log(), signal.log()], 1).float()


OUTPUTS = logits([0.2, 0.4, 0.9, 0.5])
SAMPLE = torch.tensor([0, 0, 1, 1])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # Means .3 and .7 against fractions .2 and .8.
        ("absolute", 0.1 + 0.1),
        ("WMSE", 0.01 + 0.01),
        ("WCE", 2 * (-0.2 * math.log(0.3) - 0.8 * math.log(0.7))),
    ],
)
def test_proportions_compare_the_mean_of_each_sample(kind, expected):
    loss = Proportions([0.2, 0.8], kind)(OUTPUTS, SAMPLE, torch.ones(4))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_a_weight_of_two_is_the_event_twice_and_absent_samples_are_left_out():
    loss = Proportions([0.2, 0.8, 0.5])
    twice = torch.tensor([0, 0, 1, 2, 3])
    heavy = loss(OUTPUTS, SAMPLE, torch.tensor([2.0, 1.0, 1.0, 1.0]))
    torch.testing.assert_close(heavy, loss(OUTPUTS[twice], SAMPLE[twice], torch.ones(5)))
    assert float(heavy) == pytest.approx((0.2 - 0.8 / 3) ** 2 + (0.8 - 0.7) ** 2, rel=1e-4)
    outputs = OUTPUTS.clone().requires_grad_()
    loss(outputs, SAMPLE, torch.zeros(4)).backward()
    assert not outputs.grad.any()


@pytest.mark.parametrize("kind", PROPORTION_LOSSES)
def test_the_minimum_over_a_constant_is_the_fraction(kind):
    loss = Proportions([0.3], kind)
    target, weight = torch.zeros(1, dtype=torch.int64), torch.ones(1)
    values = [float(loss(logits([h]), target, weight)) for h in (0.2, 0.3, 0.4)]
    assert values[1] < min(values[0], values[2])


def test_the_likelihood_of_pure_samples_is_the_cross_entropy():
    outputs, target, weight = torch.randn(8, 2), torch.arange(8) % 2, torch.rand(8)
    loss = MixtureLikelihood([0.0, 1.0], [0.7, 0.3])
    torch.testing.assert_close(
        loss(outputs, target, weight), cross_entropy(outputs, target, weight)
    )


def test_the_likelihood_is_that_of_the_sample():
    loss = MixtureLikelihood([0.2, 0.5, 0.8], [0.5, 0.25, 0.25])
    # Signal .1 + .125 + .2 = .425; an event of h = .4 in sample 2: .4 .2/.425 + .6 .05/.575.
    expected = -math.log(0.4 * 0.2 / 0.425 + 0.6 * 0.05 / 0.575)
    found = loss(logits([0.4]), torch.tensor([2]), torch.ones(1))
    assert float(found) == pytest.approx(expected, rel=1e-5)
    # All samples together are certain.
    every = loss(logits([0.4] * 3), torch.arange(3), torch.zeros(3))
    assert float(every) == 0.0
    each = [float(loss(logits([0.4]), torch.tensor([a]), torch.ones(1))) for a in range(3)]
    assert sum(math.exp(-value) for value in each) == pytest.approx(1, rel=1e-5)
