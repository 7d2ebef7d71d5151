from collections.abc import Callable
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from colliderkit.errors import InputError
from colliderkit.sources import iterate, read, write
from colliderkit.sources.files.root import RootTable

COUNTS = [3, 0, 1, 2]


def jets() -> ak.Array:
    """Four jets with constituents in falling pt, one without any."""
    px = np.array([30, 20, 10, 5, 8, 4], dtype=np.float32)
    particles = ak.zip({"px": px, "py": -px / 2, "pz": px * 3, "E": px * 4, "charge": px - px})
    return ak.Array(
        {
            "constituents": ak.unflatten(particles, COUNTS),
            "jet_pt": np.float32([1, 2, 3, 4]),
            "jet_eta": np.float32([0, 1, -1, 2]),
            "jet_phi": np.float32([0, 1, 2, 3]),
            "jet_mass": np.float32([5, 6, 7, 8]),
            "label": np.array([0, 1, 1, 0]),
            "weight": np.array([1.0, 0.5, -1.0, 2.0]),
            "event": np.array([7, 8, 9, 10]),
            "score": np.array([0.1, 0.2, 0.3, 0.4]),
        }
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "jets.root", jets())
    return tmp_path / "jets.root"


def test_what_is_written_is_read(path: Path) -> None:
    found = read(path)
    expected = jets()
    assert set(found.fields) == set(expected.fields)
    assert ak.num(found.constituents).tolist() == COUNTS
    for name in expected.fields:
        assert ak.array_equal(found[name], expected[name], check_parameters=False), name


def test_branches_have_the_names_that_others_expect(path: Path) -> None:
    types = uproot.open(path)["jets"].typenames()
    assert types["constituents_px"] == "float[]"
    assert types["jet_pt"] == "float"
    assert types["label"] == "int64_t"


def test_ranges_and_chunks(path: Path) -> None:
    assert read(path, start=1, stop=3).event.tolist() == [8, 9]
    parts = list(iterate(path, chunk=3))
    assert [len(part) for part in parts] == [3, 1]
    assert ak.array_equal(ak.concatenate(parts), read(path))


def test_only_the_branches_needed_are_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    original: Callable = RootTable.awkward

    def spy(self: RootTable, names: list[str], start: int, stop: int) -> dict:
        asked.extend(names)
        return original(self, names, start, stop)

    monkeypatch.setattr(RootTable, "awkward", spy)
    read(path, columns=["label"], selection="score > 0.15")
    assert "constituents_charge" not in asked
    assert "weight" in asked  # always kept
    assert {"constituents_px", "label", "score"} <= set(asked)


def test_flat_tables_and_records_of_scores(tmp_path: Path) -> None:
    scores = ak.zip({"top": np.array([0.25, 0.5]), "qcd": np.array([0.75, 0.5])})
    write(tmp_path / "scores.root", {"jet_pt": np.array([1.0, 2.0]), "score": scores})
    tree = uproot.open(tmp_path / "scores.root")["jets"]
    assert tree["score_top"].array().tolist() == [0.25, 0.5]
    assert tree["jet_pt"].array().tolist() == [1.0, 2.0]


def test_fixed_length_branches_are_padded(tmp_path: Path) -> None:
    padded = np.array([[3.0, 1.0, 0.0], [2.0, 0.0, 0.0]])
    with uproot.recreate(tmp_path / "padded.root") as file:
        file.mktree("tree", {name: np.dtype(("f8", (3,))) for name in ("a", "b", "c", "e")})
        file["tree"].extend({"a": padded, "b": 0 * padded, "c": padded, "e": 2 * padded})
    names = {"px": "a", "py": "b", "pz": "c", "E": "e"}
    columns = {f"constituents.{name}": text for name, text in names.items()}
    found = read(tmp_path / "padded.root", columns=columns)
    assert found.constituents.px.tolist() == [[3, 1], [2]]


def test_trees_are_chosen_or_named(tmp_path: Path) -> None:
    path = tmp_path / "two.root"
    with uproot.recreate(path) as file:
        file.mktree("a", {"x": "f8"}).extend({"x": np.zeros(2)})
        file.mktree("b", {"x": "f8"}).extend({"x": np.zeros(3)})
    with pytest.raises(InputError, match=r"two.root: name one of its trees \(a, b\) by 'tree'"):
        read(path)
    with pytest.raises(InputError, match=r"two.root: no tree 'c'; its trees are: a, b"):
        read(path, tree="c")
    assert RootTable(path, "b").rows == 3
    with uproot.recreate(tmp_path / "none.root") as file:
        file["text"] = "hello"
    with pytest.raises(InputError, match=r"none.root: holds no tree"):
        read(tmp_path / "none.root")


def test_truncated_and_foreign_files(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    for part in (0.3, 0.7, 0.95):
        short = tmp_path / f"short{part}.root"
        short.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(InputError, match=r"short.*root: cannot be read as ROOT.*truncated"):
            read(short)
    foreign = tmp_path / "text.root"
    foreign.write_text("not a ROOT file, but long enough to hold a header of one " * 20)
    with pytest.raises(InputError, match=r"text.root: cannot be read as ROOT"):
        read(foreign)
    empty = tmp_path / "empty.root"
    empty.touch()
    with pytest.raises(InputError, match=r"empty.root: the file is empty"):
        read(empty)
    with pytest.raises(InputError, match=r"absent.root: no such file"):
        read(tmp_path / "absent.root")


def test_a_broken_basket_is_named(tmp_path: Path) -> None:
    path = tmp_path / "jets.root"
    many = ak.concatenate([jets()] * 500)
    write(path, many)
    data = bytearray(path.read_bytes())
    first = data.find(b"ZS")  # the head of the first compressed basket
    data[first + 9 : first + 200] = bytes(191)
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"jets.root: cannot be read as ROOT"):
        read(path)


def test_missing_branches_list_close_names(path: Path) -> None:
    with pytest.raises(
        InputError, match=r"jets.root: no column 'jet_ptt' for 'x'; did you mean jet_pt"
    ):
        read(path, columns={"x": "jet_ptt + 1"})


def test_text_is_not_a_number(tmp_path: Path) -> None:
    path = tmp_path / "text.root"
    with uproot.recreate(path) as file:
        table = {"x": ak.Array([[1.0], [2.0]]), "name": ak.Array(["a", "bc"])}
        file.mktree("jets", {"x": "var * float64", "name": "string"}).extend(table)
    four = {f"constituents.{name}": "x" for name in ("px", "py", "pz", "E")}
    with pytest.raises(InputError, match=r"text.root: column 'name' is of type .*, not numbers"):
        read(path, columns={**four, "label": "name"})


def test_no_half_written_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.root"
    with pytest.raises(InputError, match=r"bad.root: a column cannot be a ROOT branch"):
        write(path, {"x": ak.Array([{"y": [[1], []]}, {"y": [[2, 3]]}])})
    assert list(tmp_path.iterdir()) == []
    write(path, {"x": np.ones(3)})
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"bad.root: exists already.*--force"):
        write(path, {"x": np.zeros(3)})
    assert path.read_bytes() == before
    write(path, {"x": np.zeros(3)}, force=True)
    assert uproot.open(path)["jets"]["x"].array().tolist() == [0, 0, 0]
