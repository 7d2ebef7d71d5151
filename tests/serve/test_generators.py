"""Conditional generators as ONNX: the same rows as torch's, with onnxruntime alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from colliderkit.errors import InputError
from colliderkit.methods.simulation.generator import ConditionalGenerator
from colliderkit.serve.generators import export_generator
from colliderkit.training.settings import Training

ONCE = Training(epochs=1, batch_size=100)
OPTIONS: dict[str, dict[str, Any]] = {
    "flow": {"transforms": 1, "bins": 3, "hidden": [8]},
    "vae": {"latent": 2, "width": 8},
    "diffusion": {"steps": 2},
}


def fitted(generator: str, conditions: int, columns: int = 2) -> ConditionalGenerator:
    random = np.random.default_rng(1)
    x = 100 + 20 * random.normal(size=(300, columns))
    condition = random.normal(size=(300, conditions)) if conditions else None
    method = ConditionalGenerator(
        generator=generator, options=OPTIONS.get(generator), training=ONCE
    )
    return method.fit(x, condition, progress=False)


@pytest.mark.parametrize("generator", OPTIONS)
def test_noise_and_conditions_in_rows_out(generator: str, tmp_path: Path) -> None:
    method, path = fitted(generator, 2), tmp_path / "generator.onnx"
    condition = np.random.default_rng(2).normal(size=(7, 2))
    assert export_generator(method, path, condition) <= 1e-4
    session = onnxruntime.InferenceSession(str(path))
    noise = torch.randn(7, method.generator_.noise_size)
    feed = {"noise": noise.numpy(), "condition": condition.astype(np.float32)}
    (rows,) = session.run(["sample"], feed)
    with torch.no_grad():
        truth = method.generator_.decode(noise, torch.from_numpy(condition).float()).numpy()
    np.testing.assert_allclose(rows, truth, atol=1e-4 * 20)
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["noise"]) == noise.shape[1]
    assert about["generator"] == generator
    with pytest.raises(InputError, match="exists"):
        export_generator(method, path, condition)


def test_without_conditions_noise_is_all(tmp_path: Path) -> None:
    method, path = fitted("vae", 0), tmp_path / "generator.onnx"
    export_generator(method, path)
    session = onnxruntime.InferenceSession(str(path))
    noise = torch.randn(5, method.generator_.noise_size)
    (rows,) = session.run(None, {"noise": noise.numpy()})
    with torch.no_grad():
        truth = method.generator_.decode(noise, torch.zeros(5, 1)).numpy()
    np.testing.assert_allclose(rows, truth, atol=1e-4 * 20)


def test_what_cannot_be_exported_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 rows of 0 columns, and 1 conditions were fitted"):
        export_generator(fitted("vae", 1), tmp_path / "no.onnx")
    with pytest.raises(InputError, match="fit generator 'student-flow'"):
        export_generator(fitted("flow", 0, columns=51), tmp_path / "no.onnx")
    assert not (tmp_path / "no.onnx").exists()
