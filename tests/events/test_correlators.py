"""Energy correlators against brute force, by hand, and against FastJet."""

import itertools
import math

import awkward as ak
import numpy as np
import pytest

from colliderkit.events.correlators import energy_correlators
from colliderkit.events.fourvectors import pt_rapidity_phi
from colliderkit.events.ragged import Ragged


def brute_force(constituents, beta):
    vectors = Ragged.from_awkward(constituents, ("px", "py", "pz", "E")).values.double()
    particles = list(zip(*(x.tolist() for x in pt_rapidity_phi(vectors)), strict=True))
    total = sum(pt for pt, _, _ in particles)

    def angle(a, b):
        return math.hypot(a[1] - b[1], math.remainder(a[2] - b[2], 2 * math.pi)) ** beta

    e2 = sum(a[0] * b[0] * angle(a, b) for a, b in itertools.combinations(particles, 2))
    e3 = [0.0, 0.0, 0.0]
    for a, b, c in itertools.combinations(particles, 3):
        angles = sorted([angle(a, b), angle(a, c), angle(b, c)])
        for v in range(3):
            e3[v] += a[0] * b[0] * c[0] * math.prod(angles[: v + 1])
    return e2 / total**2, e3[2] / total**3, e3[0] / total**3, e3[1] / total**3


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_they_are_the_sums_over_pairs_and_triples(random_jets, beta):
    constituents = random_jets(n=12, seed=3, least=2).constituents[:, :15]
    ours = np.stack(energy_correlators(constituents, beta), axis=-1)
    theirs = [brute_force(constituents[i : i + 1], beta) for i in range(12)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-15)


def test_an_equilateral_triangle_exactly(make_jets):
    # Three equal particles at equal distances d: e2 = d/3, e3 = d^3/27, and so on.
    d = 0.3
    jets = make_jets([(7, 0.0, 0.0), (7, d, 0.0), (7, d / 2, d * math.sqrt(3) / 2)])
    found = energy_correlators(jets.constituents)
    expected = [d / 3, d**3 / 27, d / 27, d**2 / 27]
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-5)
    np.testing.assert_allclose(found.C2, d / 3, rtol=1e-5)
    np.testing.assert_allclose(found.D2, 1.0, rtol=1e-5)
    np.testing.assert_allclose(found.M2, 1 / 9, rtol=1e-5)
    np.testing.assert_allclose(found.N2, 1 / 3, rtol=1e-5)


def test_few_particles_give_zero(make_jets):
    found = energy_correlators(
        make_jets([], [(5, 0.0, 0.0)], [(5, 0.0, 0.0), (5, 0.0, 0.5)]).constituents
    )
    np.testing.assert_allclose(found.e2, [0, 0, 0.125], rtol=1e-5)
    for ratio in (found.C2, found.D2, found.M2, found.N2):
        np.testing.assert_array_equal(ratio, 0)


def test_d2_is_the_same_in_a_jet_boosted_along_the_beam(random_jets):
    plain = energy_correlators(random_jets(least=3).constituents)
    moved = energy_correlators(random_jets(least=3, boost=1.1, turn=-2.0).constituents)
    np.testing.assert_allclose(plain.D2, moved.D2, rtol=1e-4)


@pytest.mark.generate
@pytest.mark.parametrize("ratio", ["C2", "D2", "M2", "N2"])
def test_they_are_those_of_fastjet(random_jets, ratio):
    fastjet = pytest.importorskip("fastjet")
    constituents = ak.values_astype(random_jets(n=30, least=4).constituents, np.float64)
    definition = fastjet.JetDefinition(fastjet.cambridge_algorithm, 1000.0)
    sequence = fastjet.ClusterSequence(constituents, definition)
    name = {"C2": "c2", "D2": "d2", "M2": "m2", "N2": "n2"}[ratio]
    theirs = ak.to_numpy(sequence.exclusive_jets_energy_correlator(1, beta=1, func=name))
    ours = getattr(energy_correlators(constituents), ratio)
    np.testing.assert_allclose(ours, theirs.ravel(), rtol=1e-5)
