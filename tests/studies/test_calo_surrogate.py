"""The models of the study, and the folder that a run makes them in."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.method import load
from colliderkit.sources.files.showers import read_showers, write_showers
from colliderkit.studies import calo_surrogate
from colliderkit.studies.calo_surrogate import CALORIMETER, MODELS, SCALES, STUDY


def test_every_scale_has_models_that_can_be_made() -> None:
    for scale in SCALES.values():
        for name in scale.models:
            assert not hasattr(MODELS[name](scale), "voxels_")


def test_models_hold_the_generators_of_their_names() -> None:
    generators = {name: make(SCALES["smoke"]).generator for name, make in MODELS.items()}
    assert generators == {
        "diffusion": "diffusion",
        "flow matching": "flow-matching",
        "CaloFlow": "student-flow",
        "VAE": "vae",
        "WGAN-GP": "wgan-gp",
    }


def test_another_scale_in_the_same_folder_makes_its_own_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is shot, drawn, exported and timed takes long, and is not what this is about.
    def shoot(calorimeter, count, path, *, seed, **_):
        random = np.random.default_rng(seed)
        voxels = random.gamma(1, 1, (count, CALORIMETER.geometry.voxels)).astype(np.float32)
        write_showers(path, random.uniform(1000, 2000, count), voxels)

    monkeypatch.setattr(calo_surrogate, "generate_showers", shoot)
    monkeypatch.setattr(calo_surrogate, "geant4_seconds", lambda *_, **__: 1.0)
    monkeypatch.setattr(calo_surrogate, "add_showers", lambda *_, **__: None)
    monkeypatch.setattr(calo_surrogate, "shower_times", lambda *_, **__: [])
    smoke = replace(SCALES["smoke"], training=80, reference=80)
    scales = {"smoke": smoke, "night": replace(smoke, epochs=2, training=90)}
    study = replace(STUDY, scales=scales)
    study.run(scale="smoke", out=tmp_path)
    (model,) = (tmp_path / "models").glob("diffusion*")
    assert load(model).voxels.epochs == 1
    with pytest.raises(InputError, match="exists"):
        study.run(scale="night", out=tmp_path)
    study.run(scale="night", out=tmp_path, force=True)
    assert load(model).voxels.epochs == 2
    assert len(load(model).history_["voxels"]) == 2
    assert len(read_showers(tmp_path / "data" / "training.hdf5")) == 90
