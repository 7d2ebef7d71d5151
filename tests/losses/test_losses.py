import math

import pytest
import torch

from colliderkit.losses.classification import cross_entropy
from colliderkit.losses.multitask import ClassAndRegression


def test_cross_entropy_is_the_weighted_mean_of_minus_log_probability() -> None:
    outputs = torch.tensor([[0.0, math.log(3.0)], [math.log(4.0), 0.0]])
    target, weight = torch.tensor([1, 1]), torch.tensor([2.0, -1.0])
    # Probabilities of the true class: 3/4 and 1/5.
    expected = (2 * -math.log(0.75) - 1 * -math.log(0.2)) / 2
    assert float(cross_entropy(outputs, target, weight)) == pytest.approx(expected, rel=1e-6)


def test_batches_add_up_to_the_sample() -> None:
    torch.manual_seed(0)
    outputs, target, weight = torch.randn(12, 3), torch.randint(0, 3, (12,)), torch.randn(12)
    whole = cross_entropy(outputs, target, weight)
    parts = [
        cross_entropy(outputs[i : i + 4], target[i : i + 4], weight[i : i + 4]) for i in (0, 4, 8)
    ]
    torch.testing.assert_close(sum(parts) / 3, whole)


def test_class_and_regression_adds_a_huber_loss() -> None:
    outputs = torch.tensor([[1.0, 2.0, 0.5, 3.0]])
    target, weight = torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([1.5])
    huber = (0.5 * 0.5**2 + (2.0 - 0.5)) / 2
    expected = 1.5 * (math.log(1 + math.exp(-1.0)) + 0.25 * huber)
    found = ClassAndRegression(classes=2, strength=0.25)(outputs, target, weight)
    assert float(found) == pytest.approx(expected, rel=1e-6)
