"""Shower libraries by Geant4: hadrons without data sets, shards, files."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from colliderkit.cli import main
from colliderkit.errors import InputError
from colliderkit.events.calorimeter import Geometry, Grid
from colliderkit.events.calorimeter.library import overlay
from colliderkit.sources.files.calorimeter_hits import read_hits
from colliderkit.sources.files.shower_libraries import read_library, write_library
from colliderkit.sources.files.showers import read_showers
from colliderkit.sources.geant4 import Calorimeter, Sampling, calorimeter
from colliderkit.sources.geant4.library import generate_library
from colliderkit.sources.geant4.physics import DATA_FREE, missing_physics, physics_name
from colliderkit.sources.geant4.shards import generate_showers
from colliderkit.sources.geant4.simulation import Beam

missing = importlib.util.find_spec("geant4_pybind") is None
pytestmark = [pytest.mark.generate, pytest.mark.skipif(missing, reason="needs the extra geant4")]

SMALL = Calorimeter(
    Geometry("small", tuple(Grid(i, 10, 10, 200.0, 200.0) for i in range(4))),
    (Sampling("G4_Fe", 40.0, "G4_Si", 1.0),) * 4,
    150.0,
)
PARTICLES = ("e-", "pi+", "mu-", "neutron")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("library") / "library.hdf5"
    return generate_library(
        SMALL, PARTICLES, 12, out, energies=(1e3, 2e3), seed=5, shard=6, progress=False
    )


def test_a_library_does_not_depend_on_its_workers_and_goes_on(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from colliderkit.sources.geant4 import library as module

    made: list[tuple[int, int]] = []
    write = module.write_library

    def stopped(path: Path, part: object, **options: object) -> Path:
        if len(made) == 5:
            raise KeyboardInterrupt
        made.append((0, 0))
        return write(path, part, **options)  # type: ignore[arg-type]

    options: dict = {"energies": (1e3, 2e3), "seed": 5, "shard": 6, "progress": False, "workers": 2}
    out = tmp_path / "two.hdf5"
    monkeypatch.setattr(module, "write_library", stopped)
    with pytest.raises(KeyboardInterrupt, match="the same command again"):
        generate_library(SMALL, PARTICLES, 12, out, **options)
    monkeypatch.setattr(module, "write_library", write)
    assert len(list((tmp_path / "two.hdf5.shards").glob("*.hdf5"))) == 5
    one, two = (
        read_library(library),
        read_library(generate_library(SMALL, PARTICLES, 12, out, **options)),
    )
    for name in ("kind", "incident", "x", "y", "offsets", "voxel", "energy"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), name)
    assert not (tmp_path / "two.hdf5.shards").exists()


def test_hadrons_shower_and_muons_pass(library: Path) -> None:
    found = read_library(library)
    assert found.physics == physics_name("pi+")
    assert found.missing == missing_physics(found.physics)
    assert len(found) == 48
    sums = {name: found.of(name).sums() for name in PARTICLES}
    # A muon leaves about 0.39 MeV in each millimetre of silicon; electrons leave little behind 9
    # radiation lengths.
    middle = np.median(sums["mu-"], axis=0)
    assert (np.abs(middle - 0.33) < 0.12).all()
    assert sums["e-"][:, 3].sum() < 0.1 * sums["e-"].sum()
    assert sums["pi+"].std() > 3 * sums["mu-"].std() or sums["pi+"].max() > 2
    assert (sums["neutron"][:, 0] == 0).any()  # neutral: nothing before it interacts
    # They enter in the cell beside the axis.
    assert (np.abs(found.x - 10) <= 10).all()
    assert (found.x.std(), found.y.std()) == pytest.approx((20 / 12**0.5,) * 2, rel=0.35)
    hits = overlay(found, np.arange(48), np.zeros(48), np.zeros(48), np.arange(48), events=48)
    total = np.bincount(hits.event, hits.energy, 48)
    assert total[found.kind == 0].sum() == pytest.approx(
        found.of("e-").incident.sum() / 1e3, rel=0.1
    )


def test_electrons_alone_keep_their_physics_and_pions_have_their_own(tmp_path: Path) -> None:
    if physics_name() != DATA_FREE:
        pytest.skip("Geant4 has its data sets here")
    options: dict = {"energies": (500.0, 600.0), "seed": 2, "progress": False}
    for particle, wanted in (("e-", "data-free EM"), ("pi+", "data-free FTFP_BERT")):
        path = tmp_path / f"{particle}.hdf5"
        generate_showers(SMALL, 3, path, beam=Beam(particle), **options)
        with h5py.File(path) as file:
            assert wanted in file.attrs["physics"]
            assert "Seltzer" in file.attrs["missing"]
        assert read_showers(path, SMALL.geometry).voxels.sum() > 0


def test_events_are_drawn_by_the_command_line(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "events.parquet"
    words = ["generate", "overlapping-showers", "20", "--library", str(library), "--out", str(out)]
    assert main([*words, "--mean", "2", "--side", "100"]) == 0
    hits = read_hits(out)
    assert len(hits) == 20
    assert set(hits.pdg) <= {11, 211, 13, 2112}
    assert main(words) == 2  # it is there


def test_ready_calorimeters_of_cells_have_their_depth() -> None:
    imaging, hadronic = calorimeter("silicon-tungsten"), calorimeter("ecal-hcal")
    assert imaging.geometry.voxels == 22 * 48 * 48
    assert hadronic.geometry.voxels == 3 * 64 * 64 + 3 * 32 * 32
    # Tungsten has a radiation length of 3.50 mm, lead of 5.61 mm.
    assert sum(s.absorber_thickness for s in imaging.samplings) / 3.50 == pytest.approx(
        20.4, abs=0.1
    )
    lead = sum(s.periods * s.absorber_thickness for s in hadronic.samplings[:3])
    assert lead / 5.61 + 66 * 4 / 140 == pytest.approx(25, abs=1)
    assert np.diff(imaging.middles) == pytest.approx([2.6] * 9 + [4.7] * 12)
    assert imaging.middles[0] == pytest.approx(2.35)


def test_what_is_wrong_is_said(tmp_path: Path, library: Path) -> None:
    options: dict = {"energies": (1e3, 2e3)}
    out = tmp_path / "x.hdf5"
    with pytest.raises(InputError, match="particle 'pion' is none of gamma"):
        generate_library(SMALL, ["pion"], 1, out, **options)
    with pytest.raises(InputError, match="name each once"):
        generate_library(SMALL, ["e-", "e-"], 1, out, **options)
    with pytest.raises(InputError, match="layer 0 has rings"):
        generate_library("photons-368", ["e-"], 1, out, **options)
    (tmp_path / "bad.hdf5").write_bytes(library.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"bad.hdf5: no readable HDF5 file"):
        read_library(tmp_path / "bad.hdf5")
    found = read_library(library)
    broken = replace(found, energy=-found.energy)
    write_library(tmp_path / "negative.hdf5", broken)
    with pytest.raises(InputError, match="negative or not finite"):
        read_library(tmp_path / "negative.hdf5")
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["showers"] = np.zeros(3)
    with pytest.raises(InputError, match="is no shower library"):
        read_library(tmp_path / "other.hdf5")
