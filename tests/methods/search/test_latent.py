"""Latent Dirichlet allocation on events of known topics, and tokens of jets."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.tokens import lund_tokens
from colliderkit.methods.search.latent import LatentDirichlet
from colliderkit.metrics.roc import auc
from colliderkit.seeds import derive
from samples import make_jets


@pytest.mark.statistical
def test_topics_of_a_mixture_are_recovered(seed):
    """The distance from the truth is some times that of counting, sqrt(V / tokens) / 2 = 0.01."""
    distances = []
    for i in range(5):
        random = np.random.default_rng(derive(seed, i))
        topics = random.dirichlet(np.full(20, 0.5), 2)
        shares = random.dirichlet([0.5, 0.5], 2000)
        method = LatentDirichlet().fit(random.multinomial(40, shares @ topics), seed=i)
        distances.append(
            min(np.abs(method.topics_[order] - topics).sum() for order in ([0, 1], [1, 0])) / 4
        )
        found = method.shares(random.multinomial(40, shares @ topics))
        np.testing.assert_allclose(found.sum(1), 1)
    assert np.median(distances) < 0.06


@pytest.mark.statistical
def test_the_rare_topic_is_the_score(seed):
    """Of 5% of signal that splits elsewhere, the second topic is the signal's."""
    areas = []
    for i in range(3):
        random = np.random.default_rng(derive(seed, i))
        label = (random.random(4000) < 0.05).astype(int)
        topics = np.array([[0.4, 0.3, 0.2, 0.1, 0.0, 0.0], [0.1, 0.0, 0.1, 0.2, 0.3, 0.3]])
        counts = random.multinomial(20, topics[label])
        method = LatentDirichlet(alpha=(0.9, 0.1)).fit(counts, seed=derive(seed, "fit", i))
        areas.append(auc(method.score(counts), label).value)
    assert np.median(areas) > 0.95


def test_tokens_are_splittings_in_bins_of_the_plane():
    jets = make_jets(30, 1)
    tokens = lund_tokens(jets, (4, 3))
    assert tokens.shape == (30, 12)
    # The primary plane of n particles has at most n - 1 splittings.
    assert (tokens.sum(1) <= ak.to_numpy(ak.num(jets.constituents)) - 1).all()
    assert (tokens.sum(1) >= 1).all()
    pair = ak.Array(
        [{"constituents": [
            {"px": 100.0, "py": 0.0, "pz": 0.0, "E": 100.0},
            {"px": 10 * np.cos(0.1), "py": 10 * np.sin(0.1), "pz": 0.0, "E": 10.0},
        ], "jet_pt": 110.0}]
    )  # fmt: skip
    # ln 1/0.1 = 2.3 of [0, 6] is in the second of four bins.
    assert lund_tokens(pair, (4, 1))[0].tolist() == [0, 1, 0, 0]


def test_jets_are_read_as_tokens():
    jets = make_jets(200, 2)
    method = LatentDirichlet(iterations=10, bins=(4, 4)).fit(jets)
    assert method.topics_.shape == (2, 16)
    np.testing.assert_allclose(method.topics_.sum(1), 1)
    np.testing.assert_array_equal(method.shares(lund_tokens(jets, (4, 4))), method.shares(jets))


@pytest.mark.parametrize(
    ("arguments", "counts", "sentence"),
    [
        ({"topics": 1}, np.ones((5, 3)), "topics is 1"),
        ({"alpha": (0.1, 0.2, 0.3)}, np.ones((5, 3)), "3 numbers for 2 topics"),
        ({}, -np.ones((5, 3)), "event 0 .* has -1"),
        ({}, np.zeros((5, 3)), "no tokens at all"),
    ],
)
def test_what_cannot_work_is_refused(arguments, counts, sentence):
    with pytest.raises(InputError, match=sentence):
        LatentDirichlet(**arguments).fit(counts)


def test_other_tokens_than_those_of_the_fit_are_refused():
    method = LatentDirichlet(iterations=2).fit(np.ones((5, 3)))
    with pytest.raises(InputError, match="have 4 tokens, and 3 were fitted"):
        method.score(np.ones((5, 4)))
