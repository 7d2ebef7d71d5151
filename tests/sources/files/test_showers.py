"""Shower files in the published layouts, made here."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.calorimeter import Geometry
from colliderkit.files import release
from colliderkit.sources.files.showers import (
    drawn_energies,
    iterate_showers,
    mapped_showers,
    read_showers,
    write_showers,
)

GEOMETRY = Geometry.regular("toy", 2, 4, (0, 1, 2, 3))


def challenge(path: Path, **columns: np.ndarray) -> Path:
    """Write a file as the CaloChallenge publishes it."""
    given = {"incident_energies": np.full((5, 1), 1000.0), "showers": np.ones((5, 24)), **columns}
    with h5py.File(path, "w") as file:
        for name, values in given.items():
            file[name] = values
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    incident, showers = random.uniform(1, 9, 50), random.exponential(1, (50, 24))
    path = write_showers(tmp_path / "s.hdf5", incident, showers.astype(np.float32))
    found = read_showers(path, GEOMETRY)
    assert found.incident == pytest.approx(incident)
    assert np.array_equal(found.voxels, showers.astype(np.float32))
    pieces = list(iterate_showers(path, start=5, stop=40, chunk=10))
    assert [len(piece) for piece in pieces] == [10, 10, 10, 5]
    assert np.array_equal(np.concatenate([p.voxels for p in pieces]), found.voxels[5:40])


def test_calogan_is_read_layer_after_layer(tmp_path: Path) -> None:
    path = tmp_path / "eplus.hdf5"
    with h5py.File(path, "w") as file:
        file["energy"] = np.array([[50.0], [2.0]])
        for i, shape in enumerate(((3, 96), (12, 12), (12, 6))):
            file[f"layer_{i}"] = np.full((2, *shape), i + 1.0)
    found = read_showers(path)
    assert found.incident.tolist() == [50_000, 2000]
    assert found.voxels.shape == (2, 504)
    assert found.voxels[0, [0, 287, 288, 431, 432, 503]].tolist() == [1, 1, 2, 2, 3, 3]


def test_calogan_is_written_and_read(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    incident = random.uniform(1e3, 1e5, 7).astype(np.float32)
    showers = random.exponential(1, (7, 504)).astype(np.float32)
    path = write_showers(
        tmp_path / "g.hdf5", incident, showers, layout="calogan", attributes={"physics": "none"}
    )
    with h5py.File(path) as file:
        assert file["layer_1"].shape == (7, 12, 12)
        assert float(file["layer_1"][3, 2, 5]) == showers[3, 288 + 2 * 12 + 5]
        assert file["energy"][:, 0] == pytest.approx(incident / 1e3)
        assert file.attrs["physics"] == "none"
    found = read_showers(path)
    assert np.array_equal(found.voxels, showers)
    assert found.incident == pytest.approx(incident, rel=1e-6)
    with pytest.raises(InputError, match=r"holds 504 cells, these showers have shape \(5, 24\)"):
        write_showers(tmp_path / "f.hdf5", np.ones(5), np.ones((5, 24)), layout="calogan")


def test_errors_name_the_file_and_the_shower(tmp_path: Path) -> None:
    path = tmp_path / "s.hdf5"

    def refuses(sentence: str) -> None:
        with pytest.raises(InputError, match=sentence):
            read_showers(path, GEOMETRY)

    refuses("no such file")
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"0" * 50)
    refuses("perhaps cut off")
    challenge(path, showers=np.ones((5, 23)))
    refuses(r"shape \(5, 23\), geometry 'toy' has 24 voxels")
    challenge(path, showers=np.ones((4, 24)))
    refuses("they must be equal")
    negative = np.ones((5, 24))
    negative[3, 2] = -0.5
    challenge(path, showers=negative)
    refuses("shower 3 .* an energy of -0.5")
    challenge(path, incident_energies=np.zeros((5, 1)))
    refuses("shower 0 has an incident energy of 0")
    with h5py.File(path, "w") as file:
        file["cells"] = np.ones(3)
    refuses("holds cells; showers are in incident_energies")


def test_half_of_a_file_is_refused(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    path = write_showers(tmp_path / "s.hdf5", np.ones(2000), random.random((2000, 24)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"perhaps cut off|damaged"):
        read_showers(path)


def test_the_number_of_a_bad_shower_is_that_of_the_file(tmp_path: Path) -> None:
    tower = Geometry.regular("tower", 2, 1, (0.0, 1.0))
    showers = np.ones((30, 2), np.float32)
    showers[25, 1] = -1
    path = write_showers(tmp_path / "x.hdf5", np.ones(30), showers)
    with pytest.raises(InputError, match=r"shower 25 \(counted from 0\)"):
        list(iterate_showers(path, tower, chunk=10))


def test_a_map_is_what_is_read_and_survives_its_release(tmp_path: Path) -> None:
    showers = np.random.default_rng(1).gamma(1, 1, (30, 2)).astype(np.float32)
    path = write_showers(tmp_path / "x.hdf5", np.ones(30), showers)
    mapped = mapped_showers(path, tmp_path, stop=20)
    assert len(mapped) == len(mapped.voxels) == 20
    for _ in range(2):
        np.testing.assert_array_equal(mapped.voxels, showers[:20])
        release(mapped.voxels)
    release(showers)  # no map, nothing to give back
    np.testing.assert_array_equal(mapped.voxels, showers[:20])


def test_energies_fall_as_asked() -> None:
    random = np.random.default_rng(2)
    for index, quantile in ((1.0, np.sqrt(200 * 800)), (2.0, 2 / (1 / 200 + 1 / 800))):
        found = drawn_energies(10_000, 200, 800, index, random)
        assert 200 <= found.min() < found.max() <= 800
        # Half of them below the median: 50 +- 0.5%.
        assert (found < quantile).mean() == pytest.approx(0.5, abs=0.02)
