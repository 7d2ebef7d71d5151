"""An anomaly trigger in a menu: tails by topology, pure rates, a score of few bits."""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.methods.search.menu import Menu, Rates, menu_rates
from colliderkit.methods.search.topologies import Topologies
from colliderkit.methods.search.trigger import Trigger
from colliderkit.metrics.value import Value, number
from colliderkit.networks.fixed_point import bit_operations
from colliderkit.report.results import Result
from colliderkit.report.trigger import against_bits, item_rates, overlaps, tails
from colliderkit.report.verdict import Aim
from colliderkit.sources.toys import trigger as toy
from colliderkit.studies import trigger_stream
from colliderkit.studies.run import Run, Study
from colliderkit.studies.trigger_stream import efficiencies, followed, settings, share_of
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

INPUT_RATE = trigger_stream.INPUT_RATE
Floats = NDArray[np.float64]
Signals = Mapping[str, Floats]

SUMMARY = """
An anomaly score alone is not yet a trigger. Busy events are reproduced badly because they are busy,
so that one cut keeps those; here each event is judged by its tail probability among events of its
own topology, and a prior says what rate a topology gets. Beside the other items of a menu only the
pure rate counts, of events that no other item keeps. Last, hardware computes with few bits, and
what has to stay the same is the selected set.
"""
STAND_IN = """
The stream and the signals are drawn from simple distributions in the layout of the anomaly
detection challenge 2021 (arXiv:2107.02157), and the menu is made: efficiencies and overlaps are
those of the toy.
"""
MEASURES = """
A topology is the number of leptons (0, 1, 2 or more) and of jets (0-1, 2-3, 4 or more). "One cut"
cuts on the score, "tails" on the tail probability p in the topology, with the same p for all
(prior of the stream) or the same rate for all (even prior). Pure is the rate that no other item of
the menu keeps. "In common" is the share of the events kept in either of two ways that both keep,
each at the same rate. "Rounded" networks have their weights rounded after training; "trained" ones
were then trained, as they are rounded, to give what the floats give.
"""
ONE, TAILS = "one score, one cut", "one score, tails"
OWN, OWN_TAILS, EVEN = "own scores, one cut", "own scores, tails", "own scores, tails, even prior"
ITEM = "anomaly"
BELOW = 0.01  # the tail probability at which topologies are compared
FLAT = "share with p below 0.01 / 0.01"
COMMON = "in common with floats"
# What a menu could cut looser: of columns by name.
LOOSER: dict[str, Callable[[Signals], Floats]] = {
    "HT": lambda x: np.sum([x[f"j{i}_pt"] for i in range(1, 11)], axis=0),
    "missing momentum": lambda x: x["met_pt"],
}
AIMS = (
    Aim("Tail probabilities are even in every topology", FLAT, "*", "equal", 1.0, tolerance=0.2),
    Aim("In a steady stream the rate by tails is within a tenth of the target", "rate / target",
        "*, steady stream", "within", (0.9, 1.1)),
    Aim("Updates follow rising pileup", "rate / target", "*, rising pileup, updated", "within",
        (0.9, 1.1)),
    Aim("Tails find charged Higgs bosons more often than one cut", "charged Higgs: kept",
        OWN_TAILS, "above", against=ONE),
    Aim("Most of what the anomaly item keeps is pure", "pure / rate", ITEM, "above", 0.5),
    Aim("At 16 bits nine in ten of the kept events are the same", COMMON, "16 bits, *", "above",
        0.9),
    Aim("At 6 bits training keeps more in common than rounding", COMMON, "6 bits, trained",
        "above", against="6 bits, rounded"),
    Aim("At 4 bits it does too", COMMON, "4 bits, trained", "above", against="4 bits, rounded"),
)  # fmt: skip


@dataclass(frozen=True)
class Scale(trigger_stream.Scale):
    """As `trigger-stream`, with the events beside a menu, and which bits train how much further."""

    menu: int = 400_000
    further: Training = Training(epochs=3, batch_size=512, learning_rate=5e-4)
    widths: tuple[int, ...] = (16, 12, 8, 6, 4)
    smallest: int = 500


SCALES = {
    "smoke": Scale(6_000, 3_000, 2, 500, 2e-2, settings(1, 256), menu=4_000,
                   further=settings(1, 256), widths=(4,), smallest=500),
    "laptop": Scale(200_000, 200_000, 6, 20_000, 1e-3, settings(5, 512),
                    further=settings(2, 512, learning_rate=1e-3)),
    "night": Scale(1_000_000, 400_000, 20, 100_000, 1e-3, settings(20, 1_024), seeds=5,
                   menu=2_000_000, further=settings(10, 1_024)),
    "paper": Scale(4_000_000, 1_000_000, 40, 100_000, 1e-3, settings(40, 1_024), seeds=10,
                   menu=10_000_000, further=settings(20, 1_024)),
}  # fmt: skip


def trigger_menu(run: Run[Scale]) -> None:
    """Calibrate by topology, stand beside a menu, compute with few bits."""
    scale, report = run.scale, run.report
    report.add_stand_in(STAND_IN)
    report.add_definitions(MEASURES)
    events = toy.table(toy.stream(scale.train, seed=1))
    signals = {
        n: toy.table(toy.signal(n, scale.signal, seed=[2, i])) for i, n in enumerate(toy.SIGNALS)
    }
    ways = [fitted(run, events, seed) for seed in run.seeds]
    report.add_heading("Topologies")
    kept = [
        row
        for name in (ONE, TAILS, OWN_TAILS, EVEN)
        for row in efficiencies(name, [triggers[name] for triggers in ways], signals)
    ]
    report.add_results(
        [*kept, *one_cut([triggers[OWN_TAILS] for triggers in ways], scale, signals)],
        "Share of each signal that is kept, all at the same rate; errors of counting and of seeds.",
    )
    first = ways[0]
    with run.step("tail probabilities"):
        report.add_results(
            even(run, first[OWN_TAILS]),
            "Events of the stream that set nothing, with a tail probability below 1%: errors of"
            " counting, of these and of those that set the tails.",
        )
    with run.step("rates by tails"):
        report.add_results(
            followed(cast(Run[Any], run), TAILS, copy(first[TAILS]), signals),
            "Means over the updates; of the fixed threshold the last rate.",
        )
    report.add_heading("Beside a menu")
    with run.step("menu"):
        beside_menu(run, first[TAILS])
    report.add_heading("Few bits")
    few_bits(run, first[ONE], events, signals)


def fitted(run: Run[Scale], events: Floats, seed: int) -> dict[str, Trigger]:
    """Return the triggers of a seed by name; those that differ by the prior share their scores."""
    scale = run.scale
    score = Autoencoder(latent=8, features=toy.COLUMNS, training=scale.training)
    rate: dict[str, Any] = {
        "target": scale.share * INPUT_RATE,
        "input_rate": INPUT_RATE,
    }
    kinds = Topologies(smallest=scale.smallest)
    method = Trigger(score, **rate, topologies=kinds, own=True)
    own = run.fitted(f"scores, seed {seed}", method, events, seed=seed, progress=False)
    found = {OWN_TAILS: own, EVEN: copy(own).set_params(prior="even")}
    # The score of rare topologies was trained on all.
    found[TAILS] = copy(own).set_params(own=False)
    found[ONE] = copy(own).set_params(own=False, topologies=None)
    found[TAILS].scorers_, found[ONE].scorers_, found[ONE].groups_ = {}, {}, None
    # All thresholds from the same events, which no training has seen.
    newest = toy.table(toy.stream(scale.update, seed=[20, seed]))
    for trigger in found.values():
        trigger.update(newest)
    return found


def one_cut(triggers: list[Trigger], scale: Scale, signals: Signals) -> list[Result]:
    """Return what one cut on the scores of their own keeps, which are not comparable."""
    kept: dict[str, list[Value]] = {}
    for seed, trigger in enumerate(triggers):
        raw = trigger.raw_score(toy.table(toy.stream(scale.update, seed=[20, seed])))
        cut = np.quantile(raw, 1 - scale.share)
        for which, x in signals.items():
            kept.setdefault(which, []).append(share_of(trigger.raw_score(x) > cut))
    return [Result.over_seeds(OWN, f"{which}: kept", values) for which, values in kept.items()]


def even(run: Run[Scale], trigger: Trigger) -> list[Result]:
    """Return whether the stream's tail probabilities are even in each topology, and draw them."""
    new = toy.table(toy.stream(run.scale.update, seed=[21, 0]))
    p, of = trigger.tail_probability(new), trigger.topology(new)
    names = list(trigger.thresholds())
    run.report.add_figure(
        tails({name: p[of == i] for i, name in enumerate(names)}),
        "Tail probabilities of events of the stream in their own topology, over even ones.",
        wide=True,
    )
    below = [p[of == i] < BELOW for i in range(len(names))]
    # As many events set the tails as are judged by them.
    errors = [float(np.sqrt(2 * (1 - BELOW) / (BELOW * len(mine)))) for mine in below]
    shares = [float(mine.mean()) / BELOW for mine in below]
    return [Result(*row) for row in zip(names, [FLAT] * len(names), shares, errors, strict=True)]


def beside_menu(run: Run[Scale], trigger: Trigger) -> None:
    """Measure rates, overlaps and pure rates, and what signals gain at the same total rate."""
    scale, report = run.scale, run.report
    menu = Menu(toy.MENU, toy.PRESCALES)
    names = [*toy.MENU, ITEM]
    new = toy.stream(scale.menu, seed=[22, 0])
    accepted = np.column_stack([menu.accepts(toy.columns(new)), trigger.keeps(toy.table(new))])
    found = menu_rates(accepted, [*menu.shares, 1.0], names, input_rate=INPUT_RATE)
    report.add_results(rows_of(found), "Rates after prescales, and pure rates; counting errors.")
    report.add_figure(
        item_rates(names, found.rate, found.pure, "1/s"),
        f"Rates of the items in a stream of {number(INPUT_RATE)} events a second, and the part that"
        " no other item keeps.",
    )
    report.add_figure(
        overlaps(names, found.shared), "The share of each item's events that another keeps too."
    )
    # The same rate more, spent on a looser cut: what a menu can do without the item.
    off = np.prod(1 - accepted[:, :-1] * menu.shares, axis=1)
    more = found.pure[-1].value / INPUT_RATE
    cuts = {name: loosened(of(toy.columns(new)), off, more) for name, of in LOOSER.items()}
    rows = []
    for i, which in enumerate(toy.SIGNALS):
        x = toy.signal(which, scale.signal, seed=[2, i])
        alone = np.prod(1 - menu.accepts(toy.columns(x)) * menu.shares, axis=1)
        gained = {"menu": np.zeros(len(x)), "menu and anomaly": trigger.keeps(toy.table(x))}
        gained |= {f"menu, looser {n}": LOOSER[n](toy.columns(x)) > cut for n, cut in cuts.items()}
        for name, also in gained.items():
            kept = 1 - alone * (1 - also)
            error = float(kept.std() / len(kept) ** 0.5)
            rows.append(Result(name, f"{which}: kept by the menu", float(kept.mean()), error))
    report.add_results(
        rows,
        "Share of each signal that the menu keeps, with the anomaly item, and with the rate that"
        " this one adds spent on a looser cut; errors of counting, largely common to a signal.",
    )


def loosened(x: Floats, off: Floats, share: float) -> float:
    """Return the cut on x (N,) that adds `share` of the stream to what is kept with 1 - off."""
    order = np.argsort(-x)
    added = np.cumsum(off[order]) / len(x)
    return float(x[order[min(int(np.searchsorted(added, share)), len(x) - 1)]])


def rows_of(found: Rates) -> list[Result]:
    """Return rates and pure rates as rows, and the pure part of the anomaly item."""
    rows = [
        Result(name, quantity, v.value, v.error, unit="1/s")
        for quantity, values in (("rate", found.rate), ("pure rate", found.pure))
        for name, v in zip(found.names, values, strict=True)
    ]
    rows.append(Result("all items", "rate", found.total.value, found.total.error, unit="1/s"))
    rate, pure = found.rate[-1], found.pure[-1]
    events = max((rate.value / rate.error) ** 2, 1.0)  # behind the rate
    part = pure.value / rate.value if rate.value else 0.0
    error = float(np.sqrt(max(part * (1 - part), 1 / events) / events))
    return [*rows, Result(ITEM, "pure / rate", part, error)]


def few_bits(run: Run[Scale], trigger: Trigger, events: Floats, signals: Signals) -> None:
    """Put a score in fixed point, rounded and trained; compare rates, efficiencies and sets."""
    newest, new = (toy.table(toy.stream(run.scale.update, seed=[23, i])) for i in range(2))
    floats: Any = trigger.scorer_
    trigger = copy(trigger).update(newest)
    kept, of_signals = trigger.keeps(new), {n: trigger.keeps(x) for n, x in signals.items()}
    rows: list[Result] = []
    common: dict[str, dict[int, Value]] = {"rounded": {}, "trained": {}}
    for bits in run.scale.widths:
        for how, training in (("rounded", None), ("trained", run.scale.further)):
            name = f"{bits} bits, {how}"
            with run.step(name):
                other = copy(trigger)
                few = floats.in_fixed_point(events, bits, training=training, progress=False)
                other.scorer_ = few
                score = few.score(new)
                before = trigger.rate_of(score).value / trigger.target
                rate = other.update(newest).rate_of(score)
            mine = score > other.threshold_
            both = share_of((mine & kept)[mine | kept])
            # Of all, the error is what one event more would make of it.
            common[how][bits] = Value(both.value, both.error or 1 / (int(kept.sum()) + 2))
            total = float(np.hypot(rate.error, other.expected().error)) / trigger.target
            rows += [
                Result(name, COMMON, common[how][bits].value, common[how][bits].error),
                Result(name, "bit operations", bit_operations(few.model_)),
                Result(name, "rate / target", rate.value / trigger.target, total),
                Result(name, "rate / target, threshold of floats", before,
                       (max(before, 1.0) / (trigger.share * len(new))) ** 0.5),
                *(trigger_stream.ratio(name, f"{n}: bits / floats", other.keeps(x), of_signals[n])
                  for n, x in signals.items()),
            ]  # fmt: skip
    run.report.add_figure(
        against_bits(common, "Events in common with floats"),
        "Of the events that floats or fixed point keep, those that both keep, at the same rate.",
    )
    run.report.add_results(
        rows,
        "Events in common, the rate of a threshold of its own and of that of floats, and signals"
        " kept over those by floats (errors: of the events in which they differ).",
    )


STUDY = Study(
    *("trigger-menu", "An anomaly trigger in a menu", SUMMARY, SCALES, trigger_menu, ("seeds",)),
    aims=AIMS,
    events="{train} events of the stream to train on, {menu} beside a menu",
    stand_in="the events of the anomaly detection challenge 2021, and a menu of an experiment",
)
