"""Caches of data sets: misses of an eviction by forecast against LRU, and the gap to Belady.

    python benchmarks/caches.py --traces 5

Traces are those of `sources.toys.accesses`: 730 days, 2,000 data sets, about 300,000 accesses. The
forecast and the rule are chosen on the first 365 days, and misses are counted in the others, of a
cache of 5% of the size of all data; 2% and 10% stand beside, and so do bytes. Belady is that of
equal sizes: it evicts what is needed last. Requests a second are of CPU time, one thread.
"""

import time
from typing import Any

import numpy as np

from colliderkit.methods.method import versions
from colliderkit.methods.operations.caches import Misses, replay, share_closed
from colliderkit.methods.operations.eviction import Eviction
from colliderkit.methods.operations.popularity import Popularity
from colliderkit.sources.toys.accesses import accesses
from comparison import options, row, save

DAYS, HALF, SIZES = 730, 365.0, (0.02, 0.05, 0.1)
RULES = {"forecast": False, "forecast, by size": True}


def measured(seed: int) -> dict[str, dict[float, Misses]]:
    """Return the misses of each policy by size of the cache, in the second year of one trace."""
    trace = accesses(DAYS, seed=seed)
    past, total = trace.before(HALF), float(trace.size.sum())
    found: dict[str, dict[float, Misses]] = {}
    rates = None
    for name, by_size in RULES.items():
        rule = Eviction(Popularity(), by_size=by_size).fit(past, seed=seed, progress=False)
        print(f"  trace {seed}, {name}: {rule.choice_}", flush=True)
        rates = rates or rule.rates(trace, HALF, trace.end)  # of the same forecast
        found[name] = {s: rule.replay(trace, s, since=HALF, rates=rates) for s in SIZES}
    for policy in ("lru", "belady"):
        found[policy] = {s: replay(trace, s * total, policy, since=HALF) for s in SIZES}
    return found


def requests_a_second(policy: str) -> float:
    """Return the requests that a replay takes a CPU second, the best of five."""
    trace = accesses(DAYS, seed=0)
    capacity = 0.05 * float(trace.size.sum())
    replay(trace, capacity, policy)  # compiles
    seconds = []
    for _ in range(5):
        begin = time.process_time()
        replay(trace, capacity, policy)
        seconds.append(time.process_time() - begin)
    return len(trace) / min(seconds)


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    parser.add_argument("--traces", type=int, default=5)
    chosen = parser.parse_args()
    shared: dict[str, Any] = {
        "command": f"python benchmarks/caches.py --traces {chosen.traces}",
        "versions": versions(),
        "threads": 1,
    }
    found = [measured(seed) for seed in range(chosen.traces)]
    rows = []
    for name in RULES:
        for size in (0.05, 0.02, 0.1):
            bars = (("<= 0.9", ">= 1"), (None, None))[not (name == "forecast" and size == 0.05)]
            for what in ("ratio", "byte_ratio"):
                ours, lru, belady = (
                    np.array([getattr(f[n][size], what) for f in found])
                    for n in (name, "lru", "belady")
                )
                closed = np.array([share_closed(*x) for x in zip(ours, lru, belady, strict=True)])
                of = "misses" if what == "ratio" else "missed bytes"
                judged = bars if what == "ratio" else (None, None)
                at = f"at {size:.0%}, {name}"
                rows.append(
                    row(f"{of} over those of LRU {at}", float(ours.mean()), float(lru.mean()),
                        float((ours / lru).mean()), error(ours / lru), unit="ratio",
                        bar=judged[0], **shared)
                )  # fmt: skip
                rows.append(
                    row(f"share of the gap to Belady closed, {of}, {at}", float(closed.mean()),
                        0.25, float(closed.mean()) / 0.25, error(closed) / 0.25, unit="",
                        bar=judged[1], each=closed.tolist(), **shared)
                )  # fmt: skip
    for policy in ("lru", "belady"):
        rate = requests_a_second(policy)
        rows.append(row(f"requests a second, {policy}", rate, None, None, None, unit="1/s",
                        **shared))  # fmt: skip
    save("caches", rows)


def error(values: np.ndarray) -> float:
    """Return the error of the mean over traces."""
    return float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else float("nan")


if __name__ == "__main__":
    main()
