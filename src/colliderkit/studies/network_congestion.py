"""Congestion of a small WLCG, forecast 1, 5 and 15 intervals ahead, and its faults, localised."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.operations.congestion import FORECASTS, LEARNED, CongestionForecast
from colliderkit.methods.operations.network_anomalies import DETECTORS, NetworkAnomaly
from colliderkit.metrics.forecast import precision_recall
from colliderkit.metrics.incidents import Incident, match, share
from colliderkit.metrics.value import Value
from colliderkit.report.network import forecast_in_time, incidents_in_time, over_horizons, shares
from colliderkit.report.network import precision_recall as drawn_curves
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim, Ranking
from colliderkit.sources.network.counters import LinkCounters
from colliderkit.sources.network.faults import KINDS, drawn_faults
from colliderkit.sources.network.fluid import simulate_fluid
from colliderkit.sources.network.monitoring import Monitoring, counters_of
from colliderkit.sources.network.packets import ns3_is_here, simulate_packets
from colliderkit.sources.network.topology import Topology, small_wlcg
from colliderkit.studies.run import Run, Study
from colliderkit.tasks.network import AHEAD, forecast_rows
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
Ten sites behind a core of eight routers exchange data as FTS would have them: sizes with a heavy
tail, busier by day, in campaigns, with streams closed where a path is full. A link is congested
where its queue is fuller than 80% or packets are lost. Forecasts are learned from its counters in
the first days and judged in later ones, and once on a network of another shape that they have never
seen. Faults with labels are then put in, and found by what probes of the paths see.
"""
STAND_IN = """
The traffic is made: by a fluid in which transfers share links fairly, in place of LHCOPN's counters
and FTS's records (published forecasts of these are of the volume and quote a mean squared error:
CHEP 2021, NOTED). {packets}
"""
WITH_PACKETS = "A second run, of packets in ns-3, has rates scaled down by 10,000 and time by 30."
WITHOUT = "Packets (ns-3, the extra network) are left out: {why}."
MEASURES = """
"AUPRC" is the area under precision over recall, by chance the share of congested intervals. A false
alarm is one that no congestion follows within 15 intervals; the lead time is told at one a day and
link, as the mean over all beginnings of congestion, those without warning counting 0, of the
probability 5 intervals ahead. Errors are by a bootstrap over blocks of a quarter of a day. An
incident is found if one is told within 5 intervals of it, and localised if the link that is named
first is the right one; errors of these are of counting.
"""
OTHER, PACKETS = "other topology", "packets"
AUPRC = "AUPRC, " + AHEAD
AIMS = (
    Aim("Five intervals ahead trees have 1.5 times the AUPRC of persistence",
        AUPRC.format(5), "trees", "above", against="persistence", times=1.5),
    Aim("They have more than exponential smoothing", AUPRC.format(5), "trees", "above",
        against="smoothing"),
    Aim("One interval ahead they have more than a threshold on the utilisation",
        AUPRC.format(1), "trees", "above", against="threshold"),
    Aim("A small network has as much as trees, to 0.05", AUPRC.format(5), "network", "equal",
        against="trees", tolerance=0.05),
    Aim("Trees warn more than an interval ahead, at one false alarm a day and link",
        "lead time [intervals]", "trees", "above", 1.0),
    Aim("On a topology that they have not seen they have 1.5 times that of persistence too",
        AUPRC.format(5), f"trees, {OTHER}", "above", against=f"persistence, {OTHER}", times=1.5),
    Aim("CUSUM finds more than half of the incidents", "found", "cusum", "above", 0.5),
    Aim("It raises less than two false alarms a day", "false alarms a day", "cusum", "below", 2.0),
    Aim("It names the right link more often than PCA of the traffic does", "localised", "cusum",
        "above", against="pca"),
)  # fmt: skip
RANKINGS = (
    Ranking(AUPRC.format(5), "higher", aside=(f"*, {OTHER}", f"*, {PACKETS}"),
            baselines=("persistence", "smoothing")),
)  # fmt: skip
TRAINING = partial(Training, batch_size=1024, learning_rate=2e-3, schedule="cosine")


@dataclass(frozen=True)
class Scale:
    """Intervals of a day, days to train and to test on, sites, faults of each kind, packets."""

    day: int
    train: int
    test: int
    sites: int
    faults: int
    training: Training
    load: float = 0.4
    seeds: int = 1
    packets: int = 0  # intervals in ns-3, of which 60% train


SCALES = {
    "smoke": Scale(150, 3, 2, 4, 1, TRAINING(epochs=1), load=0.7),
    "laptop": Scale(1440, 7, 5, 10, 8, TRAINING(epochs=8)),
    "night": Scale(1440, 30, 20, 10, 30, TRAINING(epochs=8), seeds=3, packets=4000),
    "paper": Scale(1440, 90, 60, 10, 60, TRAINING(epochs=12), seeds=5, packets=20_000),
}


def network_congestion(run: Run[Scale]) -> None:
    """Simulate a network, forecast its congestion, and find its faults."""
    scale, report = run.scale, run.report
    with_packets = bool(scale.packets) and ns3_is_here()
    why = "it is not installed" if scale.packets else "this scale is of the fluid alone"
    words = WITH_PACKETS if with_packets else WITHOUT.format(why=why)
    report.add_stand_in(STAND_IN.format(packets=words))
    report.add_definitions(MEASURES)
    days = scale.train + scale.test
    topology = small_wlcg(scale.sites, min(scale.sites, 8))
    seen = simulated(run, topology, days, seed=1, each=max(days // 5, 1))
    cut = scale.train * scale.day
    report.add_heading("Forecasts")
    judged(run, "", seen.counters.between(0, cut), seen.counters.between(cut, days * scale.day))
    report.add_heading("Another topology")
    shape = small_wlcg(max(scale.sites - 2, 3), min(scale.sites, 6), seed=7)
    unseen = simulated(run, shape, scale.test, seed=2, each=max(scale.test // 5, 1))
    judged(run, OTHER, None, unseen.counters)
    report.add_heading("Faults")
    incidents(run, topology)
    if with_packets:
        report.add_heading("Packets")
        counters = in_packets(run, topology)
        part = int(0.6 * len(counters))
        judged(run, PACKETS, counters.between(0, part), counters.between(part, len(counters)))


def simulated(
    run: Run[Scale], topology: Topology, days: int, *, seed: int, each: int, quiet: int = 0
) -> Monitoring:
    """Run the fluid for some days, with `each` faults of every kind after `quiet` intervals."""
    intervals, day = days * run.scale.day, run.scale.day
    faults = [
        replace(fault, begin=fault.begin + quiet, end=fault.end + quiet)
        for fault in drawn_faults(topology, intervals - quiet, each, seed=seed)
    ]
    with run.step(f"fluid, {days} days, seed {seed}"):
        return simulate_fluid(
            topology, intervals, day=day, load=run.scale.load, faults=faults, seed=seed
        )


def judged(run: Run[Scale], where: str, train: LinkCounters | None, test: LinkCounters) -> None:
    """Fit all forecasts, or take those that are fitted, and judge them in later intervals."""
    scale, report = run.scale, run.report
    day = scale.day if where != PACKETS else len(test)
    rows: list[Result] = []
    kept: dict[str, Any] = {}
    method = CongestionForecast()
    for kind in FORECASTS:
        seeds = run.seeds if kind in LEARNED else range(1)
        each = []
        for seed in seeds:
            name = f"{kind}, seed {seed}" + (f", {where}" if train is not None and where else "")
            method = CongestionForecast(kind=kind, day=day, training=scale.training)
            # On another topology what was learned here is taken as it is.
            data = () if train is None else (train,)
            method = run.fitted(name, method, *data, seed=seed, progress=False)
            with run.step(f"forecast {name} {where}".strip()):
                kept[kind] = method.predict_proba(test)
                subject = f"{kind}, {where}" if where else kind
                each.append(forecast_rows(subject, kept[kind], test, method))
        rows += combined(each)
    report.add_results(
        rows,
        "Area under precision over recall, Brier score, lead time and the share of beginnings that"
        f" were warned of, of {len(test)} later intervals and {len(test.link)} links, of which"
        f" {test.congested.mean():.2%} are congested; errors by blocks of time, and of seeds.",
    )
    h = method.horizons[1]
    truth = test.congested[h:]
    report.add_figure(
        drawn_curves(
            {kind: precision_recall(kept[kind][:-h, :, 1], truth) for kind in FORECASTS},
            float(truth.mean()),
        ),
        f"Precision over recall, {h} intervals ahead.",
    )
    values: dict[str, list[Value]] = {
        kind: [
            row.estimate
            for row in rows
            if row.subject.split(",")[0] == kind and row.quantity.startswith("AUPRC")
        ]
        for kind in FORECASTS
    }
    report.add_figure(
        over_horizons(values, method.horizons, "AUPRC"),
        "Area under precision over recall, with errors by blocks of time.",
    )
    report.add_figure(in_time(test, kept), EXAMPLE, wide=True)


EXAMPLE = """Counters of one link, and the probability of congestion 5 intervals ahead, around the
time at which it is most often congested anew."""


def in_time(test: LinkCounters, kept: dict[str, Any], length: int = 150) -> Any:
    """Draw some hours of a link in which congestion begins most often."""
    congested = test.congested
    onset = np.diff(congested.astype(int), axis=0, prepend=1) > 0
    count = np.cumsum(onset, axis=0)
    length = min(length, len(test) - 1)
    inside: NDArray[np.int64] = count[length:] - count[:-length]
    begin, link = np.unravel_index(int(inside.argmax()), inside.shape)
    part = slice(int(begin), int(begin) + length)
    return forecast_in_time(
        test.interval[part],
        {name: test[name][part, link] for name in ("utilisation", "queue")},
        congested[part, link],
        {kind: kept[kind][part, link, 1] for kind in ("trees", "smoothing")},
    )


def combined(each: Sequence[list[Result]]) -> list[Result]:
    """Combine the rows of several seeds."""
    if len(each) == 1:
        return list(each[0])
    return [
        Result.over_seeds(rows[0].subject, rows[0].quantity, [row.estimate for row in rows])
        for rows in zip(*each, strict=True)
    ]


def incidents(run: Run[Scale], topology: Topology) -> None:
    """Learn what is usual of days without faults, and find those of later days."""
    scale, report = run.scale, run.report
    cut = scale.train * scale.day
    days = scale.train + scale.test
    seen = simulated(run, topology, days, seed=3, each=scale.faults, quiet=cut)
    usual, later = seen.probes.between(0, cut), seen.probes.between(cut, days * scale.day)
    true = [Incident(f.begin - cut, f.end - cut, f.link) for f in seen.faults]
    kinds = np.array([fault.kind for fault in seen.faults])
    rows: list[Result] = []
    found: dict[str, dict[str, Value]] = {}
    scores: dict[str, Any] = {}
    thresholds: dict[str, float] = {}
    for kind in DETECTORS:
        method = NetworkAnomaly(kind=kind, day=scale.day)
        method = run.fitted(f"{kind}, usual", method, usual, progress=False)
        with run.step(f"incidents by {kind}"):
            scores[kind], thresholds[kind] = method.score(later).max(1), method.threshold_
            told = match(method.incidents(later), true)
        false = float(told.false.sum())
        values = {
            "found": share(told.found),
            "localised": share(told.localised),
            "false alarms a day": Value(false / scale.test, max(false, 1.0) ** 0.5 / scale.test),
        }
        found[kind] = {one: share(told.found[kinds == one]) for one in KINDS if one in kinds}
        rows += [
            Result(kind, name, v.value, v.error, counting=v.error) for name, v in values.items()
        ]
        rows += [
            Result(kind, f"found: {one}", v.value, v.error, counting=v.error)
            for one, v in found[kind].items()
        ]
    report.add_results(
        rows,
        f"Of {len(true)} incidents in {scale.test} days: shares found and localised, and false"
        " alarms; the threshold is that of one a day in days without faults.",
    )
    report.add_figure(
        shares(found, "Found"), "Share of the incidents of each kind that are found.", wide=True
    )
    report.add_figure(
        incidents_in_time(
            later.interval, scores, thresholds, [(f.begin, f.end) for f in seen.faults]
        ),
        "The largest score of all links over its threshold; incidents are shaded.",
        wide=True,
    )


def in_packets(run: Run[Scale], topology: Topology) -> LinkCounters:
    """Run the same sites packet by packet, once."""
    intervals = run.scale.packets
    faults = drawn_faults(topology, intervals, max(intervals // 2000, 1), seed=4)

    def simulate() -> dict[str, Any]:
        seen = simulate_packets(
            topology, intervals, day=run.scale.day, load=run.scale.load, faults=faults, seed=4
        )
        return {"values": seen.counters.values}

    return counters_of(topology, run.arrays("packets", simulate)["values"])


STUDY = Study(
    *("network-congestion", "Congestion of a network", SUMMARY, SCALES, network_congestion),
    ("seeds",),
    aims=AIMS,
    rankings=RANKINGS,
    events="{train} days of {day} intervals to train on, {test} to test",
    stand_in="counters of LHCOPN links",
)
