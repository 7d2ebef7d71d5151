"""Small unfoldings: a Gaussian smeared by a Gaussian detector."""

from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.methods.ratio import Ratio
from colliderkit.methods.unfolding.binned import IterativeBayes, MatrixInversion
from colliderkit.methods.unfolding.generative import GenerativeUnfolding
from colliderkit.methods.unfolding.learned import LearnedObservable
from colliderkit.methods.unfolding.omnifold import OmniFold
from colliderkit.sources import write
from colliderkit.sources.toys.linear import pair_toy
from colliderkit.sources.toys.unfolding import unfolding_toy
from colliderkit.training.settings import Training
from contracts.cases.case import Arguments, Case, Data, Keywords, TaskCase

EVENTS = 400
SHORT = Training(epochs=1, batch_size=200, learning_rate=3e-3)
EDGES = (-4.0, -0.7, 0.0, 0.7, 4.0)
BINS: dict[str, Any] = {"truth_edges": EDGES, "reco_edges": EDGES, "replicas": 10}


def unfolding_data(seed: int) -> Data:
    simulation = unfolding_toy(EVENTS, smear=0.5, seed=[seed, 1])
    nature = unfolding_toy(EVENTS, mean=0.3, smear=0.5, seed=[seed, 2])
    return (nature.seen, simulation.reco, simulation.truth), {}


def repeated_simulation(args: Arguments, kwargs: Keywords, rows: np.ndarray) -> Data:
    """Repeat simulated events: the weights of `fit` are theirs."""
    data, reco, truth = args
    return (data, reco[rows], truth[rows]), {"event": rows.astype(np.int64)}


def truth_of(method: Any, args: Arguments) -> np.ndarray:
    """The mean and the width of the unfolded truth, which repeated events do not lengthen."""
    truth, push = args[2][:, 0], method.weights()
    mean = np.average(truth, weights=push[: len(truth)])
    return np.array([mean, np.average((truth - mean) ** 2, weights=push[: len(truth)])])


def spectrum_of(method: Any, args: Arguments) -> np.ndarray:
    return method.spectrum_


SHARED: dict[str, Any] = {"data": unfolding_data, "repeat": repeated_simulation}
CASES = {
    "omnifold": Case(
        make=lambda: OmniFold(iterations=2, hidden=(8,), data_members=1, training=SHORT),
        answer=truth_of,
        verbs={"weights": lambda method, args: method.weights(1)},
        **SHARED,
    ),
    "iterative-bayes": Case(
        make=lambda: IterativeBayes(**BINS),
        answer=spectrum_of,
        exact_weight=True,
        verbs={
            "weights": lambda method, args: method.weights(args[2]),
            "covariance_": lambda method, args: method.covariance_,
        },
        **SHARED,
    ),
    "matrix-inversion": Case(
        make=lambda: MatrixInversion(**BINS),
        answer=spectrum_of,
        exact_weight=True,
        verbs={"weights": lambda method, args: method.weights(args[2])},
        **SHARED,
    ),
    "generative-unfolding": Case(
        make=lambda: GenerativeUnfolding(
            iterations=1,
            draws=1,
            transforms=1,
            hidden=(8,),
            ratio=Ratio(hidden=(8,), training=SHORT),
            training=SHORT,
        ),
        answer=truth_of,
        verbs={
            "sample": lambda method, args: method.sample(args[0]),
            "log_prob": lambda method, args: method.log_prob(args[2], args[1]),
        },
        **SHARED,
    ),
    "learned-observable": Case(
        make=lambda: LearnedObservable(hidden=(8,), members=2, training=SHORT),
        data=lambda seed: (pair_toy().sample(EVENTS, seed), {}),
        answer=lambda method, args: method.predict(args[0]),
    ),
}


def write_unfolding(folder: Path) -> None:
    (data, reco, truth), _ = unfolding_data(1)
    write(folder / "data.root", {"m": data[:, 0]})
    write(folder / "simulation.root", {"m": reco[:, 0], "m_true": truth[:, 0]})


def write_observable(folder: Path) -> None:
    for name, seed in (("simulation", 1), ("other", 2)):
        x, z = pair_toy().sample(EVENTS, seed)
        write(folder / f"{name}.root", {"a": x[:, 0], "b": x[:, 1], "z": z})


QUICK = ("--training.epochs", "1", "--hidden", "[8]")
EDGES_WORDS = ("--truth_edges", "[-4, 0, 4]", "--reco_edges", "[-5, 0, 5]")
TASK_CASES = {
    "unfolding": TaskCase(
        write=write_unfolding,
        fit=lambda folder: (
            *("--data", str(folder / "data.root"), "--reco", "m", "--truth", "m_true"),
            *("--simulation", str(folder / "simulation.root")),
        ),
        methods={
            "omnifold": ("--iterations", "1", "--bootstraps", "2", *QUICK),
            "generative-unfolding": ("--iterations", "1", "--transforms", "1", *QUICK),
            "iterative-bayes": EDGES_WORDS,
            "matrix-inversion": EDGES_WORDS,
        },
        page=lambda folder: ("--edges", "{m_true: [-1, 0, 1]}"),
        export=lambda folder: ("--edges", "{m_true: [-1, 0, 1]}"),
    ),
    "observable": TaskCase(
        write=write_observable,
        fit=lambda folder: (
            *("--simulation", str(folder / "simulation.root")),
            *("--columns", "a,b", "--truth", "z", *QUICK),
        ),
        apply=lambda folder: (str(folder / "other.root"),),
        evaluate=lambda folder: (
            *("--simulation", str(folder / "other.root"), "--truth", "z"),
            *("--bins", "4", "--detector_bins", "6"),
        ),
    ),
}
