"""Tau decays in an event record: modes, visible momentum, and the jets that are theirs."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.sources.pythia.matching import Directions
from colliderkit.sources.pythia.tau_decays import MODES, hadronic_taus, of_jets

# Per particle: PDG code, status, mother, px, py, pz, E. The first is the whole event.
ONE = [
    (90, -11, 0, 0, 0, 0, 0),
    (23, -62, 0, 0, 0, 0, 91),
    (15, -23, 1, 20, 1, 0, 21),  # a copy, which becomes the next
    (15, -51, 2, 20, 0, 0, 20.1),
    (-15, -23, 1, -20, 0, 5, 21),
    (16, 91, 3, 5, 0, 0, 5),
    (-211, 91, 3, 8, 0, 0, 8),
    (111, -91, 3, 7, 0, 0, 7),
    (22, 91, 7, 4, 0, 0, 4),
    (11, 91, 7, 1, 0, 0, 1),  # a pi0 with an electron pair is a pi0
    (-11, 91, 7, 2, 0, 0, 2),
    (-16, 91, 4, -5, 0, 0, 5),
    (211, 91, 4, -5, 0, 1, 5.1),
    (211, 91, 4, -5, 0, 1, 5.1),
    (-211, 91, 4, -5, 0, 1, 5.1),
]
TWO = [
    (90, -11, 0, 0, 0, 0, 0),
    (15, -23, 0, 20, 0, 0, 20.1),
    (-15, -23, 0, 0, 20, 0, 20.1),
    (16, 91, 1, 5, 0, 0, 5),
    (-12, 91, 1, 5, 0, 0, 5),  # to an electron
    (11, 91, 1, 10, 0, 0, 10),
    (-16, 91, 2, 0, 5, 0, 5),
    (310, -91, 2, 0, 5, 0, 5.1),  # whose pions are no prongs
    (211, 91, 2, 0, 10, 0, 10),
    (211, 91, 7, 0, 2, 0, 2),
    (-211, 91, 7, 0, 3, 0, 3),
]


def record(*events):
    rows = [[dict(zip(("id", "status", "mother1", "px", "py", "pz", "e"), p, strict=True))
             for p in event] for event in events]  # fmt: skip
    flat = ak.Array(rows)
    momentum = flat[["px", "py", "pz", "e"]]
    return ak.zip(
        {"id": flat.id, "status": flat.status, "mother1": flat.mother1, "p": momentum},
        depth_limit=2,
    )


def test_modes_and_visible_momenta():
    taus = hadronic_taus(record(ONE, TWO))
    assert taus.where.event.tolist() == [0, 0, 1]
    assert [MODES[k] for k in taus.mode] == ["1p1n", "3p0n", "1p0n"]
    np.testing.assert_allclose(taus.momentum[:, 0], [15, -15, 0])
    np.testing.assert_allclose(taus.momentum[:, 1], [0, 0, 15])
    np.testing.assert_allclose(taus.momentum[1, 2:], [3, 15.3])


def test_jets_know_the_tau_on_their_axis():
    taus = hadronic_taus(record(ONE, TWO))
    # One beside each tau of the first event, one off, one where the electron is.
    jets = Directions(
        np.array([0, 0, 0, 1]), np.array([0.1, 0.2, 0.5, 0.0]), np.array([0.1, np.pi, 0.0, 0.0])
    )
    keep, truth = of_jets(jets, taus)
    assert keep.tolist() == [True, True, False, False]
    assert truth["decay_mode"].tolist() == [1, 3]
    np.testing.assert_allclose(truth["tau_pt"], 15)
    none = Directions(np.zeros(1, dtype=int), np.zeros(1), np.zeros(1))
    empty = hadronic_taus(record([(90, -11, 0, 0, 0, 0, 0)]))
    assert of_jets(none, empty)[0].tolist() == [False]


def test_taus_of_pythia_are_lighter_than_a_tau():
    pytest.importorskip("pythia8mc")
    from colliderkit.sources.pythia.jets import jets

    few = jets("tau", 25, seed=2, detector=True)
    assert float(ak.max(few.tau_mass)) < 1.7770
    assert {"d0", "d0_error", "z0"} <= set(few.constituents.fields)
    away = np.abs(few.jet_eta - few.tau_eta)
    assert float(ak.max(away)) < 0.2
    single = few.tau_mass[few.decay_mode == 0]
    # A pion or a kaon.
    np.testing.assert_allclose(np.where(single < 0.3, 0.1396, 0.4937), single, atol=2e-3)
