"""What decorrelation does to an uncertainty: the estimate of it goes, it does not (2109.08159)."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import ndtr

from colliderkit.errors import InputError
from colliderkit.files import refuse_existing
from colliderkit.methods.decorrelation import DecorrelatedTagger
from colliderkit.report.html import Report
from colliderkit.report.plots import COLOURS, style
from colliderkit.report.results import Result
from colliderkit.training.settings import Training

__all__ = ["changes", "exact_changes", "run"]

Floats = NDArray[np.float64]

SUMMARY = """
Two programs simulate a background, A and B, and differ in what they say of one of two observables.
The difference of the background that a tagger keeps in A and in B is taken for the uncertainty of
the simulation, as is often done for hadronisation or parton showers. A tagger that is trained not
to tell A from B makes that difference vanish. Nature differs from A as well, and in the other
observable, which neither program knew about. After arXiv:2109.08159.
"""

READING = """
The estimated uncertainty falls with the strength of the penalty to nothing; the error that is made
in nature stays, because it is in the observable that the tagger is still allowed to use, and leans
on the more. Two simulations say how far two simulations differ. Decorrelating away a nuisance
parameter that is known (an energy scale, say) is another matter: there the variation is the
uncertainty.
"""

SIGNAL = np.array([1.0, 1.0])  # means of (x0, x1), of unit width
SIMULATIONS = {"A": np.array([0.0, 0.0]), "B": np.array([0.0, 0.4]), "nature": np.array([0.3, 0.0])}
EFFICIENCY = 0.5  # of the signal
ESTIMATE, MADE = "change from A to B", "change from A to nature"


@dataclass(frozen=True)
class Scale:
    """Say how many events train and test, at which strengths of DisCo, and how long."""

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


def run(*, scale: str, out: Path, seeds: int | None = None, force: bool = False, **_: Any) -> Path:
    """Run the study into `out` and return the path of its report."""
    refuse_existing(out / "report.html", force)
    chosen = SCALES[scale]
    repetitions = chosen.seeds if seeds is None else seeds
    if repetitions < 1:
        raise InputError(f"--seeds is {seeds}; it must be at least 1.")
    begin = time.perf_counter()
    found: dict[float, list[dict[str, float]]] = {}
    for strength in (0.0, *chosen.strengths):
        for seed in range(repetitions):
            print(f"strength {strength:g}, seed {seed}", flush=True)
            tagger = trained(chosen, strength, seed)
            found.setdefault(strength, []).append(changes(tagger, chosen.test, seed))
    timing = {"training and tests": time.perf_counter() - begin}
    results = [
        Result(
            f"DisCo, strength {strength:g}" if strength else "no penalty",
            figure,
            float(np.mean([one[figure] for one in each])),
            float(np.std([one[figure] for one in each], ddof=1) / len(each) ** 0.5)
            if len(each) > 1
            else None,
        )
        for strength, each in found.items()
        for figure in each[0]
    ]
    bounds = {
        "no penalty, exact": SIGNAL - SIMULATIONS["B"] / 2,
        "B alike, exact": np.array([1.0, 0.0]),
    }
    results += [
        Result(name, figure, value)
        for name, direction in bounds.items()
        for figure, value in exact_changes(direction).items()
    ]
    report = Report(
        "Decorrelating away an uncertainty",
        SUMMARY,
        command=f"colliderkit study two-point-uncertainty --scale {scale} --seeds {repetitions}",
        configuration=f"training events: {chosen.train}\nepochs: {chosen.epochs}\n",
        seeds=list(range(repetitions)),
        timing=timing,
    )
    report.add_results(
        results,
        "Relative change of the background that is kept with half of the signal: mean over seeds"
        " and its error. Exact: of the linear taggers (1, 1 - 0.2), without a penalty and but for"
        " the small difference of two simulations in one, and (1, 0), blind to x1.",
    )
    report.add_figure(
        drawn(found), "The estimate of the uncertainty and the error made, against the strength."
    )
    report.add_text(READING)
    return report.write(out, force=force)


def trained(chosen: Scale, strength: float, seed: int) -> DecorrelatedTagger:
    """Train a tagger of (x0, x1) on signal and on both simulations, blind to which one it is."""
    random = np.random.default_rng([seed, 1])
    label = random.integers(0, 2, chosen.train)
    simulation = random.integers(0, 2, chosen.train)
    means = np.array([SIMULATIONS["A"], SIMULATIONS["B"]])[simulation]
    x = np.where(label[:, None] == 1, SIGNAL, means) + random.normal(size=(chosen.train, 2))
    events = ak.zip(
        {
            "x0": x[:, 0],
            "x1": x[:, 1],
            "simulation": simulation.astype(np.float64),
            "label": label,
            "event": np.arange(chosen.train),
        }
    )
    tagger = DecorrelatedTagger(
        "mlp",
        protect=["simulation"],
        penalty="disco" if strength else None,
        strength=strength or None,
        observables=["x0", "x1"],
        options={"hidden": (32, 32)},
        training=Training(epochs=chosen.epochs, batch_size=2048, learning_rate=3e-3),
    )
    return tagger.fit(events, seed=seed, progress=False)


def changes(tagger: DecorrelatedTagger, count: int, seed: int) -> dict[str, float]:
    """Return the background kept in A, and its relative change in B and in nature.

    The same random numbers make all samples: their differences do not scatter much.
    """
    noise = np.random.default_rng([seed, 2]).normal(size=(count, 2))

    def score(mean: Floats) -> Floats:
        x = mean + noise
        events = ak.zip({"x0": x[:, 0], "x1": x[:, 1], "label": np.zeros(count, dtype=np.int64)})
        found: Floats = tagger.predict_proba(events)[:, 1]
        return found

    cut = float(np.quantile(score(SIGNAL), 1 - EFFICIENCY))
    kept = {name: float((score(mean) > cut).mean()) for name, mean in SIMULATIONS.items()}
    return _changes(kept)


def exact_changes(direction: Floats | Sequence[float]) -> dict[str, float]:
    """Return the same of the linear tagger w . x, eps = Phi(-w . (mu_S - mu) / |w|) at 50%."""
    w = np.asarray(direction, dtype=np.float64)
    norm = math.sqrt(float(w @ w))
    return _changes({k: float(ndtr(-(w @ (SIGNAL - m)) / norm)) for k, m in SIMULATIONS.items()})


def _changes(kept: Mapping[str, float]) -> dict[str, float]:
    return {
        "background kept, A": kept["A"],
        ESTIMATE: kept["B"] / kept["A"] - 1,
        MADE: kept["nature"] / kept["A"] - 1,
    }


@style()
def drawn(found: Mapping[float, Sequence[Mapping[str, float]]]) -> Figure:
    """Draw both changes against the strength, 0 at the left edge."""
    figure = Figure()
    axes = figure.subplots()
    strengths = sorted(found)
    least = min(s for s in strengths if s > 0) / 3
    places = [s or least for s in strengths]
    names = {ESTIMATE: "estimated: A to B", MADE: "made: A to nature"}
    for (figure_, label), colour in zip(names.items(), COLOURS, strict=False):
        rows = [np.array([one[figure_] for one in found[s]]) for s in strengths]
        error = [r.std(ddof=1) / len(r) ** 0.5 if len(r) > 1 else 0.0 for r in rows]
        axes.errorbar(
            places, [r.mean() for r in rows], error, marker="o", color=colour, label=label
        )
    axes.set_xscale("log")
    axes.set_xticks(places, ["0", *(f"{s:g}" for s in strengths[1:])])
    axes.minorticks_off()
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]), top=1.35 * axes.get_ylim()[1])
    axes.set_xlabel("Strength of DisCo")
    axes.set_ylabel("Relative change of the background")
    axes.legend()
    return figure
