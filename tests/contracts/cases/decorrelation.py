"""Cases of the maps that decorrelate a trained score."""

import numpy as np

from colliderkit.methods.decorrelation.maps import FlowDecorrelation, TransportDecorrelation
from colliderkit.sources import write
from colliderkit.training.settings import Training
from contracts.cases.case import Case, TaskCase


def scores(seed):
    """A score and the quantity that it depends on."""
    random = np.random.default_rng(seed)
    m = random.normal(size=300)
    return (0.6 * m + 0.8 * random.normal(size=300), m), {}


def mapped(method, args):
    return method.transform(*args)


CASES = {
    "flow-decorrelation": Case(
        make=lambda: FlowDecorrelation(
            transforms=1,
            bins=4,
            hidden=(8,),
            training=Training(epochs=2, batch_size=64, learning_rate=5e-3, devices=1),
        ),
        data=scores,
        answer=mapped,
    ),
    "transport-decorrelation": Case(
        make=lambda: TransportDecorrelation(bins=4, levels=20),
        data=scores,
        answer=mapped,
        exact_weight=True,
    ),
}


def write_scores(folder):
    random = np.random.default_rng(0)
    for name, mean in (("background", 0.0), ("signal", 1.0)):
        mass = random.normal(80 + 5 * mean, 10, 600)
        score = mean + 0.05 * mass + random.normal(size=600)
        write(folder / f"{name}.parquet", {"score": score, "jet_mass": mass})


TASK_CASES = {
    "decorrelation": TaskCase(
        write=write_scores,
        fit=lambda folder: ["--files", folder / "background.parquet"],
        methods={
            "flow-decorrelation": [
                *("--transforms", "1", "--hidden", "[8]"),
                *("--training.epochs", "1", "--training.devices", "1"),
            ]
        },
        apply=lambda folder: [folder / "signal.parquet"],
        evaluate=lambda folder: [
            *("--signal", folder / "signal.parquet"),
            *("--background", folder / "background.parquet"),
        ],
    )
}
