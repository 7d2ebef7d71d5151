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
    # Beyond three widths x is cut off, and a beyond 3.4; the last layer has one voxel, whose share
    # is always 1.
    off = (x[:, :-1] > -3.5) & (x[:, :-1].abs() > 2.999)
    off = (off.any(1) | ((a.abs() > 3.399) & (a.abs() < 3.7)).any(1)).numpy()
    assert 0 < off.sum() < 60
    # Nothing in the third layer, the last, is a share of 1 of the second; an empty shower has no
    # total, and nothing to share.
    first, second, third = (torch.from_numpy(e[:, GEOMETRY.layer == i].sum(1)) for i in range(3))
    assert torch.equal(a[:, 0] < -3.7, first + second + third == 0)
    assert torch.equal(a[:, 1] < -3.7, (first == 0) & (second + third > 0))
    assert torch.equal(a[:, 2] > 3.7, (second > 0) & (third == 0))
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


def ladder(geometry: Geometry) -> LayerShares:
    """Return shares whose variables a are ln(E_tot / E_inc) and logits, from -3 to 3."""
    shares = LayerShares(geometry, 0.1)
    shares.ladder.table[:] = torch.linspace(-3, 3, shares.ladder.table.shape[1])
    return shares


def test_layers_have_their_energy_whatever_the_shares_are() -> None:
    shares, incident = ladder(GEOMETRY), torch.full((50,), 100.0)
    random = torch.Generator().manual_seed(2)
    a, x = torch.randn(50, 3, generator=random), torch.randn(50, 11, generator=random) * 3
    showers = shares.showers(a, x, incident)
    energy = shares.layer_energies(a, incident)
    assert torch.allclose(shares._sums(showers), energy, rtol=1e-4)
    assert torch.allclose(energy.sum(1), a[:, 0].exp() * 100, rtol=1e-4)
    assert not ((showers > 0) & (showers < 0.1)).any()


def test_voxels_are_conditioned_on_the_energies_of_their_layers() -> None:
    shares, incident = ladder(GEOMETRY), torch.full((4,), 2000.0)
    # E_tot = E_inc / e; the first layer has 3/4 of it, the second all of the rest, or a third;
    # then a first layer without energy, and a shower without.
    half = np.log(3.0)
    rows = [[-1, half, 4.5], [-1, half, -np.log(2.0)], [-1, -4.4, 0], [-4.6, 0, 0]]
    a = torch.tensor(rows).float()
    found = shares.conditions(a, incident)
    assert torch.allclose(found[:, 0], torch.tensor(2.0).log().expand(4))
    assert torch.equal(found[:, 1:4], a)
    total, none = 2000 / np.e, 0.1e-2
    energy = [
        [0.75 * total, 0.25 * total, none],
        [0.75 * total, total / 12, total / 6],
        [none, total / 2, total / 2],
        [none] * 3,
    ]
    assert torch.allclose(found[:, 4:], torch.tensor(energy).log(), rtol=1e-4, atol=2e-3)


def test_layer_variables_are_normal_and_empty_layers_apart() -> None:
    random = np.random.default_rng(5)
    incident = np.exp(random.uniform(5, 8, 4000))
    e = np.exp(random.normal(size=(4000, GEOMETRY.voxels))) * (incident[:, None] / 300) ** 2
    e[random.random(4000) < 0.1, :] *= np.where(GEOMETRY.layer == 1, 0, 1)
    shares = LayerShares(GEOMETRY, 1e-3).fit(torch.from_numpy(e), torch.from_numpy(incident))
    a, _ = shares(torch.from_numpy(e), torch.from_numpy(incident))
    empty = e[:, GEOMETRY.layer == 1].sum(1) == 0
    assert (a[empty, 2] < -3.7).all()
    # n >= 3,600: errors .017 of the mean and .012 of the width.
    for some in (a[:, 0], a[:, 1], a[~empty, 2]):
        assert (some.abs() <= 3.4).all()
        assert abs(float(some.mean())) < 0.05
        assert abs(float(some.std()) - 1) < 0.04
    # The slope in ln E_inc is taken out: E grows as its square, so ln(E_tot / E_inc) as its first.
    assert abs(float(shares.ladder.slope[0]) - 1) < 0.02
    assert abs(np.corrcoef(np.log(incident), a[:, 0].numpy())[0, 1]) < 0.05


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


def test_a_layer_without_hits_puts_its_energy_where_hits_are_likely() -> None:
    shares, incident = ladder(GEOMETRY), torch.full((400,), 100.0)
    outer = GEOMETRY.r > 5
    shares.often.copy_(torch.from_numpy(np.where(outer, 1e-3, 0.5)))
    random = torch.Generator().manual_seed(6)
    x = -4.5 + 0.15 * torch.randn(400, GEOMETRY.voxels, generator=random)
    showers = shares.showers(torch.zeros(400, 3), x, incident)
    assert torch.equal((showers > 0).sum(1), torch.full((400,), 3))
    here = torch.from_numpy(outer & (GEOMETRY.layer == 1))
    assert float((showers[:, here] > 0).float().mean()) < 0.02
    # One that is nearly hit, five widths out of the noise, has the better odds:
    # ln .001 + 5.27^2 / 2 = 7, and among four others ln .5 + z^2 / 2 needs a z of 3.9.
    (one, *_) = np.flatnonzero(outer & (GEOMETRY.layer == 1))
    x[:, one] = -3.71
    assert (
        float((shares.showers(torch.zeros(400, 3), x, incident)[:, one] > 0).float().mean()) > 0.99
    )
