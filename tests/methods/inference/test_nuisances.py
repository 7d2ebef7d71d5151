"""Transformations of events by nuisance parameters, and their derivatives."""

import math

import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.methods.inference.inferno import InferenceAware
from colliderkit.methods.inference.nuisances import Nuisance

X = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
LABEL = torch.tensor([0, 1, 0])
WEIGHT = torch.tensor([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("nuisance", "value", "x", "weight", "dx", "dlnw"),
    [
        (Nuisance("r", "shift", column=0, step=1.0), 0.5, 1.5, 1.0, 1.0, 0.0),
        (Nuisance("e", "scale", column=0, nominal=2.0, width=1.0), 3.0, 1.5, 1.0, 0.5, 0.0),
        (Nuisance("l", "rate", column=0, nominal=2.0, width=1.0), 4.0, 0.5, 1.0, -0.5, 0.0),
        (Nuisance("b", "yield", nominal=10.0, width=1.0), 15.0, 1.0, 1.5, 0.0, 0.1),
    ],
)
def test_named_transformations(nuisance, value, x, weight, dx, dlnw):
    moved, scaled = nuisance.apply(X, WEIGHT, LABEL, value)
    assert float(moved[0, 0]) == x
    assert float(scaled[0]) == weight
    # The other column and the other process stay.
    torch.testing.assert_close(moved[:, 1], X[:, 1])
    torch.testing.assert_close(moved[1], X[1])
    assert float(scaled[1]) == 2.0
    slope, log = nuisance.slopes(X, LABEL)
    assert float(slope[0, 0]) == dx
    assert float(log[0]) == pytest.approx(dlnw)
    assert float(slope[1].abs().sum()) == float(log[1]) == 0.0
    same, unchanged = nuisance.apply(X, WEIGHT, LABEL, nuisance.nominal)
    torch.testing.assert_close((same, unchanged), (X, WEIGHT))


def test_a_function_of_both_events_and_weights():
    def smear(x, weight, value):
        return x * torch.exp(value), weight * torch.exp(-value * x[:, 0])

    nuisance = Nuisance("t", smear, process="all", width=0.1)
    slope, log = nuisance.slopes(X, LABEL)
    torch.testing.assert_close(slope, X)
    torch.testing.assert_close(log, -X[:, 0])
    assert float(nuisance.apply(X, WEIGHT, LABEL, 0.1)[1][2]) == pytest.approx(3 * math.exp(-0.5))


def test_a_function_is_saved_in_no_file(tmp_path):
    nuisance = Nuisance("t", lambda x, w, value: (x + value, w), width=0.1)
    with pytest.raises(InputError, match="'t' is a function"):
        InferenceAware([nuisance]).save(tmp_path / "summary")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"transform": "twist", "width": 1.0}, "no transformation is called 'twist'"),
        ({"transform": "shift", "width": 1.0}, "needs a column"),
        ({"transform": "scale", "column": 0, "width": 1.0}, "other than 0"),
        ({"transform": "shift", "column": 0}, "free and needs a step"),
        ({"transform": "shift", "column": 0, "width": -1.0}, "not positive"),
        ({"transform": "shift", "column": 0, "width": 1.0, "process": "top"}, "'top' is none of"),
    ],
)
def test_what_cannot_be_is_a_sentence(options, sentence):
    with pytest.raises(InputError, match=sentence):
        Nuisance("n", **options)
