"""Load an inference server, and measure throughput, latency (p50, p99) and its CPU time."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.serve.remote import RemoteModel

__all__ = ["Load", "Served", "cpu_of", "drive", "served"]


@dataclass(frozen=True)
class Load:
    """What a server did: `seconds` for all requests, `latency` (N,) [s] of each, and its CPU time.

    `cpu` [s] is that of the server's processes, NaN where the system does not tell (it is read
    from /proc), and `sent` and `received` are bytes.
    """

    seconds: float
    latency: Floats
    cpu: float
    sent: int
    received: int

    def at(self, share: float) -> float:
        """Return the latency [s] that this share of the requests do not exceed."""
        return float(np.quantile(self.latency, share))


@dataclass(frozen=True)
class Served:
    """A server that was started: its process, and the addresses of its two protocols."""

    process: int
    http: str
    grpc: str


def drive(
    remote: RemoteModel,
    feeds: Sequence[Mapping[str, NDArray[Any]]],
    requests: int,
    *,
    process: int | None = None,
) -> Load:
    """Send `requests` of the `feeds` in turn, `in_flight` at a time, as that many clients would.

    A client sends its next request when it has the answer to the last. `process` is the server's.
    """
    latency = np.zeros(requests)

    def answered(i: int, sent_at: float, _: Future[Any]) -> None:
        latency[i] = time.perf_counter() - sent_at

    asked: list[Future[Any]] = []
    before = (cpu_of(process), remote.sent, remote.received)
    begin = time.perf_counter()
    for i in range(requests):
        future = remote.submit(feeds[i % len(feeds)])
        future.add_done_callback(partial(answered, i, time.perf_counter()))
        asked.append(future)
    for future in asked:
        future.result()
    seconds = time.perf_counter() - begin
    after = (cpu_of(process), remote.sent, remote.received)
    cpu, sent, received = (b - a for a, b in zip(before, after, strict=True))
    return Load(seconds, latency, cpu, int(sent), int(received))


@contextmanager
def served(
    models: Mapping[str, str | Path], *, batch: int = 64, threads: int = 1
) -> Iterator[Served]:
    """Run ``colliderkit serve`` on ONNX files by name, in a process of its own, while this lasts.

    `batch` is the most rows that it runs at once: 1 is no batching. Raises `InputError` where it
    does not become ready.
    """
    words = [sys.executable, "-m", "colliderkit.cli", "serve"]
    words += [f"{name}={path}" for name, path in models.items()]
    words += ["--http", "0", "--grpc", "0", "--batch", str(batch), "--threads", str(threads)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = next((x for x in process.stdout if x.startswith("ready:")), "")
            if not line:
                raise InputError("colliderkit serve has not become ready; see what it said.")
            http, grpc = (part.split()[-1] for part in line.split(",")[:2])
            yield Served(process.pid, http, f"grpc://{grpc}")
        finally:
            process.terminate()


def cpu_of(process: int | None) -> float:
    """Return the CPU seconds of a process and its children, NaN where /proc does not tell."""
    if process is None or not Path("/proc/self/stat").exists():
        return float("nan")
    ticks = 0
    for number in [process, *_children(process)]:
        try:
            fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _children(process: int) -> list[int]:
    found = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            found += [child, *_children(child)]
    return found
