"""Cases of weak supervision: two mixed samples of jets, and of numbers."""

from dataclasses import replace

import numpy as np

from colliderkit.methods.search.proportions import LabelProportions
from colliderkit.methods.search.templates import MixtureEfficiencies
from colliderkit.methods.search.topics import Topics
from colliderkit.methods.search.without_labels import WithoutLabels
from contracts.cases.case import Case
from contracts.cases.tagging import QUICK, jets, linear, probabilities, with_nan

FRACTIONS = {"dijets": 0.3, "Z+jet": 0.8}
SIMULATION = np.linspace(0, 1, 101), np.arange(101) % 2


def numbers(seed):
    """A number of each event, and which sample it is of."""
    random = np.random.default_rng(seed)
    sample = np.repeat([0, 1], 3000)
    truth = random.random(6000) < np.repeat(list(FRACTIONS.values()), 3000)
    return (random.normal(np.where(truth, 1.5, -1.5)), sample), {}


CASES = {
    "label-proportions": Case(
        # Long enough for both numbers of steps to end alike.
        make=lambda: LabelProportions(
            linear().set_params(training=replace(QUICK, epochs=20)), fractions=FRACTIONS
        ),
        data=jets,
        answer=probabilities,
        nan=with_nan,
    ),
    "without-labels": Case(
        make=lambda: WithoutLabels(linear(), samples=tuple(FRACTIONS), fractions=FRACTIONS),
        data=jets,
        answer=probabilities,
        nan=with_nan,
        verbs={"sample_probabilities": lambda m, args: m.sample_probabilities(args[0])},
    ),
    "mixture-efficiencies": Case(
        make=lambda: MixtureEfficiencies(
            fractions=FRACTIONS, errors={"dijets": 0.02}, cuts=(0.2, 0.5)
        ),
        data=lambda seed: (numbers(seed)[0], {"simulation": SIMULATION}),
        answer=lambda method, args: method.efficiency_,
        exact_weight=True,
        verbs={
            "efficiency": lambda method, args: method.efficiency(),
            "scale_factor": lambda method, args: method.scale_factor(1),
            "correction": lambda method, args: method.correction(args[0], args[1]),
        },
    ),
    "topics": Case(
        make=lambda: Topics(edges=tuple(np.linspace(-6, 6, 25).tolist())),
        data=numbers,
        answer=lambda method, args: method.fractions_,
        exact_weight=True,
        weight_tolerance=1e-4,  # of the search for the largest likelihood
        verbs={"fractions": lambda method, args: method.fractions},
    ),
}
