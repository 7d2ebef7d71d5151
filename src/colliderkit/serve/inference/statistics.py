"""Count what the models of a server did: KServe's statistics, Prometheus under Triton's names."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.errors import InputError

__all__ = ["Counts", "Statistics", "exposition"]

MODELS = 512  # names and versions that one server has had since it began
NAME = 200  # bytes
BATCHES = 1025  # sizes of runs that are told apart
FAILURES = ("REJECTED", "CANCELED", "BACKEND", "OTHER")
TIMES = ("success", "fail", "queue", "input", "infer", "output")
ROW = np.dtype(
    [
        ("name", f"S{NAME}"),
        ("version", "i8"),
        ("last", "i8"),  # ms since 1970
        ("success", "i8"),
        ("failure", "i8", len(FAILURES)),
        ("rows", "i8"),
        ("runs", "i8"),
        *((f"{what}_ns", "i8") for what in TIMES),
        ("pending", "i8"),
        ("batch_runs", "i4", BATCHES),
        ("batch_input_ns", "i8", BATCHES),
        ("batch_infer_ns", "i8", BATCHES),
    ]
)

# What Triton calls them, and what they are here: field, text, ns in their unit.
COUNTERS = {
    "request_success": ("success", "requests answered", 1),
    "count": ("rows", "rows run", 1),
    "exec_count": ("runs", "runs of a model", 1),
    "request_duration_us": ("success_ns", "time of requests answered", 1000),
    "queue_duration_us": ("queue_ns", "time queued", 1000),
    "compute_input_duration_us": ("input_ns", "time of making inputs", 1000),
    "compute_infer_duration_us": ("infer_ns", "time of runs", 1000),
    "compute_output_duration_us": ("output_ns", "time of writing outputs", 1000),
}


class Counts:
    """Count for one model of a process, in its event loop alone.

    Counting is plain addition; `publish` puts the sums into the row of the process' table, where
    those who ask see them.
    """

    def __init__(self, row: Any) -> None:
        self._row = row
        self.rows = self.runs = self.success = self.pending = 0
        self.failures = dict.fromkeys(FAILURES, 0)
        self.last = 0.0
        self.seconds = dict.fromkeys(TIMES, 0.0)
        self._batches: dict[int, list[float]] = {}

    def ran(self, rows: int, input_seconds: float, infer_seconds: float) -> None:
        """Count a run, the seconds that its inputs and the run itself took."""
        self.rows += rows
        self.runs += 1
        self.seconds["input"] += input_seconds
        self.seconds["infer"] += infer_seconds
        batch = self._batches.setdefault(min(rows, BATCHES - 1), [0, 0.0, 0.0])
        batch[0] += 1
        batch[1] += input_seconds
        batch[2] += infer_seconds

    def answered(self, seconds: float, output_seconds: float) -> None:
        """Count an answer, its seconds in all and those of its outputs."""
        self.success += 1
        self.seconds["success"] += seconds
        self.seconds["output"] += output_seconds
        self.last = time.time()

    def failed(self, why: str, seconds: float) -> None:
        """Count a request that was not answered, for one of `FAILURES`."""
        self.failures[why] += 1
        self.seconds["fail"] += seconds

    def publish(self) -> None:
        """Add what was counted since the last time to the table; `pending` is as of now."""
        row, seconds = self._row, self.seconds
        row["rows"] += self.rows
        row["runs"] += self.runs
        row["success"] += self.success
        row["failure"] += list(self.failures.values())
        row["pending"] = self.pending
        row["last"] = max(int(row["last"]), int(self.last * 1e3))
        for what, value in seconds.items():
            row[f"{what}_ns"] += int(value * 1e9)
        for size, (runs, made, ran) in self._batches.items():
            row["batch_runs"][size] += int(runs)
            row["batch_input_ns"][size] += int(made * 1e9)
            row["batch_infer_ns"][size] += int(ran * 1e9)
        self.rows = self.runs = self.success = 0
        self.failures, self.seconds = dict.fromkeys(FAILURES, 0), dict.fromkeys(TIMES, 0.0)
        self._batches = {}


class Statistics:
    """Hold the counts of all models, of this process and of those that serve beside it.

    Each process writes a file of `folder`, mapped into memory, and reads those of the others, so
    that any of them tells of all, and no sum ever falls; without a folder there is one process.
    """

    def __init__(self, folder: Path | None = None, process: int = 0) -> None:
        self._folder = folder
        self._counts: dict[tuple[str, int], Counts] = {}
        if folder is None:
            self._table = np.zeros(MODELS, ROW)
        else:
            path = folder / f"{process}.counts"
            exists = path.exists()  # of a process that ended: its counts go on
            self._table = np.memmap(path, ROW, "r+" if exists else "w+", shape=(MODELS,))

    def of(self, name: str, version: int) -> Counts:
        """Return the counts of a model; the same ones after a reload."""
        if (known := self._counts.get((name, version))) is not None:
            return known
        key = name.encode()
        if len(key) > NAME:
            raise InputError(f"model name '{name[:40]}...' has more than {NAME} bytes; shorten it.")
        for i in range(MODELS):
            row = self._table[i]
            if not row["name"]:
                row["name"], row["version"] = key, version
            if row["name"] == key and row["version"] == version:
                return self._counts.setdefault((name, version), Counts(row))
        raise InputError(f"a server counts for {MODELS} models at most; start another.")

    def publish(self) -> None:
        """Let the other processes see what this one has counted."""
        for counts in self._counts.values():
            counts.publish()

    def rows(self) -> dict[tuple[str, int], Any]:
        """Return the counts by model and version, summed over the processes."""
        self.publish()
        tables = [self._table]
        if self._folder is not None:
            paths = sorted(self._folder.glob("*.counts"))
            tables = [np.memmap(path, ROW, "r", shape=(MODELS,)) for path in paths]
        summed: dict[tuple[str, int], Any] = {}
        for table in tables:
            for row in table:
                if not row["name"]:
                    break
                key = (row["name"].decode(), int(row["version"]))
                if key not in summed:
                    summed[key] = np.zeros((), ROW)
                into = summed[key]
                for what in ROW.names or ():
                    if what == "last":
                        into[what] = max(into[what], row[what])
                    elif what not in ("name", "version"):
                        into[what] += row[what]
        return summed

    def model_stats(self, name: str = "", version: str = "") -> list[dict[str, Any]]:
        """Return the statistics as the protocol has them; of all models if none is named."""
        return [
            _protocol(*key, row)
            for key, row in self.rows().items()
            if name in ("", key[0]) and version in ("", str(key[1]))
        ]


def _protocol(name: str, version: int, row: Any) -> dict[str, Any]:
    def duration(count: Any, ns: Any) -> dict[str, int]:
        return {"count": int(count), "ns": int(ns)}

    success, runs = row["success"], row["runs"]
    return {
        "name": name,
        "version": str(version),
        "last_inference": int(row["last"]),
        "inference_count": int(row["rows"]),
        "execution_count": int(runs),
        "inference_stats": {
            "success": duration(success, row["success_ns"]),
            "fail": duration(row["failure"].sum(), row["fail_ns"]),
            "queue": duration(success, row["queue_ns"]),
            "compute_input": duration(runs, row["input_ns"]),
            "compute_infer": duration(runs, row["infer_ns"]),
            "compute_output": duration(success, row["output_ns"]),
        },
        "batch_stats": [
            {
                "batch_size": int(size),
                "compute_input": duration(row["batch_runs"][size], row["batch_input_ns"][size]),
                "compute_infer": duration(row["batch_runs"][size], row["batch_infer_ns"][size]),
                "compute_output": duration(row["batch_runs"][size], 0),
            }
            for size in np.flatnonzero(row["batch_runs"])
        ],
    }


class _Collector:
    """Give the counts to Prometheus, under the names that Triton has for them."""

    def __init__(self, statistics: Statistics) -> None:
        self.statistics = statistics

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        labels = ("model", "version")
        rows = self.statistics.rows()
        for name, (field, text, unit) in COUNTERS.items():
            family = CounterMetricFamily(f"nv_inference_{name}", text, labels=labels)
            for (model, version), row in rows.items():
                family.add_metric((model, str(version)), int(row[field]) // unit)
            yield family
        family = CounterMetricFamily(
            "nv_inference_request_failure", "requests not answered", labels=(*labels, "reason")
        )
        for (model, version), row in rows.items():
            for reason, count in zip(FAILURES, row["failure"], strict=True):
                family.add_metric((model, str(version), reason), int(count))
        yield family
        gauge = GaugeMetricFamily(
            "nv_inference_pending_request_count", "requests that wait or run", labels=labels
        )
        for (model, version), row in rows.items():
            gauge.add_metric((model, str(version)), int(row["pending"]))
        yield gauge


def exposition(statistics: Statistics) -> bytes:
    """Return the counts as Prometheus reads them."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(statistics))
    # The client ends the name of a counter in _total, and Triton does not.
    return re.sub(
        rb"(?m)^((?:# (?:HELP|TYPE) )?\w+?)_total(?=[ {])", rb"\1", generate_latest(registry)
    )
