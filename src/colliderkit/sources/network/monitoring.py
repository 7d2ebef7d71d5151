"""What the monitors of a network saw: counters of links, and probes of the paths between sites."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from colliderkit.events.tables import Floats, Ints
from colliderkit.sources.files.jets import write
from colliderkit.sources.network.counters import COUNTERS, LinkCounters
from colliderkit.sources.network.faults import KINDS, Fault
from colliderkit.sources.network.probes import PathProbes
from colliderkit.sources.network.topology import Topology

__all__ = ["PROBES", "Monitoring", "Probing", "counters_of", "write_counters", "write_probes"]

PROBES = 600  # packets an interval, 10 a second: a loss below 1/600 is none or one of these
QUANTUM = 0.02  # of the intervals in which a probing host itself drops one or two packets
BUFFER = 10.0  # ms that a full queue takes
TEST, TRACE = 360, 10  # intervals between two throughput tests, and two traceroutes


@dataclass(frozen=True)
class Monitoring:
    """T intervals of a network of L links and P paths.

    - `counters`: of the links (T, L);
    - `traffic` (T, P) [Gb/s] that each pair of sites exchanges;
    - `delay` (T, P) [ms] of one direction and `loss` (T, P), a multiple of 1/600, by probes of 10
      packets a second; `throughput` (T, P) [Gb/s] of the last test of each path, every 6 hours;
      `hops` (T, P) of the last traceroute, every 10 intervals;
    - `routes` (P, L), those without a fault, and the `faults` that were put in.
    """

    topology: Topology
    counters: LinkCounters
    traffic: Floats
    delay: Floats
    loss: Floats
    throughput: Floats
    hops: Floats
    routes: NDArray[np.bool_]
    faults: list[Fault]

    @property
    def probes(self) -> PathProbes:
        """What was measured on the paths."""
        return PathProbes.checked(np.stack([self.traffic, self.delay, self.loss], 2), self.routes)

    def faulty(self) -> Ints:
        """Return the kind of the fault of each interval and link (T, L), 0 for none."""
        found = np.zeros(self.counters.values.shape[:2], dtype=np.int64)
        for fault in self.faults:
            found[fault.begin : fault.end, fault.link] = 1 + KINDS.index(fault.kind)
        return found


class Probing:
    """Measure paths as perfSONAR does, from what happens on the links.

    Hosts drop one or two of 600 packets now and then themselves: that is no loss of the network.
    """

    def __init__(self, random: np.random.Generator, intervals: int, paths: int) -> None:
        shape = intervals, paths
        self.random = random
        self.delay, self.loss, self.throughput, self.hops = (np.zeros(shape) for _ in range(4))
        self.phase = random.integers(TEST, size=paths)

    def see(self, time: int, routes: Floats, delay: Floats, loss: Floats, free: Floats) -> None:
        """Probe the paths of `routes` (P, L) over links with delays [ms] and losses (L,).

        `free` (P,) [Gb/s] is what one stream more would get.
        """
        random, paths = self.random, len(routes)
        lost = 1 - np.exp(routes @ np.log1p(-np.minimum(loss, 0.999999)))
        host = (random.uniform(size=paths) < QUANTUM) * random.integers(1, 3, size=paths)
        self.loss[time] = np.minimum(random.binomial(PROBES, lost) + host, PROBES) / PROBES
        self.delay[time] = routes @ delay + random.gamma(4.0, 0.05, paths)
        tested = ((time + self.phase) % TEST == 0) | (time == 0)
        noise = random.lognormal(0.0, 0.1, paths)
        self.throughput[time] = np.where(tested, free * noise, self.throughput[time - 1])
        self.hops[time] = routes.sum(1) if time % TRACE == 0 else self.hops[time - 1]


def write_counters(seen: Monitoring, path: str | Path, *, force: bool = False) -> Path:
    """Write the counters as a table by interval and link, with the label `fault`; return its path.

    Columns interval, link, source, target (nodes), utilisation, queue, loss and fault (0 for none,
    else one more than its place in `faults.KINDS`). `read_counters` reads it.
    """
    counters = seen.counters
    times, links = counters.values.shape[:2]
    columns = {
        "interval": np.repeat(counters.interval, links),
        "link": np.tile(counters.link, times),
        "source": np.tile(seen.topology.source, times),
        "target": np.tile(seen.topology.target, times),
        **{name: counters[name].reshape(-1) for name in counters.names},
        "fault": seen.faulty().reshape(-1),
    }
    write(path, columns, force=force)
    return Path(path)


def write_probes(seen: Monitoring, folder: str | Path, *, force: bool = False) -> Path:
    """Write probes.parquet, routes.parquet and, of a network with faults, faults.parquet.

    `read_probes` and `read_faults` read them.
    """
    folder = Path(folder)
    times, paths = seen.traffic.shape
    measured = {"traffic": seen.traffic, "delay": seen.delay, "loss": seen.loss}
    path, link = np.nonzero(seen.routes)
    faults = [(f.begin, f.end, f.link, 1 + KINDS.index(f.kind)) for f in seen.faults]
    columns = np.array(faults, dtype=np.int64).reshape(-1, 4).T
    tables = {
        "probes": {
            "interval": np.repeat(seen.counters.interval, paths),
            "path": np.tile(np.arange(paths), times),
            **{name: values.reshape(-1) for name, values in measured.items()},
            "hops": seen.hops.reshape(-1),
            "throughput": seen.throughput.reshape(-1),
        },
        "routes": {"path": path, "link": link},
        "faults": dict(zip(("begin", "end", "link", "kind"), columns, strict=True)),
    }
    if not faults:
        del tables["faults"]
    for name, table in tables.items():
        write(folder / f"{name}.parquet", table, force=force)
    return folder


def counters_of(topology: Topology, values: Floats) -> LinkCounters:
    """Return checked counters (T, L, 3) of the links of a topology."""
    feeds = topology.target[:, None] == topology.source[None, :]
    return LinkCounters.checked(values, names=COUNTERS, feeds=feeds)
