"""The parametrised showers against the profiles they are drawn from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import gammainc

from colliderkit.errors import InputError
from colliderkit.events.calorimeter import Geometry
from colliderkit.events.calorimeter.features import features
from colliderkit.sources.files.showers import read_showers
from colliderkit.sources.geant4.calorimeters import Calorimeter, Sampling, calorimeter
from colliderkit.sources.geant4.gflash import (
    TUNGSTEN_SILICON,
    Medium,
    effective_medium,
    generate_showers,
    showers,
)

GEOMETRY = Geometry.regular("electron", 45, 16, np.arange(10) * 4.65)
# No fluctuation of the visible energy, and a calorimeter that holds nearly all of it.
QUIET = Medium(z=74.0, critical=7.97, x0=3.5, moliere=9.3, thickness=3.5, sampling=0.0)
WIDE = Geometry.regular("wide", 45, 1, (0.0, 1e6))


def test_the_longitudinal_profile_is_the_mean_gamma() -> None:
    energy, count = 10_000.0, 1500
    found = showers(np.full(count, energy), WIDE, QUIET, seed=1)
    profile = found.mean(0) / energy
    # The same law drawn again: ln T and ln alpha are correlated normals (hep-ex/0001020).
    ln_y = np.log(energy / 7.97)
    sigma_t, sigma_a = 1 / (-1.4 + 1.26 * ln_y), 1 / (-0.58 + 0.86 * ln_y)
    rho = 0.705 - 0.023 * ln_y
    spread = [[sigma_t**2, rho * sigma_t * sigma_a], [rho * sigma_t * sigma_a, sigma_a**2]]
    means = [np.log(ln_y - 0.812), np.log(0.81 + (0.458 + 2.26 / 74) * ln_y)]
    ln_t, ln_a = np.random.default_rng(2).multivariate_normal(means, spread, 40_000).T
    alpha = np.maximum(np.exp(ln_a), 1.05)
    beta = (alpha - 1) / np.exp(ln_t)
    ends = np.arange(46)[:, None]
    expected = np.diff(gammainc(alpha, beta * ends).mean(1))
    # Four errors of the mean: the layers of one shower vary together.
    error = found.std(0) / energy / np.sqrt(count)
    assert np.abs(profile - expected).max() < 4 * error.max() + 1e-3


def test_energy_is_kept_but_for_what_leaks() -> None:
    energy = np.array([1e3, 1e4, 1e5])
    found = showers(energy, WIDE, QUIET, seed=3)
    assert found.sum(1) == pytest.approx(energy, rel=0.02)


def test_sampling_fluctuations_have_their_width() -> None:
    noisy = Medium(**{**vars(QUIET), "sampling": 0.12})
    found = showers(np.full(4000, 4000.0), WIDE, noisy, seed=4).sum(1) / 4000
    # 0.12 / sqrt(4), with an error of 1/sqrt(8000).
    assert found.std() == pytest.approx(0.06, rel=0.06)


def test_a_shower_deepens_with_the_logarithm_of_its_energy() -> None:
    depth = []
    for energy in (1e3, 1e5):
        found = showers(np.full(200, energy), WIDE, QUIET, seed=5)
        depth.append(float(np.average(np.arange(45) + 0.5, weights=found.mean(0))))
    # <t> = T alpha / (alpha - 1): 4.0 + 0.5 + ... at both energies, by the formulas' means.
    expected = []
    for energy in (1e3, 1e5):
        ln_y = np.log(energy / 7.97)
        alpha = 0.81 + (0.458 + 2.26 / 74) * ln_y
        expected.append((ln_y - 0.812) * alpha / (alpha - 1))
    assert depth[1] - depth[0] == pytest.approx(
        expected[1] - expected[0], rel=0.1
    )  # of five layers, each known to 0.07


def test_showers_are_symmetric_around_their_axis_and_repeatable() -> None:
    energy = np.full(400, 5e3)
    found = showers(energy, GEOMETRY, TUNGSTEN_SILICON, seed=6)
    read = features(found, energy, GEOMETRY)
    centre = np.average(read.centre_eta, weights=read.energy, axis=1)
    assert abs(centre.mean()) < 4 * centre.std() / np.sqrt(400)
    assert np.array_equal(found, showers(energy, GEOMETRY, TUNGSTEN_SILICON, seed=6))


def test_energies_below_the_formulas_are_refused() -> None:
    with pytest.raises(InputError, match="shower 1 has an energy of 5 MeV"):
        showers(np.array([1e3, 5.0]), GEOMETRY, TUNGSTEN_SILICON, seed=1)


def test_an_effective_medium_keeps_radiation_lengths() -> None:
    given = calorimeter("photons-368")
    medium, ends, seen = effective_medium(given)
    lengths = np.diff(ends) / medium.x0
    # As the calorimeter says: 1.7, 4.3, 16 and 2 radiation lengths, and iron.
    assert lengths[:4] == pytest.approx([1.7, 4.3, 16, 2], rel=0.05)
    assert lengths[4] == pytest.approx(10 * 14 / 17.57, rel=0.05)
    assert ends[-1] == pytest.approx(given.depth)
    # 4.5 mm of argon at .211 beside 2 mm of lead at 1.274 MeV/mm, and e/mip of Z = 82 and 18.
    assert seen[1] == pytest.approx(0.9495 / (0.9495 + 2.548) / 1.448, rel=1e-6)
    electrons, _, seen = effective_medium(calorimeter("electrons-6480"))
    # The medium of the module, which was put together by hand; .0363 / 1.42 by hand as well.
    assert electrons.x0 == pytest.approx(TUNGSTEN_SILICON.x0, rel=0.02)
    assert electrons.moliere == pytest.approx(TUNGSTEN_SILICON.moliere, rel=0.05)
    assert electrons.z == pytest.approx(TUNGSTEN_SILICON.z, rel=0.03)
    assert seen == pytest.approx(0.0363 / 1.42, rel=0.01)


def test_a_file_of_parametrised_showers_is_fixed_by_its_seed(tmp_path: Path) -> None:
    tower = Calorimeter(
        Geometry.regular("tower", 3, 1, (0.0, 300.0)),
        (Sampling("G4_W", 40.0, "G4_Si", 1.0),) * 3,
        400,
    )
    options: dict[str, Any] = {"energies": (200.0, 800.0), "index": 2.0}
    files = [
        generate_showers(tower, 2100, tmp_path / f"{i}.hdf5", seed=seed, **options)
        for i, seed in enumerate((1, 1, 2))
    ]
    (incident, first), (_, again), (_, other) = (
        (sample.incident, sample.voxels) for sample in map(read_showers, files)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    # No two showers are alike, also not those of two pieces.
    assert len(np.unique(first.sum(1))) == 2100
    share = first.sum(1) / incident
    assert share.mean() == pytest.approx(0.388 / (0.388 + 40 * 2.21) / 1.42, rel=0.02)
    with pytest.raises(InputError, match="must be positive and rise"):
        generate_showers(tower, 10, tmp_path / "x.hdf5", energies=(800.0, 200.0))
    lead = Calorimeter(tower.geometry, (Sampling("G4_U", 4.0, "G4_Si", 1.0),) * 3, 400)
    with pytest.raises(InputError, match="material G4_U has no parametrisation"):
        effective_medium(lead)
