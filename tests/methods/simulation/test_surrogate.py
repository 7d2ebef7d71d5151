"""The surrogate against parametrised showers, which are cheap."""

from pathlib import Path

import numpy as np
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.events.calorimeter import Geometry, Layer
from colliderkit.events.calorimeter.features import features
from colliderkit.events.calorimeter.showers import Showers
from colliderkit.methods.method import load
from colliderkit.methods.simulation.surrogate import ShowerSurrogate, rotations
from colliderkit.sources.geant4.gflash import TUNGSTEN_SILICON, showers
from colliderkit.training.settings import Training

GEOMETRY = Geometry(
    "toy", (Layer(0, (0, 5, 15, 40), 4), Layer(1, (0, 5, 15, 40), 4), Layer(2, (0, 40)))
)
ENDS = np.array([0.0, 25, 45, 76])


def sample(count: int, seed: int) -> Showers:
    energy = 10 ** np.random.default_rng(seed).uniform(3, 3.7, count)
    energy[:2] = 1000, 5011.9  # both ends, so that no fresh shower is outside the trained range
    return Showers.checked(
        energy, showers(energy, GEOMETRY, TUNGSTEN_SILICON, seed=seed, depths=ENDS)
    )


@pytest.fixture(scope="module")
def fitted() -> ShowerSurrogate:
    surrogate = ShowerSurrogate(
        network_options={"width": 32, "depth": 2},
        layer_options={"transforms": 2, "hidden": (32, 32)},
        layers=Training(epochs=12, batch_size=256, learning_rate=4e-3, schedule="one-cycle"),
        voxels=Training(epochs=15, batch_size=256, learning_rate=4e-3, schedule="one-cycle"),
    )
    return surrogate.fit(sample(5000, 1), GEOMETRY, seed=1, progress=False)


@pytest.mark.slow
def test_means_and_widths_of_fresh_showers(fitted: ShowerSurrogate) -> None:
    test = sample(4000, 2)
    energy, truth = test.incident, test.voxels
    made = fitted.sample(energy, seed=3)
    ours, theirs = (features(x, energy, GEOMETRY, 0.1) for x in (made, truth))
    for i in range(3):
        assert ours.energy[:, i].mean() == pytest.approx(theirs.energy[:, i].mean(), rel=0.05)
        assert ours.energy[:, i].std() == pytest.approx(theirs.energy[:, i].std(), rel=0.1)
    response = [x.total / energy for x in (ours, theirs)]
    assert response[0].mean() == pytest.approx(response[1].mean(), rel=0.02)
    assert ours.width_r[:, 0].mean() == pytest.approx(theirs.width_r[:, 0].mean(), rel=0.05)
    assert ours.sparsity.mean() == pytest.approx(theirs.sparsity.mean(), abs=0.03)


@pytest.mark.slow
def test_a_saved_surrogate_draws_the_same(fitted: ShowerSurrogate, tmp_path: Path) -> None:
    energy = np.array([1500.0, 3000.0])
    again = load(fitted.save(tmp_path / "surrogate"))
    assert again.geometry_ == GEOMETRY
    assert np.array_equal(again.sample(energy, seed=5), fitted.sample(energy, seed=5))


@pytest.mark.slow
def test_energies_outside_the_trained_range_are_refused(fitted: ShowerSurrogate) -> None:
    with pytest.raises(InputError, match="an incident energy of 20000 MeV is outside"):
        fitted.sample(np.array([2000.0, 20_000.0]))
    assert fitted.sample(np.array([20_000.0]), outside=True).shape == (1, GEOMETRY.voxels)


@pytest.mark.slow
def test_without_layers_voxels_depend_on_the_incident_energy_alone(tmp_path: Path) -> None:
    once = Training(epochs=2, batch_size=256, learning_rate=4e-3)
    plain = ShowerSurrogate(layer_generator=None, network="residual", voxels=once)
    plain.fit(sample(600, 4), GEOMETRY, progress=False)
    assert plain.noise_size == GEOMETRY.voxels
    assert list(plain.history_) == ["voxels"]
    energy = np.array([1500.0, 3000.0])
    again = load(plain.save(tmp_path / "plain"))
    assert np.array_equal(again.sample(energy, seed=5), plain.sample(energy, seed=5))


@pytest.mark.slow
@pytest.mark.parametrize("generator", ["vae", "wgan-gp", "diffusion", "student-flow"])
def test_any_generator_makes_voxels(generator: str) -> None:
    once = Training(epochs=1, batch_size=256)
    network = "residual" if generator == "diffusion" else None
    options = {"hidden": (16,)} if generator == "student-flow" else {"width": 16}
    surrogate = ShowerSurrogate(
        generator=generator,
        network=network,
        **({"network_options": options} if network else {"options": options}),
        layer_generator="flow-matching",
        layer_options={"width": 16, "blocks": 1},
        layers=once,
        voxels=once,
    )
    surrogate.fit(sample(600, 4), GEOMETRY, progress=False)
    made = surrogate.sample(np.array([2000.0] * 3), seed=1)
    # Whatever the voxels' generator is, layers have the energies of the first step.
    with torch.no_grad():
        noise = torch.randn(3, surrogate.noise_size, generator=torch.Generator().manual_seed(1))
        a = surrogate.layers_.decode(noise[:, :3], torch.log(torch.full((3, 1), 2.0)))
        energy = surrogate.variables_.layer_energies(a, torch.full((3,), 2000.0)).numpy()
    layers = features(made, np.full(3, 2000.0), GEOMETRY).energy
    bright = energy > 0.1
    assert np.allclose(layers[bright], energy[bright], rtol=1e-4)


def test_a_rotation_turns_each_layer_and_nothing_else() -> None:
    turns = rotations(GEOMETRY)
    assert turns is not None
    assert turns.shape == (4, GEOMETRY.voxels)
    for turn in turns.numpy():
        assert np.array_equal(GEOMETRY.ring[turn], GEOMETRY.ring)
        assert np.array_equal(GEOMETRY.layer[turn], GEOMETRY.layer)
    # A full circle: four quarter turns are none.
    quarter = turns[1]
    assert torch.equal(quarter[quarter][quarter][quarter], turns[0])
    uneven = Geometry("uneven", (Layer(0, (0, 5), 4), Layer(1, (0, 5), 6)))
    assert rotations(uneven) is None


def test_errors_say_what_is_wrong() -> None:
    surrogate = ShowerSurrogate()
    with pytest.raises(InputError, match="not fitted"):
        surrogate.sample([1000.0])
    with pytest.raises(InputError, match="geometry 'toy' has 25 voxels"):
        surrogate.fit(Showers.checked([5.0, 3.0], np.zeros((2, 24))), GEOMETRY)
    with pytest.raises(InputError, match=r"weight of event 1 .* showers are drawn from a density"):
        surrogate.fit(sample(40, 1), GEOMETRY, weight=[1.0, -1.0] * 20)
    with pytest.raises(InputError, match="no network of showers is called 'ring'"):
        ShowerSurrogate(network="ring").fit(sample(40, 1), GEOMETRY)


@pytest.mark.slow
def test_the_trained_range_ends_a_little_outside_the_sample(fitted: ShowerSurrogate) -> None:
    low, high = fitted.range_
    assert fitted.sample(np.array([low / 1.04, high * 1.04])).shape == (2, GEOMETRY.voxels)
    with pytest.raises(InputError, match="give outside"):
        fitted.sample(np.array([high * 1.06]))
