"""Latent structure: topics of jets, imposed latent spaces and symmetries, found without labels."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.events.schema import CONSTITUENTS
from colliderkit.events.tables import Floats
from colliderkit.events.tokens import ANGLES, MOMENTA, lund_tokens
from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.methods.search.latent import LatentDirichlet
from colliderkit.methods.search.symmetry import Symmetry, angle_between
from colliderkit.metrics.roc import auc
from colliderkit.metrics.value import Value
from colliderkit.report.latent import against, finite_rotations, lund_topics
from colliderkit.report.results import Result
from colliderkit.report.verdict import Aim
from colliderkit.sources import read
from colliderkit.studies.run import Run, Study
from colliderkit.training.settings import Training

__all__ = ["STUDY"]

SUMMARY = """
Some structure of data can be found without labels. Three kinds are looked for: the types of
splittings that jets are mixtures of (latent Dirichlet allocation, arXiv:1904.04200, 2005.12319), an
autoencoder's latent space with shares or a mixture as prior (arXiv:2104.08291), and the
transformations that leave a density alone (SymmetryGAN, arXiv:2112.05722).
"""
STAND_IN = """
Jets of Pythia 8, 550 < pT < 650 GeV, in place of the public sets; top quarks are the signal in
light jets. The symmetries are found by a linear condition on their generators and no discriminator,
which gives p-values. "Events" of the azimuth are the two leading particles of each jet.
"""
MEASURES = """
Of two topics or latent numbers nobody says which is the signal's. "AUC" is therefore that of the
better sign, and of the free latent space that of its best number, which only who has labels can
choose: an upper bound there, and no choice for two shares that sum to 1, or for the posteriors of
two classes of a mixture. All methods are given the
same unlabelled jets, and are judged on others.

"Angle" is that between the generator that is found and the true one, in rad; "found" is the share
of repetitions in which exactly the symmetries that are there pass. A true one is refused in 1 of
100, by the level of the test.
"""
AIMS = (
    Aim("Topics of the Lund plane tell top quarks from light jets, at equal shares",
        "AUC at 50% signal", "topics", "above", 0.7),
    Aim("Two imposed shares tell them as well as the best free latent number",
        "AUC at 50% signal", "Dirichlet latent", "above", against="free latent, best number",
        times=0.95),
    Aim("Two classes of a mixture do", "AUC at 50% signal", "mixture latent", "above",
        against="free latent, best number", times=0.95),
    Aim("A hidden axis of a Gaussian is found", "angle [rad]", "Gaussian, hidden axis", "below",
        1e-2),
    Aim("Azimuth is found in jets", "angle [rad]", "jets, azimuth", "below", 0.1),
    Aim("No symmetry is found where there is none", "false symmetries", "*, none", "below", 0.05),
)  # fmt: skip
AZIMUTH = np.kron(np.eye(2), np.array([[0.0, -1.0], [1.0, 0.0]]))
AXIS = np.kron(np.diag([1.0, 0.0]), np.array([[0.0, -1.0], [1.0, 0.0]]))[:3, :3]


@dataclass(frozen=True)
class Scale:
    """Jets of each class, shares of signal, repetitions of the toys, and trainings."""

    train: int
    test: int
    gaussian: int
    repetitions: int
    training: Training
    iterations: int = 100
    shares: tuple[float, ...] = (0.5, 0.1, 0.02)
    seeds: int = 1
    functions: int = 12
    topics: dict[float, tuple[float, float]] = field(
        default_factory=lambda: {0.5: (0.5, 0.5), 0.1: (0.9, 0.1), 0.02: (0.95, 0.05)}
    )


def schedule(epochs: int) -> Training:
    """Return the settings of so many epochs."""
    return Training(epochs=epochs, batch_size=128, learning_rate=2e-3)


SCALES = {
    "smoke": Scale(170, 60, 2_000, 3, Training(epochs=1, batch_size=64), 10, (0.5,), functions=4),
    "laptop": Scale(4_000, 2_000, 50_000, 20, schedule(15)),
    "night": Scale(40_000, 10_000, 200_000, 100, schedule(30), seeds=5),
    "paper": Scale(300_000, 50_000, 1_000_000, 200, schedule(50), seeds=10),
}


def latent_structure(run: Run[Scale]) -> None:
    """Find topics, shares and symmetries."""
    run.report.add_stand_in(STAND_IN)
    run.report.add_definitions(MEASURES)
    files = [
        run.generated(name, "top-qcd", count, seed=seed)
        for name, count, seed in (("train", run.scale.train, 1), ("test", run.scale.test, 2))
    ]
    train, test = (read(file) for file in files)
    rows = mixtures(run, train, test) + symmetries(run, train)
    run.report.add_results(rows, "Errors are of counting, of seeds and of repetitions.")


def better(score: Floats, label: NDArray[Any]) -> Value:
    """Return the AUC of a score or of minus the score."""
    return max(auc(score, label), auc(-score, label), key=float)


def mixtures(run: Run[Scale], train: ak.Array, test: ak.Array) -> list[Result]:
    """Find two classes in mixtures of them, at each share of signal."""
    scale, label = run.scale, np.asarray(test["label"])
    jets_of = [train[np.asarray(train["label"]) == k] for k in (0, 1)]
    tokens = lund_tokens(test)
    found: dict[str, dict[float, list[Value]]] = {}
    names = (
        *("topics", "Dirichlet latent", "mixture latent"),
        *("free latent, best number", "free latent, error"),
    )
    for share in scale.shares:
        background = min(len(jets_of[0]), round(len(jets_of[1]) * (1 - share) / share))
        signal = round(background * share / (1 - share))
        mixed = ak.concatenate([jets_of[0][:background], jets_of[1][:signal]])
        for seed in run.seeds:
            begin = f"signal {share:g}, seed {seed}"
            topics = run.fitted(
                f"topics, {begin}",
                LatentDirichlet(iterations=scale.iterations, alpha=scale.topics[share]),
                mixed,
                seed=seed,
            )
            shares, classes, free = (
                run.fitted(f"{prior}, {begin}", latent_model(prior, 2, scale), mixed, seed=seed)
                for prior in ("dirichlet", "mixture", "normal")
            )
            numbers = free.latent_numbers(test)
            values = (
                better(topics.score(tokens), label),
                better(shares.latent_numbers(test)[:, 0], label),
                better(classes.class_shares(test)[:, 0], label),
                max((better(column, label) for column in numbers.T), key=float),
                auc(free.score(test), label),
            )
            for name, value in zip(names, values, strict=True):
                found.setdefault(name, {}).setdefault(share, []).append(value)
            if share == scale.shares[0] and seed == 0:
                run.report.add_heading("Topics")
                run.report.add_figure(
                    lund_topics(topics.topics_, topics.bins, ANGLES, MOMENTA),
                    "Two topics of equal numbers of top quarks and light jets, over the primary"
                    " Lund plane; nobody has told the classes.",
                    wide=True,
                )
    rows = [
        Result.over_seeds(name, f"AUC at {share:.0%} signal", values)
        for name, of_one in found.items()
        for share, values in of_one.items()
    ]
    run.report.add_heading("Imposed latent structure")
    curves = {
        name: [
            (share, row.value, row.error or 0.0)
            for share in scale.shares
            for row in rows
            if row.subject == name and row.quantity == f"AUC at {share:.0%} signal"
        ]
        for name in names
    }
    run.report.add_figure(
        against(curves, "Share of signal in the training", "AUC", line=0.5),
        "How well each tells top quarks from light jets, by the share of top quarks among the"
        " unlabelled jets that it has learned from.",
    )
    return rows


def latent_model(prior: Any, latent: int, scale: Scale) -> Autoencoder:
    """Return a variational autoencoder of sets with a prior."""
    return Autoencoder(
        kind="variational",
        representation="set",
        prior=prior,
        latent=latent,
        training=scale.training,
    )


def symmetries(run: Run[Scale], jets: ak.Array) -> list[Result]:
    """Find known symmetries of Gaussians and of jets, and none where there is none."""
    run.report.add_heading("Symmetries")
    momenta = leading(jets)
    stretched = momenta * np.tile([1.0, 1.3], 2)
    samples = {
        "Gaussian, hidden axis": (partial(gaussian, run.scale.gaussian), AXIS),
        "Gaussian, none": (partial(skewed, run.scale.gaussian), None),
        "jets, azimuth": (partial(half, momenta), AZIMUTH),
        "jets, none": (partial(half, stretched), None),
    }
    rows = []
    for name, (draw, truth) in samples.items():
        angles, right = [], []
        for repetition in range(run.scale.repetitions):
            method = Symmetry(functions=run.scale.functions).fit(draw(repetition), seed=repetition)
            wanted = 0 if truth is None else 1
            right.append(len(method.generators_) == wanted)
            if truth is not None and len(method.generators_):
                angles.append(angle_between(method.generators_[0], truth))
        share = float(np.mean(right))
        kept = min(max(share, 1 / len(right)), 1 - 1 / len(right)) if len(right) > 1 else 0.5
        error = float(np.sqrt(kept * (1 - kept) / len(right)))
        if truth is None:
            rows.append(Result(name, "false symmetries", 1 - share, error))
        else:
            rows.append(Result(name, "found", share, error))
        if angles:
            spread = float(np.std(angles, ddof=1) / len(angles) ** 0.5) if angles[1:] else None
            rows.append(Result(name, "angle [rad]", float(np.mean(angles)), spread))
    random = np.random.default_rng(1)
    turn = random.integers(0, 3, run.scale.gaussian) * 2 * np.pi / 3
    threefold = random.normal(0, 0.4, (len(turn), 2)) + np.stack([np.cos(turn), np.sin(turn)], 1)
    angles_of = Symmetry().fit(threefold, seed=1).angles_
    if angles_of is not None:
        run.report.add_figure(
            finite_rotations(angles_of),
            "Three Gaussians at the corners of a triangle: half of the events, rotated, against"
            " the other half. 120 and 240 degrees leave them alone.",
            wide=True,
        )
    return rows


def leading(jets: ak.Array) -> Floats:
    """Return px and py of the two leading particles of each jet, (N, 4) [GeV]."""
    particles = jets[CONSTITUENTS][ak.num(jets[CONSTITUENTS]["px"]) > 1]
    columns = [ak.to_numpy(particles[c][:, i]) for i in (0, 1) for c in ("px", "py")]
    return np.stack(columns, 1).astype(np.float64)


def half(rows: Floats, repetition: int) -> Floats:
    """Return half of the events, others in each repetition."""
    return rows[np.random.default_rng(repetition).permutation(len(rows))[: len(rows) // 2]]


def gaussian(count: int, repetition: int) -> Floats:
    """Draw a Gaussian with one wider axis, about which nothing changes."""
    return np.random.default_rng(repetition).normal(size=(count, 3)) * [1, 1, 2]


def skewed(count: int, repetition: int) -> Floats:
    """Draw a density without any symmetry under rotations."""
    random = np.random.default_rng(repetition)
    return random.gamma(2, 1, (count, 3)) * [1, 1.5, 2]


STUDY = Study(
    *("latent-structure", "Latent structure without labels", SUMMARY, SCALES, latent_structure),
    ("seeds", "workers", "dask"),
    aims=AIMS,
    events="{train} jets a class to learn from, {test} a class to test, {gaussian} toy events",
    stand_in="the public sets of jets",
)
