"""Two runs that would write the same: at each verb the second is refused, whatever its options."""

import json
import os
from pathlib import Path

import pytest

from colliderkit.cli import VERBS, main
from colliderkit.files import PART, alone
from colliderkit.methods import METHODS
from colliderkit.methods.method import FORMAT
from colliderkit.tasks import TASKS
from contracts.cases import TASK_CASES

NOTE = {"format": FORMAT, "parameters": {}, "fitted": {}, "sha256": ""}


def commands():
    """List (words, what they would write, options that do not help either)."""
    found = []
    for name in TASKS:
        task, case = TASKS.load(name), TASK_CASES[name]
        if hasattr(task, "read"):
            found.append((["fit", name, *case.fit(ABSENT)], "out", ("--resume", "--force")))
        # In one order: the workers of a test run collect apart, and a set has none.
        for verb in sorted({"apply", "evaluate", "export"} & set(task.offers())):
            fitted = bool(task.methods) and "method" in getattr(task, verb).__annotations__
            words = [verb, task.methods[0] if fitted else name, *getattr(case, verb)(ABSENT)]
            found.append((words, "out", ("--force",)))
        if hasattr(task, "page"):
            found.append((["report", f"evaluation-{name}"], None, ("--force",)))
    found += [
        (["generate", "w", "3"], "out.parquet", ("--force",)),
        (["generate", "photons-368", "3"], "out.hdf5", ("--force",)),
        (["generate", "photons-368", "3", "--simulation", "gflash"], "out.hdf5", ("--force",)),
        (["fetch", "top-tagging"], "out/train.h5", ()),
        (["study", "w-tagging", "--scale", "smoke"], "out", ("--force",)),
    ]
    return found


class Absent:
    def __truediv__(self, name):
        return f"absent/{name}"


ABSENT = Absent()
COMMANDS = commands()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Descriptions of every method and evaluation, as far as a verb reads them before it begins."""
    for name in METHODS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "method.json").write_text(json.dumps(NOTE | {"method": name}))
    for name in TASKS:
        task = TASKS.load(name)
        (tmp_path / f"evaluation-{name}").mkdir()
        note = {
            "task": name,
            "model": task.methods[0] if task.methods else None,
            "configuration": "",
            "command": "",
        }
        (tmp_path / f"evaluation-{name}" / "results.json").write_text(json.dumps(note))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_verb_that_writes_is_here():
    assert {words[0] for words, _, _ in COMMANDS} == set(VERBS) - {"inspect", "serve"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: " ".join(map(str, c[0][:2])))
def test_the_second_is_refused(command, folder, capsys):
    words, target, further = command
    out = folder / target if target else Path(words[1], "report.html")
    given = [] if target is None else ["--out", out.parent if words[0] == "fetch" else out]
    with alone(out):
        before = sorted(folder.rglob("*"))
        for more in ((), further):
            assert main([str(word) for word in (*words, *given, *more)]) == 2, more
            said = capsys.readouterr().err.strip().splitlines()
            assert len(said) == 1
            assert f"{out}: process {os.getpid()} is making it" in said[0], said
        assert sorted(folder.rglob("*")) == before


def test_what_a_kill_left_half_written_goes_with_the_next_run(tmp_path):
    """The parts of a file, of a folder and inside one; those of other paths stay."""
    for path in ("run.h5", "run"):
        out = tmp_path / path
        left = [tmp_path / f".run{PART}77.h5", tmp_path / f".run.h5{PART}x", tmp_path / "run"]
        left = left[:2] if path == "run.h5" else [tmp_path / f".run{PART}x", out / f"{PART}x"]
        other = [tmp_path / f".other{PART}7.h5", tmp_path / f".run{PART}7.root"]
        for part in [*left, *other]:
            part.mkdir(parents=True, exist_ok=True)
        with alone(out):
            assert not any(part.exists() for part in left)
            assert all(part.exists() for part in other)
