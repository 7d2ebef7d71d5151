"""Events for particle flow, of a library that is made by hand and particles that are given."""

from dataclasses import replace

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.geometry import Geometry, Grid
from colliderkit.events.calorimeter.library import ShowerLibrary
from colliderkit.events.particle_flow import NEUTRAL, PHOTON, turned
from colliderkit.sources.datasets.particle_flow import KINDS, RADIUS, reconstructed

FINE = (
    *(Grid(i, 4, 4, 80.0, 80.0) for i in range(3)),
    *(Grid(i, 2, 2, 80.0, 80.0) for i in (3, 4, 5)),
)
HADRONIC = np.isin(KINDS, ("pi+", "kaon0L", "neutron"))
# A shower of each kind, of 10 GeV, at (10, 10) mm, in the cell there: of hadrons in the fifth
# layer, of others in the second. A hadron shows 0.8 of its energy.
LIBRARY = ShowerLibrary(
    Geometry("by hand", FINE),
    np.array([10.0, 50.0, 90.0, 200.0, 500.0, 900.0]),
    np.array([0, 0, 0, 1, 1, 1]),
    KINDS,
    np.arange(6),
    np.full(6, 1e4),
    np.full(6, 10.0),
    np.full(6, 10.0),
    np.arange(7),
    np.where(HADRONIC, 3 * 16 + 4 + 3, 16 + 10),
    np.where(HADRONIC, 8e3, 1e4),
    "made by hand",
)
ONES = np.ones(6)


def event(*rows: tuple[float, float, float, int, int], events: int = 1) -> ak.Array:
    """Return one event of massless particles (pT, eta, phi, pid, charge)."""
    pt, eta, phi, pid, charge = np.array(rows, dtype=float).reshape(-1, 5).T
    columns = {
        "px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(eta),
        "E": pt * np.cosh(eta), "pid": pid.astype(int), "charge": charge.astype(int),
    }  # fmt: skip
    return ak.unflatten(ak.zip(columns), [len(pt)] + [0] * (events - 1))


def test_a_photon_is_a_cluster_of_its_energy_wherever_it_is() -> None:
    for phi in (0.4, np.pi - 1e-4, -np.pi + 1e-4):
        seen = reconstructed(LIBRARY, event((20.0, 0.7, phi, 22, 0)), factors=ONES)
        true, incidence = seen.truth
        # Moved by half of the largest cell at most, and so is the truth.
        assert abs(true.eta[0] - 0.7) <= 20 / RADIUS + 1e-9
        assert abs(turned(true.phi[0] - phi)) <= 20 / RADIUS + 1e-9
        assert len(seen.clusters.energy) == 1
        # The noise of a cell, 8 MeV.
        assert seen.clusters.energy[0] == pytest.approx(20 * np.cosh(0.7), abs=0.05)
        assert incidence.energy.sum() == pytest.approx(seen.clusters.energy[0])
        assert (seen.clusters.hadronic[0], true.kind[0]) == (0, PHOTON)
        away = turned(seen.clusters.phi[0] - true.phi[0]), seen.clusters.eta[0] - true.eta[0]
        assert np.abs(away).max() <= 20 / RADIUS + 1e-9  # the middle of a cell of 40 mm
        assert seen.towers.electromagnetic.sum() == pytest.approx(seen.clusters.energy[0])


def test_overlapping_particles_share_a_cluster_by_what_they_left() -> None:
    seen = reconstructed(
        LIBRARY, event((20.0, 0.01, 1.0, 22, 0), (10.0, 0.01, 1.0, 22, 0)), factors=ONES
    )
    incidence = seen.truth[1]
    assert len(seen.clusters.energy) == 1
    assert incidence.energy[0] / incidence.energy[1] == pytest.approx(2.0, rel=1e-3)


def test_hadrons_show_their_kinetic_energy() -> None:
    momentum = (10.0, 0.01, 1.0)
    for pid, mass in ((130, 0.4976), (2112, 0.9383)):
        particle = event((*momentum, pid, 0))
        particle["E"] = np.hypot(particle.E, mass)
        seen = reconstructed(LIBRARY, particle, factors=ONES)
        energy = np.hypot(10 * np.cosh(0.01), mass) - mass
        assert seen.clusters.energy.sum() == pytest.approx(0.8 * energy, abs=0.05)
        assert (seen.clusters.hadronic[0], seen.truth[0].kind[0]) == (1, NEUTRAL)


def test_charged_particles_bend_and_have_tracks() -> None:
    rows = [(10.0, 0.1, 0.5, 211, 1), (10.0, 0.1, 0.5, -211, -1)] * 50
    seen = reconstructed(LIBRARY, event(*rows), factors=ONES)
    tracks, incidence = seen.tracks, seen.truth[1]
    assert 80 < len(tracks.pt) <= 100  # an efficiency of 95%
    assert (incidence.track >= 0).all()
    bend = turned(tracks.face_phi - tracks.phi)
    # sin(turn / 2) = r / 2R, R = pT / (0.3 B): positive ones turn to smaller phi.
    turn = np.arcsin(RADIUS / 1e3 * 0.3 * 3.8 / 20)
    np.testing.assert_allclose(np.abs(bend), turn, atol=1e-6)
    positive = incidence.track % 2 == 0
    assert (np.sign(bend) == np.where(positive, -1, 1)).all()


def test_events_are_apart_and_may_be_empty() -> None:
    both = event((20.0, 0.7, 1.0, 22, 0), events=3)
    seen = reconstructed(LIBRARY, both, factors=ONES)
    assert np.diff(seen.clusters.offsets).tolist() == [1, 0, 0]
    assert len(seen) == 3


def test_other_libraries_are_refused() -> None:
    with pytest.raises(InputError, match="no showers of neutron; generate"):
        reconstructed(replace(LIBRARY, kinds=("gamma", "e-", "pi+", "kaon0L", "proton", "mu-")),
                      event((1.0, 0, 0, 22, 0)))  # fmt: skip
    with pytest.raises(InputError, match="generate one of ecal-hcal"):
        reconstructed(replace(LIBRARY, z=LIBRARY.z[:5]), event((1.0, 0, 0, 22, 0)))
