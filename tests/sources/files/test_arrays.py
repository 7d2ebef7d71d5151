"""npz, npy and csv: every number as it was written, and nothing run from a file."""

import pickle
import zipfile
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources import iterate, read
from colliderkit.sources.files.padded import QUARK_GLUON_MASSES
from colliderkit.sources.files.rows import read_rows, read_table

JETS, SLOTS = 50, 8


def quark_gluon() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return X (N, M, 4) = pt, y, phi, pid as EnergyFlow publishes it, y (N,) and which is real."""
    random = np.random.default_rng(1)
    counts = random.integers(1, SLOTS + 1, JETS)
    real = np.arange(SLOTS) < counts[:, None]
    pt = -np.sort(-random.exponential(20, real.shape), axis=1)
    rapidity, phi = random.normal(0, 1, real.shape), random.uniform(0, 6.28, real.shape)
    pid = random.choice([22, 211, -211, 2112, 130], real.shape)
    x = np.where(real[..., None], np.stack([pt, rapidity, phi, pid], -1), 0)
    return x, np.arange(JETS) % 2, real


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_quark_and_gluon_jets_of_energyflow(tmp_path: Path, save, order: str) -> None:
    x, y, real = quark_gluon()
    save(tmp_path / "QG_jets.npz", X=np.asarray(x, order=order), y=y)
    jets = read(tmp_path / "QG_jets.npz")
    assert ak.num(jets.constituents.px).tolist() == real.sum(1).tolist()
    assert jets.label.tolist() == y.tolist()
    pt, rapidity, phi, pid = (x[..., i][real] for i in range(4))
    mass = np.array([QUARK_GLUON_MASSES[abs(int(code))] for code in pid])
    transverse = np.hypot(pt, mass)
    want = {
        "px": pt * np.cos(phi),
        "py": pt * np.sin(phi),
        "pz": transverse * np.sinh(rapidity),
        "E": transverse * np.cosh(rapidity),
        "pid": pid,
    }
    for name, values in want.items():
        read_back = ak.flatten(jets.constituents[name]).to_numpy()
        np.testing.assert_array_equal(read_back, values.astype(np.float32), name)
    parts = list(iterate(tmp_path / "QG_jets.npz", chunk=7, start=3, stop=30))
    assert ak.concatenate([p.jet_pt for p in parts]).tolist() == jets.jet_pt[3:30].tolist()
    assert [len(part) for part in parts] == [7, 7, 7, 6]


def test_other_arrays_are_not_taken_for_energyflow(tmp_path: Path) -> None:
    x, y, _ = quark_gluon()
    p = np.random.default_rng(1).normal(size=x.shape)
    p[..., 3] = np.linalg.norm(p[..., :3], axis=-1)
    np.savez(tmp_path / "jets.npz", X=p, y=y)
    with pytest.raises(InputError, match=r"jets.npz: its columns fit no known layout"):
        read(tmp_path / "jets.npz")
    four = {f"constituents.{c}": f"X_{i}" for i, c in enumerate(("px", "py", "pz"))}
    four["constituents.E"] = "abs(X_3)"  # no particle has an energy below 0
    assert len(read(tmp_path / "jets.npz", columns=four)) == JETS


def test_tables_in_numpy_files(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    table = random.normal(size=(20, 3))
    np.save(tmp_path / "events.npy", table)
    rows = read_rows(tmp_path / "events.npy", ["array_0", "array_2", "sum(array)"])
    np.testing.assert_array_equal(rows.columns["array_0"], table[:, 0])
    np.testing.assert_array_equal(rows.columns["array_2"], table[:, 2])
    np.testing.assert_allclose(rows.columns["sum(array)"], table.sum(1), rtol=1e-12)
    records = np.zeros(20, [("pt", "f4"), ("event", "i8"), ("hits", "f8", (4,))])
    records["pt"], records["event"] = table[:, 0], (1 << 60) + np.arange(20)
    records["hits"] = random.normal(size=(20, 4))
    np.save(tmp_path / "records.npy", records)
    rows = read_rows(tmp_path / "records.npy", ["pt", "event", "sum(hits)"])
    np.testing.assert_array_equal(rows.columns["pt"], records["pt"])
    np.testing.assert_array_equal(rows.columns["event"], records["event"])
    np.testing.assert_allclose(rows.columns["sum(hits)"], records["hits"].sum(1), rtol=1e-12)
    np.savez(tmp_path / "all.npz", m=table[:, 0], w=np.full(20, 2.0), names=["a", "b"], lumi=36.1)
    assert read_table(tmp_path / "all.npz", "m", weight="w").weight.tolist() == [2] * 20
    assert read_rows(tmp_path / "all.npz", ["m"], stop=5).columns["m"].tolist() == (
        table[:5, 0].tolist()
    )
    np.savez(tmp_path / "two.npz", train=np.ones(4), test=np.ones(9))
    with pytest.raises(InputError, match=r"two.npz: its arrays are of several lengths, test \(9 r"):
        read_rows(tmp_path / "two.npz", ["train"])
    assert len(read_rows(tmp_path / "two.npz", ["test"], tree="test")) == 9
    with pytest.raises(InputError, match=r"two.npz: no array 'tset'; its arrays are: train, test"):
        read_rows(tmp_path / "two.npz", ["test"], tree="tset")


def test_pickles_in_numpy_files_are_never_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "owned",))

    objects = np.array([Evil(), 1], dtype=object)
    np.save(tmp_path / "evil.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "evil.npz", x=objects, y=np.ones(2), allow_pickle=True)
    with pytest.raises(
        InputError, match=r"'array' is of type pickled objects, which are never run"
    ):
        read_rows(tmp_path / "evil.npy", ["array"])
    with pytest.raises(InputError, match=r"'x' is of type pickled objects, which are never run"):
        read_rows(tmp_path / "evil.npz", ["x", "y"])
    assert len(read_rows(tmp_path / "evil.npz", ["y"], tree="y")) == 2
    (tmp_path / "evil.npy").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(
        InputError, match=r"evil.npy: cannot be read as npy, it is not of this form"
    ):
        read_rows(tmp_path / "evil.npy", ["array"])
    assert not (tmp_path / "owned").exists()


def test_broken_numpy_files(tmp_path: Path) -> None:
    np.save(tmp_path / "whole.npy", np.arange(1000.0))
    data = (tmp_path / "whole.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(data[:5000])
    with pytest.raises(
        InputError, match=r"cut.npy: 'array' should have 8000 bytes and has 4872, it"
    ):
        read_rows(tmp_path / "cut.npy", ["array"])
    np.savez_compressed(tmp_path / "whole.npz", x=np.random.default_rng(1).normal(size=1000))
    data = bytearray((tmp_path / "whole.npz").read_bytes())
    (tmp_path / "cut.npz").write_bytes(data[:4000])
    with pytest.raises(InputError, match=r"cut.npz: cannot be read as npz"):
        read_rows(tmp_path / "cut.npz", ["x"])
    data[3000] ^= 255
    (tmp_path / "flipped.npz").write_bytes(data)
    with pytest.raises(InputError, match=r"flipped.npz: cannot be read as npz, it is damaged"):
        read_rows(tmp_path / "flipped.npz", ["x"])
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        length = len(header) + 1
        archive.writestr(
            "x.npy", b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little") + header + b"\n"
        )
    with pytest.raises(
        InputError, match=r"bomb.npz: 'x.npy' should have 8000000000000 bytes and ha"
    ):
        read_rows(tmp_path / "bomb.npz", ["x"])


@pytest.mark.parametrize("separator", [",", ";", "\t", " "])
@pytest.mark.parametrize("comment", ["", "# "])
def test_csv(tmp_path: Path, separator: str, comment: str) -> None:
    table = np.random.default_rng(3).normal(size=(300, 3))
    header = separator.join(["pt", "eta", "phi"])
    path = tmp_path / "jets.csv"
    np.savetxt(path, table, delimiter=separator, header=header, comments=comment, fmt="%.17g")
    rows = read_rows(path, ["pt", "phi", "pt * cosh(eta)"])
    np.testing.assert_array_equal(rows.columns["pt"], table[:, 0])
    np.testing.assert_array_equal(rows.columns["phi"], table[:, 2])
    np.testing.assert_array_equal(
        rows.columns["pt * cosh(eta)"], table[:, 0] * np.cosh(table[:, 1])
    )
    np.savetxt(path, table, delimiter=separator)
    unnamed = read_rows(path, ["column_1"]).columns["column_1"]
    np.testing.assert_allclose(unnamed, table[:, 1], rtol=1e-15)


def test_types_of_csv(tmp_path: Path, monkeypatch) -> None:
    from colliderkit.sources.files import csv

    monkeypatch.setattr(csv, "BLOCK", 4096)  # many blocks: types are those of the whole column
    path = tmp_path / "events.csv"
    count = 2000
    number = (1 << 60) + np.arange(count)
    late = [str(i) for i in range(count - 1)] + ["0.5"]
    lines = [f"{number[i]},{late[i]},{'top' if i % 2 else 'qcd'},{i % 2}" for i in range(count)]
    path.write_text("\n".join(["event,late,process,is_top", *lines]) + "\n")
    rows = read_rows(path, ["event", "late", "is_top"])
    assert rows.columns["event"].tolist() == number.tolist()
    assert rows.columns["late"].tolist() == [float(x) for x in late]
    assert rows.columns["is_top"].tolist() == [i % 2 for i in range(count)]
    part = read_rows(path, ["late"], selection="is_top == 1", stop=3)
    assert part.columns["late"].tolist() == [1, 3, 5]
    with pytest.raises(
        InputError, match=r"events.csv: column 'process' is of type string, not num"
    ):
        read_rows(path, ["process"])
    path.write_text("x,y\n1,2\n3,\n")
    with pytest.raises(InputError, match=r"events.csv: column 'y' is nan in event 1"):
        read_table(path, "x, y")
    path.write_text("x,y\n1,2\n3\n")
    with pytest.raises(InputError, match=r"events.csv: cannot be read as csv .*Expected 2 columns"):
        read_rows(path, ["x"])
    path.write_text("x,x\n1,2\n")
    with pytest.raises(InputError, match=r"its first line names the column 'x' 2 times"):
        read_rows(path, ["x"])
    path.write_text("x,y\n")
    with pytest.raises(InputError, match=r"events.csv: holds no events"):
        read_rows(path, ["x"])
    path.write_bytes(b"\x00\x01\x02")
    with pytest.raises(InputError, match=r"events.csv: is no csv"):
        read_rows(path, ["x"])
    with pytest.raises(InputError, match=r"has no trees or keys, and tree is 't'"):
        read_rows(path, ["x"], tree="t")


def test_csv_is_parsed_once(tmp_path: Path, monkeypatch) -> None:
    from colliderkit.sources.files import csv

    path = tmp_path / "events.csv"
    path.write_text("x,y\n" + "".join(f"{i},{i / 2}\n" for i in range(3000)))
    monkeypatch.setattr(csv, "BLOCK", 4096)
    table = csv.CsvTable(path)
    with monkeypatch.context() as patch:
        patch.setattr(csv.CsvTable, "_open", None)
        parts = [columns["y"].values for _, columns in table.chunks(["y"], 7, 2990, 100)]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(7, 2990) / 2)
    # A larger one is parsed again, in bounded memory.
    monkeypatch.setattr(csv, "KEPT", 1000)
    again = csv.CsvTable(path)
    parts = [columns["y"].values for _, columns in again.chunks(["y"], 7, 2990, 100)]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(7, 2990) / 2)


def test_particles_in_csv(tmp_path: Path) -> None:
    path = tmp_path / "jets.csv"
    path.write_text("px_0,px_1,py_0,py_1,label\n3,1,4,0,1\n2,0,0,0,0\n")
    columns = {"constituents.px": "px", "constituents.py": "py", "constituents.pz": "0 * px"}
    columns |= {"constituents.E": "hypot(px, py)", "label": "label"}
    jets = read(path, columns=columns)
    assert jets.constituents.px.tolist() == [[3, 1], [2]]
    assert jets.jet_pt.tolist() == [np.float32(np.hypot(4, 4)), 2]
    assert jets.label.tolist() == [1, 0]
