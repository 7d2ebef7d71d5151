"""Soft drop of jets that can be worked out by hand, and against FastJet."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.events.clustering import cluster
from colliderkit.events.grooming import soft_drop


def test_two_particles_that_pass_are_kept(make_jets):
    tree = cluster(make_jets([(30, 0.3, 0.0), (10, 0.0, 0.4)]).constituents, "ca")
    groomed = soft_drop(tree)
    np.testing.assert_allclose(groomed.z, [0.25], rtol=1e-6)
    np.testing.assert_allclose(groomed.radius, [0.5], rtol=1e-6)
    np.testing.assert_array_equal(groomed.vectors[0], tree.vectors[2])


def test_two_particles_that_fail_leave_the_harder(make_jets):
    tree = cluster(make_jets([(5, 0.3, 0.0), (95, 0.0, 0.4)]).constituents, "ca")
    groomed = soft_drop(tree)
    assert (groomed.z[0], groomed.radius[0]) == (0, 0)
    np.testing.assert_array_equal(groomed.vectors[0], tree.vectors[1])


@pytest.mark.parametrize(
    ("beta", "passes"), [(0.0, False), (1.0, False), (3.0, True), (-1.0, False)]
)
def test_the_threshold_falls_with_the_angle(make_jets, beta, passes):
    # z = 0.05 at Delta = 0.5: the threshold 0.1 (0.5/0.8)^beta is 0.1, 0.0625, 0.024 and 0.16.
    tree = cluster(make_jets([(5, 0.3, 0.0), (95, 0.0, 0.4)]).constituents, "ca")
    assert bool(soft_drop(tree, 0.1, beta, 0.8).z[0] > 0) is passes


def test_wide_soft_radiation_goes_and_the_prongs_stay(make_jets):
    prongs = [(300, 0.0, 0.0), (200, 0.2, 0.1)]
    soft = [(5, -0.6, 0.3), (4, 0.5, -0.5)]
    both = cluster(make_jets(prongs + soft, prongs).constituents, "ca")
    groomed = soft_drop(both)
    np.testing.assert_allclose(groomed.vectors[0], groomed.vectors[1], rtol=1e-6)
    np.testing.assert_allclose(groomed.z, 0.4, rtol=1e-6)
    assert both.vectors[both.roots[0], 3] > groomed.vectors[0, 3]


def test_empty_and_single_jets(make_jets):
    tree = cluster(make_jets([], [(9, 1.0, 1.0)]).constituents, "ca")
    groomed = soft_drop(tree)
    np.testing.assert_array_equal(groomed.vectors, [[0, 0, 0, 0], tree.vectors[0]])
    assert groomed.z.tolist() == groomed.radius.tolist() == [0, 0]


def test_no_cut_keeps_the_whole_jet(random_jets):
    tree = cluster(random_jets(least=1).constituents, "ca")
    np.testing.assert_array_equal(soft_drop(tree, z_cut=0.0).vectors, tree.vectors[tree.roots])


@pytest.mark.generate
@pytest.mark.parametrize(("z_cut", "beta"), [(0.1, 0.0), (0.3, 1.0), (0.2, -0.5)])
def test_it_is_that_of_fastjet(random_jets, z_cut, beta):
    fastjet = pytest.importorskip("fastjet")
    constituents = ak.values_astype(random_jets(n=200, least=2).constituents, np.float64)
    definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, 1000.0)
    theirs = fastjet.ClusterSequence(constituents, definition).exclusive_jets_softdrop_grooming(
        1, beta=beta, symmetry_cut=z_cut, R0=0.8
    )
    ours = soft_drop(cluster(constituents, "ca"), z_cut, beta, 0.8)
    # FastJet gives -1 and a negative or zero radius where nothing passed.
    passed = ours.z > 0
    assert 0.3 < passed.mean() <= 1
    np.testing.assert_allclose(ours.vectors[:, 3], theirs.Esoftdrop, rtol=1e-9)
    np.testing.assert_allclose(ours.z[passed], theirs.symmetrysoftdrop[passed], rtol=1e-6)
    np.testing.assert_allclose(ours.radius[passed], theirs.deltaRsoftdrop[passed], rtol=1e-5)
