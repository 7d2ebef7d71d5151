"""Geant4 showers: where hits land, what they hold, and that samples do not depend on workers."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.calorimeter import Geometry, Layer
from colliderkit.sources.files.showers import read_showers
from colliderkit.sources.geant4 import Beam, Calorimeter, Sampling, calorimeter, simulation, timing
from colliderkit.sources.geant4.physics import physics_name
from colliderkit.sources.geant4.shards import Request, generate_showers

# Importing it would ask whether to download its data sets.
missing = importlib.util.find_spec("geant4_pybind") is None
pytestmark = [pytest.mark.generate, pytest.mark.skipif(missing, reason="needs the extra geant4")]

# Geant4 is set up once in a process: one small calorimeter serves all tests here, in a process of
# their own, for other tests set up others.
SMALL = Calorimeter(
    Geometry(
        "small", (Layer(0, (0, 10, 30), 1), Layer(1, (0, 5, 12, 30), 10), Layer(4, (0, 40), 4))
    ),
    (
        Sampling("G4_W", 7.0, "G4_Si", 0.5),
        Sampling("G4_W", 3.5, "G4_Si", 0.5, 8),
        Sampling("G4_W", 3.5, "G4_Si", 0.5, 8),
    ),
    150.0,
)


ALONE: list[ProcessPoolExecutor] = []


@pytest.fixture(scope="module", autouse=True)
def alone() -> Iterator[None]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        ALONE.append(pool)
        yield
        ALONE.clear()


def simulate(*given: Any, **options: Any) -> Any:
    return ALONE[0].submit(simulation.simulate, *given, **options).result()


def seconds_a_shower(*given: Any, **options: Any) -> Any:
    return ALONE[0].submit(timing.seconds_a_shower, *given, **options).result()


def test_a_shower_falls_where_the_particle_enters() -> None:
    geometry = SMALL.geometry
    for angle in (0.3, 2.0, -2.9, -0.4):
        beam = Beam("e-", x=20 * np.cos(angle), y=20 * np.sin(angle))
        shower = simulate(SMALL, np.full(10, 1000.0), beam=beam, seed=3).sum(0)
        middle = geometry.layer == 1
        hottest = np.flatnonzero(middle)[shower[middle].argmax()]
        assert hottest == geometry.locate(1, beam.x, beam.y)


def test_the_visible_energy_is_linear_and_repeatable() -> None:
    seen = []
    for energy in (500.0, 2000.0):
        showers = simulate(SMALL, np.full(60, energy), seed=4)
        visible = showers.sum(1) / energy
        seen.append((visible.mean(), visible.std() / np.sqrt(60)))
    # A sampling calorimeter's response is linear to a few percent from 0.5 to 2 GeV.
    assert seen[0][0] == pytest.approx(
        seen[1][0], abs=4 * np.hypot(seen[0][1], seen[1][1]) + 0.05 * seen[1][0]
    )
    again = simulate(SMALL, np.full(60, 2000.0), seed=4)
    assert np.array_equal(showers, again)


def test_photons_convert_and_begin_later_than_electrons() -> None:
    first = {}
    for particle in ("gamma", "e-"):
        showers = simulate(SMALL, np.full(150, 1000.0), beam=Beam(particle), seed=5)
        first[particle] = showers[:, SMALL.geometry.layer == 0].sum(1).mean()
    assert first["gamma"] < first["e-"]


def test_a_sample_does_not_depend_on_the_workers(tmp_path: Path) -> None:
    options: dict = {"energies": (200.0, 800.0), "seed": 6, "shard": 4, "progress": False}
    one = generate_showers(SMALL, 10, tmp_path / "one.hdf5", **options)
    two = generate_showers(SMALL, 10, tmp_path / "two.hdf5", workers=2, **options)
    found = [read_showers(path, SMALL.geometry) for path in (one, two)]
    assert np.array_equal(found[0].incident, found[1].incident)
    assert np.array_equal(found[0].voxels, found[1].voxels)
    assert len(np.unique(found[0].incident)) == 10
    with h5py.File(one) as file:
        assert file.attrs["physics"] == physics_name()
        assert file.attrs["particle"] == "e-"
    with pytest.raises(InputError, match=r"one.hdf5: exists already"):
        generate_showers(SMALL, 10, one, **options)


def test_ready_calorimeters_have_the_published_voxels() -> None:
    for name, voxels in (
        ("photons-368", 368),
        ("electrons-6480", 6480),
        ("electrons-40500", 40500),
        ("calogan", 504),
    ):
        assert calorimeter(name).geometry.voxels == voxels


def test_the_calorimeter_of_calogan_is_eighty_periods_of_lead_and_argon() -> None:
    chosen = calorimeter("calogan")
    slabs = {
        (s.absorber, s.absorber_thickness, s.active, s.active_thickness) for s in chosen.samplings
    }
    assert slabs == {("G4_Pb", 2.0, "G4_lAr", 4.0)}
    assert sum(s.periods for s in chosen.samplings) == 80
    # The published layers end at 90, 437 and 480 mm (1705.02355); 437 is within an argon gap.
    ends = np.cumsum([s.thickness for s in chosen.samplings])
    assert ends == pytest.approx([90, 438, 480])


def test_cells_are_where_the_beam_is_and_hold_what_rings_do() -> None:
    # Rings and cells in one calorimeter; in the second layer each cell is a beam's own.
    code = (
        "import numpy as np\n"
        "from colliderkit.sources.geant4 import Beam, simulate, calorimeter\n"
        "chosen = calorimeter('calogan')\n"
        "geometry = chosen.geometry\n"
        "for x, y in ((20, 20), (-180, 100), (220, -220), (60, -140), (-20, 180)):\n"
        "    showers = simulate(chosen, [3000.0] * 4, beam=Beam('e-', x, y), seed=1).sum(0)\n"
        "    for layer in (0, 1):\n"
        "        at = geometry.layer == layer\n"
        "        hottest = np.flatnonzero(at)[showers[at].argmax()]\n"
        "        # In the first layer the beam is on the edge of two cells of 5 mm.\n"
        "        sides = {int(geometry.locate(layer, x + d, y)) for d in (-1, 1)}\n"
        "        print(int(hottest in sides), end=' ')\n"
        "    print(int(showers.sum() > 0.1 * 4 * 3000), end=' ')\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["1"] * 15


def test_a_shower_of_more_energy_takes_more_time() -> None:
    less, more = (seconds_a_shower(SMALL, energy, 8) for energy in (200.0, 4000.0))
    # In proportion to the energy (20 times as long) on a quiet machine; another process that takes
    # half of the processor in one of the two measurements changes their ratio by two.
    assert 2 * less < more
    with pytest.raises(InputError, match="0 showers of 5 MeV take no time"):
        seconds_a_shower(SMALL, 5.0, 0)


def test_errors_say_what_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no calorimeter 'lead'; choose from photons-368"):
        calorimeter("lead")
    with pytest.raises(InputError, match="shower 1 has an energy of -2 MeV"):
        simulate(SMALL, np.array([5.0, -2.0]))
    with pytest.raises(InputError, match=r"particle 'pion' is none of gamma, e-, e\+, pi\+"):
        Beam("pion")
    with pytest.raises(InputError, match="2 samplings for 3 layers"):
        Calorimeter(SMALL.geometry, SMALL.samplings[:2], 150.0)
    with pytest.raises(InputError, match="the voxels reach 40 mm, the slabs 35 mm only"):
        Calorimeter(SMALL.geometry, SMALL.samplings, 35.0)
    with pytest.raises(InputError, match="energies are 5 to 1 MeV; they must be positive and rise"):
        generate_showers(SMALL, 10, tmp_path / "s.hdf5", energies=(5, 1))
    monkeypatch.setenv("GEANT4_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"GEANT4_DATA_DIR is .*nowhere, which is no folder"):
        physics_name()
    monkeypatch.setenv("GEANT4_DATA_DIR", str(tmp_path))
    with pytest.raises(InputError, match="holds no G4EMLOW data"):
        physics_name()


def test_a_second_calorimeter_needs_another_process() -> None:
    code = (
        "import numpy as np\n"
        "from colliderkit.sources.geant4 import simulate, calorimeter\n"
        "from colliderkit.errors import InputError\n"
        "simulate(calorimeter('electrons-6480'), [100.0])\n"
        "try:\n    simulate(calorimeter('photons-368'), [100.0])\n"
        "except InputError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "Geant4 is set up for another calorimeter in this process; start anew.\n"


def test_a_falling_spectrum_has_its_quantiles() -> None:
    beam = Beam("gamma")
    request = Request(
        calorimeter("photons-368"), 40_000, 500.0, 64e3, 2.0, beam, 1, 0.7, 40_000, ""
    )
    energy = request.energies(0)
    # dN/dE ~ E^-2: the median is where 1/E lies halfway between 1/500 and 1/64000.
    median = 2 / (1 / 500 + 1 / 64e3)
    assert np.median(energy) == pytest.approx(median, rel=0.02)
    assert energy.min() >= 500
    assert energy.max() <= 64e3
    flat = np.log(replace(request, index=1.0).energies(0))
    assert flat.mean() == pytest.approx(np.log(500 * 64e3) / 2, rel=0.005)
