"""Events of two jets: the masses, the resonance, weights that undo a bias, the same on disk."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources import read_table
from colliderkit.sources.pythia.dijets import dijets, invariant_mass
from colliderkit.sources.pythia.shards import generate


def test_mass_of_two_particles_back_to_back():
    """Two massive particles at rest in their sum: the mass is twice an energy, to any boost."""
    pt, mass = np.full((3, 2), 1000.0), np.array([[0.0, 0.0], [300.0, 300.0], [500.0, 500.0]])
    eta, phi = np.zeros((3, 2)), np.tile([0.3, 0.3 - np.pi], (3, 1))
    expected = 2 * np.hypot(1000.0, mass[:, 0])
    np.testing.assert_allclose(invariant_mass(pt, eta, phi, mass), expected)
    # Massless ones: m^2 = 2 pt1 pt2 (cosh(eta1 - eta2) - cos(phi1 - phi2)).
    eta = np.array([[0.4, -1.1]])
    found = invariant_mass(pt[:1], eta, phi[:1], mass[:1])
    np.testing.assert_allclose(found, 1000.0 * np.sqrt(2 * (np.cosh(1.5) + 1)))


@pytest.mark.slow
def test_signal_is_the_resonance_and_its_two_particles():
    events = dijets("lhco-signal", 200, seed=3, detector=True)
    assert len(np.unique(events["event"])) == len(events) == 200
    assert abs(np.median(events["mjj"]) - 3450) < 100
    assert abs(np.median(events["mj1"]) - 105) < 10
    assert abs(np.median(events["mj2"]) - 490) < 25
    assert (np.asarray(events["mj1"]) <= np.asarray(events["mj2"])).all()
    hard = np.maximum(np.asarray(events["pt_1"]), np.asarray(events["pt_2"]))
    assert (hard > 1200).all()
    assert (np.asarray(events["weight"]) == 1).all()
    pair = [
        np.stack([np.asarray(events[f"{x}{i}"]) for i in (1, 2)], 1)
        for x in ("pt_", "eta_", "phi_", "mj")
    ]
    again = invariant_mass(*(x.astype(np.float64) for x in pair))
    np.testing.assert_allclose(again, np.asarray(events["mjj"]), rtol=1e-5)


@pytest.mark.slow
def test_weights_undo_a_biased_phase_space():
    """The weight is (pTHat / reference)^-power: about (pt / reference)^-4 of the hardest jet."""
    bias = "PhaseSpace:bias2Selection = on; PhaseSpace:bias2SelectionRef = 1200."
    events = dijets("lhco-qcd", 200, seed=3, settings=bias)
    hard = np.maximum(np.asarray(events["pt_1"]), np.asarray(events["pt_2"]))
    ratio = np.asarray(events["weight"]) * (hard / 1200) ** 4
    assert 0.8 < np.median(ratio) < 1.6
    assert np.corrcoef(np.log(events["weight"]), np.log(hard))[0, 1] < -0.8


@pytest.mark.slow
def test_generated_file_is_a_table_of_both_classes(tmp_path):
    path = generate(
        "lhc-olympics", 20, tmp_path / "events.parquet", shard=10, seed=1, progress=False
    )
    whole = ak.from_parquet(path)
    assert np.bincount(whole.label).tolist() == [20, 20]
    assert len(np.unique(whole.event)) == 40
    table = read_table(path, "mj1, mj2 - mj1, tau21_1, tau21_2", weight="weight", event="event")
    assert table.values.shape == (40, 4)
    # A shard is the events themselves, apart from what tells the classes from each other.
    alone = dijets("lhco-qcd", 10, seed=1, shard=1)
    mine = whole[(whole.label == 0) & np.isin(whole.event, alone.event)]
    mine, alone = (x[np.argsort(np.asarray(x.event))] for x in (mine, alone))
    assert ak.to_list(mine.mjj) == ak.to_list(alone.mjj)


def test_other_processes_are_refused():
    with pytest.raises(InputError, match=r"process 'qcd' is not of events with two jets"):
        dijets("qcd", 1)
