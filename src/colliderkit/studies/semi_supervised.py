"""Semi-supervised search: a few simulated signals, and one that is none of them (2011.03550)."""

from collections.abc import Mapping
from dataclasses import dataclass

import awkward as ak
import numpy as np
from scipy.special import logsumexp

from colliderkit.events.tables import Floats
from colliderkit.methods.search.semi_supervised import SemiSupervised
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.metrics.anomaly import signal_efficiency
from colliderkit.metrics.roc import auc, roc
from colliderkit.metrics.value import Value
from colliderkit.report import classifiers
from colliderkit.report.latent import against
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.sources.datasets.lhc_olympics import COMPLETE, FEATURES, LEAST_MASS, PROCESSES
from colliderkit.sources.files.rows import read_rows
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
A few signals are simulated, and the true one may be another. QUAK (arXiv:2011.03550) places events
by their densities under background and under each simulated signal. On densities that are known,
and on pairs of jets, this page measures how much it gains for the simulated signals, and how much
it loses for others.
"""
STAND_IN = """
The dijets are Pythia's through the fast detector, in place of the public R&D set
(arXiv:2101.08320), with a W' for the Z', and the flows are small. The first part has four numbers
of normal and exponential densities: there the best score for each signal is known, and the signal
can be moved away from a simulated one bit by bit.
"""
MEASURES = """
The background falls in two columns (masses, say) and is normal in two others. Two signals are
simulated, peaks at two points. The signal that is searched for is a peak of the same width, at
"distance" from the nearest simulated one, in units of that width. "Reliance" is how much the
simulated signals count in the score: 0 is the density of the background alone, and 1 the likelihood
ratio to the mixture of the simulated signals. "exact" is the likelihood ratio for the true signal.

Of dijets the densities are of the lighter mass, the difference of the masses and both tau21. A
resonance of 3.5 TeV decays to two heavy particles, each to two quarks; signals are named by their
masses in GeV, and two of them are simulated. "Classifier of all" is trained on both simulated
signals, "classifier of one" on the first alone, which is wrong for all others, and "classifier of
the truth" on the very signal that is searched for, which nobody knows: the bound.
"""
AIMS = (
    Aim("A simulated signal is found better with full reliance than without",
        "AUC at distance 0", "reliance 1", "above", against="reliance 0"),
    Aim("No score is better than the exact one", "AUC at distance *", "reliance *", "below",
        against="exact", times=1.001),
    Aim("What is gained is lost for a signal far from the simulated ones",
        "AUC at distance 8", "reliance 1", "below", against="reliance 0"),
    Aim("Half of the reliance loses less there", "AUC at distance 8", "reliance 0.5", "above",
        against="reliance 1"),
    Aim("Dijets: half of the reliance finds the simulated signals better than none",
        "dijets: eps_S at eps_B = 1%, 500 + 100", "reliance 0.5", "above", against="reliance 0"),
    Aim("Dijets: it finds a signal between them better than a classifier of the wrong one",
        "dijets: eps_S at eps_B = 1%, 350 + 200", "reliance 0.5", "above",
        against="classifier of one"),
    Aim("Dijets: far from what is simulated it is no worse than without simulation",
        "dijets: eps_S at eps_B = 1%, 180 + 90", "reliance 0.5", "above", against="reliance 0"),
)  # fmt: skip
WIDTH = 0.3
PLACES = {"light": (1.0, 1.0, 1.0, 0.0), "heavy": (1.5, 2.5, 1.0, 0.0)}
TOWARDS = np.array([0.5, 0.2, -1.0, 0.6]) / np.linalg.norm([0.5, 0.2, -1.0, 0.6])
DISTANCES = (0, 1, 2, 4, 8)
RELIANCES = (0.0, 0.5, 1.0)
SIMULATED = ((500, 100), (300, 300))  # masses of the heavy particles [GeV]
OTHERS = ((350, 200), (180, 90), (700, 300))
PASSED = 0.01


@dataclass(frozen=True)
class Scale:
    """Events of background, of each signal and to test, and how flows are trained."""

    background: int
    signal: int
    test: int
    training: Training
    classifier: Training
    qcd: int
    resonance: int
    dijets: int
    others: int = len(OTHERS)
    hidden: tuple[int, ...] = (64, 64)
    transforms: int = 3
    seeds: int = 1


def schedule(epochs: int, batch_size: int = 512) -> Training:
    """Return the settings of so many epochs."""
    return Training(epochs=epochs, batch_size=batch_size, learning_rate=3e-3)


SCALES = {
    "smoke": Scale(600, 300, 500, schedule(1, 128), schedule(1, 128), 60, 30, 20, 0, (8,), 1),
    "laptop": Scale(
        30_000, 10_000, 20_000, schedule(15), schedule(20, 256), 6_000, 2_000, 2_000,
        hidden=(32, 32), transforms=2,
    ),
    "night": Scale(
        200_000, 50_000, 100_000, schedule(30), schedule(30), 100_000, 20_000, 20_000, seeds=5
    ),
    "paper": Scale(
        1_000_000, 100_000, 1_000_000, schedule(50, 1024), schedule(50, 1024), 1_000_000, 100_000,
        100_000, seeds=10,
    ),
}  # fmt: skip


def background(count: int, seed: int) -> Floats:
    """Draw two exponential columns of mean 1 and two normal ones, (N, 4)."""
    random = np.random.default_rng(seed)
    return np.column_stack([random.exponential(1, (count, 2)), random.normal(size=(count, 2))])


def peak(count: int, place: Floats, seed: int) -> Floats:
    """Draw a signal around a place, (N, 4)."""
    return np.random.default_rng(seed).normal(place, WIDTH, (count, 4))


def exact_score(x: Floats, place: Floats) -> Floats:
    """Return ln of the likelihood ratio of a peak to background, up to a constant."""
    signal = -0.5 * ((x - place) ** 2).sum(1) / WIDTH**2
    below = -x[:, :2].sum(1) - 0.5 * (x[:, 2:] ** 2).sum(1)
    # Masses below zero are no background at all.
    possible: Floats = np.where((x[:, :2] >= 0).all(1), signal - below, 1e6)
    return possible


def semi_supervised(run: Run[Scale]) -> None:
    """Learn the densities once a seed, and move the signal away."""
    scale, report = run.scale, run.report
    report.add_stand_in(STAND_IN)
    report.add_definitions(MEASURES)
    start = np.array(PLACES["light"])
    found: dict[str, dict[int, list[Value]]] = {}
    curves = {}
    for seed in run.seeds:
        method = run.fitted(
            f"densities, seed {seed}",
            SemiSupervised(
                options={"hidden": scale.hidden, "transforms": scale.transforms},
                training=scale.training,
            ),
            background(scale.background, 10 * seed + 1),
            {
                name: peak(scale.signal, np.array(place), 10 * seed + 2 + i)
                for i, (name, place) in enumerate(PLACES.items())
            },
            seed=seed,
        )
        plain = background(scale.test, 10 * seed + 5)
        label = np.repeat([0, 1], scale.test)
        for distance in DISTANCES:
            place = start + distance * WIDTH * TOWARDS
            events = np.concatenate([plain, peak(scale.test, place, 10 * seed + 6)])
            space = method.space(events)
            known = logsumexp(-space[:, 1:], axis=1)
            scores = {f"reliance {r:g}": space[:, 0] + r * known for r in RELIANCES}
            scores["exact"] = exact_score(events, place)
            for name, score in scores.items():
                found.setdefault(name, {}).setdefault(distance, []).append(auc(score, label))
            if seed == 0 and distance in (DISTANCES[0], DISTANCES[-1]):
                curves[distance] = {name: roc(score, label) for name, score in scores.items()}
    rows = [
        Result.over_seeds(name, f"AUC at distance {distance}", values)
        for name, of_one in found.items()
        for distance, values in of_one.items()
    ]
    report.add_heading("Known and unknown signals")
    points = {
        name: [
            (float(d), row.value, row.error or 0.0)
            for d in DISTANCES
            for row in rows
            if row.subject == name and row.quantity == f"AUC at distance {d}"
        ]
        for name in found
    }
    report.add_figure(
        against(points, "Distance from the simulated signal [widths]", "AUC", line=0.5, log=False),
        "How well each score finds the signal, as it moves away from what was simulated.",
        wide=True,
    )
    for distance, of_one in curves.items():
        report.add_figure(
            classifiers.roc(of_one),
            f"Rejection of background for a signal at distance {distance}, first seed.",
        )
    report.add_results(rows, "Errors are of counting in the test events, and of seeds.")
    dijets(run)


def dijets(run: Run[Scale]) -> None:
    """Learn the densities of dijets and of two resonances, and look for these and for others."""
    scale, report = run.scale, run.report
    qcd, qcd_test = made(run, None, scale.qcd)
    masses = *SIMULATED, *OTHERS[: scale.others]
    both_of = {pair: made(run, pair, scale.resonance) for pair in masses}
    signals = {pair: each[0] for pair, each in both_of.items()}
    tests = {pair: each[1] for pair, each in both_of.items()}
    simulated = {f"{x} and {y}": signals[x, y] for x, y in SIMULATED}
    both = np.concatenate(list(simulated.values()))
    found: dict[tuple[str, str], list[Value]] = {}
    for seed in run.seeds:
        options = {"hidden": scale.hidden, "transforms": scale.transforms}
        method = SemiSupervised(options=options, training=scale.training)
        densities = run.fitted(f"dijets, seed {seed}", method, qcd, simulated, seed=seed)
        classifiers_ = {
            name: classifier(run, f"{name}, seed {seed}", qcd, signal, seed)
            for name, signal in {"all": both, "one": signals[SIMULATED[0]]}.items()
        }
        for (x, y), test in tests.items():
            events, label = labelled(qcd_test, test)
            space = densities.space(events)
            known = logsumexp(-space[:, 1:], axis=1)
            scores = {f"reliance {r:g}": space[:, 0] + r * known for r in RELIANCES}
            truth = classifier(run, f"{x} and {y}, seed {seed}", qcd, signals[x, y], seed)
            for name, tagger in {**classifiers_, "the truth": truth}.items():
                scores[f"classifier of {name}"] = tagger.predict_proba(table(events))[:, 1]
            for name, score in scores.items():
                for quantity, value in merits(score, label).items():
                    key = name, f"dijets: {quantity}, {x} + {y}"
                    found.setdefault(key, []).append(value)
    report.add_heading("Pairs of jets")
    report.add_results(
        [Result.over_seeds(*key, values) for key, values in found.items()],
        f"{' and '.join(simulated)} GeV are simulated; of others the search does not know. Errors"
        " are of counting in the test events, and of seeds.",
        aside=("classifier of the truth",),
    )


def made(run: Run[Scale], masses: tuple[int, int] | None, count: int) -> tuple[Floats, Floats]:
    """Return features (N, 4) of QCD, or of a resonance to masses [GeV]: to train on, to test."""
    label, name, settings = 0, "qcd", [f"PhaseSpace:mHatMin = {LEAST_MASS}"]
    if masses is not None:
        label, name = 1, "resonance-{}-{}".format(*masses)
        settings = [
            f"{number}:{key} = {factor * mass:g}"
            for number, mass in zip((9000001, 9000002), masses, strict=True)
            for key, factor in (("m0", 1.0), ("mMin", 0.9), ("mMax", 1.1))
        ]
    total, options = count + run.scale.dijets, {"detector": True, "settings": settings}
    file = run.generated(name, PROCESSES[label], total, seed=1 + label, **options)
    rows = read_rows(file, FEATURES, selection=f"mjj > {COMPLETE}").table(FEATURES)
    # Masses in logarithms fall less steeply; the difference of two may be 0.
    features = np.column_stack([np.log(rows[:, :2] + 1), rows[:, 2:]])
    return features[: -run.scale.dijets], features[-run.scale.dijets :]


def labelled(background: Floats, signal: Floats) -> tuple[Floats, np.ndarray]:
    """Return events of both and their labels."""
    return np.concatenate([background, signal]), np.repeat([0, 1], [len(background), len(signal)])


def table(events: Floats, **more: np.ndarray) -> ak.Array:
    """Return events (N, 4) by the names of their features."""
    columns = {f"x{i}": events[:, i] for i in range(len(FEATURES))}
    return ak.zip({**columns, "event": np.arange(len(events)), **more})


def classifier(run: Run[Scale], name: str, background: Floats, signal: Floats, seed: int) -> Tagger:
    """Return a perceptron that tells a signal from background."""
    events, label = labelled(background, signal)
    tagger = Tagger(
        "mlp",
        observables=[f"x{i}" for i in range(len(FEATURES))],
        options={"hidden": [64, 64]},
        balance=True,
        training=run.scale.classifier,
    )
    return run.fitted(f"classifier of {name}", tagger, table(events, label=label), seed=seed)


def merits(score: Floats, label: np.ndarray) -> Mapping[str, Value]:
    """Return the AUC, and the signal that passes with 1% of the background."""
    found = {"AUC": auc(score, label)}
    efficiency = signal_efficiency(score, label, PASSED)
    if np.isfinite(efficiency.value):  # of few background events it cannot be measured
        found[f"eps_S at eps_B = {PASSED:.0%}"] = efficiency
    return found


STUDY = Study(
    *("semi-supervised", "A few simulated signals", SUMMARY, SCALES, semi_supervised),
    ("seeds", "workers", "dask"),
    aims=AIMS,
    events="{background} toy events and {qcd} dijets of background, {signal} and {resonance} of"
    " each signal, {test} and {dijets} of each to test",
    stand_in="the public set of dijets",
)
