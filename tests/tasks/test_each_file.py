"""A method applied to each of many files: whole or absent, resumed, of one request."""

import json
import os
from functools import partial
from pathlib import Path

import pytest

from colliderkit.errors import InputError
from colliderkit.tasks.each_file import destinations, each_file


def doubled(files, out, force, note=None):
    """Write a file twice; what begins with "bad" cannot be read. Notes who did it."""
    text = Path(files).read_text()
    if text.startswith("bad"):
        raise InputError(f"{files}: is bad.")
    if text.startswith("stop"):
        raise KeyboardInterrupt
    if note is not None:
        with open(note, "a") as log:
            log.write(f"{Path(files).name} {os.getpid()}\n")
    Path(out).write_text(text * 2)


@pytest.fixture
def farm(tmp_path):
    """Three files, a fitted method of sorts, and how to apply it to the files."""
    (tmp_path / "in").mkdir()
    for name in ("a.root", "b.h5", "c.parquet"):
        (tmp_path / "in" / name).write_text(name)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "method.json").write_text("{}")
    options = {"model": tmp_path / "model", "task": "tagging", "options": {"score": "s"}}
    return partial(each_file, files=str(tmp_path / "in" / "*"), out=tmp_path / "out", **options)


def done(folder, note) -> set[str]:
    """Return the files that were worked on since the last look."""
    lines = note.read_text().splitlines() if note.exists() else []
    note.unlink(missing_ok=True)
    return {line.split()[0] for line in lines}


def test_each_file_has_one_of_its_own(farm, tmp_path):
    note = tmp_path / "note"
    assert farm(partial(doubled, note=note)) == "3 files"
    # Jets of HDF5 are written as Parquet, which the task writes.
    made = {path.name: path.read_text() for path in (tmp_path / "out").glob("*.[pr]*")}
    expected = {"a.root": "a.roota.root", "b.parquet": "b.h5b.h5"}
    assert made == {**expected, "c.parquet": "c.parquetc.parquet"}
    assert len(done(tmp_path, note)) == 3
    farm(partial(doubled, note=note))
    assert done(tmp_path, note) == set()
    # More files, one that has changed, and one whose output is gone.
    (tmp_path / "in" / "d.root").write_text("d")
    os.utime(tmp_path / "in" / "a.root", (2e9, 2e9))
    (tmp_path / "out" / "c.parquet").unlink()
    assert farm(partial(doubled, note=note)) == "3 files, 4 in all"
    assert done(tmp_path, note) == {"a.root", "c.parquet", "d.root"}


def test_a_run_that_is_stopped_goes_on(farm, tmp_path):
    note = tmp_path / "note"
    (tmp_path / "in" / "b.h5").write_text("stop")
    with pytest.raises(KeyboardInterrupt, match=r"1 of 3 files are in .*; give the same command"):
        farm(partial(doubled, note=note))
    (tmp_path / "out" / ".c.part-1.parquet").write_text("of a process that was killed")
    (tmp_path / "in" / "b.h5").write_text("b")
    done(tmp_path, note)
    farm(partial(doubled, note=note))
    assert done(tmp_path, note) == {"b.h5", "c.parquet"}
    assert not list((tmp_path / "out").glob(".*"))


def test_a_bad_file_stops_no_other(farm, tmp_path):
    (tmp_path / "in" / "a.root").write_text("bad")
    with pytest.raises(InputError, match=r"a.root: is bad \(1 of 3 files failed; 2 of 3 files are"):
        farm(doubled)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "request.json", "b.parquet", "c.parquet"
    }  # fmt: skip
    (tmp_path / "in" / "a.root").write_text("good")
    assert farm(doubled) == "1 files, 3 in all"


def test_a_folder_is_of_one_request(farm, tmp_path):
    farm(doubled)
    for change in ({"options": {"score": "other"}}, {"task": "ratio"}):
        with pytest.raises(InputError, match="holds files of another request"):
            farm(doubled, **change)
    (tmp_path / "model" / "method.json").write_text(json.dumps({"weights": 1}))
    with pytest.raises(InputError, match="holds files of another request"):
        farm(doubled)
    assert farm(doubled, force=True) == "3 files"


def test_two_files_of_one_name_are_refused(farm, tmp_path):
    (tmp_path / "in" / "a.parquet").write_text("a")
    (tmp_path / "in" / "b.parquet").write_text("b")
    with pytest.raises(InputError, match=r"would both be written to .*b.parquet"):
        farm(doubled)
    assert not (tmp_path / "out").exists()
    paths = [tmp_path / "in" / "x.hdf5", tmp_path / "in" / "y.root"]
    written = destinations(paths, tmp_path, (".hdf5", ".h5"))
    assert [path.name for path in written.values()] == ["x.hdf5", "y.hdf5"]


@pytest.mark.slow
def test_on_processes(farm, tmp_path):
    note = tmp_path / "note"
    assert farm(partial(doubled, note=note), workers=2) == "3 files"
    workers = {line.split()[1] for line in note.read_text().splitlines()}
    assert str(os.getpid()) not in workers


@pytest.mark.slow
def test_on_dask(farm, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        assert farm(doubled, dask=cluster.scheduler_address) == "3 files"
    with pytest.raises(InputError, match="no scheduler answers"):
        farm(doubled, dask="tcp://127.0.0.1:9", force=True)
