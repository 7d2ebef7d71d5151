"""Electrons and photons of jets: central, around their axis, and above a least energy."""

import numpy as np
import pytest

from colliderkit.sources.datasets.jet_particles import make_particles

pytestmark = pytest.mark.generate


def test_particles_stand_around_the_axis_of_their_jet() -> None:
    particles = make_particles(4, 1500.0, seed=1, most=10e3)
    assert 1 <= particles.jets <= 4
    assert len(particles) == len(particles.x) == len(particles.y) == len(particles.jet)
    assert particles.jet.max() < particles.jets
    assert ((particles.energy > 500) & (particles.energy < 10e3)).all()
    # A jet of R = 0.4 or 0.8 in (eta, phi) is at most as wide on the calorimeter's face.
    assert np.hypot(particles.x, particles.y).max() < 1500
    # A calorimeter twice as far away sees them twice as far apart.
    twice = make_particles(4, 3000.0, seed=1, most=10e3)
    np.testing.assert_allclose(twice.x, 2 * particles.x)
    np.testing.assert_array_equal(twice.energy, particles.energy)
