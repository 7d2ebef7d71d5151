"""Layer energies and shares: there and back."""

import numpy as np
import torch

from colliderkit.events.calorimeter.geometry import Geometry, Layer
from colliderkit.events.calorimeter.shares import IncidentShares, LayerShares

GEOMETRY = Geometry("toy", (Layer(0, (0, 2, 6), 1), Layer(1, (0, 10, 30), 4), Layer(5, (0, 9))))


def test_showers_come_back() -> None:
    random = np.random.default_rng(0)
    e = random.exponential(5, (200, GEOMETRY.voxels))
    e[random.random(e.shape) < 0.4] = 0
    e[:20, GEOMETRY.layer == 2] = 0  # an empty layer
    e[20, :] = 0  # an empty shower
    e[e < 0.1] = 0
    shares, incident = LayerShares(GEOMETRY, 0.1), torch.full((200,), 100.0)
    shares.fit(torch.from_numpy(e), incident)
    a, x = shares(torch.from_numpy(e), incident, torch.Generator().manual_seed(1))
    assert torch.isfinite(a).all()
    assert torch.isfinite(x).all()
    back = shares.showers(a.double(), x.double(), incident.double()).numpy()
    assert np.array_equal(back > 0, e > 0)
    # a and x are float32; DELTA moves a share by a millionth. Beyond three widths x is cut off;
    # the last layer has one voxel, whose share is always 1.
    off = (x[:, :-1] > -3.5) & (x[:, :-1].abs() > 2.999)
    off = off.any(1).numpy()
    assert 0 < off.sum() < 60
    assert np.allclose(back[~off], e[~off], rtol=1e-3, atol=1e-3)


def test_variables_of_hits_have_mean_zero_and_width_one_in_each_ring() -> None:
    random = np.random.default_rng(1)
    e = np.exp(random.normal(size=(3000, GEOMETRY.voxels)) + GEOMETRY.ring)
    e[random.random(e.shape) < 0.2] = 0
    shares = LayerShares(GEOMETRY, 1e-3).fit(torch.from_numpy(e), torch.full((3000,), 100.0))
    _, x = shares(torch.from_numpy(e), torch.full((3000,), 100.0), torch.Generator().manual_seed(2))
    hit = torch.from_numpy(e > 0)
    for layer, ring in ((0, 0), (1, 0), (1, 1)):
        here = torch.from_numpy((GEOMETRY.layer == layer) & (GEOMETRY.ring == ring))
        values = x[:, here][hit[:, here]]
        assert abs(float(values.mean())) < 0.02
        assert abs(float(values.std()) - 1) < 0.02
        # Normal in between too.
        assert abs(float((values < 1).double().mean()) - 0.8413) < 0.01
    assert (x[~hit] < -3.7).all()


def test_layers_have_their_energy_whatever_the_shares_are() -> None:
    shares, incident = LayerShares(GEOMETRY, 0.1), torch.full((50,), 100.0)
    random = torch.Generator().manual_seed(2)
    a, x = torch.randn(50, 3, generator=random), torch.randn(50, 11, generator=random) * 3
    showers = shares.showers(a, x, incident)
    energy = shares.layer_energies(a, incident)
    assert torch.allclose(shares._sums(showers), energy, rtol=1e-4)
    assert torch.allclose(energy.sum(1), a[:, 0].exp() * 100, rtol=1e-4)
    assert not ((showers > 0) & (showers < 0.1)).any()


def test_voxels_are_conditioned_on_the_energies_of_their_layers() -> None:
    shares, incident = LayerShares(GEOMETRY, 0.1), torch.tensor([2000.0, 2000.0])
    # E_tot = E_inc / e; the first layer has 3/4 of it, the second all of the rest, or a third.
    a = torch.tensor([[-1.0, np.log(3.0), 30.0], [-1.0, np.log(3.0), -np.log(2.0)]]).float()
    found = shares.conditions(a, incident)
    assert torch.allclose(found[:, 0], torch.tensor(2.0).log().expand(2))
    total = 2000 / np.e
    energy = [[0.75 * total, 0.25 * total, 0.1e-2], [0.75 * total, total / 12, total / 6]]
    assert torch.allclose(found[:, 4:], torch.tensor(energy).log(), rtol=1e-4, atol=2e-3)


def test_shares_of_the_incident_energy_come_back_too() -> None:
    random = np.random.default_rng(3)
    e = np.exp(random.normal(size=(500, GEOMETRY.voxels)) + 2)
    e[random.random(e.shape) < 0.3] = 0
    incident = torch.from_numpy(random.uniform(500, 900, 500)).float()
    shares = IncidentShares(GEOMETRY, 1e-3).fit(torch.from_numpy(e), incident)
    a, x = shares(torch.from_numpy(e), incident, torch.Generator().manual_seed(4))
    assert a.shape == (500, 0)
    assert shares.conditions(a, incident).shape == (500, 1)
    back = shares.showers(a, x, incident).numpy()
    cut_off = ((x > -3.5) & (x.abs() > 2.999)).numpy()
    assert cut_off.mean() < 0.01
    assert np.array_equal(back > 0, e > 0)
    assert np.allclose(back[~cut_off], e[~cut_off], rtol=1e-4)
