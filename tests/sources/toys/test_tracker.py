"""Helices: their radii are those of the momenta, and they go through the vertex."""

import numpy as np
import pytest

from colliderkit.sources.toys.tracker import CURVATURE, FIELD, PIXELS, Layer, crossings, helix_hits


def test_hits_lie_on_a_circle_through_the_vertex():
    random = np.random.default_rng(1)
    n = 200
    x, y, z = random.normal(size=(3, n)) * [[0.5], [0.5], [50.0]]
    phi, slope = random.uniform(-3, 3, n), random.uniform(-1, 1, n)
    curvature = random.choice([-1, 1], n) * CURVATURE * FIELD / random.uniform(0.3, 10, n)
    centre = np.stack([x, y]) + np.stack([np.sin(phi), -np.cos(phi)]) / curvature
    for layer in (Layer(8, 2, 72.0, 0.0, 1e4), Layer(9, 2, 600.0, 0.0, 1e4, True)):
        where, turned = crossings(layer, x, y, z, phi, slope, curvature)
        good = np.isfinite(turned)
        assert good.sum() > n / 4
        reach = np.hypot(where[good, 0], where[good, 1]) if not layer.disc else where[good, 2]
        np.testing.assert_allclose(reach, layer.at, rtol=1e-9)
        distance = np.hypot(*(where[good, :2].T - centre[:, good]))
        np.testing.assert_allclose(distance, np.abs(1 / curvature[good]), rtol=1e-9)
        # z grows with the arc.
        np.testing.assert_allclose(
            where[good, 2] - z[good], slope[good] * np.abs(turned / curvature)[good], rtol=1e-6,
            atol=1e-6,
        )  # fmt: skip


def test_a_stiff_particle_hits_each_barrel_layer_once():
    hits = helix_hits(3, vertices=4, particles=5, pt=(5.0, 9.0), eta=0.5, missed=0.0, seed=2)
    assert np.diff(hits.offsets).tolist() == [80, 80, 80]
    assert np.unique(hits.layer).tolist() == [2, 4, 6, 8]
    assert set(np.unique(hits.volume)) == {8}


def test_noise_and_misses_are_as_many_as_asked_for():
    quiet = helix_hits(40, vertices=3, particles=5, missed=0.0, seed=5)
    loud = helix_hits(40, vertices=3, particles=5, missed=0.3, noise=2.0, seed=5)
    noise = int((loud.particle == 0).sum())
    mean = 2.0 * 40 * len(PIXELS)
    assert abs(noise - mean) < 5 * mean**0.5
    kept = (len(loud.x) - noise) / len(quiet.x)
    assert kept == pytest.approx(0.7, abs=5 * (0.21 / len(quiet.x)) ** 0.5)


def test_an_event_may_have_no_particles():
    hits = helix_hits(2, vertices=0, noise=1.0, seed=1)
    assert not hits.particle.any()
    assert len(helix_hits(1, vertices=0)) == 1
