"""Rows of numbers: the same from every format, and each mistake named."""

from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.sources import write
from colliderkit.sources.files.expressions import split_expressions
from colliderkit.sources.files.rows import read_rows, read_table

COUNT = 50


def columns() -> dict[str, ak.Array | np.ndarray]:
    random = np.random.default_rng(1)
    counts = random.integers(0, 4, COUNT)
    return {
        "m": random.normal(90, 5, COUNT),
        "pt": random.exponential(50, COUNT) + 1,
        # More digits than a float has.
        "event": (1 << 60) + np.arange(COUNT),
        "pts": ak.unflatten(random.exponential(3, counts.sum()), counts),
    }


@pytest.fixture(scope="module", params=["root", "parquet", "h5"])
def file(request, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("rows") / f"events.{request.param}"
    values = columns()
    if request.param != "h5":
        write(path, values)
        return path
    with h5py.File(path, "w") as out:
        for name, column in values.items():
            if name != "pts":
                out[name] = np.asarray(column)
        ragged = out.create_dataset("pts", (COUNT,), h5py.vlen_dtype(np.float64))
        for i, row in enumerate(ak.to_list(values["pts"])):
            ragged[i] = row
    return path


def test_columns_and_expressions_are_the_same_in_each_format(file: Path) -> None:
    want = columns()
    rows = read_rows(file, ["m", "log(m / pt)", "sum(pts)", "event", "1"], own=True)
    np.testing.assert_array_equal(rows.columns["m"], want["m"])
    np.testing.assert_allclose(rows.columns["log(m / pt)"], np.log(want["m"] / want["pt"]))
    np.testing.assert_allclose(rows.columns["sum(pts)"], ak.sum(want["pts"], axis=1))
    np.testing.assert_array_equal(rows.columns["event"], want["event"])
    np.testing.assert_array_equal(rows.columns["1"], np.ones(COUNT))
    assert set(rows.own) == set(want)
    assert ak.all(rows.own["pts"] == want["pts"])
    assert rows.table(["m", "sum(pts)"]).shape == (COUNT, 2)


def test_selection_and_stop(file: Path) -> None:
    want = columns()
    keep = np.asarray(want["pt"]) > 30
    rows = read_rows(file, ["m"], selection="pt > 30", own=True, stop=5)
    np.testing.assert_array_equal(rows.row, np.flatnonzero(keep)[:5])
    np.testing.assert_array_equal(rows.columns["m"], want["m"][keep][:5])
    np.testing.assert_array_equal(rows.own["m"], want["m"][keep][:5])


def test_several_files_count_their_events_apart(file: Path) -> None:
    rows = read_rows([file, file], ["m"], optional=["pt", "charge"])
    assert len(rows) == 2 * COUNT
    np.testing.assert_array_equal(rows.row, np.tile(np.arange(COUNT), 2))
    assert set(rows.columns) == {"m", "pt"}


def test_what_is_no_number_names_file_column_and_event(tmp_path: Path) -> None:
    bad = tmp_path / "bad.parquet"
    m = np.ones(9)
    m[4] = np.nan
    write(bad, {"m": m, "seen": np.arange(9) != 4})
    rows = read_rows(bad, ["m", "seen"])
    with pytest.raises(InputError, match=r"bad\.parquet: column 'm' is nan in event 4 "):
        rows.table(["m"])
    assert len(rows.table(["m"], rows.columns["seen"])) == 9


def test_a_table_is_what_methods_take(file: Path) -> None:
    want = columns()
    table = read_table(file, "m, log(pt)", weight="2 * pt", event="event", selection="pt > 5")
    keep = np.asarray(want["pt"]) > 5
    assert table.names == ("m", "log(pt)")
    np.testing.assert_array_equal(table["m"], want["m"][keep])
    np.testing.assert_array_equal(table.weight, 2 * want["pt"][keep])
    np.testing.assert_array_equal(table.event, want["event"][keep])
    plain = read_table([file, file], ["m"])
    np.testing.assert_array_equal(plain.weight, np.ones(2 * COUNT))
    assert len(set(plain.event)) == 2 * COUNT


def test_a_table_names_bad_weights_and_event_numbers(tmp_path: Path) -> None:
    bad = tmp_path / "bad.parquet"
    weight, number = np.ones(9), np.arange(9) + 0.0
    weight[2], number[5] = np.inf, 5.5
    write(bad, {"m": np.ones(9), "w": weight, "n": number})
    with pytest.raises(InputError, match=r"bad\.parquet: column 'w' is inf in event 2 "):
        read_table(bad, "m", weight="w")
    with pytest.raises(InputError, match=r"bad\.parquet: column 'n' is 5\.5 in event 5 "):
        read_table(bad, "m", event="n")
    with pytest.raises(InputError, match=r"bad\.parquet: the weights sum to 0"):
        read_table(bad, "m", weight="0 * m")
    assert read_table(bad, "m", event="2 * n").event.tolist() == [0, 2, 4, 6, 8, 11, 12, 14, 16]


def test_mistakes_are_named(file: Path, tmp_path: Path) -> None:
    for texts, selection, sentence in (
        (["mm"], None, "no column 'mm'; did you mean m"),
        (["log(pt_)"], None, r"no column 'pt_' for 'log\(pt_\)'; did you mean pt"),
        (["2 * pts"], None, r"'2 \* pts' gives a number a particle where one an event is due"),
        (["m"], "pt > 1e9", "holds no events"),
        (["m"], "__import__('os')", "__import__"),
    ):
        with pytest.raises(InputError, match=sentence):
            read_rows(file, texts, selection=selection)
    other = tmp_path / "other.parquet"
    write(other, {"m": np.ones(3)})
    with pytest.raises(InputError, match="differ in the columns pt; read them apart"):
        read_rows([file, other], ["m"], optional=["pt"])


def test_names_are_parted_outside_brackets() -> None:
    assert split_expressions("m, where(a > 0, b, c) ,hypot(x, y)") == [
        "m",
        "where(a > 0, b, c)",
        "hypot(x, y)",
    ]
    assert split_expressions(["m,w", "pt"]) == ["m", "w", "pt"]
    assert split_expressions(None) == []
    for text, sentence in (
        ("m,,w", "names an empty column"),
        ("m,m", "'m' is named twice"),
        ("hypot(x, y", "brackets do not close"),
        ("open(m)", "open"),
    ):
        with pytest.raises(InputError, match=sentence):
            split_expressions(text)


def test_a_number_that_fills_in_is_said(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=100)
    x[[7, 9]] = -999
    write(tmp_path / "events.root", {"x": x, "y": np.arange(100.0)})
    rows = read_rows(tmp_path / "events.root", ["x", "y"])
    said = r"events.root: column 'x' is -999 in 2 of 100 events, .* selection \(as 'x != -999'\)"
    with pytest.warns(UserWarning, match=said):
        rows.table(["y", "x"])
    assert rows.filled(["y"]) is None
    assert rows.filled(["x"], x > -999) is None
    found = read_rows(tmp_path / "events.root", ["x"], selection="x != -999")
    assert (len(found), found.filled(["x"])) == (98, None)
