"""Surrogates of showers as ONNX: the same showers as torch's, with onnxruntime alone."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.events.calorimeter import Geometry, Layer
from colliderkit.events.calorimeter.showers import Showers
from colliderkit.generators.flow import ConditionalFlow
from colliderkit.methods.simulation.surrogate import ShowerSurrogate
from colliderkit.serve.showers import export_surrogate
from colliderkit.sources.geant4.gflash import TUNGSTEN_SILICON, showers
from colliderkit.training.settings import Training

UNEVEN = Geometry("uneven", (Layer(0, (0, 5, 15), 4), Layer(2, (0, 40))))
EVEN = Geometry.regular("even", 3, 4, (0, 5, 15, 40), 11)


def fitted(geometry: Geometry, **options: object) -> ShowerSurrogate:
    energy = np.geomspace(1000, 8000, 300)
    depths = np.linspace(0, 80, len(geometry.layers) + 1)
    truth = showers(energy, geometry, TUNGSTEN_SILICON, seed=1, depths=depths)
    once = Training(epochs=1, batch_size=100)
    return ShowerSurrogate(
        network_options={"width": 8, "depth": 1},
        layer_options={"transforms": 1, "bins": 4, "hidden": (8,)},
        options={"steps": 2},
        layers=once,
        voxels=once,
    ).fit(Showers.checked(energy, truth), geometry, progress=False)


def test_noise_and_energy_in_megaelectronvolts_out(tmp_path: Path) -> None:
    surrogate = fitted(UNEVEN)
    path = tmp_path / "showers.onnx"
    assert export_surrogate(surrogate, path) <= 1e-5
    session = onnxruntime.InferenceSession(str(path))
    noise, incident = torch.randn(7, surrogate.noise_size), torch.full((7, 1), 2500.0)
    feed = {"noise": noise.numpy(), "incident": incident.numpy()}
    (energies,) = session.run(["energies"], feed)
    with torch.no_grad():
        truth = surrogate.decode(noise, incident[:, 0]).numpy()
    assert energies.shape == (7, UNEVEN.voxels)
    np.testing.assert_allclose(energies, truth, atol=1e-5 * truth.sum(1).max())
    about = session.get_modelmeta().custom_metadata_map
    assert about["units"] == "MeV"
    assert json.loads(about["range"]) == [1000.0, 8000.0]
    assert json.loads(about["geometry"])["layers"][1] == {
        "number": 2,
        "r_edges": [0, 40],
        "angles": 1,
    }
    with pytest.raises(InputError, match="exists"):
        export_surrogate(surrogate, path)


def test_par04_has_one_input_and_its_own_order(tmp_path: Path) -> None:
    surrogate = fitted(EVEN)
    export_surrogate(surrogate, tmp_path / "par04.onnx", par04=True)
    session = onnxruntime.InferenceSession(str(tmp_path / "par04.onnx"))
    noise = torch.randn(2, surrogate.noise_size)
    # Noise, E / E_max, theta / theta_max, and two flags, as the example fills them.
    vector = torch.cat([noise, torch.tensor([[0.5, 0.2, 1.0, 0.0]] * 2)], 1)
    (energies,) = session.run(None, {session.get_inputs()[0].name: vector.numpy()})
    with torch.no_grad():
        truth = surrogate.decode(noise, torch.full((2,), 4000.0)).numpy()
    np.testing.assert_allclose(
        EVEN.from_par04(energies), truth, atol=1e-5 * float(truth.sum(1).max())
    )
    with pytest.raises(InputError, match="its layers have different rings"):
        export_surrogate(fitted(UNEVEN), tmp_path / "no.onnx", par04=True)


def test_what_is_not_fitted_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not fitted"):
        export_surrogate(ShowerSurrogate(), tmp_path / "x.onnx")
    assert not (tmp_path / "x.onnx").exists()


def test_what_comes_one_after_the_other_is_not_exported(tmp_path: Path) -> None:
    surrogate = ShowerSurrogate(generator="flow", network=None)
    surrogate.voxels_ = ConditionalFlow(51, 1, transforms=1, hidden=(4,))
    with pytest.raises(InputError, match=r"51 voxels one after the other.* 'student-flow'"):
        export_surrogate(surrogate, tmp_path / "x.onnx")
