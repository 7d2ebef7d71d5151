"""Times of particles: the flight by hand, thresholds, and noise that is added later."""

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.pileup import Particles
from colliderkit.sources.detector.timing import (
    HALF_LENGTH,
    LIGHT,
    PION,
    RADIUS,
    Timing,
    arrivals,
    blurred,
)
from colliderkit.sources.toys.pileup import in_time, pileup_toy, time_ratio, time_widths

ETA = np.array([0.0, 0.4, -1.0, 1.6, -2.2, 2.9])


def flown(eta=ETA, *, time=0.0, z=0.0, hard_z=0.0, p=5.0, mass=0.0, charge=0):
    size = len(eta)
    return arrivals(
        np.full(size, time), np.full(size, z), np.full(size, hard_z), np.full(size, p), eta,
        np.full(size, mass), np.full(size, charge),
    )  # fmt: skip


def test_what_is_of_the_hard_vertex_has_its_time():
    for mass, charge in ((0.0, 0), (PION, 1)):
        found = flown(time=70.0, z=40.0, hard_z=40.0, mass=mass, charge=charge)
        np.testing.assert_allclose(found, 70.0, atol=1e-9)


def test_another_vertex_is_off_by_the_path_between():
    """-dz cos(theta) / c to first order, and at 90 degrees what is left of a square root."""
    dz = 1.0
    np.testing.assert_allclose(flown(z=dz), -dz * np.tanh(ETA) / LIGHT, atol=2e-3)
    exact = (RADIUS - np.hypot(RADIUS, 100.0)) / LIGHT
    np.testing.assert_allclose(flown(np.zeros(1), z=100.0), exact, rtol=1e-12)
    # Forward the place on the face moves inwards instead: r = (L - z) / sinh(eta).
    r = (HALF_LENGTH - 100.0) / np.sinh(2.0)
    exact = (np.hypot(r, HALF_LENGTH - 100.0) - np.hypot(r, HALF_LENGTH)) / LIGHT
    np.testing.assert_allclose(flown(np.array([2.0]), z=100.0), exact, rtol=1e-12)


def test_heavy_particles_are_late():
    path = RADIUS / np.sin(2 * np.arctan(np.exp(-0.4)))
    slow = np.sqrt(1 + (0.938 / 2) ** 2)
    for charge, usual in ((0, 1.0), (1, np.sqrt(1 + (PION / 2) ** 2))):
        late = flown(np.array([0.4]), p=2.0, mass=0.938, charge=charge)
        np.testing.assert_allclose(late, path * (slow - usual) / LIGHT, rtol=1e-12)


def test_soft_and_outer_particles_have_no_time():
    pt, eta = np.array([0.6, 0.8, 0.8, 1.2, 5.0]), np.array([0.0, 0.0, 0.0, 0.0, 3.5])
    charge = np.array([1, 1, 0, 0, 0])
    found = Timing(0.0).measured(np.full(5, 3.0), pt, eta, charge, np.random.default_rng(1))
    np.testing.assert_array_equal(found, [np.nan, 3.0, np.nan, 3.0, np.nan])
    with pytest.raises(InputError, match="resolution is -1 of times"):
        Timing(-1.0)


def test_times_change_nothing_else_and_noise_comes_later():
    bare, exact = pileup_toy(20, 3.0, seed=4), pileup_toy(20, 3.0, timing=Timing(0.0), seed=4)
    for name in bare.fields:
        if name != "particles":
            assert ak.all(bare[name] == exact[name])
    for name in bare["particles"].fields:
        assert ak.all(bare["particles", name] == exact["particles", name])
    with pytest.raises(InputError, match="no column 'time'"):
        blurred(bare, 30.0)
    added = ak.flatten(blurred(exact, 30.0)["particles", "time"] - exact["particles", "time"])
    added = added[~np.isnan(added)]
    error = 30.0 / np.sqrt(2 * len(added))
    assert np.std(added) == pytest.approx(30.0, abs=5 * error)


@pytest.mark.statistical
def test_by_time_alone_odds_are_a_ratio_of_two_normals(seed):
    """Shares in a window and the ratio, of neutrals of a toy with a collision each beside."""
    timing = Timing(30.0, neutral=0.0)
    events = pileup_toy(4000, 1.0, timing=timing, seed=[seed, 1])
    particles = Particles.of(events)
    # From the true time of the hard collision, and once an event: particles of one share it.
    hard_time = np.asarray(events["vertex_time"][:, 0])[particles.event]
    delay = particles.time - hard_time
    eta = particles.eta
    for hard in (True, False):
        mine = ~particles.known & (particles.truth == hard) & ~np.isnan(delay)
        mine = np.flatnonzero(mine)[np.unique(particles.event[mine], return_index=True)[1]]
        for window in (30.0, 90.0):
            share = in_time(window, eta[mine], timing)[0 if hard else 1]
            found = np.abs(delay[mine]) < window
            error = np.sqrt((share * (1 - share)).sum()) / len(mine)
            # Second orders in the place of the collision move the pileup's share by below 2%.
            assert abs(found.mean() - share.mean()) < 5 * error + 0.02 * share.mean()
    narrow, wide = time_widths(eta, timing)
    at = np.array([0.0, 40.0, 200.0])
    for i in range(3):
        normal = [np.exp(-(at[i] ** 2) / 2 / w[:1] ** 2) / w[:1] for w in (narrow, wide)]
        np.testing.assert_allclose(time_ratio(at[i], eta[:1], timing), normal[0] / normal[1])
