"""Small unfoldings: a Gaussian smeared by a Gaussian detector."""

from typing import Any

import numpy as np

from colliderkit.methods.ratio import Ratio
from colliderkit.methods.unfolding.binned import IterativeBayes, MatrixInversion
from colliderkit.methods.unfolding.generative import GenerativeUnfolding
from colliderkit.methods.unfolding.learned import LearnedObservable
from colliderkit.methods.unfolding.omnifold import OmniFold
from colliderkit.sources.toys.linear import pair_toy
from colliderkit.sources.toys.unfolding import unfolding_toy
from colliderkit.training.settings import Training
from contracts.cases.case import Arguments, Case, Data, Keywords

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
