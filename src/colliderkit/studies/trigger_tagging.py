"""Tagging at the trigger: b quarks, boosted top quarks and W bosons from raw hits and towers."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from colliderkit.events.tables import Floats
from colliderkit.events.trigger_seeds import TriggerSeeds, triplets
from colliderkit.methods.reconstruction.trigger_tagging import (
    ITEMS,
    TriggerTagging,
    elements,
    threshold_at,
)
from colliderkit.metrics.turn_on import efficiency_of
from colliderkit.metrics.value import Value, number
from colliderkit.report.clustering import in_bins
from colliderkit.report.results import Result
from colliderkit.report.trigger import seeds_of_an_event
from colliderkit.report.verdict import Aim
from colliderkit.serve.latency import cpu_seconds
from colliderkit.sources.datasets.trigger_seeds import PROCESSES, trigger_seeds
from colliderkit.sources.files.trigger_seeds import read_trigger_seeds, write_trigger_seeds
from colliderkit.studies.run import Run, Study
from colliderkit.tasks.trigger_tagging import SEED_JET, kept_rate
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
A trigger that cuts on the transverse momentum of a jet loses whatever is below. Tagging would allow
a lower threshold, but the tracks with their perigee parameters that taggers read come late. Here a
network reads what is there before any track is fitted: the calorimeter's towers around a seed, and
the coordinates of pixel hits, three at a time. At the rate of a cut on the seed jet, what does it
keep of b quarks, of boosted top quarks and of boosted W bosons?
"""
STAND_IN = """
Pythia 8 at 13.6 TeV with a mean of {pileup:g} other collisions. Towers are of 0.1 x 0.1, smeared by
the package's detector; hits are in the pixel barrel of TrackML's detector, {tracker}. Seeds have 25
GeV and |eta| < 1.5, two of an event at most. The stream is of quarks and gluons of 40 GeV and more
alone. Its rate and those of the items are made: of {input:g} kHz the b item keeps {b:g} Hz, the
boosted one {boosted:g} Hz, and that of W bosons {w:g} Hz.
"""
TRACKERS = {"acts": "by ACTS' Fatras with its material", "helix": "on helices without material"}
MEASURES = """
Efficiencies are of events with a b quark, a top quark or a W within |eta| < 1.3, by the momentum of
the leading one. All thresholds are set on the stream of the test, so that rates are equal; errors
are those of counting, of the stream (bootstrap) and of seeds. "Rate / target" is of the thresholds
that the fit has set by events of its own. Times are of one event after another on one thread, and
begin with hits and towers in memory: what it costs to read them out is not in it.
"""
NETWORK, TOWERS = "towers and hits", "towers alone"
HERTZ = 100_000.0  # of the stream
EDGES = {
    "b": (40.0, 60.0, 80.0, 100.0, 130.0, 170.0, 250.0, 600.0),
    **dict.fromkeys(("boosted", "W"), (150.0, 200.0, 250.0, 300.0, 350.0, 450.0, 800.0)),
}
# Where a seed jet turns on.
REGION = {"b": (60.0, 130.0), "boosted": (200.0, 350.0), "W": (150.0, 250.0)}
QUARK = {"b": "b quark", "boosted": "top quark", "W": "W boson"}
TIME, RATIO = "CPU time an event [ms]", "rate / target"
KEPT = {item: f"{item}: kept of {low:g} to {high:g} GeV" for item, (low, high) in REGION.items()}
AIMS = (
    *(
        Aim(f"{item}: more is kept than by the seed jet at the same rate", KEPT[item], NETWORK,
            "above", against=SEED_JET)
        for item in ITEMS
    ),
    Aim("b: hits help", KEPT["b"], NETWORK, "above", against=TOWERS),
    *(
        Aim(f"The rate of the {item} item is the one asked for", f"{item}: {RATIO}", NETWORK,
            "equal", 1.0, tolerance=0.3)
        for item in ITEMS
    ),
    Aim("An event takes less than 10 ms", TIME, "in all, torch", "below", 10.0),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Events of the stream, of each signal to train on, and to judge; pileup, epochs, fits."""

    stream: int
    b: int
    top: int
    w: int
    judged: int
    pileup: float
    epochs: int
    seeds: int
    tracker: Literal["acts", "helix"] = "acts"
    shares: tuple[float, float, float] = (1e-2, 1e-4, 1e-3)
    width: int = 32


SCALES = {
    "smoke": Scale(50, 30, 30, 30, 40, 0.0, 1, 1, "helix", (0.1, 0.1, 0.1), 8),
    "laptop": Scale(2_000, 1_600, 700, 1_400, 1_200, 10.0, 14, 3),
    "night": Scale(40_000, 30_000, 15_000, 15_000, 20_000, 20.0, 30, 5, width=64),
    "paper": Scale(500_000, 400_000, 200_000, 200_000, 200_000, 60.0, 40, 5, width=128),
}


def trigger_tagging(run: Run[Scale]) -> None:
    """Generate the stream and the signals, train, and compare at equal rates."""
    scale, report = run.scale, run.report
    report.add_stand_in(
        STAND_IN.format(
            pileup=scale.pileup, tracker=TRACKERS[scale.tracker], input=HERTZ / 1e3,
            **{k: s * HERTZ for k, s in zip(("b", "boosted", "w"), scale.shares, strict=True)},
        )
    )  # fmt: skip
    report.add_definitions(MEASURES)
    counts = dict(zip(PROCESSES, (scale.stream, scale.b, scale.top, scale.w), strict=True))
    parts = [generated(run, *each) for each in counts.items()]
    train = TriggerSeeds.joined(
        [part.at(slice(0, n)) for part, n in zip(parts, counts.values(), strict=True)]
    )
    stream, *judged = (
        part.at(slice(n, None)) for part, n in zip(parts, counts.values(), strict=True)
    )
    signals = dict(zip(ITEMS, judged, strict=True))
    report.facts.append(
        f"{number(np.diff(train.hit_offsets).mean(), 3)} hits and"
        f" {number(np.diff(train.tower_offsets).mean(), 3)} towers a seed"
    )
    method = TriggerTagging(
        shares=list(scale.shares), width=scale.width,
        training=Training(epochs=scale.epochs, batch_size=64, learning_rate=3e-3),
    )  # fmt: skip
    networks = [
        run.fitted(f"{NETWORK}, seed {seed}", method, train, seed=seed) for seed in run.seeds
    ]
    blind = run.fitted(TOWERS, method, without_hits(train))
    scores = {
        NETWORK: [scored(each, stream, signals) for each in networks],
        TOWERS: [
            scored(blind, without_hits(stream), {i: without_hits(s) for i, s in signals.items()})
        ],
        SEED_JET: [leading(stream, signals)],
    }
    for place, item in enumerate(ITEMS):
        add_item(run, item, place, stream, signals[item], scores)
    add_rates(run, networks, stream)
    near = np.abs(np.nan_to_num(signals["b"].true_pt) - 100) + 1e3 * (signals["b"].leading < 60)
    shown = int(np.argmin(near))
    report.add_heading("What the network sees")
    report.add_figure(
        seeds_of_an_event(signals["b"], shown),
        "Seeds of an event with b quarks: towers around the axis, the area as the energy; and hits"
        " in the layers of the pixels, those of triplets joined.",
        wide=True,
    )
    add_times(run, networks[0], stream)


def generated(run: Run[Scale], process: str, count: int) -> TriggerSeeds:
    """Return seeds of a process, those to train on before those to judge by, generated once."""
    scale = run.scale

    def make(path: Path) -> None:
        made = trigger_seeds(
            process, count + scale.judged, pileup=scale.pileup, tracker=scale.tracker, seed=1
        )
        write_trigger_seeds(path, made)

    return read_trigger_seeds(run.file(f"{process}.parquet", make))


def without_hits(seeds: TriggerSeeds) -> TriggerSeeds:
    """Return seeds whose hits are not read."""
    none = {name: getattr(seeds, name)[:0] for name in ("hit_layer", "hit_r", "hit_dphi", "hit_z")}
    return replace(seeds, hit_offsets=np.zeros_like(seeds.hit_offsets), **none)


def scored(
    method: TriggerTagging, stream: TriggerSeeds, signals: dict[str, TriggerSeeds]
) -> dict[str, tuple[Floats, Floats]]:
    """Return scores of the stream and of the signal of each item."""
    of_stream = method.scores(stream)
    return {
        item: (of_stream[:, i], method.scores(signals[item])[:, i]) for i, item in enumerate(ITEMS)
    }


def leading(
    stream: TriggerSeeds, signals: dict[str, TriggerSeeds]
) -> dict[str, tuple[Floats, Floats]]:
    """Return the same of a cut on the leading seed."""
    return {item: (stream.leading, signals[item].leading) for item in ITEMS}


def add_item(
    run: Run[Scale], item: str, place: int, stream: TriggerSeeds, signal: TriggerSeeds,
    scores: dict[str, list[dict[str, tuple[Floats, Floats]]]],
) -> None:  # fmt: skip
    """Add what is kept of one signal at the item's rate, and the turn-on curves."""
    share, low_high = run.scale.shares[place], REGION[item]
    edges = EDGES[item]
    rows, curves = [], {}
    for name, several in scores.items():
        pairs = [each[item] for each in several]
        regions = (low_high, (edges[0], edges[-1]))
        for (low, high), quantity in zip(
            regions, (KEPT[item], f"{item}: kept of {edges[0]:g} to {edges[-1]:g} GeV"), strict=True
        ):
            values = [kept(*p, stream.weight, signal.true_pt, low, high, share) for p in pairs]
            rows.append(Result.over_seeds(name, quantity, values))
        curves[name] = [
            mean_of([kept(*p, stream.weight, signal.true_pt, a, b, share) for p in pairs])
            for a, b in zip(edges, edges[1:], strict=False)
        ]
    cut = threshold_at(stream.leading, stream.weight, share)
    run.report.add_heading(f"The {item} item")
    run.report.add_results(
        rows,
        f"At {share * HERTZ:g} Hz of {HERTZ / 1e3:g} kHz, where the seed jet needs {cut:.0f} GeV.",
    )
    run.report.add_figure(
        in_bins(
            curves, edges, f"True pT of the leading {QUARK[item]} [GeV]", "Share of events kept"
        ),
        f"Turn-on at equal rates: events with a {QUARK[item]} that are kept.",
    )


def kept(
    of_stream: Floats, of_signal: Floats, weight: Floats, true_pt: Floats, low: float, high: float,
    share: float, replicas: int = 30,
) -> Value:  # fmt: skip
    """Return the efficiency of a signal in a range of its momentum at a share of the stream.

    The error is that of counting the signal, and of the threshold by bootstraps of the stream.
    """
    inside = of_signal[(true_pt >= low) & (true_pt < high)]
    if not len(inside):
        return Value(float("nan"), float("nan"))
    random = np.random.default_rng(1)
    found = efficiency_of(int((inside > threshold_at(of_stream, weight, share)).sum()), len(inside))
    moved = []
    for _ in range(replicas):
        rows = random.integers(0, len(weight), len(weight))
        moved.append(float((inside > threshold_at(of_stream[rows], weight[rows], share)).mean()))
    return Value(found.value, float(np.hypot(found.error, np.std(moved, ddof=1))))


def mean_of(values: list[Value]) -> Value:
    """Return the mean over seeds, with the errors of `Result.over_seeds`."""
    return Result.over_seeds("", "", values).estimate


def add_rates(run: Run[Scale], networks: list[TriggerTagging], stream: TriggerSeeds) -> None:
    """Add the rates of the thresholds that the fits have set."""
    rows = []
    for i, item in enumerate(ITEMS):
        share = run.scale.shares[i]
        values = []
        for each in networks:
            rate = kept_rate(each.keeps(stream)[:, i], stream.weight)
            held = each.held_out * run.scale.stream / len(stream)
            # The events that have set the threshold count as well.
            error = rate.error * float(np.sqrt(1 + 1 / held))
            values.append(Value(rate.value / share, error / share))
        rows.append(Result.over_seeds(NETWORK, f"{item}: {RATIO}", values))
    run.report.add_results(
        rows, "Thresholds of the fits, on events of the stream that set nothing."
    )


def add_times(run: Run[Scale], method: TriggerTagging, stream: TriggerSeeds) -> None:
    """Add the CPU time of an event on one thread, one after another."""
    count = min(200, len(stream))
    one_by_one = [stream.at([i]) for i in range(count)]
    inputs = [elements(each) for each in one_by_one]
    parts = {
        "triplets of hits": lambda: [triplets(each) for each in one_by_one],
        "elements of seeds": lambda: [elements(each) for each in one_by_one],
        "in all, torch": lambda: [method.keeps(each) for each in one_by_one],
    }
    rows = []
    for name, make in parts.items():
        times = [1e3 * cpu_seconds(make, 1) / count for _ in range(3)]
        error = float(np.std(times, ddof=1)) / 3**0.5
        rows.append(Result(name, TIME, float(np.mean(times)), error, unit="ms"))
    longest = max(int(max(each.lengths.tolist(), default=0)) for each in inputs)
    run.report.add_results(
        rows, f"Of {count} events, with up to {longest} elements a seed; three times in turn."
    )


STUDY = Study(
    *("trigger-tagging", "Tagging at the trigger", SUMMARY, SCALES, trigger_tagging, ("seeds",)),
    aims=AIMS,
    events="{stream} events of the stream, {b} of b, {top} of top quarks and {w} of W to train on,"
    " {judged} of each to judge",
    stand_in="a trigger's detector, and the rates of a menu",
)  # fmt: skip
