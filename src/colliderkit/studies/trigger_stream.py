"""A trigger on anomalies: a score trained on an unlabelled stream, kept at a rate, in integers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.methods.search.trigger import Trigger
from colliderkit.metrics.value import Value, binomial_variance, number
from colliderkit.report.plots import round_edges
from colliderkit.report.results import Result
from colliderkit.report.trigger import rates, scores_and_threshold
from colliderkit.report.verdict import Aim
from colliderkit.serve.trigger import Bits, export_trigger, scores, speed
from colliderkit.sources.toys.trigger import COLUMNS, SIGNALS, signal, stream, table
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

Floats = NDArray[np.float64]

SUMMARY = """
The first stage of a trigger drops most events, and with them any signal that nobody thought of. An
autoencoder that is trained on the stream itself, without labels, keeps what it reproduces badly.
The newest events set the threshold for a given rate. The rate is then measured in the next ones, in
a steady stream and in one with rising pileup. Last, the score is computed in integers, as hardware
does it, and the loss is measured.
"""
STAND_IN = """
The stream is drawn from simple distributions in the layout of the anomaly detection challenge 2021
(arXiv:2107.02157), in place of its events of Pythia and Delphes, and so are the signals: what is
learned about rates, errors, integers and speed holds for them, efficiencies are those of the toy.
"""
MEASURES = """
"plain" scores by the error of reproduction; "radius" by the squared latent mean of a variational
autoencoder, which needs no decoder, as in the CMS trigger AXOL1TL. "rate / target" is that of
events after an update, which set no threshold. Both the events above the threshold of an update
and those that are kept later are counted; the error is of both. A cut on one quantity at the same
rate stands beside the scores. Integers have activations of 8 or 16 bits and weights of 8, and a
threshold of their own; "agreement" is the share of the kept events that both keep.
"""
INPUT_RATE = 1_000_000.0  # events a second
STEADY, FIXED, UPDATED = "steady stream", "rising pileup, fixed", "rising pileup, updated"
WITHIN = "updates within 10% + 2 counting errors"
AIMS = (
    Aim("In a steady stream the mean rate is within a tenth of the target", "rate / target",
        f"*, {STEADY}", "within", (0.9, 1.1)),
    Aim("Nine updates in ten are within a tenth and two counting errors", WITHIN, "*", "above",
        0.9),
    Aim("A fixed threshold leaves the target where pileup rises", "rate / target",
        f"*, {FIXED}", "above", 1.1),
    Aim("Updates follow it", "rate / target", f"*, {UPDATED}", "within", (0.9, 1.1)),
    Aim("A score keeps each signal more often than the stream, one event in a thousand",
        "*: kept", "plain", "above", 1e-3),
    Aim("An integer file keeps as much of each signal, within a tenth", "*: integers / floats",
        "*", "within", (0.9, 1.1)),
    Aim("20,000 events a second on one core", "throughput [1/s]", "*", "above", 20_000),
    Aim("One event takes less than a millisecond", "latency [ms]", "*", "below", 1.0),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Events that train, set a threshold and measure a rate, and of each signal."""

    train: int
    update: int
    updates: int
    signal: int
    share: float
    training: Training
    seeds: int = 1
    bits: tuple[Bits, ...] = (8, 16)


settings = partial(Training, schedule="cosine", learning_rate=2e-3)
SCALES = {
    "smoke": Scale(4_000, 2_500, 3, 1_000, 1e-2, settings(1, 256), bits=(8,)),
    "laptop": Scale(200_000, 100_000, 40, 20_000, 1e-3, settings(5, 512)),
    "night": Scale(1_000_000, 100_000, 100, 100_000, 1e-3, settings(20, 1_024), seeds=5),
    "paper": Scale(4_000_000, 400_000, 100, 100_000, 1e-3, settings(40, 1_024), seeds=10),
}
# Cuts on one quantity: of columns by name.
CUTS: dict[str, Callable[[Floats], Floats]] = {
    "missing momentum": lambda x: x[:, COLUMNS.index("met_pt")],
    "hardest jet": lambda x: x[:, COLUMNS.index("j1_pt")],
    "third jet": lambda x: x[:, COLUMNS.index("j3_pt")],
    "second lepton": lambda x: np.sort(
        x[:, [COLUMNS.index(f"{kind}{i}_pt") for kind in ("e", "mu") for i in (1, 2)]], axis=1
    )[:, -2],
}


def scorers(scale: Scale) -> dict[str, Autoencoder]:
    """Return the scores by name, not trained."""
    common: dict[str, Any] = {"latent": 8, "features": COLUMNS, "training": scale.training}
    return {
        "plain": Autoencoder(**common),
        "radius": Autoencoder(kind="variational", measure="radius", beta=0.5, **common),
    }


def trigger_stream(run: Run[Scale]) -> None:
    """Train triggers on a stream, follow their rates, and make integers of them."""
    run.report.add_stand_in(STAND_IN)
    run.report.add_definitions(MEASURES)
    report = run.report
    events = table(stream(run.scale.train, seed=1))
    signals = {
        name: table(signal(name, run.scale.signal, seed=[2, i])) for i, name in enumerate(SIGNALS)
    }
    first: dict[str, Trigger] = {}
    kept: list[Result] = []
    for name, scorer in scorers(run.scale).items():
        fitted = [
            run.fitted(
                f"{name}, seed {seed}",
                Trigger(scorer, target=run.scale.share * INPUT_RATE, input_rate=INPUT_RATE),
                events,
                seed=seed,
                progress=False,
            )
            for seed in run.seeds
        ]
        first[name] = fitted[0]
        kept += efficiencies(name, fitted, signals)
    report.add_heading("What is kept")
    report.add_results(
        [*kept, *of_cuts(events, signals, run.scale.share)],
        "Share of each signal that is kept, by the scores and by cuts on one quantity, all at the"
        " same rate; errors of counting and of seeds.",
    )
    in_updates: list[Result] = []
    for name, trigger in first.items():
        with run.step(f"rates of {name}"):
            in_updates += followed(run, name, trigger, signals)
    report.add_results(in_updates, "Means over the updates; of the fixed threshold the last rate.")
    report.add_heading("In integers")
    integers: list[Result] = []
    for name, trigger in first.items():
        with run.step(f"integers of {name}"):
            integers += in_integers(run, name, trigger, events, signals)
    report.add_results(
        integers,
        "Events that are kept by integers over those by floats, from the events in which they"
        " differ; events a second in batches, and the time of one event, both on one thread.",
    )


def share_of(kept: NDArray[np.bool_]) -> Value:
    """Return a share with its binomial error."""
    share = float(kept.mean())
    error = binomial_variance(share, share / len(kept), 1 / len(kept)) ** 0.5
    return Value(share, float(error))


def efficiencies(name: str, fitted: list[Trigger], signals: Mapping[str, Floats]) -> list[Result]:
    """Return the share of each signal that is kept, over seeds."""
    return [
        Result.over_seeds(name, f"{which}: kept", [share_of(t.keeps(x)) for t in fitted])
        for which, x in signals.items()
    ]


def of_cuts(events: Floats, signals: Mapping[str, Floats], share: float) -> list[Result]:
    """Return the same for cuts on one quantity at the same rate."""
    rows = []
    for name, quantity in CUTS.items():
        cut = np.quantile(quantity(events), 1 - share)
        for which, x in signals.items():
            kept = share_of(quantity(x) > cut)
            rows.append(Result(name, f"{which}: kept", kept.value, kept.error))
    return rows


def followed(
    run: Run[Scale], name: str, trigger: Trigger, signals: Mapping[str, Floats]
) -> list[Result]:
    """Update a trigger with a steady stream and one whose pileup rises; measure its rates."""
    scale, report = run.scale, run.report
    draw = partial(stream, scale.update)
    samples = {"stream": table(draw(seed=[3, 0])), **signals}
    found = {which: trigger.score(x) for which, x in samples.items()}
    report.add_heading(f"Score: {name}")
    report.add_figure(
        scores_and_threshold(
            found,
            trigger.threshold_,
            round_edges(*np.quantile(np.concatenate(list(found.values())), [0.001, 0.999])),
        ),
        "Scores of the stream and of the signals; what lies right of the line is kept.",
    )
    rises = np.linspace(1.0, 1.6, scale.updates)
    fixed = [trigger.rate(table(draw(seed=[4, i, 0], pileup=p))) for i, p in enumerate(rises)]
    series: dict[str, list[Value]] = {}
    for which, pileups in {STEADY: np.ones(scale.updates), UPDATED: rises}.items():
        for i, pileup in enumerate(pileups):
            # A stream is steady from an update to the next.
            seeds = [5 + (which == UPDATED), i]
            trigger.update(table(draw(seed=[*seeds, 0], pileup=pileup)))
            rate = trigger.rate(table(draw(seed=[*seeds, 1], pileup=pileup)))
            both = float(np.hypot(rate.error, trigger.expected().error))
            series.setdefault(which, []).append(Value(rate.value, both))
    series[FIXED] = fixed
    expected = trigger.updates_[-1].error
    report.add_figure(
        rates(series, trigger.target, expected, "Update", "1/s"),
        f"Rates in {number(scale.update)} events after each update, of a steady stream and of one"
        " whose pileup rises from 1 to 1.6 of the usual, with a threshold that follows and one that"
        " does not. Bars: counting, of the threshold too where it was updated.",
    )
    rows = []
    for which, values in series.items():
        # The end of what drifts, and the mean of what should not.
        used = values[-1:] if which == FIXED else values
        mean = float(np.mean([v.value for v in used])) / trigger.target
        error = float(np.linalg.norm([v.error for v in used])) / len(used) / trigger.target
        rows.append(Result(f"{name}, {which}", "rate / target", mean, error))
        if which != FIXED:
            near = np.array(
                [
                    abs(v.value / trigger.target - 1) < 0.1 + 2 * v.error / trigger.target
                    for v in values
                ]
            )
            share = share_of(near)
            # Of all, the error is what one update more would make of it.
            rows.append(
                Result(f"{name}, {which}", WITHIN, share.value, share.error or 1 / (len(near) + 2))
            )
    return rows


def in_integers(
    run: Run[Scale], name: str, trigger: Trigger, events: Floats, signals: Mapping[str, Floats]
) -> list[Result]:
    """Export a trigger in floats and in integers; measure efficiencies and speed of each."""
    folder = run.out / "onnx"
    folder.mkdir(exist_ok=True)
    fitted = run.fitted(f"{name}, seed 0", trigger)
    rows: list[Result] = []
    floats: dict[str, NDArray[np.bool_]] = {}
    for bits in (None, *run.scale.bits):
        done = export_trigger(
            fitted, folder / f"{name}-{bits or 32}.onnx", events, bits=bits, force=True
        )
        subject = f"{name}, {f'{bits} bits' if bits else 'floats'}"
        kept = {which: scores(done.path, x) > done.threshold for which, x in signals.items()}
        floats = floats or kept
        if bits:
            rows.append(Result(subject, "agreement", done.agreement))
            rows += [
                ratio(subject, f"{which}: integers / floats", kept[which], floats[which])
                for which in signals
            ]
        throughput, latency = speed(done.path, events)
        rows.append(Result(subject, "throughput [1/s]", throughput.value, throughput.error))
        rows.append(Result(subject, "latency [ms]", 1e3 * latency.value, 1e3 * latency.error))
    return rows


def ratio(subject: str, quantity: str, one: NDArray[np.bool_], other: NDArray[np.bool_]) -> Result:
    """Return the ratio of two efficiencies on the same events; only what differs fluctuates."""
    value = float(one.sum() / max(other.sum(), 1))
    error = float(max((one != other).sum(), 1) ** 0.5 / max(other.sum(), 1))
    return Result(subject, quantity, value, error)


STUDY = Study(
    *("trigger-stream", "An anomaly trigger", SUMMARY, SCALES, trigger_stream, ("seeds",)),
    aims=AIMS,
    events="{train} events of the stream to train on, {update} an update",
    stand_in="the events of the anomaly detection challenge 2021",
)
