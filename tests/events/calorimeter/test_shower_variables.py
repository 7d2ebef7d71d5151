"""Layer energies and variables: there and back."""

import numpy as np
import torch
from numpy.typing import NDArray

from colliderkit.events.calorimeter.geometry import Geometry, Layer
from colliderkit.events.calorimeter.quantiles import inverse_survival, survival
from colliderkit.events.calorimeter.shower_variables import (
    IncidentVariables,
    ShowerVariables,
    VoxelVariables,
)

GEOMETRY = Geometry("toy", (Layer(0, (0, 2, 6), 1), Layer(1, (0, 10, 30), 4), Layer(5, (0, 9))))


def test_showers_come_back() -> None:
    random = np.random.default_rng(0)
    e = random.exponential(5, (200, GEOMETRY.voxels))
    e[random.random(e.shape) < 0.4] = 0
    e[:20, GEOMETRY.layer == 2] = 0  # an empty layer
    e[20, :] = 0  # an empty shower
    e[e < 0.1] = 0
    variables, incident = ShowerVariables(GEOMETRY, 0.1), torch.full((200,), 100.0)
    variables.fit(torch.from_numpy(e), incident)
    a, x = variables(torch.from_numpy(e), incident, torch.Generator().manual_seed(1))
    assert torch.isfinite(a).all()
    assert torch.isfinite(x).all()
    back = variables.showers(a.double(), x.double(), incident.double()).numpy()
    assert np.array_equal(back > 0, e > 0)
    # Among the hits of a ring and among layers the normal scale ends at 3.4 widths; the last layer
    # has one voxel, whose share is always 1.
    off = (np.abs(widths(variables, e, incident.double())) > 3.399)[:, :-1].any(1)
    energy = torch.from_numpy(np.stack([e[:, GEOMETRY.layer == i].sum(1) for i in range(3)], 1))
    again = variables.layer_energies(a.double(), incident.double())
    assert torch.equal(again > 0, energy > 0)
    off |= (torch.abs(again - energy) > 1e-3 * energy).any(1).numpy()
    assert off.sum() < 10
    assert np.allclose(back[~off], e[~off], rtol=1e-3, atol=1e-3)


def widths(
    variables: VoxelVariables, e: NDArray[np.float64], incident: torch.Tensor
) -> NDArray[np.float64]:
    """Return where hits (N, V) are on the scale of their ring, 0 for what is not hit."""
    energies = torch.from_numpy(e)
    unit = variables.unit(energies, incident)
    own = unit.expand_as(energies).clamp(min=variables.threshold).log()
    z = variables.voxels.normal(energies.clamp(min=1e-12).log() - own, own)
    return torch.where(energies > 0, z, 0.0).numpy()


def test_variables_of_voxels_are_standard_normal_in_each_ring() -> None:
    random = np.random.default_rng(1)
    e = np.exp(random.normal(size=(3000, GEOMETRY.voxels)) + GEOMETRY.ring)
    e[random.random(e.shape) < 0.2] = 0
    variables = ShowerVariables(GEOMETRY, 1e-3).fit(torch.from_numpy(e), torch.full((3000,), 100.0))
    _, x = variables(
        torch.from_numpy(e), torch.full((3000,), 100.0), torch.Generator().manual_seed(2)
    )
    hit = torch.from_numpy(e > 0)
    for layer, ring in ((0, 0), (1, 0), (1, 1)):
        here = torch.from_numpy((GEOMETRY.layer == layer) & (GEOMETRY.ring == ring))
        values = x[:, here]
        assert abs(float(values.mean())) < 0.05
        assert abs(float(values.std()) - 1) < 0.04
        # Normal in between too.
        for limit, below in ((-1.0, 0.1587), (0.5, 0.6915), (1.0, 0.8413)):
            assert abs(float((values < limit).double().mean()) - below) < 0.02
        # Hits are above all others of the same ring.
        lowest = torch.where(hit[:, here], values, torch.inf).amin(1)
        assert (lowest > torch.where(hit[:, here], -torch.inf, values).amax(1)).all()


def test_noise_has_hits_as_often_as_showers_also_rare_ones() -> None:
    random = np.random.default_rng(7)
    incident = np.exp(random.uniform(5, 8, 20_000))
    # One ring in 500 showers, and another the rarer the lower the energy.
    e = np.exp(random.normal(size=(20_000, GEOMETRY.voxels)))
    often = np.where(GEOMETRY.ring == 1, 0.002, 0.7)
    e *= random.random(e.shape) < np.where(GEOMETRY.layer == 0, 1, often)
    e[:, 0] = incident / 10
    e[:, 1] *= random.random(20_000) < (incident / 3000) ** 0.5
    variables = ShowerVariables(GEOMETRY, 1e-3)
    variables.fit(torch.from_numpy(e), torch.from_numpy(incident))
    a, _ = variables(torch.from_numpy(e), torch.from_numpy(incident))
    x = torch.randn(e.shape, generator=torch.Generator().manual_seed(8))
    made = variables.showers(a, x, torch.from_numpy(incident).float()).numpy()
    for voxels in (
        np.array([1]),
        np.flatnonzero((GEOMETRY.layer == 1) & (GEOMETRY.ring == 1)),
        np.flatnonzero((GEOMETRY.layer == 1) & (GEOMETRY.ring == 0)),
    ):
        truth, found = ((s[:, voxels] > 0).mean() for s in (e, made))
        # Independent voxels leave a layer without a hit more often than showers do.
        assert abs(found - truth) < 4 * (2 * truth / e.shape[0] / len(voxels)) ** 0.5 + 0.05 * truth
    low = incident < 500
    assert (made[low, 1] > 0).mean() < 0.6 * (made[~low, 1] > 0).mean()


def ladder(geometry: Geometry) -> ShowerVariables:
    """Return `ShowerVariables` whose a are ln(E_tot / E_inc) and logits, from -3 to 3."""
    variables = ShowerVariables(geometry, 0.1)
    variables.ladder.table[:] = torch.linspace(-3, 3, variables.ladder.table.shape[1])
    variables.some.odds[:], variables.last.odds[:] = 16.0, -16.0  # one in ten million is otherwise
    return variables


def test_layers_have_their_energy_whatever_the_shares_are() -> None:
    variables, incident = ladder(GEOMETRY), torch.full((50,), 100.0)
    random = torch.Generator().manual_seed(2)
    a, x = torch.randn(50, 3, generator=random), torch.randn(50, 11, generator=random) * 3
    showers = variables.showers(a, x, incident)
    energy = variables.layer_energies(a, incident)
    assert torch.allclose(variables._sums(showers), energy, rtol=1e-4)
    assert torch.allclose(energy.sum(1), a[:, 0].exp() * 100, rtol=1e-4)
    assert not ((showers > 0) & (showers < 0.1)).any()


def test_voxels_are_conditioned_on_the_energies_of_their_layers() -> None:
    variables, incident = ladder(GEOMETRY), torch.full((4,), 2000.0)
    # E_tot = E_inc / e; the first layer has 3/4 of it, the second all of the rest, or a third;
    # then a first layer without energy, and a shower without.
    half = np.log(3.0)
    rows = [[-1, half, 6], [-1, half, -np.log(2.0)], [-1, -6, 0], [-6, 0, 0]]
    a = torch.tensor(rows).float()
    found = variables.conditions(a, incident)
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


def test_layer_variables_are_normal_with_empty_layers_below() -> None:
    random = np.random.default_rng(5)
    incident = np.exp(random.uniform(5, 8, 4000))
    e = np.exp(random.normal(size=(4000, GEOMETRY.voxels))) * (incident[:, None] / 300) ** 2
    e[random.random(4000) < 0.1, :] *= np.where(GEOMETRY.layer == 1, 0, 1)
    variables = ShowerVariables(GEOMETRY, 1e-3).fit(torch.from_numpy(e), torch.from_numpy(incident))
    a, _ = variables(torch.from_numpy(e), torch.from_numpy(incident))
    empty = e[:, GEOMETRY.layer == 1].sum(1) == 0
    # Ten in a hundred, Phi(-1.28) = .1; the frequency is interpolated in ln E_inc.
    assert a[empty, 2].max() < -1.28 + 0.3
    assert a[~empty, 2].min() > -1.28 - 0.3
    # n = 4,000: errors .016 of the mean and .011 of the width.
    for some in a.T:
        assert abs(float(some.mean())) < 0.05
        assert abs(float(some.std()) - 1) < 0.04
    # The slope in ln E_inc is taken out: E grows as its square, so ln(E_tot / E_inc) as its first.
    assert abs(float(variables.ladder.slope[0]) - 1) < 0.02
    assert abs(np.corrcoef(np.log(incident), a[:, 0].numpy())[0, 1]) < 0.05


def test_shares_of_the_incident_energy_come_back_too() -> None:
    random = np.random.default_rng(3)
    e = np.exp(random.normal(size=(500, GEOMETRY.voxels)) + 2)
    e[random.random(e.shape) < 0.3] = 0
    incident = torch.from_numpy(random.uniform(500, 900, 500)).float()
    variables = IncidentVariables(GEOMETRY, 1e-3).fit(torch.from_numpy(e), incident)
    a, x = variables(torch.from_numpy(e), incident, torch.Generator().manual_seed(4))
    assert a.shape == (500, 0)
    assert variables.conditions(a, incident).shape == (500, 1)
    back = variables.showers(a, x, incident).numpy()
    z = widths(variables, e, incident.double())
    cut_off, faint = np.abs(z) > 3.399, z < -2
    assert cut_off.mean() < 0.01
    assert np.array_equal(back > 0, e > 0)
    rest = ~cut_off & ~faint
    assert np.allclose(back[rest], e[rest], rtol=1e-4)
    # float32 tells the faintest hits of a ring, where x ends, apart by 3e-4 of a width.
    assert np.allclose(back[~cut_off], e[~cut_off], rtol=1e-3)


def test_a_layer_without_hits_puts_its_energy_where_hits_are_likely() -> None:
    variables, incident = ladder(GEOMETRY), torch.full((400,), 100.0)
    outer = GEOMETRY.r > 5
    variables.hit.odds[:] = torch.logit(torch.tensor(0.5))
    for group in variables.hit.groups[torch.from_numpy(outer)].unique():
        variables.hit.odds[group] = torch.logit(torch.tensor(1e-3))
    random = torch.Generator().manual_seed(6)
    x = -0.01 - torch.randn(400, GEOMETRY.voxels, generator=random).abs()
    showers = variables.showers(torch.zeros(400, 3), x, incident)
    assert torch.equal((showers > 0).sum(1), torch.full((400,), 3))
    here = torch.from_numpy(outer & (GEOMETRY.layer == 1))
    assert float((showers[:, here] > 0).float().mean()) < 0.02
    # One that is nearly hit has it: P(x' > 3.05) is .00114, 1.14 of p = .001, and others that have
    # less than 1.14 of .5 are above -.18.
    (one, *_) = np.flatnonzero(outer & (GEOMETRY.layer == 1))
    x[:, one] = 3.05
    x = torch.where(torch.from_numpy(outer), x, x - 0.2)
    found = variables.showers(torch.zeros(400, 3), x, incident)
    assert (found[:, one] > 0).all()


def test_normal_deviates() -> None:
    p = torch.tensor([1e-7, 1e-4, 0.02, 0.5, 0.9, 1 - 1e-7], dtype=torch.float64)
    assert torch.allclose(inverse_survival(p), -torch.special.ndtri(p), atol=5e-7)
    assert torch.allclose(survival(inverse_survival(p)), p, rtol=1e-5, atol=0)
