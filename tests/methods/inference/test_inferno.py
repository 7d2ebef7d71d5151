"""Inference-aware training on the toy whose best answer is known."""

import numpy as np
import pytest
import torch
from torch import nn

from colliderkit.errors import InputError
from colliderkit.events.scaling import Standardise
from colliderkit.losses.inference import soft_bins
from colliderkit.methods.inference.inferno import InferenceAware, NuisanceJacobian
from colliderkit.methods.inference.nuisances import Nuisance
from colliderkit.networks.mlp import MLP
from colliderkit.networks.model import Model
from colliderkit.sources.toys.inferno import Inferno
from colliderkit.training.settings import Training

SHIFT = Nuisance("r", "shift", column=0, step=0.2)
RATE = Nuisance("lambda", "rate", column=2, nominal=3.0, step=0.5)
YIELD = Nuisance("b", "yield", nominal=1000.0, width=100.0)
TINY = Training(epochs=2, batch_size=500, learning_rate=3e-3)


def fitted(**options) -> InferenceAware:
    x, label, weight = Inferno().sample(2000, seed=1)
    summary = InferenceAware((SHIFT, RATE, YIELD), bins=4, training=TINY, **options)
    return summary.fit(x, label, weight=weight, seed=3, progress=False)


def test_derivatives_of_the_bins_are_those_of_finite_differences() -> None:
    torch.manual_seed(1)
    # In float64 throughout, which a standardised table is not.
    model = Model(nn.Identity(), MLP(3, 5, hidden=(16, 16))).double()
    x, label, _ = (torch.from_numpy(a) for a in Inferno().sample(40, seed=2))
    table = torch.cat([x, label[:, None].double()], 1)
    nuisances = (YIELD, SHIFT, RATE)
    found = NuisanceJacobian(model, nuisances, (1, 2), 0.5)(table).detach()
    assert found.shape == (80, 5 + 2 * 5 + 3)
    torch.testing.assert_close(found[:, :5], soft_bins(model(x), 0.5).detach())
    step = 1e-6
    for i, nuisance in enumerate((SHIFT, RATE)):
        sides = [
            soft_bins(model(nuisance.apply(x, x[:, 0], label, nuisance.nominal + s)[0]), 0.5)
            for s in (-step, step)
        ]
        numeric = (sides[1] - sides[0]).detach() / (2 * step)
        torch.testing.assert_close(
            found[:, 5 * (i + 1) : 5 * (i + 2)], numeric, rtol=1e-6, atol=1e-8
        )
        assert float(numeric[label == 1].abs().sum()) == 0.0
    is_background = (label == 0).double()
    torch.testing.assert_close(found[:, -3], is_background / 1000)
    assert float(found[:, -2:].abs().sum()) == 0.0


def test_gradients_reach_every_parameter_through_the_derivatives() -> None:
    torch.manual_seed(2)
    model = Model(Standardise(3), MLP(3, 4, hidden=(8,)))
    x, label, _ = Inferno().sample(30, seed=2)
    table = torch.from_numpy(np.column_stack([x, label])).float()
    pushed = NuisanceJacobian(model, (SHIFT,), (0,), 1.0)(table)[:, 4:8]
    (pushed**2).sum().backward()
    weights = [p for name, p in model.named_parameters() if name.endswith("weight")]
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in weights)


@pytest.mark.slow
def test_the_error_lies_between_the_likelihood_and_the_best_classifier() -> None:
    """B1 after eight epochs on 80,000 events: 19.3 is the best classifier's, 15.5 the bound."""
    toy = Inferno()
    training = Training(epochs=8, batch_size=2000, learning_rate=3e-3)
    summary = InferenceAware((SHIFT,), training=training)
    x, label, weight = toy.sample(40_000, seed=1)
    summary.fit(x, label, weight=weight, seed=0, progress=False)
    error = summary.templates(*toy.sample(100_000, seed=2)).expected_error()
    assert toy.expected_error("B1") < error < 18.5


def test_saving_keeps_the_summary(tmp_path) -> None:
    summary = fitted()
    x, label, weight = Inferno().sample(500, seed=9)
    summary.save(tmp_path / "summary")
    loaded = InferenceAware.load(tmp_path / "summary")
    np.testing.assert_array_equal(loaded.transform(x, soft=True), summary.transform(x, soft=True))
    assert tuple(loaded.nuisances) == summary.nuisances
    before, after = (s.templates(x, label, weight).expected_error() for s in (summary, loaded))
    assert before == after
    soft = summary.transform(x, soft=True)
    np.testing.assert_array_equal(soft.argmax(1), summary.transform(x))
    np.testing.assert_allclose(soft.sum(1), 1, rtol=1e-12)


def test_the_same_seed_gives_the_same_summary() -> None:
    x = Inferno().sample(200, seed=9)[0]
    np.testing.assert_array_equal(fitted().transform(x), fitted().transform(x))


def test_bad_input_is_a_sentence() -> None:
    x, label, weight = Inferno().sample(50, seed=1)
    summary = InferenceAware()
    with pytest.raises(InputError, match="not fitted"):
        summary.transform(x)
    with pytest.raises(InputError, match=r"weight of event 3 .* is -1; a bin could expect"):
        summary.fit(x, label, weight=np.where(np.arange(100) == 3, -1.0, weight))
    with pytest.raises(InputError, match="column 0 is nan in event 7"):
        summary.fit(np.where(np.arange(100)[:, None] == 7, np.nan, x), label, weight=weight)
    with pytest.raises(InputError, match="no signal events"):
        summary.fit(x, np.zeros(100, int), weight=weight)
    with pytest.raises(InputError, match="labels must be"):
        summary.fit(x, label + 1, weight=weight)
    with pytest.raises(InputError, match="two bins"):
        InferenceAware(bins=1).fit(x, label, weight=weight)
    with pytest.raises(InputError, match="table of 3 columns"):
        fitted().transform(x[:, :2])
