"""Processes that a test starts to kill: commands, each in a session of its own.

They are forked from a server that has imported what a command needs: a command takes the time of
its work.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
PRELOADED = ["torch", "lightning", "awkward", "pyarrow.parquet", "colliderkit.cli.fit"]
SECONDS = 900.0  # of a command, on a machine that is busy with others
Prepare = Callable[[], None]


Seen = tuple[Path, str, int]  # so many files of a pattern in a folder


def begin(
    argv: Sequence[str], log: Path, seen: Sequence[Seen], by: int, prepare: Prepare | None
) -> None:
    """Run a command in a process that was just forked, and end with its exit code.

    It is its own thread that sees and kills: no machine is too busy for that to be in time.
    """
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

    def watch() -> None:
        while not any(len(list(folder.glob(files))) >= count for folder, files, count in seen):
            time.sleep(0.0005)
        os.kill(os.getpid(), by)

    threading.Thread(target=watch, daemon=True).start()
    code = main(argv)
    sys.stdout.flush()
    sys.stderr.flush()
    # At once: exit handlers of the server's libraries are not this process's.
    os._exit(code)


def stopped(
    argv: Sequence[Any],
    seen: Sequence[Seen],
    log: Path,
    *,
    by: int = signal.SIGKILL,
    prepare: Prepare | None = None,
) -> int:
    """Start a command that gets a signal when one of some files is seen; return its exit code.

    Its output goes to `log`, and nothing that it has started lives on.
    """
    CONTEXT.set_forkserver_preload(PRELOADED)
    words = [str(word) for word in argv]
    process = CONTEXT.Process(target=begin, args=(words, log, seen, by, prepare))
    process.start()
    process.join(SECONDS)
    assert process.exitcode is not None, log.read_text()
    end = time.monotonic() + SECONDS
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
