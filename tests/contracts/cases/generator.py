"""Cases of conditional generators: small densities of two columns given one."""

import h5py
import numpy as np

from colliderkit.methods.simulation.generator import ConditionalGenerator
from colliderkit.training.settings import Training
from contracts.cases.case import Case, TaskCase

CONDITIONS = np.linspace(-1.5, 1.5, 40)[:, None]
SMALL = {"transforms": 1, "bins": 3, "hidden": [8]}


def events(seed: int, count: int = 200) -> tuple:
    """Draw a line with noise and a width that grows, and where on it."""
    random = np.random.default_rng([3, seed])
    c = random.normal(size=(count, 1))
    return np.hstack([2 * c, np.exp(c / 2)]) * random.normal(1, 0.3, (count, 2)), c


def write_events(folder) -> None:
    """Write events as columns."""
    x, c = events(1)
    with h5py.File(folder / "events.h5", "w") as file:
        for name, values in (("x", x[:, 0]), ("y", x[:, 1]), ("c", c[:, 0])):
            file[name] = values
        file["w"] = np.linspace(0.5, 1.5, len(x))
        file["n"] = np.arange(len(x)) // 2


CASES = {
    "conditional-generator": Case(
        make=lambda: ConditionalGenerator(
            options=SMALL, training=Training(epochs=1, batch_size=50, devices=1)
        ),
        data=lambda seed: (events(seed), {}),
        answer=lambda method, args: method.sample(CONDITIONS, seed=1),
    ),
}

WORDS = ("--features", "x,y", "--condition", "c")

TASK_CASES = {
    "generator": TaskCase(
        write=write_events,
        fit=lambda folder: [
            *("--files", folder / "events.h5", *WORDS, "--weight", "w", "--event", "n"),
            *("--options", "{transforms: 1, bins: 3, hidden: [8]}", "--training.epochs", "1"),
        ],
        apply=lambda folder: ["--files", folder / "events.h5", *WORDS],
        evaluate=lambda folder: ["--files", folder / "events.h5", *WORDS, "--weight", "w"],
        export=lambda folder: ["--files", folder / "events.h5", "--condition", "c"],
        exported="generator.onnx",
    ),
}
