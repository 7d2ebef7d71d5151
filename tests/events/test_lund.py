"""The Lund plane of jets that can be worked out by hand."""

import math

import awkward as ak
import numpy as np
import pytest

from colliderkit.events.clustering import cluster
from colliderkit.events.lund import lund_multiplicity, lund_plane, primary


def test_two_particles_exactly(make_jets):
    jets = make_jets([(30, 0.1, 3.0), (10, -0.2, 3.4 - 2 * math.pi)])
    plane = lund_plane(cluster(jets.constituents, "ca"))
    assert plane.fields == ["ln_inverse_delta", "ln_kt", "z", "psi", "node"]
    assert ak.num(plane).tolist() == [1]
    (splitting,) = plane[0].tolist()
    # Delta = 0.5 by Pythagoras (0.3, 0.4), across the seam of the azimuth.
    assert splitting["ln_inverse_delta"] == pytest.approx(math.log(2), abs=1e-5)
    assert splitting["ln_kt"] == pytest.approx(math.log(5), abs=1e-5)
    assert splitting["z"] == pytest.approx(0.25, abs=1e-6)
    assert splitting["psi"] == pytest.approx(math.atan2(-0.3, 0.4), abs=1e-5)


def test_the_primary_plane_follows_the_harder_branch(make_jets):
    # C/A joins 0-1, then 2-3, then both: only 0-1 lies on the harder branch.
    jets = make_jets(
        [(40, 0.0, 0.0), (30, 0.1, 0.0), (20, 1.0, 0.0), (1, 1.2, 0.0)], [(9, 0.0, 0.0)], []
    )
    tree = cluster(jets.constituents, "ca")
    plane = lund_plane(tree)
    assert ak.num(plane).tolist() == [2, 0, 0]
    assert plane.node[0].tolist() == [6, 4]
    np.testing.assert_allclose(plane.z[0], [21 / 91, 3 / 7], rtol=1e-3)
    # kt: 21 * about 0.97 and 3 on the primary branch, and 1 * 0.2 = 0.2 on the other one.
    assert lund_multiplicity(tree).tolist() == [3, 1, 0]
    assert lund_multiplicity(tree, kt_cut=4.0).tolist() == [2, 1, 0]
    assert lund_multiplicity(tree, kt_cut=0.1).tolist() == [4, 1, 0]


def test_primary_splittings_shrink_under_boosts_and_turns_alike(random_jets):
    plain = lund_plane(cluster(random_jets().constituents, "ca"))
    moved = lund_plane(cluster(random_jets(boost=0.7, turn=2.0).constituents, "ca"))
    assert ak.num(plain).tolist() == ak.num(moved).tolist()
    for field in ("ln_inverse_delta", "ln_kt", "z"):
        np.testing.assert_allclose(
            ak.flatten(plain[field]), ak.flatten(moved[field]), rtol=2e-3, atol=2e-4
        )


def test_collinear_particles_stay_finite(make_jets):
    plane = lund_plane(cluster(make_jets([(5, 0.0, 0.0), (5, 0.0, 0.0)]).constituents, "ca"))
    assert np.isfinite(ak.to_numpy(ak.flatten(plane.ln_kt))).all()


def test_primary_gives_jets_in_order_and_roots_first(random_jets):
    tree = cluster(random_jets().constituents, "ca")
    nodes, jets = primary(tree)
    assert (np.diff(jets) >= 0).all()
    first = np.flatnonzero(np.diff(jets, prepend=-1))
    np.testing.assert_array_equal(nodes[first], tree.roots[tree.multiplicity > 1])


@pytest.mark.generate
def test_the_plane_is_that_of_fastjet(random_jets):
    fastjet = pytest.importorskip("fastjet")
    constituents = ak.values_astype(random_jets(n=100, least=2).constituents, np.float64)
    definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, 1000.0)
    sequence = fastjet.ClusterSequence(constituents, definition)
    theirs = sequence.exclusive_jets_lund_declusterings(1)[:, 0]
    ours = lund_plane(cluster(constituents, "ca"))
    assert ak.num(ours).tolist() == ak.num(theirs).tolist()
    np.testing.assert_allclose(
        np.exp(ak.flatten(ours.ln_kt)), ak.flatten(theirs.kt), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        np.exp(-ak.flatten(ours.ln_inverse_delta)), ak.flatten(theirs.Delta), rtol=1e-4, atol=1e-6
    )
