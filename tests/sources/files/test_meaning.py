"""One table in every format: each column, weight, label, number, order and count as written."""

from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import uproot

from colliderkit.sources import write
from colliderkit.sources.files.rows import read_rows, read_table

N = 500
FORMATS = ("ttree", "rntuple", "written", "h5", "compound", "fixed", "parquet", "npz", "npy", "csv")
SUFFIX = {"ttree": "root", "rntuple": "root", "written": "root", "compound": "h5", "fixed": "h5"}


def table() -> dict[str, np.ndarray]:
    """Return columns of every type of number, in no order, with the extremes of each."""
    random = np.random.default_rng(1)
    columns = {
        "x": random.normal(size=N),
        "y": random.normal(size=N).astype("f4"),
        "weight": random.normal(0.5, 1, N),
        "label": random.integers(-1, 3, N).astype("i4"),
        "event": (1 << 60) + random.permutation(N),
        "small": random.integers(-128, 128, N).astype("i1"),
        "count": random.integers(0, 1 << 32, N).astype("u4"),
        "flag": random.random(N) < 0.5,
    }
    columns["x"][[0, -1]] = np.pi * 1e30, -1e-30
    columns["event"][0], columns["small"][0] = -(1 << 62) - 1, -128
    return columns


def lists() -> ak.Array:
    """Return lists of 0 to 4 numbers an event."""
    random = np.random.default_rng(2)
    counts = random.integers(0, 5, N)
    return ak.unflatten(random.normal(size=counts.sum()), counts)


def stored(folder: Path, form: str) -> tuple[Path, bool]:
    """Write the table; return the file, and whether it holds the lists too."""
    path, columns = folder / f"events.{SUFFIX.get(form, form)}", table()
    if form in ("ttree", "rntuple"):
        data: dict[str, Any] = columns | {"p": lists()}
        with uproot.recreate(path) as file:
            if form == "rntuple":
                file["events"] = data
            else:
                kinds = {name: x.dtype for name, x in columns.items()}
                file.mktree("events", kinds | {"p": data["p"].type.content})
                file["events"].extend({n: x[:200] for n, x in data.items()})
                file["events"].extend({n: x[200:] for n, x in data.items()})
        return path, True
    if form in ("written", "parquet"):
        write(path, columns | {"p": lists()})
        return path, True
    if form == "h5":
        with h5py.File(path, "w") as file:
            for name, values in columns.items():
                file.create_dataset(name, data=values, chunks=(77,), compression="gzip")
            p = file.create_dataset("p", (N,), dtype=h5py.vlen_dtype("f8"))
            for i, row in enumerate(lists().tolist()):
                p[i] = np.array(row)
        return path, True
    rows = np.zeros(N, [(name, x.dtype) for name, x in columns.items()])
    for name, values in columns.items():
        rows[name] = values
    if form == "compound":
        with h5py.File(path, "w") as file:
            file["events"] = rows
    elif form == "fixed":
        with h5py.File(path, "w") as file:
            group = file.create_group("events")
            group["axis0"], group["axis1"] = np.array(list(columns), "S"), np.arange(N)
            for i, (name, values) in enumerate(columns.items()):
                group[f"block{i}_items"] = np.array([name], "S")
                group[f"block{i}_values"] = values[:, None]
    elif form == "npz":
        np.savez_compressed(path, **columns)
    elif form == "npy":
        np.save(path, rows)
    else:
        # Text has as many digits as a number needs among those of its own precision.
        columns["y"] = columns["y"].astype("f8")
        pa.csv.write_csv(pa.table(columns), path)
    return path, False


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_written_is_what_is_read(form: str, tmp_path: Path) -> None:
    path, ragged = stored(tmp_path, form)
    columns = table()
    texts = [*columns, *(["count(p)", "sum(p)"] if ragged else [])]
    rows = read_rows(path, texts, own=True)
    assert len(rows) == N
    assert rows.row.tolist() == list(range(N))
    for name, values in columns.items():
        np.testing.assert_array_equal(rows.columns[name], values, name)
        np.testing.assert_array_equal(rows.own[name], values, name)
    if ragged:
        assert rows.own["p"].tolist() == lists().tolist()
        assert rows.columns["count(p)"].tolist() == ak.num(lists()).tolist()
        np.testing.assert_allclose(rows.columns["sum(p)"], ak.sum(lists(), axis=1), rtol=1e-12)
    found = read_table(path, "x, y", weight="weight", event="event")
    np.testing.assert_array_equal(found.values, np.column_stack([columns["x"], columns["y"]]))
    np.testing.assert_array_equal(found.weight, columns["weight"])
    np.testing.assert_array_equal(found.event, columns["event"])
    # A selection keeps the order, and what is read is numbered by the file's own rows.
    kept = read_rows(path, ["x"], selection="flag & (label >= 0)", stop=50)
    want = np.flatnonzero(columns["flag"] & (columns["label"] >= 0))[:50]
    np.testing.assert_array_equal(kept.columns["x"], columns["x"][want])
    np.testing.assert_array_equal(kept.row, want)


def test_a_chain_of_all_formats(tmp_path: Path) -> None:
    """A list of files, in its order."""
    paths = [stored(tmp_path / form, form)[0] for form in FORMATS if not (tmp_path / form).mkdir()]
    (tmp_path / "files.txt").write_text("".join(f"{path}\n" for path in paths))
    rows = read_rows(f"@{tmp_path / 'files.txt'}", ["x", "event"])
    np.testing.assert_array_equal(rows.columns["x"], np.tile(table()["x"], len(paths)))
    np.testing.assert_array_equal(rows.columns["event"], np.tile(table()["event"], len(paths)))
    assert rows.file.tolist() == np.repeat(np.arange(len(paths)), N).tolist()
