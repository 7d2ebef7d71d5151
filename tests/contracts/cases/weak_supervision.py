"""Cases of weak supervision: two mixed samples of jets, and of numbers."""

from dataclasses import replace

import numpy as np

from colliderkit.methods.search.mixtures.proportions import LabelProportions
from colliderkit.methods.search.mixtures.templates import MixtureEfficiencies
from colliderkit.methods.search.mixtures.topics import Topics
from colliderkit.methods.search.mixtures.without_labels import WithoutLabels
from colliderkit.sources import write
from contracts.cases.case import Case, TaskCase
from contracts.cases.tagging import QUICK, jets, linear, probabilities, with_nan
from samples import make_jets

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


def write_jets(folder):
    """Two mixed samples without labels, and one of each class."""
    sample = make_jets(400)
    label = np.asarray(sample["label"])
    columns = [name for name in sample.fields if name != "label"]
    rest = np.arange(400) < 200
    mixed = rest & (np.random.default_rng(1).random(400) < np.where(label == 1, 0.8, 0.3))
    parts = {"dijets": rest & ~mixed, "zjet": mixed}
    parts |= {name: ~rest & (label == k) for k, name in enumerate(("gluon", "quark"))}
    for name, chosen in parts.items():
        write(folder / f"{name}.parquet", sample[columns][chosen])


def mixed(folder):
    return f"{{dijets: {folder / 'dijets.parquet'}, Z+jet: {folder / 'zjet.parquet'}}}"


def both(folder):
    return ["--signal", folder / "quark.parquet", "--background", folder / "gluon.parquet"]


def write_numbers(folder):
    (values, sample), _ = numbers(1)
    for k, name in enumerate(("dijets", "zjet")):
        write(folder / f"{name}.parquet", {"score": values[sample == k]})
    random = np.random.default_rng(2)
    label = np.arange(2000) % 2
    score = random.normal(np.where(label, 1.5, -1.5))
    write(folder / "simulation.parquet", {"score": score, "label": label})
    for k, name in enumerate(("gluon", "quark")):
        write(folder / f"{name}.parquet", {"score": score[label == k]})


GIVEN = "{Z+jet: 0.8, dijets: 0.3}"
TASK_CASES = {
    "weak-supervision": TaskCase(
        write=write_jets,
        fit=lambda folder: [
            *("--samples", mixed(folder), "--fractions", GIVEN),
            *("--network", "linear", "--observables", "[mass, width]"),
            *("--training.epochs", "2", "--training.devices", "1"),
        ],
        apply=lambda folder: [folder / "quark.parquet"],
        evaluate=both,
        page=lambda folder: ["--classes", "gluon,quark"],
        export=lambda folder: [folder / "quark.parquet"],
    ),
    "working-points": TaskCase(
        write=write_numbers,
        fit=lambda folder: [
            *("--samples", mixed(folder), "--fractions", GIVEN, "--errors", "{dijets: 0.02}"),
            *("--cuts", "[-0.5, 0.5]", *both(folder)),
        ],
        apply=lambda folder: [folder / "simulation.parquet"],
    ),
    "topics": TaskCase(
        write=write_numbers,
        fit=lambda folder: ["--samples", mixed(folder), "--observable", "score", "--bins", "20"],
    ),
}
