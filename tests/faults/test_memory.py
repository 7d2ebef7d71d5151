"""Requests that are legal and larger than any machine: refused by one sentence, in little time."""

import inspect
import resource
import time

import numpy as np
import pytest

from colliderkit import memory
from colliderkit.cli import main
from colliderkit.methods import METHODS
from colliderkit.tasks import TASKS
from contracts.cases import TASK_CASES

FREE = 1_000_000_000  # bytes, as if the machine had no more
WIDE = "[1000000, 1000000]"  # 10^12 weights


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folders = {}

    def of(task):
        if task not in folders:
            folders[task] = tmp_path_factory.mktemp(task)
            TASK_CASES[task].write(folders[task])
        return folders[task]

    return of


def taking(option):
    """List (task, method) whose fit takes an option."""
    return [
        (name, method)
        for name in TASKS
        if hasattr(TASKS.load(name), "read")
        for method in TASKS.load(name).methods
        if option in inspect.signature(METHODS.load(method)).parameters
    ]


def refused(capsys, monkeypatch, tmp_path, folder, task, method, *words) -> str:
    monkeypatch.setattr(memory, "free", lambda: FREE)
    monkeypatch.setattr(memory, "RESERVED", 0)
    case = TASK_CASES[task]
    own = [str(word).replace("FOLDER", str(folder)) for word in case.methods.get(method, ())]
    given = [*case.fit(folder), *own, *words]
    begin = time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    limit = resource.getrlimit(resource.RLIMIT_DATA)
    argv = ["fit", task, "--method", method, *given, "--out", tmp_path / "out"]
    assert main([str(word) for word in argv]) == 2
    said = [x for x in capsys.readouterr().err.strip().splitlines() if "warning" not in x]
    assert len(said) == 1, said
    assert time.process_time() - begin < 20
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 2 * FREE
    assert resource.getrlimit(resource.RLIMIT_DATA) == limit
    assert not list(tmp_path.iterdir())
    return said[0]


@pytest.mark.parametrize(("task", "method"), taking("hidden"))
def test_a_network_wider_than_the_memory(task, method, files, tmp_path, capsys, monkeypatch):
    hidden = inspect.signature(METHODS.load(method)).parameters["hidden"]
    words = [f"--hidden={1_000_000 if hidden.annotation is int else WIDE}"]
    if method == "congestion-forecast":  # only one of its kinds is a network
        words += ["--kind", "network"]
    said = refused(capsys, monkeypatch, tmp_path, files(task), task, method, *words)
    assert "not enough memory" in said


@pytest.mark.parametrize(
    ("task", "method", "words"),
    [
        ("ratio", "ratio", ("--members", "100000", "--hidden", "[1000, 1000]")),
        ("unfolding", "omnifold", ("--data_members", "100000", "--hidden", "[1000, 1000]")),
        ("tagging", "tagging", ("--network", "pfn", "--options", "{phi: [1000000, 1000000]}")),
    ],
)
def test_other_numbers(task, method, words, files, tmp_path, capsys, monkeypatch):
    said = refused(capsys, monkeypatch, tmp_path, files(task), task, method, *words)
    assert "not enough memory" in said


def test_what_is_free_is_that_of_the_machine_or_of_the_group(tmp_path):
    """Read from the files of a machine: a group of version 2 within one that is smaller."""
    total = resource.getpagesize() * memory_pages()
    assert 0 < memory.free() <= total
    with memory.bounded():
        limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
        assert limit <= total + memory.RESERVED + (1 << 40)
        with pytest.raises(MemoryError):
            np.zeros(limit, dtype=np.uint8)
        np.zeros(1 << 20)
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] != limit


def memory_pages() -> int:
    import os

    return os.sysconf("SC_PHYS_PAGES")
