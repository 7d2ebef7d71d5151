"""Tau identification: decay modes and jets told apart by a network on particles and by trees."""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.events.tables import Floats, Ints
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.metrics.classes import Confusion, confusion
from colliderkit.metrics.roc import Roc, roc
from colliderkit.metrics.value import Value, bootstrap, number
from colliderkit.report.classifiers import confusion as migration
from colliderkit.report.classifiers import roc as roc_curves
from colliderkit.report.results import Result
from colliderkit.report.taus import visible_response
from colliderkit.report.verdict import Aim
from colliderkit.sources import read
from colliderkit.sources.datasets.taus import CLASSES, FEATURES, VARIABLES, generate_taus
from colliderkit.sources.pythia.tau_decays import MODES
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
Taus that decay to hadrons are narrow jets of one or three charged pions and some neutral ones. A
network on all particles that are seen tells them from jets of quarks and gluons, and says which
decay it was; beside it in the same run stand boosted trees on the usual variables (DeepTau,
2201.08458, and its predecessors).
"""
STAND_IN = """
Taus come from Z bosons and photons in Pythia 8, their decays polarised, jets from its QCD processes
of 20 GeV and more; multiple interactions and pileup are off. A parametrised detector smears tracks,
towers and impact parameters, and its energy flow makes photons and neutral hadrons of what exceeds
the tracks; a pi0 is one or two photons. Showers have no shape: electrons and muons cannot be told
from pions by it, and are left out. CMS has full simulation, pileup and many millions of taus, so
that its rejections are no measure of these.
"""
MEASURES = """
Jets and taus have 20 to 100 GeV and |eta| < 2.3; the visible tau is within 0.2 of its jet's axis.
The rejection is one over the share of jets that is kept where 50, 60 or 80% of the taus are, by
ln((1 - p) / p) with p the probability of a jet. The decay mode is that of the largest probability
among the five; of all together it is the geometric mean of theirs. In the name of a mode p counts
charged hadrons and n neutral pions, X two or more (with three prongs, one or more). Of the visible
pT the half-width of the central 68% of reconstructed over true is given.
"""
TREES, NETWORK, RAW = "variables, boosted trees", "particles, transformer", "the jet's own pT"
SET, BOTH = "particles, deep set", "all together"
RIGHT, WIDTH, MEDIAN = "right decay mode", "visible pT, half-width", "visible pT, median"
EFFICIENCIES = (0.5, 0.6, 0.8)
AIMS = (
    *(
        Aim(f"The network rejects as many jets at {level:.0%}", f"jet rejection at {level:.0%}",
            NETWORK, "above", against=TREES)
        for level in EFFICIENCIES
    ),
    Aim("The network finds the decay mode as often", RIGHT, NETWORK, "above", against=TREES),
    Aim("Together they find the decay mode at least as often", RIGHT, BOTH, "above",
        against=TREES),
    Aim("It measures the visible pT better than the jet", WIDTH, NETWORK, "below", against=RAW),
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Taus and jets to train on and to test; settings, trees at most, seeds of the network."""

    train: tuple[int, int]
    test: tuple[int, int]
    training: Training
    rounds: int
    seeds: int = 1
    network: dict[str, Any] = field(default_factory=dict)


settings = partial(Training, schedule="one-cycle", learning_rate=2e-3)
SMALL: dict[str, Any] = {"embed": (32, 32), "pair_embed": (16,), "heads": 4, "blocks": 1,
                         "class_blocks": 1, "dropout": 0.0}  # fmt: skip
SOME: dict[str, Any] = {"embed": (64, 64), "pair_embed": (32, 32), "heads": 4, "blocks": 2,
                        "class_blocks": 1, "dropout": 0.0}  # fmt: skip
SCALES = {
    "smoke": Scale((60, 80), (40, 60), settings(1, 32), 10, 1, SMALL),
    "laptop": Scale((5_000, 8_000), (3_000, 25_000), settings(12, 128), 400, 1, SOME),
    "night": Scale((150_000, 300_000), (50_000, 600_000), settings(25, 256), 1_000, 3,
                   {**SOME, "embed": (128, 256, 128), "heads": 8, "blocks": 4}),
    "paper": Scale((2_000_000, 4_000_000), (500_000, 5_000_000), settings(40, 512), 2_000, 5),
}  # fmt: skip


def tau_identification(run: Run[Scale]) -> None:
    """Generate, train both, and compare on the same taus and jets."""
    scale, report = run.scale, run.report
    report.add_stand_in(STAND_IN)
    report.add_definitions(MEASURES)
    train, test = (
        read(run.file(f"{name}.parquet", partial(made, run, sizes, seed)))
        for seed, (name, sizes) in enumerate((("train", scale.train), ("test", scale.test)), 1)
    )
    label, true = np.asarray(test["label"]), np.asarray(test["tau_pt"], dtype=np.float64)
    common: dict[str, Any] = {"classes": CLASSES}
    methods = {
        TREES: Tagger(
            "boosted-trees", features=VARIABLES, **common,
            options={"max_iter": scale.rounds, "learning_rate": 0.06, "max_leaf_nodes": 16,
                     "min_samples_leaf": 10},
        ),
        NETWORK: Tagger(
            "particle-transformer", training=scale.training, regress=("response",), **common,
            features=("deta", "dphi", "log_pt", "log_ptrel", "dr", *FEATURES),
            options=scale.network or None,
        ),
        # Of fewer numbers to learn, and many passes take no longer.
        SET: Tagger(
            "pfn", **common, options={"phi": (64, 64, 64), "f": (64, 64)},
            training=replace(
                scale.training, epochs=3 * (scale.training.epochs or 20), learning_rate=3e-3
            ),
            features=("deta", "dphi", "log_pt", "log_ptrel", "dr", *FEATURES),
        ),
    }  # fmt: skip
    rows: list[Result] = []
    curves: dict[str, Roc] = {}
    matrices: dict[str, Confusion] = {}
    together: list[Floats] = []
    estimates: dict[str, list[Floats]] = {RAW: [np.asarray(test["jet_pt"], dtype=np.float64)]}
    for name, method in methods.items():
        fits = [
            run.fitted(f"{name}, seed {seed}", method, train, seed=seed)
            for seed in (run.seeds[:1] if name == TREES else run.seeds)
        ]
        answers = [
            run.arrays(f"answers of {name}, {i}", partial(answered, fit, test))
            for i, fit in enumerate(fits)
        ]
        found = [answer["probability"] for answer in answers]
        rows += judged(name, found, label)
        curves[name] = roc(score(found[0]), label > 0)
        matrices[name] = confusion(found[0][label > 0][:, 1:], label[label > 0] - 1)
        together.append(np.log(np.maximum(found[0], 1e-12)))
        if name == NETWORK:
            estimates[name] = [a["response"] * np.asarray(test["jet_pt"]) for a in answers]
    product = np.exp(np.mean(together, axis=0))
    product /= product.sum(1, keepdims=True)
    rows += judged(BOTH, [product], label)
    curves[BOTH] = roc(score(product), label > 0)
    taus = label > 0
    ratios = {n: [e[taus] / true[taus] for e in each] for n, each in estimates.items()}
    for name, each in ratios.items():
        rows.append(Result.over_seeds(name, WIDTH, [bootstrap(half_width, r) for r in each]))
        rows.append(Result.over_seeds(name, MEDIAN, [bootstrap(median, r) for r in each]))
    report.add_heading("Figures")
    counted = f"{number(taus.sum())} taus and {number((~taus).sum())} jets of the test."
    report.add_results(rows, counted)
    report.add_heading("Jets")
    report.add_figure(roc_curves(curves), "Rejection of jets by the share of taus that is kept.")
    report.add_heading("Decay modes")
    for name, matrix in matrices.items():
        report.add_figure(
            migration(matrix, MODES), f"Migration of decay modes by {name}: rows sum to 100%."
        )
    report.add_heading("Visible pT")
    report.add_figure(
        visible_response({n: each[0] for n, each in ratios.items()}),
        "Reconstructed over true visible pT of taus.",
    )


def made(run: Run[Scale], sizes: tuple[int, int], seed: int, path: Any) -> None:
    """Generate taus and jets."""
    generate_taus(*sizes, path, seed=seed, workers=run.workers, dask=run.dask)


def answered(fit: Tagger, jets: ak.Array) -> dict[str, Any]:
    """Return the probabilities of the classes and what the visible pT is over the jet's."""
    answer = {"probability": fit.predict_proba(jets)}
    if fit.regress:
        answer["response"] = np.exp(fit.regression(jets)["response"].astype(np.float64))
    return answer


def score(probability: Floats) -> Floats:
    """Return ln((1 - p) / p) of the probability of a jet, (N,)."""
    jet = probability[:, 0]
    found: Floats = np.log(np.maximum(probability[:, 1:].sum(1), 1e-300)) - np.log(
        np.maximum(jet, 1e-300)
    )
    return found


def judged(subject: str, found: list[Floats], label: Ints) -> list[Result]:
    """Return rejections of jets, by prongs too, and the shares of right decay modes."""
    prongs = {"": label >= 0, ", 1 prong": label < 4, ", 3 prongs": (label == 0) | (label > 3)}
    values: dict[str, list[Value]] = {}
    for probability in found:
        for name, chosen in prongs.items():
            curve = roc(score(probability)[chosen], label[chosen] > 0)
            for level in EFFICIENCIES:
                row = f"jet rejection at {level:.0%}{name}"
                values.setdefault(row, []).append(curve.rejection(level))
        guess = probability[:, 1:].argmax(1) + 1
        values.setdefault(RIGHT, []).append(share((guess == label)[label > 0]))
        for k, mode in enumerate(MODES, 1):
            if (label == k).any():
                values.setdefault(f"{RIGHT}, {mode}", []).append(share((guess == k)[label == k]))
    return [Result.over_seeds(subject, row, each) for row, each in values.items()]


def share(right: Any) -> Value:
    """Return a share and its binomial error."""
    p, n = float(np.mean(right)), len(right)
    return Value(p, float(np.sqrt(max(p * (1 - p), 0.25 / n) / n)))


def half_width(ratio: Floats) -> float:
    """Return half of the central 68.3%."""
    low, high = np.quantile(ratio, [0.1587, 0.8413])
    return float((high - low) / 2)


def median(ratio: Floats) -> float:
    """Return the median."""
    return float(np.median(ratio))


STUDY = Study(
    *("tau-identification", "Tau identification", SUMMARY, SCALES, tau_identification),
    takes=("seeds", "workers", "dask"),
    aims=AIMS,
    events="{train} taus and jets to train on, {test} to test",
    stand_in="CMS' simulated taus",
)
