"""Surrogates whose voxels come by diffusion through a U-Net: fitted, saved, distilled, exported."""

from pathlib import Path

import numpy as np

from colliderkit.events.calorimeter import Geometry, Layer
from colliderkit.events.calorimeter.showers import Showers
from colliderkit.generators.distillation import Distillation
from colliderkit.methods.method import load
from colliderkit.methods.simulation.surrogate import ShowerSurrogate
from colliderkit.sources.geant4.gflash import TUNGSTEN_SILICON, showers
from colliderkit.training.settings import Training

GEOMETRY = Geometry(
    "toy", (Layer(0, (0, 5, 15), 4), Layer(1, (0, 10, 15, 40), 4), Layer(2, (0, 40)))
)
ONCE = Training(epochs=1, batch_size=100)


def test_diffusion_through_a_u_net_is_a_surrogate(tmp_path: Path) -> None:
    energy = np.geomspace(1000, 8000, 300)
    truth = showers(energy, GEOMETRY, TUNGSTEN_SILICON, seed=1, depths=(0, 25, 45, 76))
    surrogate = ShowerSurrogate(
        generator="diffusion",
        options={"sampler": "dpm-solver++", "steps": 4},
        network="u-net",
        network_options={"widths": [8, 8], "embedding": 8},
        layers=ONCE,
        voxels=ONCE,
    ).fit(Showers.checked(energy, truth), GEOMETRY, progress=False)
    drawn = surrogate.sample(energy, seed=1)
    assert drawn.shape == truth.shape
    assert np.isfinite(drawn).all()
    surrogate.save(tmp_path / "saved")
    again = load(tmp_path / "saved")
    np.testing.assert_array_equal(again.sample(energy, seed=1), drawn)
    # A student of one step takes the teacher's place.
    student = Distillation(surrogate.voxels_).student
    surrogate.voxels_ = student
    assert surrogate.noise_size == again.noise_size
    assert np.isfinite(surrogate.sample(energy, seed=1)).all()
