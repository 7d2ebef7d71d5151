"""Showers in, a surrogate's showers and an ONNX file out, by the command line."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from colliderkit.cli import main
from colliderkit.errors import InputError
from colliderkit.events.calorimeter import Geometry, Layer, write_xml
from colliderkit.events.calorimeter.showers import Showers
from colliderkit.methods.simulation.surrogate import ShowerSurrogate
from colliderkit.sources.files.showers import read_showers, write_showers
from colliderkit.sources.geant4.gflash import TUNGSTEN_SILICON, showers

GEOMETRY = Geometry("toy", (Layer(0, (0, 5, 15), 4), Layer(1, (0, 40))))


def test_from_showers_to_a_surrogate_and_its_showers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    energy = np.geomspace(1000, 4000, 600)
    truth = showers(energy, GEOMETRY, TUNGSTEN_SILICON, seed=1, depths=[0, 30, 90])
    write_showers(tmp_path / "geant4.hdf5", energy, truth)
    write_xml(tmp_path / "toy.xml", GEOMETRY)
    files = {name: str(tmp_path / name) for name in ("geant4.hdf5", "toy.xml", "model")}
    fit = [
        *("fit", "showers", "--files", files["geant4.hdf5"], "--geometry", files["toy.xml"]),
        *("--out", files["model"], "--threshold", "0.1", "--layers.epochs", "8"),
        *("--voxels.epochs", "4", "--network_options", "{width: 16, depth: 1}"),
        *("--layer_options", "{transforms: 1, bins: 6, hidden: [16]}", "--options", "{steps: 2}"),
    ]
    assert main(fit) == 0
    made = tmp_path / "made.hdf5"
    apply = ["apply", files["model"], "--files", files["geant4.hdf5"], "--out", str(made)]
    assert main(apply) == 0
    sample = read_showers(made, GEOMETRY)
    incident, ours = sample.incident, sample.voxels
    assert np.array_equal(incident, energy.astype(np.float32))
    assert (ours[ours > 0] >= 0.1 - 1e-6).all()
    # Half of the energy is seen; a barely trained layer model knows its mean.
    response = [(x.sum(1) / energy).mean() for x in (ours, truth)]
    assert response[0] == pytest.approx(response[1], rel=0.1)
    assert main(["export", files["model"], "--out", str(tmp_path / "showers.onnx")]) == 0
    session = onnxruntime.InferenceSession(str(tmp_path / "showers.onnx"))
    assert session.get_outputs()[0].shape[1] == GEOMETRY.voxels
    capsys.readouterr()

    write_showers(tmp_path / "far.hdf5", [9000.0], truth[:1])
    far = ["apply", files["model"], "--files", str(tmp_path / "far.hdf5"), "--out"]
    assert main([*far, str(tmp_path / "x.hdf5")]) == 2
    assert "9000 MeV is outside the trained range" in capsys.readouterr().err
    assert main([*far, str(tmp_path / "x.hdf5"), "--outside"]) == 0
    wrong = ["fit", "showers", "--files", str(made), "--geometry", "photons-368", "--out"]
    assert main([*wrong, str(tmp_path / "other")]) == 2
    assert "368 voxels" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    band = ["--without", "[4000, 3000]", "--out", str(tmp_path / "other")]
    assert main([*fit[:4], *fit[4:6], *band]) == 2
    assert "the lower one first" in capsys.readouterr().err
    assert main([*wrong[:4], "--geometry", "barrel", "--out", str(tmp_path / "other")]) == 2
    assert "no calorimeter" in capsys.readouterr().err


def test_a_band_of_energy_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    energy = np.linspace(1000, 4000, 31)
    write_showers(tmp_path / "all.hdf5", energy, np.ones((31, GEOMETRY.voxels)))
    write_xml(tmp_path / "toy.xml", GEOMETRY)
    seen: list[np.ndarray] = []

    def fit(self: ShowerSurrogate, showers: Showers, *_: object, **__: object) -> None:
        seen.append(showers.incident)
        raise InputError("enough")

    monkeypatch.setattr(ShowerSurrogate, "fit", fit)
    given = ["--files", str(tmp_path / "all.hdf5"), "--geometry", str(tmp_path / "toy.xml")]
    band = ["--without", "[2000, 3000]", "--out", str(tmp_path / "model")]
    assert main(["fit", "showers", *given, *band]) == 2
    assert np.array_equal(seen[0], energy[(energy < 2000) | (energy >= 3000)].astype(np.float32))
