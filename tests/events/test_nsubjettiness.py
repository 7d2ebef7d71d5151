"""N-subjettiness of jets worked out by hand, its invariances, and against FastJet."""

import math

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colliderkit.events.clustering import cluster
from colliderkit.events.nsubjettiness import nsubjettiness


def test_two_particles_exactly(make_jets):
    # The axis of two equal massless particles at the same rapidity lies half-way.
    tree = cluster(make_jets([(10, 0.0, 0.0), (10, 0.0, 0.4)]).constituents, "kt")
    taus = nsubjettiness(tree, 2, (0.5, 1.0, 2.0, 1.5))
    np.testing.assert_allclose(taus[0, 0], [0.2**0.5, 0.2, 0.04, 0.2**1.5], rtol=1e-5)
    assert (taus[0, 1] == 0).all()


def test_three_particles_exactly(make_jets):
    # kT joins the soft pair (2, 3) of sum pt 4 cos(0.05), half-way; tau_2 is their distance to it.
    tree = cluster(make_jets([(20, 0.0, 1.0), (2, 0.0, 0.0), (2, 0.0, 0.1)]).constituents, "kt")
    taus = nsubjettiness(tree, 4, (1.0,))[0, :, 0]
    axis = math.atan2(
        20 * math.sin(1.0) + 2 * math.sin(0.1), 20 * math.cos(1.0) + 2 * math.cos(0.1) + 2
    )
    one = (20 * (1 - axis) + 2 * axis + 2 * (axis - 0.1)) / 24
    np.testing.assert_allclose(taus, [one, 4 * 0.05 / 24, 0, 0], rtol=1e-5, atol=1e-12)


def test_more_axes_never_see_more_than_the_particles(random_jets):
    tree = cluster(random_jets().constituents, "kt")
    taus = nsubjettiness(tree, 8, (1.0, 2.0))
    for subjets in range(1, 9):
        few = tree.multiplicity <= subjets
        assert (taus[few, subjets - 1] == 0).all()
        assert (taus[~few, subjets - 1] > 0).all()


def test_tau_is_the_sum_over_exclusive_jets(random_jets):
    # The axes that the kernel finds step by step are those of Tree.exclusive.
    tree = cluster(random_jets(n=20, least=9).constituents, "kt")
    taus = nsubjettiness(tree, 6, (1.0,))
    for jet in range(20):
        leaves = tree.positions[tree.offsets[jet] :][: tree.multiplicity[jet]]
        for subjets in (1, 3, 6):
            axes = tree.positions[tree.exclusive(subjets)[jet]]
            dphi = np.abs(leaves[:, None, 2] - axes[:, 2])
            dphi = np.minimum(dphi, 2 * np.pi - dphi)
            nearest = np.hypot(leaves[:, None, 1] - axes[:, 1], dphi).min(1)
            expected = (leaves[:, 0] * nearest).sum() / leaves[:, 0].sum()
            assert taus[jet, subjets - 1, 0] == pytest.approx(expected, rel=1e-12)


def test_boosts_along_the_beam_and_turns_change_nothing(random_jets):
    plain = nsubjettiness(cluster(random_jets(least=2).constituents, "kt"), 5)
    moved = random_jets(least=2, boost=-0.9, turn=1.3)
    np.testing.assert_allclose(
        nsubjettiness(cluster(moved.constituents, "kt"), 5), plain, rtol=1e-4, atol=1e-7
    )


def test_the_order_of_the_particles_does_not_matter(random_jets):
    constituents = random_jets(least=2).constituents
    np.testing.assert_allclose(
        nsubjettiness(cluster(constituents[:, ::-1], "kt"), 5),
        nsubjettiness(cluster(constituents, "kt"), 5),
        rtol=1e-9,
        atol=1e-12,
    )


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.01, 1e3), st.floats(-3, 3), st.floats(-3.1, 3.1)),
        min_size=0,
        max_size=12,
    )
)
def test_it_is_finite_and_bounded_by_the_farthest_particle(particles):
    pt, y, phi = np.array(particles, dtype=np.float64).reshape(-1, 3).T
    columns = (pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(y), pt * np.cosh(y))
    records = ak.zip(dict(zip(("px", "py", "pz", "E"), columns, strict=True)))
    tree = cluster(ak.unflatten(records, [len(pt)]), "kt")
    taus = nsubjettiness(tree, 4)
    assert (taus >= 0).all()
    assert (taus <= math.hypot(12, math.pi)).all()


@pytest.mark.generate
@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0, 1.3])
def test_it_is_that_of_fastjet(random_jets, beta):
    fastjet = pytest.importorskip("fastjet")
    constituents = ak.values_astype(random_jets(n=100, least=8).constituents, np.float64)
    definition = fastjet.JetDefinition(fastjet.kt_algorithm, 1000.0)
    theirs = fastjet.ClusterSequence(constituents, definition).njettiness(
        "NormalizedMeasure", "KT_Axes", [1, 2, 3, 7], beta, R0=1.0
    )
    ours = nsubjettiness(cluster(constituents, "kt"), 7, (beta,))[:, [0, 1, 2, 6], 0]
    np.testing.assert_allclose(ours, ak.to_numpy(theirs), rtol=1e-5, atol=1e-9)
