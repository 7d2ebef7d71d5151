"""Showers of a slice in eta: deeper layers, equal seeds, energies that add up."""

import numpy as np

from colliderkit.sources.datasets.eta_showers import GEOMETRY, EtaShowers, make_eta_showers

ENERGIES = (1000.0, 8000.0)


def shot(low: float, high: float, seed: int) -> EtaShowers:
    return make_eta_showers(200, (low, high), ENERGIES, seed=seed)


def test_showers_of_a_slice_grow_deeper_with_eta() -> None:
    low, high = (shot(eta, eta + 0.01, seed=1) for eta in (0.0, 1.5))
    # At eta = 1.5 a layer is cosh(1.5) = 2.35 times as deep: less gets to the last two.
    late = GEOMETRY.layer >= 3
    assert high.voxels[:, late].sum() < 0.5 * low.voxels[:, late].sum()
    assert ((low.eta > 0) & (low.eta < 0.01)).all()
    assert low.incident.min() >= ENERGIES[0]
    assert low.incident.max() <= ENERGIES[1]
    np.testing.assert_allclose(low.layers.sum(1), low.response)
    again = shot(0.0, 0.01, seed=1)
    assert np.array_equal(low.voxels, again.voxels)
    assert not np.array_equal(low.voxels, shot(0.0, 0.01, seed=2).voxels)
    both = EtaShowers.joined([low, high])
    assert len(both) == 400
    assert np.array_equal(both.response[200:], high.response)
