"""Decorrelating against a two-point systematic removes its estimate, not the systematic.

After 2109.08159.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import awkward as ak
import numpy as np
from matplotlib.figure import Figure
from scipy.special import ndtr

from colliderkit.events.tables import Floats
from colliderkit.methods.decorrelation.objectives import DisCo
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.report import plots
from colliderkit.report.plots import COLOURS, legend
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY", "changes", "exact_changes"]

SUMMARY = """
Two programs simulate a background, A and B, and differ in what they say of one of two observables.
The difference of the background that a tagger keeps in A and in B is taken for the uncertainty of
the simulation, as is often done for hadronisation or parton showers. A tagger is trained not to
tell A from B. Pseudo-data, in place of nature, differ from A as well, and in the other observable,
which neither program knew about. After arXiv:2109.08159.
"""

READING = """
What to look for: whether the estimated uncertainty falls with the strength of the penalty, and
whether the error that is made in pseudo-data falls with it. The pseudo-data differ in the
observable that the tagger is still allowed to use. Two simulations say how far two simulations
differ. Decorrelating away a nuisance parameter that is known (an energy scale, say) is another
matter: there the variation is the uncertainty.

Exact values are those of linear taggers: (1, 1 - 0.2) without a penalty, up to the small difference
of two simulations in one sample, and (1, 0), which does not see x1.
"""

SIGNAL = np.array([1.0, 1.0])  # means of (x0, x1), of unit width
SIMULATIONS = {
    "A": np.array([0.0, 0.0]),
    "B": np.array([0.0, 0.4]),
    "pseudo-data": np.array([0.3, 0.0]),
}
EFFICIENCY = 0.5  # of the signal
ESTIMATE, MADE = "change from A to B", "change from A to pseudo-data"
STRONGEST = "DisCo, strength *"
AIMS = (
    Aim("The estimated uncertainty vanishes at the largest strength", ESTIMATE, STRONGEST,
        "within", (-0.05, 0.05), which="last"),
    Aim("The error made in pseudo-data is no smaller there than without a penalty", MADE,
        STRONGEST, "above", against="no penalty", times=0.9, which="last"),
    Aim("The error made is larger than its estimate there", MADE, STRONGEST, "above",
        over=ESTIMATE, which="last"),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Events that train and test, strengths of DisCo, epochs, and repetitions (`seeds`)."""

    train: int
    test: int
    strengths: tuple[float, ...]
    epochs: int
    seeds: int


SCALES = {
    "smoke": Scale(8_000, 20_000, (30.0,), 2, 1),
    "laptop": Scale(100_000, 400_000, (1.0, 3.0, 10.0, 30.0, 100.0), 10, 3),
    "paper": Scale(1_000_000, 4_000_000, (1.0, 3.0, 10.0, 30.0, 100.0, 300.0), 20, 10),
}


def two_point_uncertainty(run: Run[Scale]) -> None:
    """Train at each strength, and compare the estimate with the error made."""
    scale, report = run.scale, run.report
    measured: dict[float, list[dict[str, float]]] = {
        strength: [
            run.value(f"strength {strength:g}, seed {seed}", partial(once, scale, strength, seed))
            for seed in run.seeds
        ]
        for strength in (0.0, *scale.strengths)
    }
    results = [
        Result(
            f"DisCo, strength {strength:g}" if strength else "no penalty",
            quantity,
            float(np.mean([one[quantity] for one in each])),
            float(np.std([one[quantity] for one in each], ddof=1) / len(each) ** 0.5)
            if len(each) > 1
            else None,
        )
        for strength, each in measured.items()
        for quantity in each[0]
    ]
    exact = {
        "no penalty, exact": SIGNAL - SIMULATIONS["B"] / 2,
        "B alike, exact": np.array([1.0, 0.0]),
    }
    results += [
        Result(name, quantity, value, 0.0)
        for name, direction in exact.items()
        for quantity, value in exact_changes(direction).items()
    ]
    report.add_heading("The estimate and the error")
    report.add_figure(
        drawn(measured),
        "The estimate of the uncertainty and the error that is made, against the strength of the"
        " penalty: a trustworthy estimate would follow the error.",
    )
    report.add_results(
        results,
        "Relative change of the background that is kept with half of the signal: mean over seeds"
        " ± its error.",
    )
    report.add_definitions(READING)


def once(scale: Scale, strength: float, seed: int) -> dict[str, float]:
    """Return the changes of one training."""
    return changes(trained(scale, strength, seed), scale.test, seed)


def trained(scale: Scale, strength: float, seed: int) -> Tagger:
    """Train a tagger of (x0, x1) on signal and on both simulations, blind to which one it is."""
    random = np.random.default_rng([seed, 1])
    label = random.integers(0, 2, scale.train)
    simulation = random.integers(0, 2, scale.train)
    means = np.array([SIMULATIONS["A"], SIMULATIONS["B"]])[simulation]
    x = np.where(label[:, None] == 1, SIGNAL, means) + random.normal(size=(scale.train, 2))
    events = ak.zip(
        {
            "x0": x[:, 0],
            "x1": x[:, 1],
            "simulation": simulation.astype(np.float64),
            "label": label,
            "event": np.arange(scale.train),
        }
    )
    tagger = Tagger(
        "mlp",
        observables=["x0", "x1"],
        options={"hidden": (32, 32)},
        objective=DisCo(protect=["simulation"], strength=strength) if strength else None,
        training=Training(epochs=scale.epochs, batch_size=2048, learning_rate=3e-3),
    )
    return tagger.fit(events, seed=seed, progress=False)


def changes(tagger: Tagger, count: int, seed: int) -> dict[str, float]:
    """Return the background kept in A, and its relative change in B and in pseudo-data.

    The same random numbers make all samples: their differences do not scatter much.
    """
    noise = np.random.default_rng([seed, 2]).normal(size=(count, 2))

    def score(mean: Floats) -> Floats:
        x = mean + noise
        events = ak.zip({"x0": x[:, 0], "x1": x[:, 1], "label": np.zeros(count, dtype=np.int64)})
        return tagger.predict_proba(events)[:, 1]

    cut = float(np.quantile(score(SIGNAL), 1 - EFFICIENCY))
    efficiency = {n: float((score(mean) > cut).mean()) for n, mean in SIMULATIONS.items()}
    return _changes(efficiency)


def exact_changes(direction: Floats | Sequence[float]) -> dict[str, float]:
    """Return the same of the linear tagger w . x, eps = Phi(-w . (mu_S - mu) / |w|) at 50%."""
    w = np.asarray(direction, dtype=np.float64)
    norm = math.sqrt(float(w @ w))
    return _changes({k: float(ndtr(-(w @ (SIGNAL - m)) / norm)) for k, m in SIMULATIONS.items()})


def _changes(efficiency: Mapping[str, float]) -> dict[str, float]:
    return {
        "background kept, A": efficiency["A"],
        ESTIMATE: efficiency["B"] / efficiency["A"] - 1,
        MADE: efficiency["pseudo-data"] / efficiency["A"] - 1,
    }


@plots.drawn
def drawn(measured: Mapping[float, Sequence[Mapping[str, float]]]) -> Figure:
    """Draw both changes against the strength, 0 at the left edge."""
    figure = Figure()
    axes = figure.subplots()
    strengths = sorted(measured)
    least = min(s for s in strengths if s > 0) / 3
    places = [s or least for s in strengths]
    names = {ESTIMATE: "estimated: A to B", MADE: "made: A to pseudo-data"}
    for (quantity, label), colour in zip(names.items(), COLOURS, strict=False):
        rows = [np.array([one[quantity] for one in measured[s]]) for s in strengths]
        error = [r.std(ddof=1) / len(r) ** 0.5 if len(r) > 1 else 0.0 for r in rows]
        axes.errorbar(
            places, [r.mean() for r in rows], error, marker="o", color=colour, label=label
        )
    axes.set_xscale("log")
    axes.set_xticks(places, ["0", *(f"{s:g}" for s in strengths[1:])])
    axes.minorticks_off()
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.set_xlabel("Strength of DisCo")
    axes.set_ylabel("Relative change of the background")
    legend(figure)
    return figure


STUDY = Study(
    "two-point-uncertainty",
    "Decorrelating away an uncertainty",
    SUMMARY,
    SCALES,
    two_point_uncertainty,
    takes=("seeds",),
    aims=AIMS,
    events="{train} events to train on, {test} to test with",
)
