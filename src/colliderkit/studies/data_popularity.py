"""Popularity of data sets: forecasts, and what caches, replicas and tape make of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from colliderkit.events.accesses import Accesses
from colliderkit.events.tables import Floats
from colliderkit.methods.operations.caches import OWN, Misses, replay, share_closed
from colliderkit.methods.operations.eviction import Eviction
from colliderkit.methods.operations.placement import recalls, waits
from colliderkit.methods.operations.popularity import (
    KINDS,
    Popularity,
    deviance,
    forecasts,
    log_error,
)
from colliderkit.metrics.value import Value
from colliderkit.report.accesses import against_disk, miss_ratios, over_time
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim, Ranking
from colliderkit.sources.toys.accesses import accesses
from colliderkit.studies.run import Run, Study

__all__ = ["STUDY"]

SUMMARY = """
A grid of computers reads data sets whose interest rises before conferences, falls with age, and
moves to a successor when they are reprocessed. How often each will be read next week is forecast
from its past (LHCb, arXiv:1510.00132; CMS, arXiv:1602.07226). Then the forecast decides: what a
cache evicts, how many replicas are on disk, what stays on disk rather than on tape. Each decision
is replayed access by access, strictly in time, beside rules that need no learning and beside a
bound that knows the future.
"""
STAND_IN = """
The traces are made: interest by Zipf's law, campaigns, six conferences, reprocessing, jobs of a
task that follow each other within half a day, sizes by tier. No experiment's traces are public.
What is said of rules and forecasts holds for such traces.
"""
MEASURES = """
The first half of each trace is for training, and choices are made on the end of that half; all
figures are of the second half, and their errors are of the mean over traces. The caches are warm.
"miss ratio" is misses over accesses, "byte-miss ratio" missed over read GB. The "share of the gap"
is (LRU - rule) / (LRU - Belady): Belady evicts what is needed last, a bound where sizes are equal
(with unequal ones it can be passed, as belady-size shows). "eviction, by size" may pay bytes for
misses, and all others may not. Waits are of a fluid queue at replicas that serve five accesses a
day each. "regime" traces have a campaign whose data are read twelve times more, from a tenth of the
second half on; "again" trains anew every four weeks on what is past then.
"""
RULE, SIZED, LRU, BELADY = "eviction", "eviction, by size", "lru", "belady"
MISS, BYTES, CLOSED, CLOSED_BYTES = (
    "miss ratio", "byte-miss ratio", "share of the gap", "share of the gap in bytes",
)  # fmt: skip
PEERS = ("arc", "s3-fifo", "sieve", "gdsf", "w-tinylfu")  # of libcachesim, where it is installed
SIZES = (0.02, 0.05, 0.1)
AIMS = (
    Aim("The forecast errs less than repeating last week", "log error", "trees", "below",
        against="last"),
    Aim("At 5% the eviction misses at most 0.9 of LRU", MISS, f"{RULE}, 5%", "below",
        against=f"{LRU}, 5%", times=0.9),
    Aim("It closes a quarter of the gap to Belady", CLOSED, f"{RULE}, 5%", "above", 0.25),
    Aim("It misses fewer bytes than LRU, too", BYTES, f"{RULE}, 5%", "below",
        against=f"{LRU}, 5%"),
    Aim("Accesses wait less at replicas by the forecast than at equal ones", "wait [days]",
        "trees, disk 1.5", "below", against="equal, disk 1.5"),
    Aim("The forecast recalls fewer GB from tape than keeping what was read last", "recalled [TB]",
        "trees, disk 0.2", "below", against="last read, disk 0.2"),
    Aim("After a new regime it pays to train again", "log error", "regime, again", "below",
        against="regime, once"),
)  # fmt: skip
RANKINGS = (Ranking(MISS, "lower", among=("*, 5%*",), aside=("belady*",)),)


@dataclass(frozen=True)
class Scale:
    """Days and data sets of a trace, traces (seeds), days between forecasts, rounds of trees."""

    days: int
    datasets: int
    seeds: int
    every: float
    rounds: int = 200


SCALES = {
    "smoke": Scale(200, 60, 2, 7.0, 16),
    "laptop": Scale(730, 2_000, 3, 7.0),
    "night": Scale(730, 2_000, 10, 1.0),
    "paper": Scale(1_460, 20_000, 10, 1.0),
}
DISKS = (1.1, 1.25, 1.5, 2.0)  # for replicas, over one copy of all data
ON_DISK = (0.1, 0.2, 0.4)  # of all data, beside tape


def data_popularity(run: Run[Scale]) -> None:
    """Forecast, and replay what caches, replicas and tape make of it."""
    report = run.report
    report.add_stand_in(STAND_IN)
    report.add_definitions(MEASURES)
    found = [run.value(f"trace {seed}", partial(measured, run.scale, seed)) for seed in run.seeds]
    report.add_heading("Forecasts")
    report.add_results(
        table(found, "forecasts"),
        "Root mean square error of ln(1 + accesses of the next week) and Poisson deviance of a data"
        " set, in the second half of the traces.",
    )
    report.add_figure(
        over_time(found[0]["weeks"], found[0]["days"], "Error of ln(1 + accesses)"),
        "Error of each forecast over the second half of the first trace.",
    )
    report.add_heading("Caches")
    report.add_results(table(found, "caches"), "By the size of the cache over that of all data.")
    names = [n.removesuffix(", 5%") for n in found[0]["caches"] if n.endswith(", 5%")]
    for quantity, word in ((MISS, "Miss"), (BYTES, "Byte-miss")):
        series = {
            name: [mean([f["caches"][label(name, s)][quantity] for f in found]) for s in SIZES]
            for name in names
            if name != "lfu"  # far above all others
        }
        report.add_figure(
            miss_ratios(series, SIZES, LRU, word),
            f"{word} ratio by the size of the cache, and over that of LRU; errors over traces.",
        )
    report.add_text("Chosen on the first half: " + "; ".join(sorted({f["choice"] for f in found})))
    report.add_heading("Replicas and tape")
    for part, sizes, quantity, unit in (
        ("replicas", DISKS, "wait [days]", "days"),
        ("tape", ON_DISK, "recalled [TB]", "TB"),
    ):
        rules = dict.fromkeys(name.rpartition(", ")[0] for name in found[0][part])
        series = {
            rule: [mean([f[part][f"{rule}, disk {s:g}"][quantity] for f in found]) for s in sizes]
            for rule in rules
        }
        report.add_figure(
            against_disk(series, sizes, quantity.partition(" [")[0].capitalize(), unit),
            "Mean wait of an access, or what is recalled from tape, by the disk for it.",
        )
    report.add_results(table(found, "replicas"), "Replicas, chosen anew every week.")
    report.add_results(table(found, "tape"), "Disk beside tape, chosen anew every week.")
    report.add_heading("A new regime")
    report.add_results(
        table(found, "regime"),
        "A campaign that the training did not see: the forecast of before, and one that is trained"
        " again every four weeks; misses at 5% by what the eviction makes of each.",
    )


def measured(scale: Scale, seed: int) -> dict[str, Any]:
    """Return all figures of one trace."""
    trace = accesses(scale.days, scale.datasets, seed=seed)
    half = scale.days / 2
    past = trace.before(half)
    eviction = Eviction(Popularity(rounds=scale.rounds), every=scale.every).fit(
        past, seed=seed, progress=False
    )
    sized = Eviction(Popularity(rounds=scale.rounds), every=scale.every, by_size=True)
    sized.fit(past, seed=seed, progress=False)
    kinds: dict[str, Popularity] = {"trees": eviction.popularity_}
    kinds |= {kind: Popularity(kind=kind).fit(past, seed=seed) for kind in KINDS[1:]}
    days = np.arange(half, scale.days - 7, 7.0)
    judged = {kind: errors(trace, days, forecasts(p, trace, days)) for kind, p in kinds.items()}
    choice = eviction.choice_
    replicas, tape = placed(trace, half, kinds)
    return {
        "days": days.tolist(),
        "weeks": {kind: [e[0] for e in each] for kind, each in judged.items()},
        "forecasts": {kind: mean_errors(each) for kind, each in judged.items()},
        "caches": caches(trace, half, eviction, sized),
        "choice": f"oldest {choice['oldest']:g}, strength {choice['strength']:g} / day, time"
        f" {choice['time']:g} days",
        "replicas": replicas,
        "tape": tape,
        "regime": regime(scale, seed),
    }


def errors(trace: Accesses, days: Floats, found: Floats) -> list[tuple[float, float]]:
    """Return log error and deviance of the forecast of each day."""
    each = []
    for day, forecast in zip(days, found, strict=True):
        live, counted = trace.known(day), trace.counts(day, day + 7)
        each.append((log_error(forecast[live], counted[live]),
                     deviance(forecast[live], counted[live])))  # fmt: skip
    return each


def mean_errors(each: Sequence[tuple[float, float]]) -> dict[str, float]:
    """Return the means over days."""
    log, dev = np.mean(each, axis=0)
    return {"log error": float(log), "deviance": float(dev)}


def caches(
    trace: Accesses, half: float, eviction: Eviction, sized: Eviction
) -> dict[str, dict[str, float]]:
    """Replay all policies at all sizes."""
    rates = eviction.rates(trace, half, trace.end)
    # Both begin at the end of the training, which is before the half by the last access.
    since = max(half, eviction.popularity_.until_)
    total = float(trace.size.sum())
    rows: dict[str, dict[str, float]] = {}
    policies = [*OWN, *(PEERS if find_spec("libcachesim") else ())]
    for size in SIZES:
        found: dict[str, Misses] = {
            policy: replay(trace, size * total, policy, since=since) for policy in policies
        }
        found[RULE] = eviction.replay(trace, size, since=since, rates=rates)
        found[SIZED] = sized.replay(trace, size, since=since, rates=rates)
        bounds = found[LRU], found[BELADY]
        for name, misses in found.items():
            row = {MISS: misses.ratio, BYTES: misses.byte_ratio}
            if name != BELADY:
                row[CLOSED] = share_closed(misses.ratio, *(b.ratio for b in bounds))
                row[CLOSED_BYTES] = share_closed(misses.byte_ratio, *(b.byte_ratio for b in bounds))
            rows[label(name, size)] = row
    return rows


def placed(
    trace: Accesses, half: float, kinds: Mapping[str, Popularity]
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Let each forecast place replicas, and choose what stays on disk beside tape."""
    rules: dict[str, Any] = {
        **{kind: lambda day, p=p: p.predict(trace, day) for kind, p in kinds.items()},
        "truth": lambda day: trace.counts(day, day + 7),
        # One replica more saves the same a GB of each set; what was read last stays on disk.
        "equal": lambda day: np.sqrt(trace.size),
        "last read": lambda day: 1e-6 * trace.size / (1 + trace.idle(day)),
    }
    replicas, tape = {}, {}
    for name, rule in rules.items():
        for disk in DISKS if name != "last read" else ():
            found = waits(trace, rule, disk, begin=half)
            replicas[f"{name}, disk {disk:g}"] = {"wait [days]": found.days}
        for disk in ON_DISK if name != "equal" else ():
            back = recalls(trace, rule, disk, begin=half)
            tape[f"{name}, disk {disk:g}"] = {
                "recalls / 1,000 accesses": 1e3 * back.recalls / max(back.accesses, 1),
                "recalled [TB]": back.recalled / 1e3,
            }
    return replicas, tape


def regime(scale: Scale, seed: int) -> dict[str, dict[str, float]]:
    """Forecast through a campaign that nobody knew of, trained once and again."""
    half = scale.days / 2
    trace = accesses(scale.days, scale.datasets, seed=10_000 + seed, campaign=1.1 * half)
    eviction = Eviction(Popularity(rounds=scale.rounds), every=7.0)
    eviction.fit(trace.before(half), seed=seed, progress=False)
    rows = {}
    for name, refit in (("once", None), ("again", 28.0)):
        rate, days = eviction.rates(trace, half, trace.end, refit=refit)
        used = days < scale.days - 7
        found = mean_errors(errors(trace, days[used], 7 * rate[used]))
        misses = eviction.replay(trace, 0.05, since=max(half, eviction.popularity_.until_),
                                 rates=(rate, days))  # fmt: skip
        rows[f"regime, {name}"] = found | {MISS: misses.ratio}
    total = 0.05 * float(trace.size.sum())
    for policy in (LRU, BELADY):
        rows[f"regime, {policy}"] = {MISS: replay(trace, total, policy, since=half).ratio}
    return rows


def table(found: Sequence[Mapping[str, Any]], part: str) -> list[Result]:
    """Return means over traces."""
    return [
        Result(subject, quantity, value.value, value.error)
        for subject, row in found[0][part].items()
        for quantity in row
        for value in [mean([f[part][subject][quantity] for f in found])]
    ]


def mean(values: Sequence[float]) -> Value:
    """Return the mean over traces, with its error; of one there is none."""
    known = np.array(values)
    error = known.std(ddof=1) / len(known) ** 0.5 if len(known) > 1 else np.nan
    return Value(float(known.mean()), float(error))


def label(name: str, size: float) -> str:
    """Return the subject of a policy at a size."""
    return f"{name}, {100 * size:g}%"


STUDY = Study(
    *("data-popularity", "Popularity of data sets", SUMMARY, SCALES, data_popularity, ("seeds",)),
    aims=AIMS,
    rankings=RANKINGS,
    events="{datasets} data sets over {days} days",
    stand_in="access logs of an experiment",
)
