"""Processes that a test starts to kill: commands, each in a session of its own.

They are forked from a server that has imported what a command needs: a command takes the time of
its work.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
PRELOADED = ["torch", "lightning", "awkward", "pyarrow.parquet", "colliderkit.cli.fit"]
SECONDS = 120.0  # of a command, on a machine that is busy with others


def begin(argv: Sequence[str], log: Path, prepare: Callable[[], None] | None) -> None:
    """Run a command in a process that was just forked, and end with its exit code."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    import torch

    from colliderkit.cli import main

    torch.set_num_threads(1)
    if prepare is not None:
        prepare()
    code = main(argv)
    sys.stdout.flush()
    sys.stderr.flush()
    # At once: exit handlers of the server's libraries are not this process's.
    os._exit(code)


def started(argv: Sequence[Any], log: Path, prepare: Callable[[], None] | None = None) -> Any:
    """Start a command; its output goes to `log`."""
    CONTEXT.set_forkserver_preload(PRELOADED)
    process = CONTEXT.Process(target=begin, args=([str(word) for word in argv], log, prepare))
    process.start()
    return process


def stopped(
    argv: Sequence[Any],
    seen: Callable[[], bool],
    log: Path,
    *,
    by: int = signal.SIGKILL,
    prepare: Callable[[], None] | None = None,
) -> int:
    """Start a command, send it a signal when something is seen, and return its exit code.

    Nothing that it has started lives on.
    """
    process = started(argv, log, prepare)
    end = time.monotonic() + SECONDS
    while process.exitcode is None and not seen() and time.monotonic() < end:
        time.sleep(0.001)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, by)
    process.join(SECONDS)
    assert process.exitcode is not None, log.read_text()
    while (left := list(members(process.pid))) and time.monotonic() < end:
        time.sleep(0.02)
    assert not left, left
    return process.exitcode


def members(session: int) -> Iterator[int]:
    """Yield the processes of a session that are no zombies."""
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with contextlib.suppress(OSError):
                words = (place / "stat").read_text().rsplit(")", 1)[1].split()
                if int(words[3]) == session and words[0] != "Z":
                    yield int(place.name)


def small_shards() -> None:
    """Let the verb generate make shards of ten jets."""
    from colliderkit.sources.pythia import shards

    assert shards.generate.__kwdefaults__ is not None
    shards.generate.__kwdefaults__["shard"] = 10


def small_study(name: str, changes: dict[str, Any]) -> None:
    """Make the smoke scale of a study still smaller."""
    from dataclasses import replace

    from colliderkit.studies import STUDIES

    scales: Any = STUDIES.load(name).scales
    scales["smoke"] = replace(scales["smoke"], **changes)


def local_data_set(host: str) -> None:
    """Add a data set "local" of two files."""
    from colliderkit.sources.datasets.catalogue import BENCHMARKS, Benchmark, RemoteFile

    files = RemoteFile("a.h5"), RemoteFile("b.h5")
    BENCHMARKS["local"] = Benchmark("two files", 0, "", None, files, host=host)


__all__ = ["local_data_set", "partial", "small_shards", "small_study", "started", "stopped"]
