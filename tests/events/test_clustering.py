"""Clustering against trees worked out by hand, and against FastJet."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.clustering import ALGORITHMS, cluster


def pairs(tree):
    """The constituents under each child of each sum, as sets."""
    under = {}
    for node in range(len(tree.parents)):
        if tree.leaves[node] >= 0:
            under[node] = {int(tree.leaves[node])}
        else:
            under[node] = under[tree.children[node, 0]] | under[tree.children[node, 1]]
    return [tuple(under[child] for child in tree.children[node]) for node in tree.sums]


def test_each_algorithm_joins_another_pair_first(make_jets):
    # Squared distances 0.01 (0-1), 0.0225 (1-2), 0.0625 (0-2); pt 10, 8, 1. The distances are
    # kT: 0.64, 0.0225, 0.0625; C/A: the squares; anti-kT: 0.0001, 0.00035, 0.000625.
    jets = make_jets([(10, 0.0, 0.0), (8, 0.1, 0.0), (1, 0.25, 0.0)])
    trees = {name: pairs(cluster(jets.constituents, name)) for name in ALGORITHMS}
    assert trees["kt"] == [({1}, {2}), ({0}, {1, 2})]
    assert trees["ca"] == [({0}, {1}), ({0, 1}, {2})]
    assert trees["antikt"] == [({0}, {1}), ({0, 1}, {2})]


def test_anti_kt_grows_from_the_hardest_particle(make_jets):
    # Two soft particles are nearest to each other, and yet each joins the hard one.
    jets = make_jets([(1, 0.3, 0.0), (100, 0.0, 0.0), (0.9, 0.3, 0.05)])
    assert pairs(cluster(jets.constituents, "ca"))[0] == ({0}, {2})
    assert pairs(cluster(jets.constituents, "antikt"))[0] == ({1}, {0})


def test_azimuth_is_periodic(make_jets):
    jets = make_jets([(5, 0.0, 3.1), (4, 0.0, -3.1), (3, 0.0, 2.9)])
    assert pairs(cluster(jets.constituents, "ca"))[0] == ({0}, {1})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_children_sum_to_their_parent_and_all_to_the_jet(random_jets, algorithm):
    jets = random_jets()
    tree = cluster(jets.constituents, algorithm)
    sums = tree.sums
    np.testing.assert_array_equal(tree.vectors[sums], tree.vectors[tree.children[sums]].sum(1))
    for column, name in enumerate(("px", "py", "pz", "E")):
        whole = [sum(jet.tolist()) for jet in jets.constituents[name]]
        ours = np.where(tree.roots >= 0, tree.vectors[tree.roots, column], 0)
        np.testing.assert_allclose(ours, whole, rtol=1e-12, atol=1e-10)
    # Each node but the root is the child of its parent, and the harder child stands first.
    inner = np.flatnonzero(tree.parents >= 0)
    assert (tree.children[tree.parents[inner]] == inner[:, None]).any(1).all()
    assert (np.diff(tree.positions[tree.children[sums], 0], axis=1) <= 0).all()


def test_jets_do_not_feel_their_neighbours(random_jets):
    constituents = random_jets().constituents
    together = cluster(constituents, "kt")
    for jet in (0, 17, 59):
        alone = cluster(constituents[jet : jet + 1], "kt")
        own = slice(together.offsets[jet], together.offsets[jet + 1])
        np.testing.assert_array_equal(together.vectors[own], alone.vectors)


def test_empty_jets_and_no_jets(make_jets):
    jets = make_jets([], [(5, 0.0, 0.0)], [])
    tree = cluster(jets.constituents, "kt")
    assert tree.roots.tolist() == [-1, 0, -1]
    assert tree.multiplicity.tolist() == [0, 1, 0]
    assert len(cluster(jets.constituents[:0], "kt")) == 0


def test_particles_along_the_beam_and_doubles_are_joined(make_jets):
    jets = make_jets([(0.0, 0.0, 0.0), (5, 1.0, 1.0), (5, 1.0, 1.0), (0.0, 0.0, 0.0)])
    for algorithm in ALGORITHMS:
        tree = cluster(jets.constituents, algorithm)
        assert (tree.parents >= 0).sum() == 6
        assert np.isfinite(tree.vectors).all()


def test_an_unknown_algorithm_is_named(make_jets):
    with pytest.raises(InputError, match="algorithm 'c/a' is none of kt, ca, antikt"):
        cluster(make_jets([(1, 0.0, 0.0)]).constituents, "c/a")


@pytest.mark.generate
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_history_is_that_of_fastjet(random_jets, algorithm):
    fastjet = pytest.importorskip("fastjet")
    import awkward as ak

    constituents = ak.values_astype(random_jets(n=200, least=1).constituents, np.float64)
    names = {"kt": "kt", "ca": "cambridge", "antikt": "antikt"}
    definition = fastjet.JetDefinition(getattr(fastjet, names[algorithm] + "_algorithm"), 1000.0)
    # FastJet lists all nodes in the order in which they were made.
    nodes = fastjet.ClusterSequence(constituents, definition).jets()
    theirs = np.stack([ak.to_numpy(ak.flatten(nodes[c])) for c in ("px", "py", "pz", "E")], -1)
    np.testing.assert_allclose(cluster(constituents, algorithm).vectors, theirs, rtol=1e-12)
