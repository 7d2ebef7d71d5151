"""Attributions against closed forms and completeness."""

import awkward as ak
import numpy as np
import pytest
import torch
from torch import nn

from colliderkit.errors import InputError
from colliderkit.events.sets import LOG_FEATURES, ParticleSet
from colliderkit.methods.tagging.explain import integrated_gradients, permutation_importance
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.metrics import Value, auc
from colliderkit.networks.deep_sets import EFN, PFN
from colliderkit.networks.model import Model

COLUMNS = ("px", "py", "pz", "E")


@pytest.fixture
def constituents():
    """Raw constituents (6, 9, 4) of jets with 0 to 9 particles, and their mask."""
    random = torch.Generator().manual_seed(0)
    p = torch.randn(6, 9, 3, generator=random) * 5 + torch.tensor([60.0, 0.0, 10.0])
    mask = torch.arange(9) < torch.tensor([9, 7, 5, 3, 1, 0])[:, None]
    values = torch.cat([p, p.norm(dim=-1, keepdim=True)], -1) * mask[..., None]
    return values, mask


def test_a_linear_model_is_attributed_exactly():
    network = nn.Linear(3, 2)
    model = Model(nn.Identity(), network)
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    slope = (network.weight[1] - network.weight[0]).detach()
    found = integrated_gradients(model, x, baseline=torch.tensor([0.0, 1.0, 2.0]))
    torch.testing.assert_close(found.values, (x - torch.tensor([0.0, 1.0, 2.0])) * slope)


def test_a_product_is_shared_equally():
    class Product(nn.Module):
        def forward(self, x):
            return torch.stack([torch.zeros(len(x)), x[:, 0] * x[:, 1]], 1)

    x = torch.tensor([[2.0, 3.0], [-1.0, 4.0]])
    found = integrated_gradients(Model(nn.Identity(), Product()), x)
    torch.testing.assert_close(found.values, torch.tensor([[3.0, 3.0], [-2.0, -2.0]]))


@pytest.mark.parametrize("outputs", [2, 3])
def test_attributions_of_a_pfn_are_complete(constituents, outputs):
    torch.manual_seed(2)
    network = PFN(len(LOG_FEATURES), outputs)
    # Untrained logits hardly differ: larger ones make the test mean something.
    with torch.no_grad():
        for p in network.f.parameters():
            p *= 2
    model = Model(ParticleSet(COLUMNS), network).train()
    values, mask = constituents
    found = integrated_gradients(model, values, mask, target=1, classes=outputs)
    assert found.total.abs().max() > 0.5
    assert (found.values.flatten(1).sum(1) - found.total).abs().max() < 1e-3 * max(
        1, found.total.abs().max()
    )
    assert (found.values[~mask] == 0).all()
    assert (found.values[mask] != 0).any()
    assert model.training


def test_the_log_odds_are_those_of_the_softmax(constituents):
    torch.manual_seed(3)
    model = Model(ParticleSet(COLUMNS), PFN(len(LOG_FEATURES), 3)).eval()
    values, mask = constituents
    total = integrated_gradients(model, values, mask, target=2, classes=3).total
    features, vectors, _ = model.representation(values, mask)
    with torch.no_grad():
        p = model(values, mask).softmax(1)[:, 2]
        base = model.network(0 * features, vectors, mask).softmax(1)[:, 2]
    torch.testing.assert_close(total, p.logit() - base.logit(), atol=1e-4, rtol=1e-4)


def test_by_feature_sums_over_particles(constituents):
    values, mask = constituents
    torch.manual_seed(4)
    found = integrated_gradients(Model(ParticleSet(COLUMNS), PFN(7, 2)), values, mask)
    size = found.by_feature(LOG_FEATURES)
    assert list(size) == list(LOG_FEATURES)
    expected = found.values[..., 2].abs().sum(1)
    assert size["log_pt"].value == pytest.approx(float(expected.mean()), rel=1e-5)
    assert size["log_pt"].error == pytest.approx(float(expected.std()) / 6**0.5, rel=1e-5)


def test_what_cannot_be_attributed_is_said(constituents):
    values, mask = constituents
    with pytest.raises(InputError, match="four-vectors alone"):
        integrated_gradients(Model(ParticleSet(COLUMNS), EFN()), values, mask)

    class Step(nn.Module):
        def forward(self, x):
            return (x > 0).float()

    with pytest.raises(InputError, match="no gradient"):
        integrated_gradients(Model(nn.Identity(), Step()), torch.randn(3, 2))


class Hand(nn.Module):
    """A network set by hand: log-odds are the sum of `log_pt` over particles."""

    def forward(self, features, vectors, mask):
        total = features[..., LOG_FEATURES.index("log_pt")].sum(1)
        return torch.stack([torch.zeros_like(total), total], 1)


def jets_by_momentum(count=600):
    """Jets of three particles each, harder for label 1, ordered by label."""
    random = np.random.default_rng(5)
    label = np.repeat([0, 1], count // 2)
    pt = random.exponential(10, size=(count, 3)) * (1 + label[:, None]) + 1
    eta, phi = random.normal(size=(2, count, 3)) * 0.2
    fields = {
        "px": pt * np.cos(phi),
        "py": pt * np.sin(phi),
        "pz": pt * np.sinh(eta),
        "E": pt * np.cosh(eta),
    }
    return ak.zip(
        {
            "constituents": ak.zip({k: ak.from_regular(v) for k, v in fields.items()}),
            "label": label,
        },
        depth_limit=1,
    )


def by_hand(network, model, columns):
    tagger = Tagger(network)
    tagger.columns_ = columns
    tagger.model_ = model
    return tagger


def test_permutation_finds_the_one_feature_that_matters():
    jets = jets_by_momentum()
    tagger = by_hand("pfn", Model(ParticleSet(COLUMNS), Hand()), COLUMNS)
    drops = permutation_importance(tagger, jets, repeats=4, seed=1, batch_size=150)
    assert list(drops) == list(LOG_FEATURES)
    # Without log_pt nothing is left: the AUC falls to one half.
    score = tagger.predict_proba(jets)[:, 1]
    area = auc(score, np.asarray(jets["label"]))
    assert abs(drops["log_pt"].value - (area.value - 0.5)) < 4 * area.error
    assert 0 < drops["log_pt"].error < area.error * 3
    assert all(drops[name] == Value(0.0, 0.0) for name in LOG_FEATURES if name != "log_pt")
    again = permutation_importance(tagger, jets, repeats=4, seed=1, batch_size=150)
    assert again == drops


def test_permutation_of_a_table():
    jets = jets_by_momentum()
    names = ("pt", "mass", "multiplicity")
    network = nn.Linear(len(names), 2)
    with torch.no_grad():
        network.weight.zero_()
        network.weight[1, names.index("mass")] = 0.1
    tagger = by_hand("mlp", Model(nn.Identity(), network), names)
    tagger.observables = names
    drops = permutation_importance(tagger, jets, repeats=4)
    area = auc(tagger.predict_proba(jets)[:, 1], np.asarray(jets["label"]))
    assert area.value > 0.55
    assert abs(drops["mass"].value - (area.value - 0.5)) < 4 * area.error
    assert list(drops) == list(names)
    assert all(drop == Value(0.0, 0.0) for name, drop in drops.items() if name != "mass")


def test_an_image_has_no_named_features():
    jets = jets_by_momentum(40)
    model = Model(nn.Flatten(), nn.Linear(12, 2))
    model.forward = lambda values, mask: torch.zeros(len(values), 2)  # type: ignore[method-assign]
    tagger = by_hand("cnn", model, COLUMNS)
    with pytest.raises(InputError, match="'cnn' takes no named features"):
        permutation_importance(tagger, jets)
