"""Congestion of a small WLCG: a forecast against persistence, lead time, and faults found.

    python benchmarks/congestion.py --days 7

The fluid of `sources.network` (10 sites, 8 routers, a minute an interval): the first 60% of the
days train, the rest is forecast, five minutes ahead. Ratios are of areas under precision over
recall; their errors are of blocks of a quarter of a day, both of which resample the same blocks, so
that what days have in common falls out.
"""

from typing import Any

import numpy as np

from colliderkit.methods.method import versions
from colliderkit.methods.operations.congestion import CongestionForecast
from colliderkit.metrics.forecast import average_precision, lead
from colliderkit.sources.network.faults import drawn_faults
from colliderkit.sources.network.fluid import simulate_fluid
from colliderkit.sources.network.topology import small_wlcg
from comparison import options, row, save

DAY, AHEAD, BLOCK, REPLICAS = 1440, 5, 360, 200
KINDS = ("persistence", "daily-profile", "threshold", "smoothing", "logistic", "network", "trees")


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    parser.add_argument("--days", type=int, default=7)
    chosen = parser.parse_args()
    shared: dict[str, Any] = {
        "command": f"python benchmarks/congestion.py --days {chosen.days}",
        "versions": versions(),
        "threads": 1,
    }
    topology = small_wlcg(seed=0)
    intervals = chosen.days * DAY
    faults = drawn_faults(topology, intervals, max(chosen.days // 5, 1), seed=1)
    seen = simulate_fluid(topology, intervals, day=DAY, faults=faults, seed=1)
    cut = int(0.6 * intervals)
    train, test = seen.counters.between(0, cut), seen.counters.between(cut, intervals)
    truth = test.congested[AHEAD:]
    rows, base = [], None
    for kind in KINDS:
        method = CongestionForecast(kind=kind, horizons=(1, AHEAD, 15), day=DAY)
        found = method.fit(train, seed=0, progress=False).predict_proba(test)[:, :, 1]
        area = average_precision(found[:-AHEAD], truth, block=BLOCK, replicas=REPLICAS)
        base = base or (found, area)
        time, warned, _ = lead(found, test.congested, rate=1 / DAY, block=BLOCK)
        ratio = area.value / base[1].value
        bar = ">= 1.5" if kind == "trees" else None
        rows.append(
            row(f"AUPRC {AHEAD} intervals ahead, {kind} against persistence", area.value,
                base[1].value, ratio, of_ratio(found, base[0], truth), unit="", bar=bar, **shared)
        )  # fmt: skip
        rows.append(
            row(f"lead time at one false alarm a day and link, {kind}", time.value, None, None,
                time.error, unit="intervals", warned=warned.value, **shared)
        )  # fmt: skip
    save("congestion", rows)


def of_ratio(one: Any, other: Any, truth: Any) -> float:
    """Return the error of the ratio of two areas, over the same draws of blocks for both."""
    starts = np.arange(0, len(truth), BLOCK)
    random = np.random.default_rng(0)
    ratios = []
    for _ in range(40):
        rows = np.concatenate(
            [np.arange(s, min(s + BLOCK, len(truth))) for s in random.choice(starts, len(starts))]
        )
        areas = [
            average_precision(score[:-AHEAD][rows], truth[rows], block=BLOCK, replicas=2).value
            for score in (one, other)
        ]
        ratios.append(areas[0] / areas[1])
    return float(np.std(ratios, ddof=1))


if __name__ == "__main__":
    main()
