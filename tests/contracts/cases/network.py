"""Small networks: counters that foretell congestion, and probes with a fault."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.methods.operations.congestion import CongestionForecast
from colliderkit.methods.operations.network_anomalies import NetworkAnomaly
from colliderkit.sources.network.counters import LinkCounters
from colliderkit.sources.network.faults import Fault
from colliderkit.sources.network.fluid import simulate_fluid
from colliderkit.sources.network.monitoring import write_counters, write_probes
from colliderkit.sources.network.probes import PathProbes
from colliderkit.sources.network.topology import small_wlcg
from contracts.cases.case import Arguments, Case, Data, Keywords, TaskCase

LINKS = 3


def counters(seed: int, intervals: int = 400) -> LinkCounters:
    """A use that wanders, and a queue that is full where it is high."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=(intervals, LINKS))
    use = np.zeros_like(noise)
    for time in range(1, intervals):
        use[time] = 0.9 * use[time - 1] + 0.15 * noise[time]
    use = 1 / (1 + np.exp(-use - 0.3))
    queue = np.clip(use**2 + 0.2 * random.normal(size=use.shape), 0, 1)
    values = np.stack([use, queue, np.zeros_like(use)], 2)
    return LinkCounters.checked(values, feeds=np.roll(np.eye(LINKS, dtype=bool), 1, 1))


def probes(seed: int, intervals: int = 200) -> PathProbes:
    random = np.random.default_rng(seed)
    routes = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1]], dtype=bool)
    values = np.stack(
        [
            random.gamma(3.0, 1.0, (intervals, 4)),
            10 + random.normal(0, 0.5, (intervals, 4)),
            random.binomial(600, 1e-3, (intervals, 4)) / 600,
        ],
        axis=2,
    )
    values[intervals // 2 : intervals // 2 + 20, 2:, 1] += 5.0
    return PathProbes.checked(values, routes)


def holed(args: Arguments) -> Arguments:
    (first,) = args
    values = first.values.copy()
    values[1, 0, 0] = np.nan
    return (replace(first, values=values),)


def in_time(args: Arguments, kwargs: Keywords, rows: Any) -> Data:
    return args, kwargs  # intervals of time are not repeated


def write_network(folder: Path) -> None:
    topology = small_wlcg(4, 4)
    faults = [Fault("burst", 4, 300, 330, 1.0), Fault("misroute", 6, 450, 500, 10.0)]
    for seed, name in enumerate(("old", "new")):
        seen = simulate_fluid(
            topology, 600, day=100, load=0.7, faults=faults if name == "new" else (), seed=seed
        )
        write_counters(seen, folder / f"{name}.parquet")
        write_probes(seen, folder / name)


CASES = {
    "congestion-forecast": Case(
        make=lambda: CongestionForecast(kind="trees", horizons=(1, 5), lags=3, day=100),
        data=lambda seed: ((counters(seed),), {}),
        answer=lambda method, args: method.predict_proba(args[0]),
        nan=holed,
        repeat=in_time,
        refuses_weight="counts intervals of time, and has no weights",
    ),
    "network-anomaly": Case(
        make=lambda: NetworkAnomaly(kind="isolation-forest", day=100),
        data=lambda seed: ((probes(seed),), {}),
        answer=lambda method, args: method.score(args[0]),
        nan=holed,
        repeat=in_time,
        verbs={"incidents": lambda method, args: method.incidents(args[0])},
        refuses_weight="median of intervals, without weights",
    ),
}
TASK_CASES = {
    "congestion": TaskCase(
        write=write_network,
        fit=lambda folder: (
            *("--files", str(folder / "old.parquet"), "--kind", "logistic", "--day", "100"),
            *("--lags", "3", "--training.epochs", "2"),
        ),
        apply=lambda folder: ("--files", folder / "new.parquet"),
        evaluate=lambda folder: ("--files", str(folder / "new.parquet")),
    ),
    "network-anomaly": TaskCase(
        write=write_network,
        fit=lambda folder: (
            *("--files", str(folder / "old/probes.parquet"), "--day", "100"),
            *("--routes", str(folder / "old/routes.parquet")),
        ),
        apply=lambda folder: (
            *("--files", folder / "new/probes.parquet"),
            *("--routes", str(folder / "new/routes.parquet")),
        ),
        evaluate=lambda folder: (
            *("--files", str(folder / "new/probes.parquet")),
            *("--routes", str(folder / "new/routes.parquet")),
            *("--faults", str(folder / "new/faults.parquet")),
        ),
    ),
}
