"""One sentence a cause: what is wrong with a file is told apart where it is read."""

from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from colliderkit.errors import InputError
from colliderkit.events.tables import validation_mask
from colliderkit.sources import read, write
from colliderkit.sources.files.formats import check_pages
from colliderkit.sources.files.rows import read_rows, read_table
from samples import make_jets


def test_a_damaged_page_is_the_cause_of_wrong_numbers(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    random = np.random.default_rng(1)
    write(path, {"x": random.normal(size=5000)})
    data = path.read_bytes()
    for place in (1000, 20_000, 35_000):
        damaged = bytearray(data)
        damaged[place] ^= 255
        (tmp_path / "bad.parquet").write_bytes(damaged)
        with pytest.raises(
            InputError, match=r"bad.parquet: cannot be read as Parquet, it is damag"
        ):
            check_pages(tmp_path / "bad.parquet")
    check_pages(path)
    # The bytes of the exponents, all set: each number of them is NaN.
    damaged = bytearray(data)
    damaged[36_000:39_000] = b"\xff" * 3000
    damaged[30_000:34_000] = b"\xff" * 4000
    (tmp_path / "bad.parquet").write_bytes(damaged)
    with pytest.raises(InputError, match=r"bad.parquet: cannot be read as Parquet, it is damaged"):
        read_table(tmp_path / "bad.parquet", "x")


def test_a_file_under_another_name(tmp_path: Path) -> None:
    write(tmp_path / "events.parquet", {"x": np.ones(3)})
    write(tmp_path / "events.root", {"x": np.ones(3)})
    (tmp_path / "events.parquet").rename(tmp_path / "renamed.h5")
    (tmp_path / "events.root").rename(tmp_path / "renamed.parquet")
    with pytest.raises(
        InputError, match=r"renamed.h5: cannot be read as HDF5, it is Parquet by it"
    ):
        read_rows(tmp_path / "renamed.h5", ["x"])
    with pytest.raises(
        InputError, match=r"renamed.parquet: .* as Parquet, it is ROOT by its conte"
    ):
        read_rows(tmp_path / "renamed.parquet", ["x"])


def test_types_of_parquet_say_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    table = {
        "nested": pa.array([[[1.0]], [[2.0, 3.0]]]),
        "time": pa.array([1, 2], pa.timestamp("s")),
        "name": pa.array(["a", "b"]),
        "half": pa.array(np.array([1, 2], np.float16)),
        "number": pa.array([2**60 + 1, None]),
        "small": pa.array([7, None]),
    }
    pq.write_table(pa.table(table), path)
    for name, kind in (
        ("nested", "lists of lists of double"),
        ("time", "timestamp"),
        ("name", "string"),
    ):
        with pytest.raises(InputError, match=rf"'{name}' is of type {kind}, not numbers"):
            read_rows(path, [name])
    assert read_rows(path, ["half"]).columns["half"].tolist() == [1, 2]
    np.testing.assert_array_equal(read_rows(path, ["small"]).columns["small"], [7, np.nan])
    with pytest.raises(InputError, match=r"events.parquet: column 'number' has nulls beside whole"):
        read_rows(path, ["number"])


@pytest.mark.parametrize("suffix", ["parquet", "root"])
def test_numbers_that_single_precision_cannot_hold(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"events.{suffix}"
    x = np.ones(20)
    x[7] = -1e300
    write(path, {"x": x, "w": np.ones(20)})
    with pytest.raises(
        InputError, match=r"column 'x' is -1e\+300 in event 7 \(counted from 0\), mor"
    ):
        read_table(path, "x", weight="w")
    assert len(read_table(path, "x", selection="x > 0")) == 19
    jets = make_jets(20)
    jets["jet_mass"] = np.where(np.arange(20) == 3, 1e300, 1.0)
    write(path, jets, force=True)
    with pytest.raises(InputError, match=r"column 'jet_mass' is 1e\+300 in event 3 \(counted from"):
        read(path)
    constituents = {x: ak.values_astype(jets.constituents[x], np.float64) for x in ("px", "E")}
    constituents["E"] = constituents["E"] * np.where(np.arange(20) == 5, 1e200, 1)
    jets["jet_mass"] = np.ones(20)
    jets = ak.with_field(jets, constituents["E"], ["constituents", "E"])
    write(path, jets, force=True)
    with pytest.raises(
        InputError, match=r"column 'E' is .*e\+20\d in event 5 \(counted from 0\), mo"
    ):
        read(path)


@pytest.mark.parametrize("numbers", [np.full(600, 1), np.arange(600) % 2])
def test_event_numbers_that_all_events_share(numbers: np.ndarray) -> None:
    with pytest.raises(
        InputError, match=r"event has only [12] different number\(s\) \((1|0, 1)\) in"
    ):
        validation_mask(numbers, 0.15, seed=0)
    assert 50 < validation_mask(np.arange(600), 0.15, seed=0).sum() < 130
    assert validation_mask(np.arange(600) // 2, 0.15, seed=0).any()
