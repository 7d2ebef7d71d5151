"""What is read from a tree."""

import numpy as np
import pytest

from colliderkit.events.clustering import cluster


def test_a_tree_of_four_particles(make_jets):
    # Two close pairs: 0-1 joined first, then 2-3, then both.
    jets = make_jets([(4, 0.0, 0.0), (3, 0.1, 0.0), (2, 1.0, 0.0), (1, 1.2, 0.0)], [(9, 0.0, 0.0)])
    tree = cluster(jets.constituents, "ca")
    assert tree.offsets.tolist() == [0, 7, 8]
    assert tree.children[4:7].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert tree.parents.tolist() == [4, 4, 5, 5, 6, 6, -1, -1]
    assert tree.leaves.tolist() == [0, 1, 2, 3, -1, -1, -1, 4]
    assert tree.heights.tolist() == [0, 0, 0, 0, 1, 1, 2, 0]
    assert tree.jets.tolist() == [0] * 7 + [1]
    assert tree.roots.tolist() == [6, 7]
    assert tree.sums.tolist() == [4, 5, 6]
    assert tree.exclusive(2).tolist() == [[4, 5], [7, -1]]
    assert sorted(tree.exclusive(3)[0].tolist()) == [2, 3, 4]
    assert sorted(tree.exclusive(6)[0].tolist()) == [-1, -1, 0, 1, 2, 3]


@pytest.mark.parametrize("algorithm", ["kt", "ca", "antikt"])
@pytest.mark.parametrize("subjets", [1, 2, 5])
def test_exclusive_jets_share_out_the_jet(random_jets, algorithm, subjets):
    tree = cluster(random_jets(least=6).constituents, algorithm)
    standing = tree.exclusive(subjets)
    total = tree.vectors[standing].sum(1)
    np.testing.assert_allclose(total, tree.vectors[tree.roots], rtol=1e-9, atol=1e-9)
    assert all(len(set(row)) == subjets for row in standing.tolist())


def test_heights_order_the_work_of_a_recursive_network(random_jets):
    tree = cluster(random_jets().constituents, "antikt")
    sums = tree.sums
    below = tree.heights[tree.children[sums]].max(1)
    np.testing.assert_array_equal(tree.heights[sums], below + 1)


@pytest.mark.generate
@pytest.mark.parametrize("algorithm", ["kt", "ca"])
def test_exclusive_jets_are_those_of_fastjet(random_jets, algorithm):
    fastjet = pytest.importorskip("fastjet")
    import awkward as ak

    constituents = ak.values_astype(random_jets(n=100, least=4).constituents, np.float64)
    name = {"kt": "kt_algorithm", "ca": "cambridge_algorithm"}[algorithm]
    definition = fastjet.JetDefinition(getattr(fastjet, name), 1000.0)
    theirs = fastjet.ClusterSequence(constituents, definition).exclusive_jets(n_jets=4)
    tree = cluster(constituents, algorithm)
    ours = np.sort(tree.vectors[tree.exclusive(4)][..., 3], axis=1)
    np.testing.assert_allclose(ours, np.sort(ak.to_numpy(theirs["E"]), axis=1), rtol=1e-10)
