"""Cases of taggers: a network and the folds and ensembles of it, on tables and on jets."""

import awkward as ak
import numpy as np

from colliderkit.methods.decorrelation.objectives import DisCo
from colliderkit.methods.tagging.ensembles import CrossFit, Ensemble
from colliderkit.methods.tagging.tagger import Tagger
from colliderkit.sources import write
from colliderkit.training.settings import Training
from contracts.cases.case import Case, TaskCase
from samples import make_jets

QUICK = Training(epochs=2, batch_size=64, learning_rate=1e-2, devices=1)


def jets(seed):
    return (make_jets(240, seed),), {}


def with_nan(args):
    """A constituent of the jet 3 has no momentum."""
    px = args[0].constituents.px * np.where(np.arange(len(args[0])) == 3, np.nan, 1.0)
    constituents = ak.with_field(args[0].constituents, px, "px")
    return (ak.with_field(args[0], constituents, "constituents"), *args[1:])


def probabilities(method, args):
    return method.predict_proba(args[0])


def linear():
    return Tagger("linear", observables=("mass", "width"), training=QUICK)


CASES = {
    "tagging": Case(
        make=lambda: Tagger(
            "mlp",
            observables=("mass", "width"),
            options={"hidden": [8]},
            objective=DisCo(protect=("jet_pt",), strength=1.0),
            training=QUICK,
        ),
        data=jets,
        answer=probabilities,
        nan=with_nan,
        verbs={
            "predict": lambda method, args: method.predict(args[0]),
            "regression": lambda method, args: method.regression(args[0]),
        },
    ),
    "ensemble": Case(
        make=lambda: Ensemble(linear(), members=2),
        data=jets,
        answer=probabilities,
        nan=with_nan,
        verbs={"member_probabilities": lambda m, args: m.member_probabilities(args[0])},
    ),
    "cross-fit": Case(
        make=lambda: CrossFit(linear(), folds=2),
        data=jets,
        answer=probabilities,
        nan=with_nan,
    ),
}


def write_classes(folder):
    sample = make_jets(200)
    label = np.asarray(sample["label"])
    for value, name in enumerate(("background", "signal")):
        part = sample[label == value]
        write(folder / f"{name}.parquet", part[[f for f in part.fields if f != "label"]])


def both(folder):
    return ["--signal", folder / "signal.parquet", "--background", folder / "background.parquet"]


TASK_CASES = {
    "tagging": TaskCase(
        write=write_classes,
        fit=lambda folder: [
            *both(folder),
            *("--network", "linear", "--observables", "[mass, width]"),
            *("--training.epochs", "2", "--training.devices", "1"),
        ],
        methods={"ensemble": ["--members", "2"], "cross-fit": ["--folds", "2"]},
        apply=lambda folder: [folder / "signal.parquet"],
        evaluate=both,
        export=lambda folder: [folder / "signal.parquet"],
    )
}
