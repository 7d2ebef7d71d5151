import pickle
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources import iterate, read
from colliderkit.sources.files.frames import names_of
from colliderkit.sources.files.hdf5 import Hdf5Table

FOUR = ("px", "py", "pz", "E")
SIZE = 5  # the slots of a jet; the public top-tagging files have 200


def top_tagging(n: int = 7, seed: int = 0) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return names, floats (n, 4 SIZE + 4) and integers (n, 2) as in Zenodo 2603256."""
    random = np.random.default_rng(seed)
    pt = -np.sort(-random.exponential(50, (n, SIZE)), axis=1)
    pt *= np.arange(SIZE) < random.integers(0, SIZE + 1, n)[:, None]
    eta, phi = random.normal(0, 1, (n, SIZE)), random.uniform(-3, 3, (n, SIZE))
    parts = [pt * np.cosh(eta), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)]
    values = np.zeros((n, 4 * SIZE + 4), dtype=np.float32)
    values[:, : 4 * SIZE] = np.stack(parts, axis=2).reshape(n, 4 * SIZE)
    values[:, 4 * SIZE :] = random.normal(0, 100, (n, 4))
    names = [f"{x}_{i}" for i in range(SIZE) for x in ("E", "PX", "PY", "PZ")]
    names += ["truthE", "truthPX", "truthPY", "truthPZ"]
    return names, values, np.stack([np.ones(n), random.integers(0, 2, n)], 1).astype(np.int64)


def write_frame(path: Path, form: str, n: int = 7, protocol: int = 0) -> None:
    names, floats, integers = top_tagging(n)
    kinds = (names, ["ttv", "is_signal_new"])
    with h5py.File(path, "w") as file:
        if form == "compound":
            fields = [*((x, "f4") for x in names), *((x, "i8") for x in kinds[1])]
            rows = np.empty(n, dtype=fields)
            for i, name in enumerate(names):
                rows[name] = floats[:, i]
            for i, name in enumerate(kinds[1]):
                rows[name] = integers[:, i]
            file["table"] = rows
            return
        group = file.create_group("table")
        if form == "fixed":
            group["axis0"] = np.array([*names, *kinds[1]], dtype="S")
            group["axis1"] = np.arange(n)
            for i, values in enumerate((floats, integers)):
                group[f"block{i}_items"] = np.array(kinds[i], dtype="S")
                group[f"block{i}_values"] = values
            return
        dtype = [("index", "i8"), ("values_block_0", "f4", floats.shape[1:])]
        rows = np.empty(n, dtype=[*dtype, ("values_block_1", "i8", (2,))])
        rows["index"], rows["values_block_0"], rows["values_block_1"] = range(n), floats, integers
        table = group.create_dataset("table", data=rows)
        for i in range(2):
            table.attrs[f"values_block_{i}_kind"] = np.bytes_(pickle.dumps(kinds[i], protocol))
        group.create_group("_i_table")


@pytest.mark.parametrize("form", ["table", "fixed", "compound"])
def test_top_tagging_in_each_form_of_table(tmp_path: Path, form: str) -> None:
    path = tmp_path / "train.h5"
    write_frame(path, form)
    _, floats, integers = top_tagging()
    jets = read(path)
    lengths = (floats[:, 0 : 4 * SIZE : 4] > 0).sum(1)
    assert lengths.min() == 0  # a jet without particles is among them
    assert [len(jet) for jet in jets.constituents.px] == lengths.tolist()
    assert jets.label.tolist() == integers[:, 1].tolist()
    assert jets.ttv.tolist() == [1] * 7
    np.testing.assert_array_equal(jets.truth_E, floats[:, 4 * SIZE])
    for i, name in enumerate(("E", "px", "py", "pz")):
        for row, (particles, length) in enumerate(
            zip(jets.constituents[name], lengths, strict=True)
        ):
            assert particles.tolist() == floats[row, i : 4 * length : 4].tolist()
    total = floats[:, : 4 * SIZE].reshape(-1, SIZE, 4).astype(np.float64).sum(1)
    np.testing.assert_allclose(jets.jet_pt, np.hypot(total[:, 1], total[:, 2]), rtol=1e-6)
    mass2 = total[:, 0] ** 2 - (total[:, 1:] ** 2).sum(1)
    np.testing.assert_allclose(jets.jet_mass, np.sqrt(np.maximum(mass2, 0)), rtol=1e-5, atol=1e-3)
    empty = lengths == 0
    for name in ("jet_pt", "jet_eta", "jet_phi", "jet_mass"):
        assert (np.asarray(jets[name])[empty] == 0).all()


def test_chunks_are_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "train.h5"
    write_frame(path, "table", 50)
    whole = read(path)
    parts = list(iterate(path, chunk=7))
    assert [len(part) for part in parts] == [7] * 7 + [1]
    for name in ("event", "label", "jet_mass"):
        assert ak.concatenate([part[name] for part in parts]).tolist() == whole[name].tolist()
    assert read(path, start=10, stop=12).jet_pt.tolist() == whole.jet_pt[10:12].tolist()


def test_names_are_taken_from_a_pickle_without_running_it(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "owned",))

    for protocol in (0, 2, 4):
        assert names_of(pickle.dumps(["E_0", "PX_0"], protocol)) == ["E_0", "PX_0"]
        names_of(pickle.dumps(["E_0", Evil()], protocol))
    # As Python 2 wrote them.
    assert names_of(b"(lp0\nS'E_0'\np1\naS'PX_0'\np2\na.") == ["E_0", "PX_0"]
    assert names_of(b"garbage") == []
    assert not (tmp_path / "owned").exists()


def test_names_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "train.h5"
    write_frame(path, "table")
    with h5py.File(path, "a") as file:
        del file["table/table"].attrs["values_block_0_kind"]
    with pytest.raises(InputError, match=r"train.h5: the names of the 24 columns"):
        read(path)


def test_padded_two_and_three_dimensional_datasets(tmp_path: Path) -> None:
    path = tmp_path / "jets.hdf5"
    particles = np.zeros((2, 3, 4), dtype=np.float32)
    particles[0, :2] = [[3, 4, 0, 9], [0, 1, 0, 2]]
    particles[1, 1] = [1, 0, 0, 1]  # an empty slot before a full one
    with h5py.File(path, "w") as file:
        file["particles"] = particles
        file["jets/pt"] = np.array([7.0, 8.0])
        file["jets/features"] = np.array([[1.0, 2.0], [3.0, 4.0]])
        file["valid"] = np.array([[1, 0, 0], [0, 1, 0]])
        file["meta"] = np.arange(5)
    columns = {f"constituents.{x}": f"particles_{i}" for i, x in enumerate(FOUR)}
    columns |= {"jet_pt": "jets.pt", "weight": "jets.features_1 / 2", "n": "count(particles_0)"}
    meant = "particles, jets, valid"
    jets = read(path, columns={**columns, "constituents.valid": "valid"}, tree=meant)
    assert jets.constituents.px.tolist() == [[3, 0], [1]]
    assert jets.constituents.E.tolist() == [[9, 2], [1]]
    assert jets.constituents.valid.tolist() == [[1, 0], [1]]
    assert jets.jet_pt.tolist() == [7, 8]
    assert jets.weight.tolist() == [1, 2]
    assert jets.n.tolist() == [2, 1]  # padding is not counted
    with pytest.raises(InputError, match=r"lengths, meta \(5 rows\); jets.features.*'tree', such"):
        read(path, columns=columns)
    with h5py.File(path, "a") as file:
        del file["meta"]
        file["luminosity"] = np.array([36.1])  # one row beside many is a note
    with pytest.raises(InputError, match=r"'luminosity' is of type 1 rows where others have 2"):
        read(path, columns={**columns, "weight": "luminosity"})
    assert Hdf5Table(path, "jets").columns["pt"].level == 0


def test_ragged_lists_and_records(tmp_path: Path) -> None:
    path = tmp_path / "jets.h5"
    with h5py.File(path, "w") as file:
        lists = file.create_dataset("x", (3,), dtype=h5py.vlen_dtype(np.float32))
        for i, row in enumerate(([2.0, 1.0], [], [3.0])):
            lists[i] = np.array(row, dtype=np.float32)
        file["jets"] = np.array([(1.0, 0), (2.0, 1), (3.0, 1)], dtype=[("pt", "f4"), ("y", "i4")])
        file["name"] = ["a", "b", "c"]
    columns = {f"constituents.{x}": "x" for x in FOUR} | {"label": "jets.y"}
    jets = read(path, columns=columns)
    assert jets.constituents.pz.tolist() == [[2, 1], [], [3]]
    assert jets.label.tolist() == [0, 1, 1]
    assert read(path, columns=columns, start=1, stop=2).constituents.pz.tolist() == [[]]
    with pytest.raises(InputError, match=r"jets.h5: column 'name' is of type .*, not numbers"):
        read(path, columns={**columns, "weight": "name"})


def test_broken_and_empty_files(tmp_path: Path) -> None:
    path = tmp_path / "train.h5"
    write_frame(path, "table", 2000)
    whole = path.read_bytes()
    for part in (0.1, 0.5, 0.99):
        short = tmp_path / f"short{part}.h5"
        short.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(InputError, match=r"short.*h5: cannot be read as HDF5.*truncated"):
            read(short)
    (tmp_path / "text.h5").write_text("no HDF5 in here")
    with pytest.raises(InputError, match=r"text.h5: cannot be read as HDF5"):
        read(tmp_path / "text.h5")
    (tmp_path / "empty.h5").touch()
    with pytest.raises(InputError, match=r"empty.h5: the file is empty"):
        read(tmp_path / "empty.h5")
    with h5py.File(tmp_path / "nothing.h5", "w"):
        pass
    with pytest.raises(InputError, match=r"nothing.h5: holds no datasets"):
        read(tmp_path / "nothing.h5")
    write_frame(tmp_path / "none.h5", "table", 0)
    with pytest.raises(InputError, match=r"none.h5: holds no jets"):
        read(tmp_path / "none.h5")
    with pytest.raises(InputError, match=r"train.h5: no key 'tabel'; its keys are: table"):
        read(path, tree="tabel")
