"""The fast detector against its stated resolutions, efficiencies and geometry."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources.detector.response import (
    ECAL,
    EFFICIENCY,
    HCAL,
    Detector,
    HadronResponse,
    impact_errors,
    impact_parameters,
    log_normal,
    momentum_resolution,
    track_parameters,
)

PION, PHOTON, KLONG, ELECTRON, MUON = (
    (211, 1, 0.1396),
    (22, 0, 0.0),
    (130, 0, 0.4976),
    (11, -1, 0.000511),
    (13, -1, 0.1057),
)
MANY = 40_000


def gun(particle, energy, eta, count=MANY, seed=0):
    """Return events of one particle of this energy and |eta|, at random azimuth."""
    pid, charge, mass = particle
    random = np.random.default_rng(seed)
    phi = random.uniform(-np.pi, np.pi, count)
    side = random.choice([-1.0, 1.0], count)
    pt = np.sqrt(energy**2 - mass**2) / np.cosh(eta)
    columns = {
        "px": pt * np.cos(phi),
        "py": pt * np.sin(phi),
        "pz": pt * np.sinh(side * eta),
        "E": np.full(count, float(energy)),
        "pid": np.full(count, pid),
        "charge": np.full(count, charge),
    }
    return ak.unflatten(ak.zip(columns), np.ones(count, dtype=int))


def check_mean_and_width(values, mean, sigma):
    """Compare with the moments within four standard errors (kurtosis taken from the sample)."""
    count = len(values)
    assert values.mean() == pytest.approx(mean, abs=4 * sigma / np.sqrt(count))
    fourth = np.mean((values - values.mean()) ** 4) / values.var() ** 2
    error = np.sqrt((fourth - 1) / count) / 2
    assert values.std() == pytest.approx(sigma, rel=4 * error)


@pytest.mark.parametrize("particle", [PION, ELECTRON, MUON], ids=["pion", "electron", "muon"])
@pytest.mark.parametrize(("energy", "eta"), [(5.0, 0.2), (50.0, 1.0), (300.0, 0.2), (60.0, 2.0)])
def test_track_momentum_resolution(particle, energy, eta):
    seen = Detector().reconstruct(gun(particle, energy, eta), 1)
    tracks = ak.flatten(seen[seen.charge != 0])
    pt = np.hypot(np.asarray(tracks.px), np.asarray(tracks.py))
    true = np.sqrt(energy**2 - particle[2] ** 2) / np.cosh(eta)
    # The card's numbers for this place, written out again.
    row = 0 if eta < 0.5 else (1 if eta < 1.5 else 2)
    a, b = {
        211: ((0.01, 1.5e-4), (0.015, 2.5e-4), (0.025, 5.5e-4)),
        11: ((0.03, 1.3e-3), (0.05, 1.7e-3), (0.15, 3.1e-3)),
        13: ((0.01, 1.0e-4), (0.015, 1.5e-4), (0.025, 3.5e-4)),
    }[particle[0]][row]
    check_mean_and_width(pt / true, 1.0, np.sqrt(a**2 + (b * true) ** 2))
    # The direction and the mass are kept.
    assert np.allclose(np.abs(np.arcsinh(np.asarray(tracks.pz) / pt)), eta)
    p2 = pt**2 + np.asarray(tracks.pz) ** 2
    assert np.allclose(np.asarray(tracks.E) ** 2 - p2, particle[2] ** 2, atol=1e-6 * energy**2)


@pytest.mark.parametrize(
    ("particle", "pt", "eta", "expected"),
    [
        (PION, 0.09, 0.5, 0.0),
        (PION, 0.5, 0.5, 0.70),
        (PION, 20.0, 0.5, 0.95),
        (PION, 0.5, 2.0, 0.60),
        (PION, 20.0, 2.0, 0.85),
        (PION, 20.0, 2.6, 0.0),
        (ELECTRON, 0.5, 0.5, 0.73),
        (ELECTRON, 20.0, 2.0, 0.83),
        (ELECTRON, 150.0, 0.5, 0.99),
        (MUON, 0.5, 2.0, 0.70),
        (MUON, 20.0, 0.5, 0.99),
    ],
)
def test_tracking_efficiency(particle, pt, eta, expected):
    energy = np.sqrt((pt * np.cosh(eta)) ** 2 + particle[2] ** 2)
    seen = Detector().reconstruct(gun(particle, energy, eta), 2)
    found = float(np.mean(np.asarray(ak.any(seen.charge != 0, axis=1))))
    assert found == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / MANY))


@pytest.mark.parametrize(
    ("energy", "eta"), [(10.0, 0.31), (100.0, 0.31), (100.0, 1.2), (60.0, 2.2)]
)
def test_photon_energy_resolution(energy, eta):
    seen = ak.flatten(Detector().reconstruct(gun(PHOTON, energy, eta), 3))
    assert len(seen) == MANY
    assert np.all(np.asarray(seen.pid) == 22)
    ring = np.searchsorted(ECAL.eta_edges, eta) - 1
    centre = (ECAL.eta_edges[ring] + ECAL.eta_edges[ring + 1]) / 2
    factor = 1 + 0.64 * centre**2 if eta < 1.5 else 2.16 + 5.6 * (centre - 2) ** 2
    sigma = factor * np.sqrt((0.008 * energy) ** 2 + 0.11**2 * energy + 0.4**2)
    check_mean_and_width(np.asarray(seen.E), energy, sigma)


@pytest.mark.parametrize(
    ("energy", "eta"), [(50.0, 0.4), (200.0, 1.2), (500.0, 2.2), (1500.0, 3.5)]
)
def test_neutral_hadron_energy_resolution(energy, eta):
    seen = ak.flatten(Detector().reconstruct(gun(KLONG, energy, eta), 4))
    assert np.all(np.asarray(seen.pid) == 130)
    assert len(seen) > 0.9999 * MANY
    stochastic, constant = (1.5, 0.05) if eta < 3 else (2.7, 0.13)
    sigma = np.sqrt((constant * energy) ** 2 + stochastic**2 * energy)
    check_mean_and_width(np.asarray(seen.E), energy, sigma)


@pytest.mark.parametrize("calorimeter", [ECAL, HCAL], ids=["ECAL", "HCAL"])
def test_neutrals_land_in_their_tower(calorimeter):
    particle, energy, eta = (PHOTON, 50.0, 0.52) if calorimeter is ECAL else (KLONG, 300.0, 0.52)
    events = gun(particle, energy, eta)
    seen = Detector().reconstruct(events, 5)
    one = ak.num(seen) == 1
    seen, events = ak.flatten(seen[one]), ak.flatten(events[one])
    edges = np.array(calorimeter.eta_edges)
    ring = np.searchsorted(edges, eta) - 1
    got = np.arcsinh(np.asarray(seen.pz) / np.hypot(np.asarray(seen.px), np.asarray(seen.py)))
    assert np.all((np.abs(got) >= edges[ring]) & (np.abs(got) <= edges[ring + 1]))
    assert np.array_equal(np.sign(got), np.sign(np.asarray(events.pz)))
    cells = calorimeter.phi_cells[ring]

    def cell(p):
        phi = np.arctan2(np.asarray(p.py), np.asarray(p.px))
        return np.floor((phi + np.pi) / (2 * np.pi) * cells - 1e-9)

    assert np.mean(cell(seen) == cell(events)) > 0.999


def test_towers_cover_the_calorimeters():
    for calorimeter, first in ((ECAL, 0.0174), (HCAL, 0.087)):
        edges = np.array(calorimeter.eta_edges)
        assert len(edges) == len(calorimeter.phi_cells) + 1
        assert np.all(np.diff(edges) > 0)
        assert edges[0] == 0
        assert edges[1] == pytest.approx(first)
        assert edges[-1] == 5.0


def test_energy_flow_conserves_the_energy():
    """Photons, neutral and charged hadrons in one event sum to what went in, on average."""
    parts = [gun(PION, 80.0, 0.3, seed=1), gun(PHOTON, 60.0, 0.8, seed=2)]
    parts += [gun(KLONG, 60.0, 1.1, seed=3), gun(PION, 40.0, 1.3, seed=4)]
    seen = Detector().reconstruct(ak.concatenate(parts, axis=1), 6)
    response = np.asarray(ak.sum(seen.E, axis=1)) / 240.0
    # Upward fluctuations of a tracked hadron's tower count as neutral, downward ones do not:
    # energy flow adds a percent or less.
    assert 1.0 - 4 * response.std() / np.sqrt(MANY) < response.mean() < 1.01


def test_a_neutral_under_a_track_is_its_excess():
    """A photon and a muon in one tower: the muon leaves nothing there, the photon all."""
    events = ak.concatenate([gun(MUON, 500.0, 0.31), gun(PHOTON, 100.0, 0.31)], axis=1)
    seen = Detector().reconstruct(events, 7)
    photons = ak.flatten(seen[seen.pid == 22])
    assert len(photons) == MANY
    assert np.asarray(photons.E).mean() == pytest.approx(100.0, abs=0.1)
    # An electron's own tower is explained by its track: hardly ever a photon as well.
    seen = Detector().reconstruct(gun(ELECTRON, 40.0, 0.31), 8)
    both = ak.any(seen.charge != 0, axis=1) & ak.any(seen.pid == 22, axis=1)
    assert np.mean(np.asarray(both)) < 0.03


def test_k_short_shares_its_energy():
    seen = Detector().reconstruct(gun((310, 0, 0.4976), 300.0, 0.3), 9)
    photons, hadrons = (ak.sum(seen.E[seen.pid == pid], axis=1) for pid in (22, 130))
    assert np.asarray(photons).mean() == pytest.approx(90.0, rel=0.01)
    assert np.asarray(hadrons).mean() == pytest.approx(210.0, rel=0.01)


def test_the_field_bends_to_the_closed_form():
    detector = Detector()
    count = 2000
    events = ak.flatten(gun(PION, 10.0, 0.2, count))
    own = {name: np.asarray(events[name]) for name in events.fields}
    pt = np.hypot(own["px"], own["py"])
    eta, phi = detector.face(own, pt, np.arcsinh(own["pz"] / pt))
    radius = pt / (0.3 * 3.8)
    turn = np.arcsin(1.29 / (2 * radius))
    moved = np.angle(np.exp(1j * (phi - np.arctan2(own["py"], own["px"]))))
    # A positive charge in a field along +z turns clockwise.
    assert np.allclose(moved, -turn)
    along = 2 * turn * radius * own["pz"] / pt
    assert np.allclose(np.sinh(eta) * 1.29, along)
    # Without a field, straight on.
    eta, phi = Detector(field=0.0).face(own, pt, np.arcsinh(own["pz"] / pt))
    assert np.allclose(phi, np.arctan2(own["py"], own["px"]))
    # Curled up below pt = 0.3 B r / 2 it leaves through the end, 3 m along the beams.
    slow = {name: column * 0.05 for name, column in own.items()} | {"charge": own["charge"]}
    pt = pt * 0.05
    eta, _ = detector.face(slow, pt, np.arcsinh(slow["pz"] / pt))
    radius = pt / (0.3 * 3.8)
    turned = 3.0 / np.abs(radius * slow["pz"] / pt)
    assert np.allclose(np.abs(np.sinh(eta)), 3.0 / np.abs(2 * radius * np.sin(turned / 2)))


def test_impact_parameters_of_a_known_line():
    """A track along x through (3, 2, 1) mm passes the beams at y = 2, where z = 1 - 3 pz/px."""
    line = {"x": 3.0, "y": 2.0, "z": 1.0, "px": 4.0, "py": 0.0, "pz": 2.0}
    d0, z0 = impact_parameters({name: np.array([value]) for name, value in line.items()})
    assert d0.tolist() == [-2.0 * 4.0 / 4.0]
    assert z0.tolist() == [1.0 - 3.0 * 0.5]


def test_impact_parameter_smearing_follows_the_errors():
    count = 50_000
    events = gun(PION, 3.0, 0.9, count)
    for axis in ("x", "y", "z"):
        events[axis] = ak.zeros_like(events.px)
    tracks = ak.flatten(track_parameters(events, 3))
    pt = np.sqrt(3.0**2 - 0.1396**2) / np.cosh(0.9)
    sine = 1 / np.cosh(0.9)
    d0_error = np.sqrt(0.010**2 + (0.090 / (pt * np.sqrt(sine))) ** 2)
    z0_error = np.sqrt(0.030**2 + (0.090 / (pt * sine**1.5)) ** 2)
    assert np.allclose(tracks.d0_error, d0_error)
    assert np.allclose(tracks.z0_error, z0_error)
    check_mean_and_width(np.asarray(tracks.d0), 0.0, d0_error)
    check_mean_and_width(np.asarray(tracks.z0), 0.0, z0_error)
    # Far above multiple scattering what is left is the hits' resolution.
    assert impact_errors(np.array([1e4]), np.array([0.0]))[0] == pytest.approx([0.010])


def test_log_normal_has_the_moments_asked_for():
    values = log_normal(np.full(200_000, 5.0), np.full(200_000, 4.0), np.random.default_rng(0))
    assert values.min() > 0
    check_mean_and_width(values, 5.0, 4.0)


def test_resolution_and_efficiency_change_at_the_stated_edges():
    pt, pid = np.full(4, 100.0), np.full(4, 211)
    got = momentum_resolution(pt, np.array([0.5, -0.51, 1.5, -2.5]), pid)
    expected = [np.hypot(a, b * 100) for a, b in [(0.01, 1.5e-4)] + [(0.015, 2.5e-4)] * 2]
    assert np.allclose(got, [*expected, np.hypot(0.025, 5.5e-4 * 100)])
    assert set(EFFICIENCY) == {"hadron", "electron", "muon"}


def test_the_same_seed_gives_the_same_bits():
    events = gun(PION, 20.0, 0.4, 500)
    first, again, other = (Detector().reconstruct(events, seed) for seed in (5, 5, 6))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_empty_events_stay_empty():
    events = ak.concatenate([gun(PHOTON, 20.0, 0.4, 2)[:, :0], gun(PHOTON, 20.0, 0.4, 1)])
    seen = Detector().reconstruct(events, 1)
    assert ak.num(seen).tolist() == [0, 0, 1]
    assert len(Detector().reconstruct(events[:2], 1)) == 2
    assert ak.num(track_parameters_of_nothing()).tolist() == [0, 0]


def track_parameters_of_nothing():
    events = gun(PION, 20.0, 0.4, 2)[:, :0]
    for axis in ("x", "y", "z"):
        events[axis] = events.px
    return track_parameters(events, 1)


def test_a_missing_column_is_named():
    with pytest.raises(InputError, match="particles have no column 'charge'"):
        Detector().reconstruct(ak.Array([[{"px": 1.0, "py": 0.0, "pz": 0.0, "E": 1.0, "pid": 22}]]))


def test_a_calorimeter_shows_less_of_a_hadron():
    response = HadronResponse(ratio=0.5, power=0.82)
    pid = np.array([211, 130, 2112, 211, 2112])
    # 1 - .5 E^-.18 for mesons, with E / 2.6 for baryons, and h/e below 1 and 2.6 GeV.
    expected = 1 - 0.5 * np.array([10**-0.18, 100**-0.18, 100**-0.18, 1, 1])
    assert np.allclose(response(np.array([10.0, 100.0, 260.0, 0.3, 2.0]), pid), expected)
    assert np.allclose(HadronResponse(ratio=1.0)(np.array([5.0]), np.array([211])), 1)


def test_hadrons_alone_lose_by_their_response():
    response = HadronResponse()
    detector = Detector(hadron_response=response)
    shown = float(response(np.array([300.0]), np.array([130]))[0])
    seen = ak.flatten(detector.reconstruct(gun(KLONG, 300.0, 0.3), 4))
    energy = np.asarray(seen.E)
    # Nothing is lost: 300 GeV are far above the threshold.
    assert len(energy) == MANY
    check_mean_and_width(energy, 300 * shown, HCAL.resolution(np.array([300 * shown]), 0.3)[0])
    for particle in (PHOTON, ELECTRON):
        events = gun(particle, 50.0, 0.3, 500)
        assert (
            detector.reconstruct(events, 1).tolist() == Detector().reconstruct(events, 1).tolist()
        )
