"""Trees of ROOT files as they come: cycles, directories, split sets, RNTuples, vectors."""

import warnings
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from colliderkit.errors import InputError
from colliderkit.sources import iterate, read
from colliderkit.sources.files.root import RootTable
from colliderkit.sources.files.rows import read_rows

FOUR = {f"constituents.{c}": f"p_{c}" for c in ("px", "py", "pz", "E")}


def jets(count: int, first: int = 0) -> dict[str, ak.Array]:
    random = np.random.default_rng(count)
    each = np.full(count, 3)
    px, py, pz = (ak.unflatten(random.normal(50, 9, 3 * count), each) for _ in range(3))
    energy = (px**2 + py**2 + pz**2) ** 0.5
    return {"p_px": px, "p_py": py, "p_pz": pz, "p_E": energy, "event": first + np.arange(count)}


def make(file: uproot.WritableDirectory, path: str, table: dict[str, ak.Array]) -> None:
    arrays = {name: ak.Array(x) for name, x in table.items()}
    file.mktree(path, {name: x.type.content for name, x in arrays.items()})
    file[path].extend(arrays)


def same(found: ak.Array, *tables: dict[str, ak.Array]) -> None:
    """Assert that all particles and numbers are those of the tables, in their order."""
    event = np.concatenate([table["event"] for table in tables])
    np.testing.assert_array_equal(found["event"], event)
    for name in ("px", "py", "pz", "E"):
        given = ak.concatenate([table[f"p_{name}"] for table in tables])
        order = ak.argsort(
            ak.concatenate([t["p_px"] ** 2 + t["p_py"] ** 2 for t in tables]), ascending=False
        )
        assert ak.all(found["constituents", name] == ak.values_astype(given[order], np.float32))


def test_the_highest_cycle_is_read_and_others_by_name(tmp_path: Path) -> None:
    path = tmp_path / "cycles.root"
    with uproot.recreate(path) as file:
        for count in (2, 5):
            make(file, "myTree", jets(count))
    for tree in (None, "myTree"):
        with pytest.warns(UserWarning, match="of the cycles 1, 2 of tree 'myTree' the highest"):
            same(read(path, columns=FOUR, tree=tree), jets(5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same(read(path, columns=FOUR, tree="myTree;1"), jets(2))
        same(read(path, columns=FOUR, tree="myTree;2"), jets(5))
    with pytest.raises(InputError, match="tree 'myTree' has no cycle 3, but 1, 2"):
        read(path, columns=FOUR, tree="myTree;3")


def test_trees_in_directories(tmp_path: Path) -> None:
    for name, tree in (("a.root", "deep/tree"), ("b.root", "events/events")):
        with uproot.recreate(tmp_path / name) as file:
            make(file, tree, jets(4))
        for chosen in (None, tree, tree.split("/")[1]):
            same(read(tmp_path / name, columns=FOUR, tree=chosen), jets(4))


def test_a_set_that_is_split_into_one_tree_a_directory(tmp_path: Path) -> None:
    path = tmp_path / "c.root"
    with uproot.recreate(path) as file:
        make(file, "DF_1/O2jets", jets(4))
        make(file, "DF_2/O2jets", jets(5, 4))
        make(file, "DF_2/other", {"x": np.arange(3)})
    for tree in ("O2jets", "DF_*/O2jets"):
        with pytest.warns(UserWarning, match="DF_1/O2jets, DF_2/O2jets are read one after"):
            same(read(path, columns=FOUR, tree=tree), jets(4), jets(5, 4))
        with pytest.warns(UserWarning, match="are read one after another"):
            parts = list(iterate(path, columns=FOUR, tree=tree, chunk=3))
        assert [len(part) for part in parts] == [3, 3, 3]
        same(ak.concatenate(parts), jets(4), jets(5, 4))
    same(read(path, columns={**FOUR, "event": "event"}, tree="DF_2/O2jets"), jets(5, 4))
    with pytest.raises(InputError, match=r"name one of its trees .*DF_1/O2jets, DF_2/O2jets"):
        read(path, columns=FOUR)
    with pytest.raises(InputError, match="no tree 'DF_3/"):
        read(path, columns=FOUR, tree="DF_3/*")


@pytest.mark.parametrize("how", ["mkrntuple", "assigned", "records"])
def test_rntuples(tmp_path: Path, how: str) -> None:
    path, table = tmp_path / "rntuple.root", jets(40)
    data = {name.replace("p_", "constituents_"): x for name, x in table.items()}
    data |= {"label": np.arange(40) % 2, "weight": np.linspace(0, 1, 40)}
    with uproot.recreate(path) as file:
        if how == "mkrntuple":
            file.mkrntuple("jets", ak.zip(data, depth_limit=1))
        elif how == "assigned":
            file["jets"] = data
        else:
            inside = {name: table[f"p_{name}"] for name in ("px", "py", "pz", "E")}
            rest = {name: data[name] for name in ("event", "label", "weight")}
            file["jets"] = {"constituents": ak.zip(inside), **rest}
    assert uproot.open(path)["jets"].classname == "ROOT::RNTuple"
    for tree in (None, "jets"):
        found = read(path, tree=tree)
        same(found, table)
        np.testing.assert_array_equal(found["label"], data["label"])
        np.testing.assert_array_equal(found["weight"], data["weight"])
    same(ak.concatenate(list(iterate(path, chunk=7))), table)
    rows = read_rows(path, ["event", "label * 2"], own=True)
    np.testing.assert_array_equal(rows.columns["label * 2"], data["label"] * 2)


def test_elements_and_reductions_of_vectors(tmp_path: Path) -> None:
    path, random = tmp_path / "ntuple.root", np.random.default_rng(1)
    count = random.integers(1, 5, 200)
    data = {
        "mcEventWeights": ak.unflatten(random.normal(1, 0.1, 600), np.full(200, 3)),
        "jet_pt": ak.sort(
            ak.unflatten(random.exponential(50, count.sum()), count), ascending=False
        ),
        "met": random.exponential(30, 200),
        "fixed": random.normal(0, 1, (200, 4)),
    }
    with uproot.recreate(path) as file:
        types = {name: ak.Array(data[name]).type.content for name in ("mcEventWeights", "jet_pt")}
        file.mktree("nominal", {**types, "met": "f8", "fixed": np.dtype(("f8", (4,)))})
        file["nominal"].extend(data)
    pt = data["jet_pt"]
    expected = {
        "mcEventWeights[0]": data["mcEventWeights"][:, 0],
        "jet_pt[0]": pt[:, 0],
        "jet_pt[-1]": pt[:, -1],
        "fixed[2]": data["fixed"][:, 2],
        "max(jet_pt)": ak.max(pt, axis=1),
        "min(jet_pt)": ak.min(pt, axis=1),
        "sum(jet_pt * (jet_pt > 30))": ak.sum(pt[pt > 30], axis=1),
        "any(jet_pt > 30)": ak.any(pt > 30, axis=1),
        "count(jet_pt)": count,
        "jet_pt[0] / met": pt[:, 0] / data["met"],
    }
    rows = read_rows(path, expected)
    for text, values in expected.items():
        np.testing.assert_allclose(rows.columns[text], values, rtol=1e-14, err_msg=text)
    second = read_rows(path, ["jet_pt[1]"])
    np.testing.assert_array_equal(np.isnan(second.columns["jet_pt[1]"]), count < 2)
    with pytest.raises(InputError, match=r"column 'jet_pt\[1\]' is nan in event"):
        second.table(["jet_pt[1]"])
    kept = read_rows(path, ["jet_pt[1]"], selection="count(jet_pt) > 1")
    np.testing.assert_array_equal(kept.table(["jet_pt[1]"])[:, 0], pt[count > 1][:, 1])
    with pytest.raises(InputError, match=r"selection 'jet_pt\[1\]' is NaN in event"):
        read_rows(path, ["met"], selection="jet_pt[1]")


def test_names_that_need_quotes(tmp_path: Path) -> None:
    path = tmp_path / "names.root"
    data = {"jet pt [GeV]": np.arange(5.0), "a.b[0]": np.arange(5.0) * 2}
    with uproot.recreate(path) as file:
        file["t"] = data
    rows = read_rows(path, ['"jet pt [GeV]" + 1', "`a.b[0]`"])
    np.testing.assert_array_equal(rows.columns['"jet pt [GeV]" + 1'], np.arange(5.0) + 1)
    np.testing.assert_array_equal(rows.columns["`a.b[0]`"], np.arange(5.0) * 2)


def test_unsigned_event_numbers_keep_their_digits(tmp_path: Path) -> None:
    path, table = tmp_path / "events.root", jets(3)
    table["event"] = np.array([2**63 - 1, 2**60 + 1, 3], dtype=np.uint64)
    with uproot.recreate(path) as file:
        make(file, "jets", table)
    found = read(path, columns={**FOUR, "event": "event"})
    assert found["event"].tolist() == [2**63 - 1, 2**60 + 1, 3]
    assert read_rows(path, ["event"]).numbers("event").tolist() == [2**63 - 1, 2**60 + 1, 3]
    table["event"] = np.array([1, 2**63 + 5, 3], dtype=np.uint64)
    with uproot.recreate(path) as file:
        make(file, "jets", table)
    sentence = f"column 'event' is {2**63 + 5} in event 1"
    with pytest.raises(InputError, match=sentence):
        read(path, columns={**FOUR, "event": "event"})
    with pytest.raises(InputError, match=sentence):
        read_rows(path, ["event"]).numbers("event")
    found = read(path, columns={**FOUR, "event": f"event % {2**63 - 1}"})
    assert found["event"].tolist() == [1, 6, 3]


def test_narrow_momenta_do_not_wrap(tmp_path: Path) -> None:
    path = tmp_path / "narrow.root"
    px = ak.values_astype(ak.Array([[300, 200], [1000]]), np.int16)
    with uproot.recreate(path) as file:
        make(file, "jets", {"p_px": px, "p_py": px * 0, "p_pz": px * 0, "p_E": px})
    found = read(path, columns=FOUR)
    assert found["jet_pt"].tolist() == [500, 1000]
    assert found["constituents", "px"].tolist() == [[300, 200], [1000]]


def test_branches_of_the_same_last_part_are_told_apart(tmp_path: Path) -> None:
    class Branch:
        def __init__(self, values: np.ndarray) -> None:
            self.typename, self.branches = "double", []
            self.interpretation = uproot.interpretation.numerical.AsDtype("f8")
            self.values = values

    class Tree(uproot.TTree):
        def __init__(self) -> None:
            pass

        def iteritems(self, recursive: bool = True):
            return iter([("A/x", Branch(1)), ("B/x", Branch(2)), ("B/y", Branch(3))])

    from colliderkit.sources.files.root import contents

    fields, kinds = contents(Tree())
    assert list(kinds) == ["A.x", "B.x", "y"]
    assert [branch.values for branch in fields.values()] == [1, 2, 3]
    assert RootTable.__doc__
