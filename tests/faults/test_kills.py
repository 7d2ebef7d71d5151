"""Kills aimed at kept work: nothing half-written, no process left, and the same result after all.

Each command is killed when a file is seen that it goes on from later; verbs that keep nothing are
killed as soon as they begin to write.
"""

import json
import re
import shutil
import signal
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest

from colliderkit.cli import VERBS, main
from colliderkit.files import PART
from colliderkit.sources.datasets.catalogue import BENCHMARKS
from colliderkit.studies import STUDIES as KNOWN
from contracts.cases import TASK_CASES
from faults.processes import local_data_set, small_shards, small_study, stopped

KILL, INTERRUPT = signal.SIGKILL, signal.SIGINT
TAGGING = TASK_CASES["tagging"]
KEPT = "**/[pr]*.npy"  # of an unfolding
MINUTE = r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"  # in which a page was written
TESTED = {
    *("generate", "fetch", "fit", "update", "apply", "evaluate", "report", "export", "study"),
}


def done(words) -> None:
    assert main([str(word) for word in words]) == 0


def said(log: Path) -> str:
    """The one line that a command says when it is interrupted."""
    lines = [line for line in log.read_text().splitlines() if line.startswith("colliderkit: ")]
    assert "Traceback" not in log.read_text()
    assert len(lines) == 1, log.read_text()
    return lines[0]


def test_every_verb_that_writes_is_here():
    assert set(VERBS) - {"inspect", "serve"} == TESTED


@pytest.fixture(scope="module")
def jets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jets")
    TAGGING.write(folder)
    return folder


@pytest.fixture(scope="module")
def tagger(jets):
    """What was fitted undisturbed, its evaluation, and the words that fitted it."""
    words = ["fit", "tagging", *TAGGING.fit(jets), "--training.epochs", "40", "--seed", "1"]
    done([*words, "--out", jets / "tagger"])
    done(["evaluate", jets / "tagger", *TAGGING.evaluate(jets), "--out", jets / "evaluation"])
    return jets / "tagger", jets / "evaluation", words


@pytest.mark.parametrize("by", [KILL, INTERRUPT], ids=["kill", "interrupt"])
def test_fit(tagger, tmp_path, by):
    """After the first checkpoint."""
    whole, _, words = tagger
    out, log = tmp_path / "out", tmp_path / "log"
    argv = [*words, "--out", out]
    code = stopped(argv, [(tmp_path, "out.training/last.ckpt", 1)], log, by=by)
    assert code == (-by if by == KILL else 130)
    assert not out.exists()
    if by == INTERRUPT:
        assert "last.ckpt" in said(log)
        assert "resume" in said(log)
    done([*argv, "--resume"])
    assert (out / "weights.safetensors").read_bytes() == (
        whole / "weights.safetensors"
    ).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "out"]


def test_fit_unfolding_at_each_kept_iteration(tmp_path):
    """Killed again and again, each time at the next iteration that is kept."""
    case = TASK_CASES["unfolding"]
    case.write(tmp_path)
    words = ["fit", "unfolding", *case.fit(tmp_path), *case.methods["omnifold"]]
    words += ["--iterations", "3", "--bootstraps", "0"]
    done([*words, "--out", tmp_path / "whole"])
    out, work, log = tmp_path / "out", tmp_path / "out.training", tmp_path / "log"
    kept, kills = 0, 0
    while not out.exists():
        resume = ["--resume"] if work.exists() else []
        code = stopped([*words, "--out", out, *resume], [(work, KEPT, kept + 1)], log)
        assert code == (0 if out.exists() else -KILL), log.read_text()
        now = len(list(work.glob(KEPT)))
        assert now > kept or out.exists()
        kept, kills = now, kills + 1
    assert kills >= 3
    with h5py.File(out / "unfolded.h5") as ours, h5py.File(tmp_path / "whole/unfolded.h5") as whole:
        compared = []
        ours.visititems(
            lambda name, item: compared.append(
                not isinstance(item, h5py.Dataset) or np.array_equal(item[()], whole[name][()])
            )
        )
    assert len(compared) > 2
    assert all(compared)


def test_generate(tmp_path, monkeypatch):
    """After the first shard."""
    pytest.importorskip("pythia8mc")
    pytest.importorskip("fastjet")
    from colliderkit.sources.pythia import shards

    monkeypatch.setitem(shards.generate.__kwdefaults__, "shard", 10)
    words = ["generate", "w", "60", "--seed", "3", "--out"]
    done([*words, tmp_path / "whole.parquet"])
    out, log = tmp_path / "out.parquet", tmp_path / "log"
    shard_files = "out.parquet.shards/[!.]*.parquet"
    seen = [(tmp_path, shard_files, 1)]
    assert stopped([*words, out], seen, log, prepare=small_shards) == -KILL
    assert not out.exists()
    written = {p: p.stat().st_mtime_ns for p in tmp_path.glob(shard_files)}
    assert 1 <= len(written) < 6
    seen = [(tmp_path, shard_files, len(written) + 1)]
    assert stopped([*words, out], seen, log, by=INTERRUPT, prepare=small_shards) == 130
    assert "shards are kept in" in said(log)
    assert all(path.stat().st_mtime_ns == when for path, when in written.items())
    done([*words, out])
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "out.parquet", "whole.parquet"]


@pytest.fixture
def server():
    """Two files at an address; of the second one half comes until it `goes_on`."""
    content = {"a.h5": bytes(range(256)) * 64, "b.h5": bytes(range(255, -1, -1)) * 64}
    goes_on, asked = threading.Event(), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.rpartition("/")[2].partition("?")[0]
            asked.append(name)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content[name])))
            self.end_headers()
            half = len(content[name]) // 2
            self.wfile.write(content[name][:half])
            if name == "b.h5":
                self.wfile.flush()
                goes_on.wait(60)
            self.wfile.write(content[name][half:])

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        web.daemon_threads = True
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{web.server_port}", content, goes_on, asked
        goes_on.set()
        web.shutdown()


@pytest.mark.parametrize("by", [KILL, INTERRUPT], ids=["kill", "interrupt"])
def test_fetch(tmp_path, server, by, monkeypatch):
    """In the middle of the second file: the first is kept."""
    monkeypatch.setitem(BENCHMARKS, "local", None)
    host, content, goes_on, asked = server
    out, log = tmp_path / "out", tmp_path / "log"
    words = ["fetch", "local", "--out", out]

    seen = [(out, f".b{PART}*", 1)]
    code = stopped(words, seen, log, by=by, prepare=partial(local_data_set, host))
    assert code == (-by if by == KILL else 130)
    if by == INTERRUPT:
        assert "interrupted" in said(log)
    assert [path.name for path in out.glob("[!.]*")] == ["a.h5"]
    goes_on.set()
    local_data_set(host)
    done(words)
    assert asked == ["a.h5", "b.h5", "b.h5"]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == content


@pytest.fixture(scope="module")
def trigger(tmp_path_factory):
    """A folder of a small trigger, and one of its files."""
    folder, case = tmp_path_factory.mktemp("trigger"), TASK_CASES["trigger"]
    case.write(folder)
    done(["fit", "trigger", *case.fit(folder), "--out", folder / "model"])
    return folder / "model", folder


def verbs(tagger, trigger, jets, out):
    """Yield for verbs that keep nothing: words, the file they write, and files of an equal run."""
    model, evaluation, _ = tagger
    newest = TASK_CASES["trigger"].update(trigger[1])
    return {
        "update": (["update", trigger[0], *newest, "--out", out], out),
        "apply": (["apply", model, *TAGGING.apply(jets), "--out", out], out),
        "evaluate": (["evaluate", model, *TAGGING.evaluate(jets), "--out", out], out),
        "report": (["report", evaluation], evaluation / "report.html"),
        "export": (["export", model, *TAGGING.export(jets), "--out", out], out),
    }


@pytest.mark.parametrize("verb", ["update", "apply", "evaluate", "report", "export"])
def test_verbs_that_keep_nothing(tagger, trigger, jets, tmp_path, verb):
    """Killed when they begin, and when they begin to write."""
    suffix = {"apply": ".parquet", "export": ".onnx"}.get(verb, "")
    log = tmp_path / "log"
    whole_words, whole = verbs(tagger, trigger, jets, tmp_path / f"whole{suffix}")[verb]
    done(whole_words)
    if verb == "report":
        shutil.rmtree(whole.parent / "figures")
        whole = whole.rename(tmp_path / "whole.html")
    words, out = verbs(tagger, trigger, jets, tmp_path / f"out{suffix}")[verb]

    begins = [(out.parent, f".{out.name}.lock", 1)]
    writes = [(out.parent, f".{out.stem}{PART}*", 1), (out, f"{PART}*", 1)]
    for seen in (begins, writes):
        stopped(words, seen, log)
        if finished(out):  # the kill came too late
            assert same(out, whole)
            break
        assert not out.exists() or not any(out.glob("[!.]*"))
    if not finished(out):
        done(words)
    assert same(out, whole)
    assert not any(out.parent.glob(f".{out.stem}*"))
    assert not out.is_dir() or not any(out.glob(".*"))


def finished(out: Path) -> bool:
    written = ("results.json", "weights.safetensors")  # of an evaluation, and of a model
    return any((out / name).exists() for name in written) if out.suffix == "" else out.exists()


def same(one: Path, other: Path) -> bool:
    """Whether two results are the same, bit for bit, but for the names in them."""
    if one.suffix == ".html":  # its words and numbers: a picture has names drawn at random
        pages = [path.read_text(encoding="utf-8") for path in (one, other)]
        words = [
            re.sub(rf"(?s)data:image[^\"')]*|<svg.*?</svg>|{MINUTE}", "", page) for page in pages
        ]
        return words[0] == words[1]
    if not one.is_dir():
        return one.read_bytes() == other.read_bytes()
    if (one / "weights.safetensors").exists():
        weights = [(path / "weights.safetensors").read_bytes() for path in (one, other)]
        return weights[0] == weights[1]
    rows = [json.loads((path / "results.json").read_text())["rows"] for path in (one, other)]
    names = [sorted(path.name for path in folder.iterdir()) for folder in (one, other)]
    events = [(path / "events.parquet").read_bytes() for path in (one, other)]
    return rows[0] == rows[1] and names[0] == names[1] and events[0] == events[1]


# What is smaller than in the smoke scale, and what is kept first.
STUDIES = {
    "w-tagging": ({}, "steps/*.npz"),
    "unfolding": ({"simulation": 300, "nature": 200}, "models/multifold/**/push-*.npy"),
    "fast-calo-slices": ({"train": 200, "test": 100}, "models/*/method.json"),
}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_of_each_kind(name, tmp_path, monkeypatch):
    """Tagging, unfolding and surrogate: after the first thing that is kept."""
    (changes, kept), scales = STUDIES[name], KNOWN.load(name).scales
    monkeypatch.setitem(scales, "smoke", scales["smoke"])  # which is smaller in this test alone
    small_study(name, changes)
    words = ["study", name, "--scale", "smoke", "--out"]
    out, log = tmp_path / "out", tmp_path / "log"
    prepare = partial(small_study, name, changes)
    code = stopped([*words, out], [(out, kept, 1)], log, prepare=prepare)
    assert code == -KILL
    assert not (out / "report.html").exists()
    assert not (out / "results.json").exists()
    before = {path: path.stat().st_mtime_ns for path in out.glob(kept)}
    done([*words, out])
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    if (out / "data").exists():  # making events again is what test_generate does
        shutil.copytree(out / "data", tmp_path / "whole" / "data")
    done([*words, tmp_path / "whole"])
    ours, theirs = (
        json.loads((tmp_path / run / "results.json").read_text())["rows"]
        for run in ("out", "whole")
    )
    assert ours == theirs


def test_an_interrupted_study(tmp_path):
    words = ["study", "fast-calo-slices", "--scale", "smoke", "--out", tmp_path / "out"]
    log = tmp_path / "log"
    assert stopped(words, [(tmp_path, "out/study.json", 1)], log, by=INTERRUPT) == 130
    assert "kept" in said(log)
