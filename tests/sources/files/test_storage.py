"""HDF5 that cannot be read, or that would read as zeros: each by its own cause."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources.files import storage
from colliderkit.sources.files.rows import read_rows
from colliderkit.sources.files.showers import read_showers


def filtered(path: Path, code: int, name: str = "x") -> None:
    """Write a dataset of one chunk as a filter that is not here would have."""
    with h5py.File(path, "w") as file:
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((10,))
        made.set_filter(code, h5py.h5z.FLAG_OPTIONAL, (2, 2, 4, 40))
        space = h5py.h5s.create_simple((10,))
        raw = h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_FLOAT, space, dcpl=made)
        raw.write_direct_chunk((0,), b"\x02\x01compressed", 0)


@pytest.mark.parametrize(("code", "name"), [(32001, "blosc"), (32015, "zstd"), (307, "bzip2")])
def test_a_filter_that_is_missing_is_named(tmp_path: Path, monkeypatch, code, name) -> None:
    filtered(tmp_path / "events.h5", code)

    def absent(module: str) -> None:
        assert module == "hdf5plugin"
        raise ImportError

    monkeypatch.setattr(storage, "import_module", absent)
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda number: number != code)
    sentence = (
        rf"events.h5: '/x' is compressed by the filter {name} \(number {code}\), which h5py does"
        r" not bring; pip install hdf5plugin \(or 'colliderkit\[hdf5\]'\), or wri"
    )
    with pytest.raises(InputError, match=sentence):
        read_rows(tmp_path / "events.h5", ["x"])


def test_hdf5plugin_is_asked_first(tmp_path: Path, monkeypatch) -> None:
    filtered(tmp_path / "events.h5", 32001)
    asked: list[str] = []
    monkeypatch.setattr(storage, "import_module", asked.append)
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda number: bool(asked))
    # Now it would be unpacked; here the filter is not there in truth.
    with pytest.raises(InputError, match=r"events.h5: cannot be read as HDF5"):
        read_rows(tmp_path / "events.h5", ["x"])
    assert asked == ["hdf5plugin"]


def virtual(path: Path, name: str, shape: tuple[int, ...], source: str) -> None:
    layout = h5py.VirtualLayout(shape, "f4")
    layout[:] = h5py.VirtualSource(source, "values", shape)
    with h5py.File(path, "a") as file:
        file.create_virtual_dataset(name, layout)


def test_a_virtual_source_that_moved(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    virtual(path, "x", (6,), "source.h5")
    with pytest.raises(InputError, match=r"events.h5: '/x' is a virtual dataset whose source"):
        read_rows(path, ["x"])
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["other"] = np.arange(6)
    with pytest.raises(InputError, match=r"'source.h5' has no dataset under 'values'"):
        read_rows(path, ["x"])
    with h5py.File(tmp_path / "source.h5", "a") as file:
        file["values"] = np.arange(4.0)
    with pytest.raises(InputError, match=r"'source.h5' has only \(4,\) numbers under 'values'"):
        read_rows(path, ["x"])
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["values"] = np.arange(6.0, dtype="f4")
    assert read_rows(path, ["x"]).columns["x"].tolist() == [0, 1, 2, 3, 4, 5]


def test_showers_whose_source_moved(tmp_path: Path) -> None:
    path = tmp_path / "showers.hdf5"
    with h5py.File(path, "w") as file:
        file["incident_energies"] = np.full((5, 1), 1000.0)
    virtual(path, "showers", (5, 368), "moved_away.h5")
    with pytest.raises(InputError, match=r"showers.hdf5: '/showers' is a virtual dataset whose"):
        read_showers(path)


def test_what_was_never_written(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("none", (50,), "f4")
        file.create_dataset("half", (50,), "f4", chunks=(10,))[:30] = 1
        file.create_dataset("ones", (50,), "f4", fillvalue=1)
        file.create_dataset("zeros", data=np.zeros(50), chunks=(10,), compression="gzip")
    with pytest.raises(InputError, match=r"events.h5: '/none' was made but never written"):
        read_rows(path, ["none"])
    with pytest.raises(InputError, match=r"events.h5: 2 of the 5 chunks of '/half' were never wri"):
        read_rows(path, ["half"])
    rows = read_rows(path, ["ones", "zeros"])
    assert (rows.columns["ones"] == 1).all()
    assert (rows.columns["zeros"] == 0).all()


def test_links_are_followed_or_named(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["values"] = np.arange(3.0)
    with h5py.File(path, "w") as file:
        file["x"] = np.ones(3)
        file["y"] = h5py.ExternalLink("other.h5", "/values")
        file["z"] = h5py.SoftLink("/x")
    rows = read_rows(path, ["x", "y", "z"])
    assert rows.table(["x", "y", "z"]).tolist() == [[1, 0, 1], [1, 1, 1], [1, 2, 1]]
    (tmp_path / "other.h5").unlink()
    sentence = r"events.h5: its key 'y' is a link to '/values' in the file 'other.h5', which is not"
    with pytest.raises(InputError, match=sentence):
        read_rows(path, ["x"])
    with pytest.raises(InputError, match=sentence):
        read_rows(path, ["y"], tree="y")
    assert len(read_rows(path, ["x"], tree="x")) == 3
    with h5py.File(path, "a") as file:
        file["loop/around"] = h5py.SoftLink("/loop")
    assert len(read_rows(path, ["x"], tree="x,z")) == 3


def test_rows_of_gigabytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (4, 1 << 32), "f8", chunks=(1, 1 << 20), compression="gzip")
    with pytest.raises(InputError, match=r"bomb.h5: one row of '/x' takes 34.4 GB"):
        read_rows(path, ["sum(x)"])
