"""Sharded generation: the same bits on any number of workers and after any interruption."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import awkward as ak
import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.schema import check_jets
from colliderkit.sources.pythia import jets as pythia
from colliderkit.sources.pythia import shards
from colliderkit.sources.pythia.shards import generate


def pretend(process, count, *, seed, shard, detector, pileup, settings, parameters, progress):
    """Stand in for Pythia: jets that say what they were asked for."""
    random = np.random.default_rng([len(process), seed, shard])
    lengths = random.integers(1, 9, count)
    columns = {name: random.normal(size=lengths.sum()) for name in ("px", "py", "pz", "E")}
    constituents = ak.values_astype(ak.unflatten(ak.zip(columns), lengths), np.float32)
    columns = {"constituents": constituents, "jet_pt": random.random(count, dtype=np.float32)}
    event = pythia.event_numbers(seed, shard, 0, count)
    progress and progress(count)
    return ak.zip({**columns, "event": event}, depth_limit=1)


PLAIN = {"detector": False, "pileup": 0.0, "settings": (), "parameters": {}}


class Listed(list):
    """A list with the options of each call."""

    asked: list


@pytest.fixture
def pretended(monkeypatch):
    """Make shards without Pythia, listing what was made."""
    made, asked = Listed(), []
    made.asked = asked

    def listed(process, count, **options):
        made.append((process, options["shard"], count))
        asked.append(options)
        return pretend(process, count, **options)

    monkeypatch.setattr(shards, "jets", listed)
    monkeypatch.setattr(shards, "pairs", listed)
    monkeypatch.setattr(shards, "imported", lambda name: None)
    monkeypatch.setattr(shards.Tune, "check", lambda self, process: None)
    return made


def test_each_class_has_exactly_its_count(pretended, tmp_path):
    path = generate("top-qcd", 25, tmp_path / "out.parquet", shard=10, progress=False)
    whole = ak.from_parquet(path)
    check_jets(whole, "out")
    assert np.bincount(whole.label).tolist() == [25, 25]
    assert str(whole.label.type) == str(whole.event.type) == "50 * int64"
    assert str(whole.constituents.px.type) == "50 * var * float32"
    assert len(np.unique(whole.event)) == 50
    assert sorted(pretended) == sorted(
        (name, number, size) for name in ("top", "qcd") for number, size in enumerate((10, 10, 5))
    )
    # Nothing is left beside the file.
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.parquet"]


def test_classes_are_mixed_within_each_group_of_shards(pretended, tmp_path):
    path = generate("flavour", 200, tmp_path / "out.parquet", shard=100, progress=False)
    label = np.asarray(ak.from_parquet(path).label)
    for half in (label[:300], label[300:]):
        assert np.bincount(half).tolist() == [100, 100, 100]
        # In 300 shuffled jets of three classes a neighbour is of another class 200 times, +-9.
        assert np.sum(half[1:] != half[:-1]) == pytest.approx(200, abs=35)


def test_every_jet_arrives_unchanged(pretended, tmp_path):
    path = generate([("top", 4)], 30, tmp_path / "out.parquet", seed=3, shard=20, progress=False)
    whole = ak.from_parquet(path)
    assert set(whole.label.tolist()) == {4}
    parts = [
        pretend("top", n, seed=3, shard=k, **PLAIN, progress=None) for k, n in ((0, 20), (1, 10))
    ]
    expected = ak.concatenate(parts)
    whole, expected = (jets[ak.argsort(jets.event)] for jets in (whole, expected))
    for name in ("constituents", "jet_pt", "event"):
        assert whole[name].tolist() == expected[name].tolist()


def test_a_lone_process_has_no_label(pretended, tmp_path):
    path = generate("top", 5, tmp_path / "out.parquet", progress=False)
    assert "label" not in ak.from_parquet(path).fields


def test_an_interrupted_run_goes_on_where_it_was(pretended, tmp_path, monkeypatch, capsys):
    whole = generate("top-qcd", 50, tmp_path / "whole.parquet", shard=10, progress=False)
    expected = whole.read_bytes()
    finished = shards.jets

    def interrupted(process, count, **options):
        if len(pretended) == 4:
            raise KeyboardInterrupt
        return finished(process, count, **options)

    pretended.clear()
    path = tmp_path / "out.parquet"
    monkeypatch.setattr(shards, "jets", interrupted)
    sentence = r"4 of 10 shards are kept in .*; give the same command again"
    with pytest.raises(KeyboardInterrupt, match=sentence):
        generate("top-qcd", 50, path, shard=10, progress=False)
    assert not capsys.readouterr().err
    assert not path.exists()
    monkeypatch.setattr(shards, "jets", finished)
    pretended.clear()
    generate("top-qcd", 50, path, shard=10, progress=False)
    assert len(pretended) == 6
    assert path.read_bytes() == expected
    assert not path.with_name("out.parquet.shards").exists()


def test_shards_of_an_older_format_are_not_mixed_in(pretended, tmp_path, monkeypatch):
    path = tmp_path / "out.parquet"
    with monkeypatch.context() as patch:
        patch.setattr(shards, "FORMAT", 1)
        patch.setattr(shards, "merge", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            generate("top-qcd", 20, path, shard=10, seed=1, progress=False)
    with pytest.raises(InputError, match="holds shards of another request"):
        generate("top-qcd", 20, path, shard=10, seed=1, progress=False)


def test_shards_of_another_request_are_not_reused(pretended, tmp_path, monkeypatch):
    path = tmp_path / "out.parquet"
    folder = tmp_path / "out.parquet.shards"
    with monkeypatch.context() as patch:
        patch.setattr(shards, "merge", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            generate("top-qcd", 20, path, shard=10, seed=1, progress=False)
    request = json.loads((folder / "request.json").read_text())
    assert request["seed"] == 1
    assert request["classes"] == [["qcd", 0], ["top", 1]]
    assert "pythia8mc" in request["versions"]
    kept = len(pretended)
    with pytest.raises(InputError, match=r"out\.parquet\.shards: holds shards of another request"):
        generate("top-qcd", 20, path, shard=10, seed=2, progress=False)
    assert len(list(folder.glob("*.parquet"))) == 4
    generate("top-qcd", 20, path, shard=10, seed=2, progress=False, force=True)
    assert len(pretended) == kept + 4
    assert path.exists()


def test_the_tune_is_part_of_the_request(pretended, tmp_path, monkeypatch):
    path = tmp_path / "out.parquet"
    tune = {"settings": "StringZ:aLund = 0.9", "parameters": {"alphaS": (0.1, 0.2)}}
    with monkeypatch.context() as patch:
        patch.setattr(shards, "merge", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            generate("ee-dijets", 20, path, shard=10, progress=False, **tune)
    assert pretended.asked[0]["settings"] == ("StringZ:aLund = 0.9",)
    assert pretended.asked[0]["parameters"] == {"alphaS": (0.1, 0.2)}
    made = len(pretended)
    for other in (
        {},
        {"settings": tune["settings"]},
        {**tune, "parameters": {"alphaS": (0.1, 0.18)}},
        {**tune, "paired": True},
    ):
        with pytest.raises(InputError, match="holds shards of another request"):
            generate("ee-dijets", 20, path, shard=10, progress=False, **other)
    generate("ee-dijets", 20, path, shard=10, progress=False, **tune)
    assert len(pretended) == made


def test_pairs_pass_the_detector(pretended, tmp_path):
    generate("z-jets", 5, tmp_path / "out.parquet", progress=False, paired=True)
    assert pretended.asked[0]["detector"] is True


def test_an_existing_output_stays(pretended, tmp_path):
    path = tmp_path / "out.parquet"
    path.write_text("mine")
    with pytest.raises(InputError, match=r"out\.parquet: exists already"):
        generate("top", 5, path, progress=False)
    assert path.read_text() == "mine"
    assert pretended == []
    generate("top", 5, path, progress=False, force=True)
    assert len(ak.from_parquet(path)) == 5


def test_what_cannot_be_generated_is_refused_before_any_work(pretended, tmp_path):
    path = tmp_path / "out.parquet"
    for arguments, options, message in (
        (("higgs", 5), {}, "process 'higgs' is unknown"),
        (("top", 0), {}, "count is 0; it must be at least 1"),
        (("minimum-bias", 5), {}, "'minimum-bias' has no jets"),
        (([("top", 0), ("top", 1)], 5), {}, "each once"),
        (([], 5), {}, "give one or more"),
        (("top", 5), {"seed": -3}, "seed is -3"),
        (("top", 5), {"pileup": -1.0}, "pileup is -1.0"),
        (("top", 5), {"workers": 0}, "workers is 0"),
        (("top", 5), {"shard": 0}, "shard is 0"),
        (("top", 5), {"settings": "fast"}, "setting 'fast'"),
        (("top", 5), {"parameters": {"mass": (1, 2)}}, "parameter 'mass' is none of"),
        (("top", 5), {"paired": True}, "'top' keeps jets by their origin"),
    ):
        with pytest.raises(InputError, match=message):
            generate(*arguments, path, progress=False, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    pythia.imported.cache_clear()
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    with pytest.raises(InputError, match=r"run: pip install 'colliderkit\[generate\]'"):
        generate("top", 5, tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


def test_dask_gives_the_same_file(pretended, tmp_path):
    distributed = pytest.importorskip("distributed")
    expected = generate("top-qcd", 30, tmp_path / "one.parquet", shard=10, progress=False)
    options = {"processes": False, "n_workers": 1, "threads_per_worker": 2}
    with distributed.LocalCluster(
        **options, dashboard_address=None, protocol="inproc://"
    ) as cluster:
        path = generate(
            "top-qcd",
            30,
            tmp_path / "two.parquet",
            shard=10,
            dask=cluster.scheduler_address,
            progress=False,
        )
    assert path.read_bytes() == expected.read_bytes()


def test_a_silent_scheduler_is_named(pretended, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match=r"no scheduler answers at tcp://127\.0\.0\.1:1"):
        generate("top", 5, tmp_path / "out.parquet", dask="tcp://127.0.0.1:1", progress=False)


SCRIPT = """
from colliderkit.sources.pythia.shards import generate
if __name__ == "__main__":
    generate("top-qcd", 40, {path!r}, seed=7, shard=10, workers={workers}, progress=False)
"""


def started(folder, path, workers):
    """Run the generation as a user's script, in a process group of its own."""
    script = folder / f"run{workers}.py"
    script.write_text(SCRIPT.format(path=str(path), workers=workers))
    return subprocess.Popen(
        [sys.executable, script], stderr=subprocess.PIPE, start_new_session=True
    )


def alive(group):
    """Return whether any process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.generate
@pytest.mark.slow
def test_workers_kills_and_interrupts_change_no_bit(tmp_path):
    """One worker, two workers, a SIGKILL and a Ctrl-C on the way: the same file."""
    one = generate("top-qcd", 40, tmp_path / "one.parquet", seed=7, shard=10, progress=False)
    two = tmp_path / "two.parquet"
    shard_files = tmp_path / "two.parquet.shards"

    def until(number, process):
        while len(list(shard_files.glob("*.parquet"))) < number:
            assert process.poll() is None
            time.sleep(0.02)

    process = started(tmp_path, two, 2)
    until(1, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    # The workers do not outlive it.
    for _ in range(1000):
        if not alive(process.pid):
            break
        time.sleep(0.02)
    assert not alive(process.pid)
    assert not two.exists()
    kept = {path: path.stat().st_mtime_ns for path in shard_files.glob("[!.]*.parquet")}
    assert 1 <= len(kept) < 8
    process = started(tmp_path, two, 2)
    until(len(kept) + 1, process)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert b"shards are kept in" in said
    assert process.returncode != 0
    assert not two.exists()
    process = started(tmp_path, two, 1)
    for path, written in kept.items():
        assert path.stat().st_mtime_ns == written
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert two.read_bytes() == one.read_bytes()
    assert not shard_files.exists()


def test_a_killed_worker_is_told_of(pretended, tmp_path, monkeypatch):
    @contextmanager
    def broken(workers, dask):
        raise BrokenProcessPool
        yield

    monkeypatch.setattr(shards, "executor", broken)
    with pytest.raises(InputError, match=r"a worker was killed.*0 of 1 shards are kept in"):
        generate("top", 5, tmp_path / "out.parquet", workers=2, progress=False)
