import resource
from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colliderkit.errors import InputError
from colliderkit.events.ragged import Ragged
from colliderkit.sources import iterate, read, write

FOUR = ("px", "py", "pz", "E")


def random_jets(n: int, seed: int = 0) -> ak.Array:
    random = np.random.default_rng(seed)
    counts = random.integers(0, 12, n)
    pt = ak.flatten(
        ak.sort(ak.unflatten(random.exponential(20, counts.sum()), counts), ascending=False)
    )
    pt = ak.to_numpy(pt)
    phi, eta = random.uniform(-3, 3, len(pt)), random.normal(0, 1, len(pt))
    four = {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(eta)}
    four["E"] = pt * np.cosh(eta)
    particles = ak.zip({name: x.astype(np.float32) for name, x in four.items()})
    particles["pid"] = random.integers(-300, 300, len(pt)).astype(np.int32)
    return ak.Array(
        {
            "constituents": ak.unflatten(particles, counts),
            "jet_pt": random.uniform(500, 600, n).astype(np.float32),
            "jet_eta": random.normal(0, 1, n).astype(np.float32),
            "jet_phi": random.uniform(-3, 3, n).astype(np.float32),
            "jet_mass": random.uniform(0, 200, n).astype(np.float32),
            "label": random.integers(0, 2, n),
            "weight": random.normal(1, 1, n),
            "event": np.arange(n) * 3,
        }
    )


def assert_same(a: ak.Array, b: ak.Array) -> None:
    assert set(a.fields) == set(b.fields)
    for name in a.fields:
        assert ak.array_equal(a[name], b[name], check_parameters=False), name


def test_what_is_written_is_read(tmp_path: Path) -> None:
    jets = random_jets(200)
    write(tmp_path / "a.parquet", jets)
    assert_same(read(tmp_path / "a.parquet"), jets)
    # ... and what awkward writes by itself, in its own extension types or without.
    for i, extension in enumerate((True, False)):
        ak.to_parquet(jets, tmp_path / f"b{i}.parquet", extensionarray=extension)
        assert_same(read(tmp_path / f"b{i}.parquet"), jets)


@given(
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(1, 40),
    st.integers(3, 40),
)
@settings(max_examples=30, deadline=None)
def test_any_range_in_any_chunks(tmp_path_factory, low, length, chunk, group) -> None:
    jets = random_jets(60)
    path = tmp_path_factory.mktemp("ranges") / "jets.parquet"
    ak.to_parquet(jets, path, row_group_size=group)
    high = min(low + length, 60)
    if low >= high:
        with pytest.raises(InputError, match="holds no jets"):
            read(path, start=low, stop=high)
        return
    assert_same(read(path, start=low, stop=high), jets[low:high])
    parts = list(iterate(path, start=low, stop=high, chunk=chunk))
    assert max(len(part) for part in parts) <= chunk
    assert_same(ak.concatenate(parts), jets[low:high])


def test_flat_columns_feed_the_network_without_copies(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", random_jets(50))
    found = read(tmp_path / "a.parquet")
    ragged = Ragged.from_awkward(found.constituents, FOUR)
    assert len(ragged) == 50
    np.testing.assert_array_equal(
        ragged.values[:, 3], ak.to_numpy(ak.flatten(found.constituents.E))
    )
    assert found.constituents.layout.is_list
    assert found.constituents.layout.offsets[0] == 0


def test_a_list_of_names_prunes_columns(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", random_jets(5))
    found = read(tmp_path / "a.parquet", columns=["label"])
    assert found.constituents.fields == list(FOUR)
    with pytest.raises(InputError, match=r"no column 'constituents.pidd'; did you mean"):
        read(tmp_path / "a.parquet", columns=["constituents.pidd"])


def test_lists_of_numbers_and_nulls(tmp_path: Path) -> None:
    table = pa.table(
        {
            "x": pa.array([[2.0, 1.0], [], [3.0]]),
            "w": pa.array([1.0, None, 2.0]),
            "k": pa.array([1, None, 2]),
            "fixed": pa.array([[1.0, 2.0]] * 3, pa.list_(pa.float64(), 2)),
            "name": ["a", "b", "c"],
        }
    )
    path = tmp_path / "lists.parquet"
    pq.write_table(table, path)
    four = {f"constituents.{name}": "x" for name in FOUR}
    found = read(path, columns=four)
    assert found.constituents.px.tolist() == [[2, 1], [], [3]]
    assert found.event.tolist() == [0, 1, 2]
    for column in ("w", "k"):
        with pytest.raises(InputError, match=r"column 'weight' is NaN or infinite in event 1"):
            read(path, columns={**four, "weight": column})
    assert read(path, columns={**four, "n": "sum(fixed)"}).n.tolist() == [3, 3, 3]
    with pytest.raises(InputError, match=r"column 'name' is of type string, not numbers"):
        read(path, columns={**four, "label": "name"})
    with pytest.raises(InputError, match=r"'weight' \(x\) gives a number a particle"):
        read(path, columns={**four, "weight": "x"})


def test_broken_files(tmp_path: Path) -> None:
    path = tmp_path / "jets.parquet"
    write(path, random_jets(500))
    whole = path.read_bytes()
    for part in (0.2, 0.9):
        short = tmp_path / f"short{part}.parquet"
        short.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(InputError, match=r"short.*parquet: cannot be read as Parquet.*trunc"):
            read(short)
    (tmp_path / "text.parquet").write_text("no Parquet in here")
    with pytest.raises(InputError, match=r"text.parquet: cannot be read as Parquet"):
        read(tmp_path / "text.parquet")
    holed = bytearray(whole)
    holed[100 : len(whole) // 2] = bytes(len(whole) // 2 - 100)
    (tmp_path / "holed.parquet").write_bytes(bytes(holed))
    with pytest.raises(InputError, match=r"holed.parquet: "):
        read(tmp_path / "holed.parquet")
    (tmp_path / "empty.parquet").touch()
    with pytest.raises(InputError, match=r"empty.parquet: the file is empty"):
        read(tmp_path / "empty.parquet")


def test_a_file_without_jets(tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    ak.to_parquet(random_jets(3)[:0], path)
    with pytest.raises(InputError, match=r"none.parquet: holds no jets"):
        read(path)
    with pytest.raises(InputError, match=r"none.parquet: holds no jets"):
        list(iterate(path))


def test_writing_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    with pytest.raises(InputError, match="there are no rows to write"):
        write(path, {"x": np.zeros(0)})
    with pytest.raises(InputError, match="different lengths"):
        write(path, {"x": np.zeros(2), "y": np.zeros(3)})
    with pytest.raises(InputError, match=r"a.csv: cannot write '.csv'; choose .parquet or .root"):
        write(tmp_path / "a.csv", {"x": np.zeros(2)})

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ak, "to_parquet", full)
        with pytest.raises(InputError, match=r"a.parquet: the disk is full"):
            write(path, {"x": np.zeros(2)})
    assert list(tmp_path.iterdir()) == []
    write(path, {"x": np.arange(2), "name": ["a", "b"]})  # a flat table, text and all
    assert pq.read_table(path).to_pydict() == {"x": [0, 1], "name": ["a", "b"]}
    with pytest.raises(InputError, match=r"a.parquet: exists already"):
        write(path, {"x": np.zeros(2)})


@pytest.mark.slow
def test_streaming_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    jets = random_jets(20_000)
    small, large = tmp_path / "small.parquet", tmp_path / "large.parquet"
    write(small, jets)
    ak.to_parquet(ak.concatenate([jets] * 20), large, row_group_size=20_000)
    assert sum(len(part) for part in iterate(small, chunk=5_000)) == 20_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(len(part) for part in iterate(large, chunk=5_000)) == 400_000
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 60  # MB; the file holds 60 MB of particles, mapped pages included
