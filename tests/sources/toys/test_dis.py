"""Kinematics of deep inelastic scattering against identities that hold exactly."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources.toys.dis import (
    COLUMNS,
    ELECTRON_BEAM,
    METHODS,
    QUANTITIES,
    DisModel,
    S,
    dis_events,
)


@pytest.mark.parametrize("method", METHODS)
def test_all_methods_are_exact_without_detector_and_photon(method):
    events = dis_events(2_000, DisModel(radiation=0), seed=1, detector=False)
    found = events.reconstructed(method)
    for quantity in QUANTITIES:
        np.testing.assert_allclose(found[quantity], getattr(events, quantity), rtol=1e-10)


def test_what_a_photon_does():
    events = dis_events(2_000, DisModel(radiation=3), seed=2, detector=False)
    left = 1 - events.photon
    assert (left < 0.9).any()
    # The sigma method does not ask for the beam; the electron's takes the photon for hadrons.
    sigma = events.reconstructed("sigma")
    for quantity in QUANTITIES:
        np.testing.assert_allclose(sigma[quantity], getattr(events, quantity), rtol=1e-9)
    electron = events.reconstructed("electron")
    np.testing.assert_allclose(1 - electron["y"], left * (1 - events.y), rtol=1e-9)
    np.testing.assert_allclose(electron["Q2"], events.Q2 / left, rtol=1e-9)
    double = events.reconstructed("double angle")
    np.testing.assert_allclose(double["y"], events.y, rtol=1e-9)
    np.testing.assert_allclose(double["Q2"], events.Q2 / left**2, rtol=1e-9)
    # y = 2 E_e Sigma_h / (Sigma_h + Sigma_e)^2, as H1 writes the e-sigma method.
    total = events.hadron_sigma + events.sigma
    np.testing.assert_allclose(
        events.reconstructed("e-sigma")["y"],
        2 * ELECTRON_BEAM * events.hadron_sigma / total**2,
        rtol=1e-9,
    )
    np.testing.assert_allclose(total, 2 * ELECTRON_BEAM * left, rtol=1e-9)


def test_density_of_the_truth():
    model = DisModel(radiation=0, small=0, large=0, inelasticity=(0.2, 0.9), lowest=200)
    count = 100_000
    events = dis_events(count, model, seed=3, detector=False)
    # x < 1 cuts nothing below Q^2 = .2 s = 20312, and y is then independent of Q^2.
    chosen = events.y[events.Q2 < 0.2 * S]
    a, b = model.inelasticity

    def integral(y):
        return 2 * np.log(y / a) - 2 * (y - a) + (y**2 - a**2) / 2

    # The integral of (1 + (1 - y)^2) / y; Kolmogorov's 1.95 / sqrt(n) is passed by 0.1% of tests.
    expected = integral(np.sort(chosen)) / integral(b)
    steps = np.arange(1, len(chosen) + 1) / len(chosen)
    assert np.abs(expected - steps).max() < 1.95 / np.sqrt(len(chosen))
    low = 1 - 200 / events.Q2[events.Q2 < 0.2 * S]
    expected = np.sort(low) / (1 - 200 / (0.2 * S))
    assert np.abs(expected - steps).max() < 1.95 / np.sqrt(len(chosen))


def test_share_of_radiation():
    events = dis_events(100_000, DisModel(radiation=1, small=0, large=0), seed=4)
    # p(f > .1) / p(f > .01) = int_.1 / int_.01 of f^(beta - 1) (1 - f + f^2 / 2), but for the
    # few x > 1: by counting, 5 standard deviations.
    beta = 2 / 137.036 / np.pi * (np.log(500 / 0.511e-3**2) - 1)

    def above(low):
        f = np.linspace(low, 0.5, 200_001)
        return np.trapezoid(f ** (beta - 1) * (1 - f + f**2 / 2), f)

    few, many = ((events.photon > low) & (events.photon < 0.5) for low in (0.1, 0.01))
    share = above(0.1) / above(0.01)
    error = np.sqrt(share * (1 - share) / many.sum())
    assert few.sum() / many.sum() == pytest.approx(share, abs=5 * error)


def test_detector_and_table():
    events = dis_events(5_000, seed=5)
    assert events.table().shape == (5_000, len(COLUMNS))
    assert np.isfinite(events.table()).all()
    assert 0.7 < events.pass_reco.mean() < 0.95
    kept = events.at(events.pass_reco)
    assert len(kept.y) == events.pass_reco.sum()
    np.testing.assert_array_equal(dis_events(100, seed=5).energy, dis_events(100, seed=5).energy)
    # 11% / sqrt(E) (+) 1% is 2.3% at 28 GeV.
    near = np.abs(events.energy - 28) < 2
    true = dis_events(5_000, seed=5, detector=False)
    width = (events.energy / true.energy - 1)[near].std()
    assert width == pytest.approx(np.hypot(0.11 / np.sqrt(28), 0.01), rel=0.1)


def test_bad_input():
    with pytest.raises(InputError, match="none of electron"):
        dis_events(10).reconstructed("jacquet")
    with pytest.raises(InputError, match="no phase space"):
        DisModel(inelasticity=(0.5, 0.1))
    with pytest.raises(InputError, match="at least one"):
        dis_events(0)
