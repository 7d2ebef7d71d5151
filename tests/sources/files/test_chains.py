"""Chains of files: globs, lists, files without events and files of other columns."""

from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot

from colliderkit.errors import InputError
from colliderkit.sources import iterate, read, write
from colliderkit.sources.files.formats import paths_of
from colliderkit.sources.files.rows import read_rows

FOUR = {f"constituents.{c}": f"p_{c}" for c in ("px", "py", "pz", "E")}
EMPTY, BARE, FILES = 50, 60, 100


@pytest.fixture(scope="module")
def chain(tmp_path_factory) -> Path:
    """100 files of 2 jets; number 50 has no rows, number 60 neither rows nor most branches."""
    folder = tmp_path_factory.mktemp("chain")
    for i in range(FILES):
        counts = np.full(2, 3)
        random = np.random.default_rng(i + 1)
        p = [ak.unflatten(random.normal(50, 9, 6), counts) for _ in range(3)]
        data = dict(zip(("p_px", "p_py", "p_pz"), p, strict=True))
        data["p_E"] = np.sqrt(p[0] ** 2 + p[1] ** 2 + p[2] ** 2)
        data["event"] = 2 * i + np.arange(2)
        kinds = {k: v.type.content if isinstance(v, ak.Array) else v.dtype for k, v in data.items()}
        with uproot.recreate(folder / f"part_{i:03d}.root") as file:
            file.mktree("tree", {"event": np.dtype("i8")} if i == BARE else kinds)
            if i not in (EMPTY, BARE):
                file["tree"].extend(data)
    return folder


def test_empty_files_are_passed_over_and_said(chain: Path) -> None:
    with pytest.warns(UserWarning, match="holds no events and is passed over") as said:
        jets = read(str(chain / "part_*.root"), columns=FOUR | {"event": "event"})
    named = {str(warning.message).split(":")[0] for warning in said}
    assert named == {str(chain / f"part_{i:03d}.root") for i in (EMPTY, BARE)}
    want = [n for i in range(FILES) if i not in (EMPTY, BARE) for n in (2 * i, 2 * i + 1)]
    assert jets.event.tolist() == want
    assert len(want) == 196
    with pytest.warns(UserWarning, match="passed over"):
        rows = read_rows(str(chain / "part_*.root"), ["event", "sum(p_E)"])
    assert rows.columns["event"].tolist() == want
    assert [rows.paths[i].name for i in rows.file[[0, -1]]] == ["part_000.root", "part_099.root"]
    with pytest.warns(UserWarning, match="passed over"):
        parts = list(iterate(str(chain / "part_*.root"), columns=FOUR, start=99, stop=103))
    assert [len(part) for part in parts] == [1, 2, 1]
    alone = chain / f"part_{EMPTY:03d}.root"
    with pytest.raises(InputError, match=r"part_050.root: holds no"):
        read(alone, columns=FOUR)
    with (
        pytest.warns(UserWarning, match="passed over"),
        pytest.raises(InputError, match=r"holds no jets"),
    ):
        read([alone, chain / f"part_{BARE:03d}.root"], columns=FOUR)


def test_files_of_other_columns(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"m": np.arange(3.0), "pt": np.ones(3), "extra": np.ones(3)})
    write(tmp_path / "b.parquet", {"pt": np.ones(2), "m": np.arange(2.0), "other": np.ones(2)})
    files = str(tmp_path / "?.parquet")
    assert read_rows(files, ["m"]).columns["m"].tolist() == [0, 1, 2, 0, 1]
    with pytest.raises(InputError, match=r"b.parquet: no column 'extra'"):
        read_rows(files, ["m", "extra"])
    with pytest.warns(UserWarning, match="not all files have the columns extra, other, which are"):
        rows = read_rows(files, ["m"], own=True)
    assert {name: column.tolist() for name, column in rows.own.items()} == {
        "m": [0, 1, 2, 0, 1],
        "pt": [1] * 5,
    }
    # A weight that only some files have is not dropped in silence.
    with pytest.raises(InputError, match=r"a.parquet and .*b.parquet differ in the columns extra"):
        read_rows(files, ["m"], optional=["extra"])


def test_a_label_in_some_files_only(tmp_path: Path) -> None:
    ones = ak.Array([[1.0], [2.0]])
    table = {f"constituents.{c}": ones for c in ("px", "py", "pz", "E")}
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name in table:
            file[name] = np.ones((2, 1))
    write(tmp_path / "a.parquet", table | {"label": np.arange(2)})
    write(tmp_path / "b.parquet", table)
    with pytest.raises(
        InputError, match=r"a.parquet and .*b.parquet differ in label; read them ap"
    ):
        read(str(tmp_path / "?.parquet"))
    # Formats may mix where the columns are the same.
    assert len(read([tmp_path / "b.parquet", tmp_path / "x.h5"])) == 4


def test_lists_of_files(tmp_path: Path, monkeypatch) -> None:
    for name in "abc":
        write(tmp_path / f"{name}.parquet", {"m": np.full(2, float(ord(name)))})
    listing = tmp_path / "files.txt"
    listing.write_text(f"# all of them\n\nc.parquet\n  {tmp_path / 'a.parquet'}\n[b].parquet\n")
    want = [tmp_path / f"{name}.parquet" for name in "cab"]
    assert paths_of(listing) == want
    assert paths_of(f"@{listing}") == want
    other = listing.rename(tmp_path / "files.list")
    assert paths_of([str(other), tmp_path / "d.root"]) == [*want, tmp_path / "d.root"]
    assert read_rows(other, ["m"]).columns["m"].tolist() == [99, 99, 97, 97, 98, 98]
    monkeypatch.chdir(tmp_path)
    assert read_rows("@files.list", ["m"]).columns["m"].tolist() == [99, 99, 97, 97, 98, 98]
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match=r"empty.txt: lists no files; write one path a line"):
        paths_of(tmp_path / "empty.txt")
    with pytest.raises(InputError, match=r"none.list: no such file"):
        paths_of("@none.list")
    (tmp_path / "glob.txt").write_text("x*.root\n")
    with pytest.raises(InputError, match=r"x\*.root: no file matches"):
        paths_of("glob.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary.txt: is no list of files"):
        paths_of("binary.txt")
    with pytest.warns(UserWarning, match=r"a.parquet: is named twice, and its events count twice"):
        assert len(read_rows(["a.parquet", "?.parquet"], ["m"])) == 8
