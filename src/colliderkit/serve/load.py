"""Load an inference server, and measure throughput, latency (p50, p99) and its CPU time."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.serve.remote import RemoteModel
from colliderkit.serve.translation import session

__all__ = [
    "ASYNCHRONOUS",
    "BARE",
    "BATCHED",
    "BYTES",
    "CPU",
    "EQUAL",
    "LOCAL",
    "P50",
    "P99",
    "SINGLE",
    "THROUGHPUT",
    "WAITING",
    "Load",
    "Served",
    "cpu_of",
    "difference",
    "drive",
    "event_loops",
    "measured",
    "named",
    "served",
]

Feed = Mapping[str, NDArray[Any]]
# What an event loop does with the network of an event.
BARE, LOCAL = "without inference", "in the loop"
WAITING, ASYNCHRONOUS = "server, waiting", "server, asynchronous"
BLOCK = bytes(1 << 16)
# How a server runs requests, and what is measured of it.
BATCHED, SINGLE = "batched", "not batched"
THROUGHPUT, P50, P99 = "throughput [1/s]", "p50 [ms]", "p99 [ms]"
CPU, BYTES = "server CPU a request [ms]", "bytes a request"
EQUAL = "largest difference to the local file"


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

    def figures(self, rows: int) -> dict[str, float]:
        """Return what is quoted, of requests of so many rows."""
        requests = len(self.latency)
        return {
            THROUGHPUT: requests * rows / self.seconds,
            P50: 1e3 * self.at(0.5),
            P99: 1e3 * self.at(0.99),
            CPU: 1e3 * self.cpu / requests,
            BYTES: (self.sent + self.received) / requests,
        }


@dataclass(frozen=True)
class Served:
    """A server that was started: its process, and the addresses of its two protocols."""

    process: int
    http: str
    grpc: str


def drive(
    remote: RemoteModel,
    feeds: Sequence[Feed],
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


def measured(
    model: str | Path,
    feed: Callable[[int, int], Feed],
    points: Sequence[tuple[int, int]],
    requests: int,
    repetitions: int,
) -> dict[str, Any]:
    """Return throughput, latency, CPU time and bytes of servers of a model under each load.

    `feed` gives the input of a number of events by a seed, and `points` are (clients, events a
    request). A server that batches and one that does not are loaded in turn, `repetitions` times,
    by `requests` of one event or as many events. The figures are lists over the repetitions, by
    `named` and by quantity; `EQUAL` is the largest difference to the local file.
    """
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        servers = {
            how: stack.enter_context(served({"model": model}, batch=batch))
            for how, batch in ((BATCHED, 64), (SINGLE, 1))
        }
        mixed = [feed(1 + seed % 4, seed) for seed in range(40)]
        found[EQUAL] = difference(servers[BATCHED].grpc, model, mixed)
        for clients, rows in points:
            feeds = [feed(rows, seed) for seed in range(64)]
            count = max(requests // rows, 4 * clients)
            for _ in range(repetitions):
                for how, server in servers.items():
                    with RemoteModel(f"{server.grpc}/model", in_flight=clients) as remote:
                        drive(remote, feeds, clients)  # opens the connection
                        load = drive(remote, feeds, count, process=server.process)
                    kept = found.setdefault(named(clients, rows, how), {})
                    for quantity, value in load.figures(rows).items():
                        kept.setdefault(quantity, []).append(value)
    return found


def named(clients: int, rows: int, how: str) -> str:
    """Name a measurement of `measured`."""
    return f"{clients} clients, {rows} a request, {how}"


def difference(server: str, model: str | Path, feeds: Sequence[Feed]) -> float:
    """Return the largest difference of a server's answers to the file's, over their largest.

    The feeds are asked at once, so that they share batches; `server` holds it as "model".
    """
    here = session(Path(model).read_bytes(), threads=1)
    names = [output.name for output in here.get_outputs()]
    largest = 0.0
    with RemoteModel(f"{server}/model", in_flight=len(feeds)) as remote:
        asked = [remote.submit(feed) for feed in feeds]
        for feed, future in zip(feeds, asked, strict=True):
            theirs = future.result()
            for name, ours in zip(names, here.run(names, dict(feed)), strict=True):
                size = max(float(np.abs(ours).max()), 1e-12)
                largest = max(largest, float(np.abs(theirs[name] - ours).max()) / size)
    return largest


def event_loops(
    model: str | Path, feeds: Sequence[Feed], *, repetitions: int, share: float = 2.0
) -> dict[str, list[float]]:
    """Return the wall time of an event [ms] in four event loops, a list over the repetitions.

    Each event has work of another kind, `share` times as long as the network takes here; beside it
    the loop asks nothing, the network at hand, a server whose answer it waits for, or a server
    whose answers it collects in the end. One of `feeds` an event.
    """
    here = session(Path(model).read_bytes(), threads=1)
    some = feeds[: min(50, len(feeds))]
    alone = _seconds(lambda: [here.run(None, dict(feed)) for feed in some]) / len(some)
    block = _seconds(lambda: [hashlib.blake2b(BLOCK) for _ in range(50)]) / 50
    times = max(1, round(share * alone / block))
    found: dict[str, list[float]] = {}
    with served({"model": model}) as server, RemoteModel(f"{server.grpc}/model") as remote:
        loops: dict[str, Callable[[Feed], Any]] = {
            BARE: lambda feed: None,
            LOCAL: lambda feed: here.run(None, dict(feed)),
            WAITING: lambda feed: remote.submit(feed).result(),
            ASYNCHRONOUS: remote.submit,
        }
        remote.submit(feeds[0]).result()

        def loop(infer: Callable[[Feed], Any]) -> None:
            answers = []
            for feed in feeds:
                answers.append(infer(feed))
                for _ in range(times):
                    hashlib.blake2b(BLOCK)  # without Python's lock, as a reconstruction is
            for answer in answers:
                if isinstance(answer, Future):
                    answer.result()

        for _ in range(repetitions):
            for name, infer in loops.items():
                wall = 1e3 * _seconds(partial(loop, infer)) / len(feeds)
                found.setdefault(name, []).append(wall)
    return found


def _seconds(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


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
            process.wait()


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
