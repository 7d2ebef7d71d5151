"""Secondary vertices: exact where errors leave no doubt, and learned where they do."""

import awkward as ak
import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.events.secondary_vertices import JetTracks
from colliderkit.losses.set_to_graph import set_to_graph
from colliderkit.methods.reconstruction.adaptive_vertices import AdaptiveVertices
from colliderkit.methods.reconstruction.secondary_vertices import SecondaryVertices, ragged
from colliderkit.metrics.vertices import adjusted_rand, mean_over_jets
from colliderkit.networks.track_pairs import TrackPairs, inverted
from colliderkit.sources.toys.secondary_vertices import displaced_jets
from colliderkit.training.settings import Training

QUIET = {"progress": False}


def test_adaptive_fits_find_what_stands_apart():
    """Vertices some hundred errors from the collision, five tracks each, and an empty jet."""
    direction = np.random.default_rng(3).normal(0, 0.1, (10, 2))
    eta, phi = direction.T
    place = np.where(np.arange(10) < 5, 0.0, 30.0)
    values = np.zeros((10, 9))
    values[:, 0], values[:, 1], values[:, 2], values[:, 3] = 20.0, eta, phi, 100.0
    values[:, 5] = place * np.sin(phi)
    values[:, 6] = -place * np.cos(phi) * np.sinh(eta)
    values[:, 7:] = 0.02
    tracks = JetTracks(values, np.repeat([0, 1], 5), np.array([0, 10]))
    finder = AdaptiveVertices(tune=False).fit(displaced_jets(2), **QUIET)
    assert finder.parts(tracks).tolist() == [0] * 5 + [1] * 5


def test_cuts_are_tuned_and_rest_is_put_where_it_is_said():
    jets = displaced_jets(150, seed=4)
    tuned = AdaptiveVertices().fit(jets, **QUIET)
    tracks = JetTracks.of(jets)

    def mean(finder: AdaptiveVertices) -> float:
        return adjusted_rand(tracks.vertex, finder.parts(tracks), tracks.counts).mean()

    fixed = [
        AdaptiveVertices(primary=cut, rest=rest, tune=False).fit(jets, **QUIET)
        for cut in (2.0, 5.0)
        for rest in ("alone", "collision")
    ]
    assert mean(tuned) >= max(mean(finder) for finder in fixed) - 1e-12
    with pytest.raises(InputError, match="choose alone or collision"):
        AdaptiveVertices(rest="none").fit(jets, **QUIET)
    blind = ak.without_field(jets, ("constituents", "vertex"))
    with pytest.raises(InputError, match="need a column 'vertex'"):
        AdaptiveVertices().fit(blind, **QUIET)


def test_pairs_are_symmetric_and_know_no_order():
    tracks = JetTracks.of(displaced_jets(6, seed=5))
    torch.manual_seed(0)
    network = TrackPairs(width=8, heads=2).eval()
    values, mask = ragged(tracks).padded(torch.arange(6))
    network.standardise(values, mask)
    with torch.no_grad():
        scores = network(values, mask)
        order = torch.randperm(values.shape[1])
        moved = network(values[:, order], mask[:, order])
    both = mask[:, :, None] & mask[:, None]
    torch.testing.assert_close(scores[both], scores.transpose(1, 2)[both], atol=1e-5, rtol=1e-5)
    expected = scores[:, order][:, :, order]
    torch.testing.assert_close(
        moved[both[:, order][:, :, order]], expected[both[:, order][:, :, order]],
        atol=1e-4, rtol=1e-4,
    )  # fmt: skip


def test_cofactors_invert():
    random = torch.Generator().manual_seed(0)
    root = torch.randn(20, 3, 3, generator=random, dtype=torch.float64)
    matrix = root @ root.transpose(1, 2) + torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(inverted(matrix), torch.linalg.inv(matrix))


def test_the_loss_by_hand():
    """Two tracks of one vertex, one of another; and a jet of a single track, which has none."""
    logits = torch.zeros(2, 3, 3)
    logits[0, 0, 1], logits[0, 0, 2], logits[0, 1, 2] = 1.0, -2.0, 0.5
    part = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    real = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    outputs = torch.cat([logits, part[..., None], real[..., None]], 2)
    s = torch.sigmoid(torch.tensor([1.0, -2.0, 0.5]))
    entropy = -(s[0].log() + (1 - s[1]).log() + (1 - s[2]).log()) / 3
    expected = entropy + 1 - (2 * s[0] + 1) / (1 + s.sum() + 1)
    one = set_to_graph(outputs[:1], torch.zeros(1), torch.ones(1))
    torch.testing.assert_close(one, expected)
    none = set_to_graph(outputs[1:], torch.zeros(1), torch.ones(1))
    assert none.item() == 0


@pytest.mark.statistical
def test_the_network_learns_to_part(seed):
    """Trained on the toy it parts better than not at all, whose index is known: 1/3 and less."""
    train, test = displaced_jets(600, seed=[seed, 1]), displaced_jets(300, seed=[seed, 2])
    quick = Training(epochs=4, batch_size=32, learning_rate=1e-2, devices=1)
    finder = SecondaryVertices(width=16, blocks=1, heads=2, training=quick)
    finder.fit(train, seed=seed, **QUIET)
    tracks = JetTracks.of(test)
    found = adjusted_rand(tracks.vertex, finder.parts(tracks), tracks.counts)
    assert mean_over_jets(found).value > 0.5
    # Jets are answered alone as among others.
    np.testing.assert_array_equal(finder.find(test[7:8]), finder.parts(tracks.at(np.array([7]))))
