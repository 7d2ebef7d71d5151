"""Files in, report out: showers of the parametrisation through the command line."""

import json
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest

from colliderkit.cli import main
from colliderkit.events.calorimeter import write_xml
from colliderkit.events.calorimeter.features import features
from colliderkit.methods.method import load
from colliderkit.sources.files.showers import read_showers, write_showers
from colliderkit.sources.geant4.calorimeters import calorimeter

COUNT = 1200
ENERGIES = ("--energies", "[200, 400]")
QUICK = ("--classifier.epochs", "3", "--classifier.batch_size", "200", "--width", "16")
CLASSIC = calorimeter("photons-368").geometry


def made(path: Path, seed: int, count: int = COUNT) -> Path:
    argv = ["generate", "photons-368", count, "--simulation", "gflash", "--seed", seed]
    assert main([*map(str, argv), *ENERGIES, "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("showers")
    for seed, name in enumerate(("reference", "floor", "train")):
        made(out / f"{name}.hdf5", seed + 1)
    train = read_showers(out / "train.hdf5")
    write_showers(out / "bright.hdf5", train.incident, 1.1 * train.voxels)
    argv = [
        "evaluate",
        "showers",
        "--showers",
        out / "reference.hdf5",
        "--sample",
        out / "bright.hdf5",
    ]
    argv += ["--floor", out / "floor.hdf5", "--training", out / "train.hdf5"]
    argv += ["--geometry", "photons-368", "--threshold", "0.1", "--bands", "[200, 300, 400]"]
    assert main([*map(str, argv), *QUICK, "--out", str(out / "run")]) == 0
    return out


def test_files_hold_what_was_asked_for(folder: Path) -> None:
    reference = read_showers(folder / "reference.hdf5", CLASSIC)
    incident, showers = reference.incident, reference.voxels
    assert len(incident) == COUNT
    assert 200 <= incident.min() < 202 < 397 < incident.max() <= 400
    # Log-uniform: the median is the geometric mean, known to 1/(2 f sqrt(N)) of the logarithm.
    error = np.log(2) / (2 * np.sqrt(COUNT))
    assert np.log(np.median(incident) / np.sqrt(200 * 400)) == pytest.approx(0, abs=4 * error)
    with h5py.File(folder / "reference.hdf5") as file:
        assert "hep-ex/0001020" in file.attrs["physics"]
    again = made(folder / "again.hdf5", 1)
    np.testing.assert_array_equal(read_showers(again).voxels, showers)


def test_figures_are_those_of_the_files(folder: Path) -> None:
    about = json.loads((folder / "run" / "results.json").read_text())
    rows = {(row["subject"], row["quantity"]): row for row in about["rows"]}
    reference, bright, floor = (
        features(sample.voxels, sample.incident, CLASSIC, 0.1)
        for sample in (
            read_showers(folder / f"{name}.hdf5") for name in ("reference", "bright", "floor")
        )
    )
    for name, sample in (("bright", bright), ("floor", floor)):
        one, two = (np.sort(f.total / f.incident) for f in (reference, sample))
        # Equal numbers of events: the mean distance of those of equal rank.
        row = rows[name, "Wasserstein of E_tot/E_inc"]
        assert row["value"] == pytest.approx(np.abs(one - two).mean(), rel=1e-6)
        here = [f.incident < 300 for f in (reference, sample)]
        means = [
            (f.total / f.incident)[h].mean() for f, h in zip((reference, sample), here, strict=True)
        ]
        row = rows[name, "ratio of mean E_tot/E_inc, 0.2 to 0.3 GeV"]
        assert row["value"] == pytest.approx(means[1] / means[0], rel=1e-6)
        assert rows[name, "AUC low-level"]["error"] > 0
    floor_auc = rows["floor", "AUC high-level"]
    assert abs(floor_auc["value"] - 0.5) < 4 * floor_auc["error"]
    # 10% more light is no copy of the training showers for the features, but very near to it.
    assert rows["bright", "nearer to the training"]["value"] > 0.9
    assert ("floor", "nearer to the training") not in rows


def test_the_report_is_drawn_from_the_evaluation_alone(folder: Path) -> None:
    assert main(["report", str(folder / "run")]) == 0
    page = (folder / "run" / "report.html").read_text()
    for word in ("AUC low-level", "coverage", "0.3 to 0.4 GeV", "floor", "bright"):
        assert word in page
    assert page.count("data:image/svg+xml") >= 9
    about = json.loads((folder / "run" / "results.json").read_text())
    assert about["samples"] == ["floor", "bright"]
    comparison = load(folder / "run" / "comparisons" / "1")
    assert comparison.geometry_ == CLASSIC
    bright = read_showers(folder / "bright.hdf5")
    seen = np.where(bright.voxels < 0.1, 0, bright.voxels)
    np.testing.assert_allclose(comparison.histograms_[1].mean, seen.mean(0), rtol=1e-5)
    assert comparison.histograms_[1].showers == len(bright)


def test_an_xml_file_is_a_geometry(folder: Path, tmp_path: Path) -> None:
    xml = write_xml(tmp_path / "binning.xml", CLASSIC)
    argv = ["evaluate", "showers", "--showers", folder / "reference.hdf5", "--geometry", xml]
    argv += ["--sample", f"{{other: {folder / 'floor.hdf5'}}}", "--out", tmp_path / "run"]
    assert main([*map(str, argv), "--levels", "[]", "--count", "500"]) == 0
    about = json.loads((tmp_path / "run" / "results.json").read_text())
    assert {row["subject"] for row in about["rows"]} == {"other"}
    # What is kept of a run repeats it.
    (tmp_path / "again.yaml").write_text(about["configuration"])
    argv = ["evaluate", "showers", "--config", tmp_path / "again.yaml", "--out", tmp_path / "again"]
    assert main([*map(str, argv)]) == 0
    again = json.loads((tmp_path / "again" / "results.json").read_text())
    assert again["rows"] == about["rows"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sample": "missing.hdf5"}, "missing.hdf5: no such file"),
        ({"geometry": "photons-367"}, "--geometry is photons-367, no XML file and no calorimeter"),
        ({"geometry": "electrons-6480"}, "geometry 'electron' has 6480 voxels"),
        ({"sample": "reference.hdf5"}, "cannot be called 'reference'"),
        ({"sample": "{copy: reference.hdf5}"}, "1200 showers stand in both samples"),
        ({"bands": "[1]"}, "--bands is [1.0]; give at least two rising energies"),
        ({"bands": "[1, 2]"}, "the band of 1 to 2 MeV has 0 showers"),
        ({"threshold": "-1"}, "threshold is -1; it must be at least 0"),
        ({"sample": "cut.hdf5"}, "cut.hdf5: no readable HDF5 file"),
        ({"sample": "negative.hdf5"}, "shower 3 (counted from 0) has an energy of -1.0"),
    ],
)
def test_bad_input_is_one_sentence(
    folder: Path, tmp_path: Path, capsys, monkeypatch, options: dict, sentence: str
) -> None:
    monkeypatch.chdir(folder)
    content = (folder / "floor.hdf5").read_bytes()
    (folder / "cut.hdf5").write_bytes(content[: len(content) // 2])
    floor = read_showers(folder / "floor.hdf5", stop=10)
    floor.voxels[3, 5] = -1
    write_showers(folder / "negative.hdf5", floor.incident, floor.voxels, force=True)
    given = {"sample": "train.hdf5", "geometry": "photons-368", "levels": "[]", **options}
    argv = ["evaluate", "showers", "--showers", "reference.hdf5", "--out", str(tmp_path / "run")]
    assert main([*argv, *(x for k, v in given.items() for x in (f"--{k}", v))]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("colliderkit: ")
    assert sentence in said
    assert "\n" not in said
    assert not (tmp_path / "run").exists()


def test_options_that_do_not_apply_are_errors(tmp_path: Path, capsys) -> None:
    out = str(tmp_path / "x.hdf5")
    argv = ["generate", "photons-368", "10", "--simulation", "gflash", "--out", out]
    assert main([*argv, "--particle", "e-"]) == 2
    assert "--particle" in capsys.readouterr().err
    assert main(["generate", "photons-368", "10", "--pileup", "3", "--out", out]) == 2
    assert "--pileup" in capsys.readouterr().err
    assert main([*argv, "--energies", "[20, 40]"]) == 2
    assert "the parametrisation begins at" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_one_comparison_is_fitted_saved_and_applied(folder: Path, tmp_path: Path) -> None:
    argv = ["fit", "shower-comparison", "--reference", folder / "reference.hdf5"]
    argv += ["--sample", folder / "bright.hdf5", "--trained", folder / "train.hdf5"]
    argv += ["--geometry", "photons-368", "--threshold", "0.1", "--out", tmp_path / "fit"]
    assert main([*map(str, argv), *QUICK, "--levels", "[high-level]"]) == 0
    assert main(["report", str(tmp_path / "fit")]) == 0
    page = (tmp_path / "fit" / "report.html").read_text()
    assert "nearer to the training" in page
    out = tmp_path / "scores.parquet"
    argv = ["apply", tmp_path / "fit", folder / "floor.hdf5", "--out", out]
    assert main([*map(str, argv)]) == 0
    scores = ak.from_parquet(out)
    assert len(scores) == COUNT
    assert np.asarray(scores["probability"]).min() >= 0
    assert np.asarray(scores["probability"]).max() <= 1
