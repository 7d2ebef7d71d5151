"""Network packet by packet (ns-3, the extra `network`): the same monitoring as of the fluid."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.files import existing_file
from colliderkit.seeds import derive
from colliderkit.sources.network.faults import Fault
from colliderkit.sources.network.monitoring import Monitoring, counters_of
from colliderkit.sources.network.topology import Topology
from colliderkit.sources.network.transfers import Transfers, drawn_transfers

__all__ = ["ns3_is_here", "simulate_packets"]

SIDE = Path(__file__).with_name("ns3_side.py")
SCALE = 1e4  # a link of 100 Gb/s is one of 10 Mb/s
SQUEEZE = 30.0  # a minute is two seconds
QUEUE = 50  # packets
PACKETS = 10  # probes of a path in an interval
WAY_OUT = "pip install 'colliderkit[network]', or take the fluid (simulate_fluid)"


def ns3_is_here() -> bool:
    """Whether the Python that runs this has ns-3; it is looked for, not imported."""
    return find_spec("ns") is not None


def simulate_packets(
    topology: Topology,
    intervals: int,
    *,
    seconds: float = 60.0,
    day: int = 1440,
    load: float = 0.4,
    transfers: Transfers | None = None,
    faults: Sequence[Fault] = (),
    seed: int = 0,
    python: str | Path = sys.executable,
    progress: Callable[[int], None] | None = None,
) -> Monitoring:
    """Run transfers as TCP-CUBIC flows in ns-3 for T intervals; return what monitors see.

    Rates are scaled down by 10,000 and time by 30 (a minute is two seconds), so that an interval
    takes some tenths of a CPU second; delays are as they are, and the product of rate and delay is
    some tens of packets. Each transfer is one flow. Queues hold 50 packets. Counters are those of
    the queues (use, mean of five looks, dropped over all), probes ten packets an interval and path;
    the delay of a path is that of its links and of their queues. There are no throughput tests:
    `throughput` is the traffic itself.

    ns-3 is GPL-2.0-only: it runs in a process of its own, by `python`, which writes a file. Raises
    `InputError` where that has no ns-3, or where it fails.
    """
    if str(python) == sys.executable and not ns3_is_here():
        raise InputError(f"a network of packets needs ns-3; {WAY_OUT}.")
    if transfers is None:
        transfers = drawn_transfers(
            topology, intervals, seconds=seconds, day=day, load=load, seed=seed
        )
    step = seconds / SQUEEZE
    plan = {
        "seed": derive(seed, "packets"),
        "intervals": intervals,
        "seconds": step,
        "queue": QUEUE,
        "packets": PACKETS,
        "nodes": topology.nodes,
        "pairs": topology.pairs.tolist(),
        "links": [
            {
                "source": int(topology.source[i]),
                "target": int(topology.target[i]),
                "rate": float(topology.capacity[i] * 1e9 / SCALE),
                "delay": float(topology.delay[i]),
                "metric": max(1, round(100 * float(topology.metric[i]))),
            }
            for i in range(topology.links)
        ],
        "transfers": _flows(topology, transfers, step, derive(seed, "begins")),
        "faults": [vars(fault) for fault in faults],
    }
    with tempfile.TemporaryDirectory(prefix="colliderkit-ns3-") as folder:
        asked, out = Path(folder) / "plan.json", Path(folder) / "seen.parquet"
        asked.write_text(json.dumps(plan))
        _run([str(python), "-I", str(SIDE), str(asked), str(out)], progress)
        return _monitoring(topology, existing_file(out), step, list(faults))


def _flows(topology: Topology, transfers: Transfers, step: float, seed: int) -> list[list[Any]]:
    """Return the begin [s], sites and bytes of each flow, scaled."""
    random = np.random.default_rng(seed)
    begin = step * (transfers.begin + random.uniform(size=len(transfers.begin)))
    size = np.maximum(transfers.size * 1e9 / 8 / SCALE / SQUEEZE, 1448).astype(np.int64)
    ends = topology.pairs[transfers.path]
    return [
        [float(b), int(s), int(t), int(n)] for b, (s, t), n in zip(begin, ends, size, strict=True)
    ]


def _run(command: list[str], progress: Callable[[int], None] | None) -> None:
    """Run ns-3's side to its end, and tell of each interval; raise `InputError` if it fails."""
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if progress is not None and line.strip().isdigit():
                progress(int(line))
        if process.wait() == 0:
            return
        errors.seek(0)
        said = [line for line in errors.read().splitlines() if line.strip()]
        if any("No module named 'ns'" in line for line in said):
            raise InputError(f"{command[0]}: has no ns-3; {WAY_OUT}.")
        last = said[-1] if said else f"exit code {process.returncode}"
        raise InputError(f"ns-3 failed ({last}); {WAY_OUT}.")


def _monitoring(topology: Topology, path: Path, step: float, faults: list[Fault]) -> Monitoring:
    """Make counters and probes of what ns-3's side wrote."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    links, traffic, probes = (
        np.array(table[name].to_pylist(), dtype=np.float64)
        for name in ("links", "traffic", "probes")
    )
    rate, queue, dropped, sent = np.moveaxis(links.reshape(len(links), topology.links, 4), 2, 0)
    loss = dropped / np.maximum(dropped + sent, 1)
    use = rate / (topology.capacity * 1e9 / SCALE)
    values = np.stack([use, np.clip(queue, 0, 1), loss], axis=2)
    usual = topology.routes()
    full = QUEUE * 1500 * 8 / (topology.capacity * 1e9 / SCALE) * 1e3  # ms of a full queue
    delay, hops = np.zeros(traffic.shape), np.zeros(traffic.shape)
    for time in range(len(links)):
        routes = _routes(topology, usual, faults, time)
        delay[time] = routes @ (topology.delay + full * values[time, :, 1])
        hops[time] = routes.sum(1)
    moved = traffic * 8 / step / 1e9 * SCALE
    return Monitoring(
        topology,
        counters_of(topology, values),
        moved,
        delay,
        np.clip(1 - probes / PACKETS, 0, 1),
        moved,
        hops,
        usual,
        faults,
    )


def _routes(topology: Topology, usual: NDArray[np.bool_], faults: list[Fault], time: int) -> Floats:
    """Return the routes (P, L) of an interval, others than usual under misrouting."""
    metric = topology.metric.copy()
    for fault in faults:
        if fault.kind == "misroute" and fault.begin <= time < fault.end:
            metric[fault.link] *= fault.size
    same = np.array_equal(metric, topology.metric)
    routes = usual if same else topology.routes(metric)
    return routes.astype(np.float64)
