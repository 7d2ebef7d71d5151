"""A small autoencoder: correlated columns, and a background that lies off them."""

from pathlib import Path

import numpy as np

from colliderkit.methods.search.autoencoder import Autoencoder
from colliderkit.sources import write
from colliderkit.training.settings import Training
from contracts.cases.case import Case, Data, TaskCase

SMALL = ("--training.epochs", "2", "--training.batch_size", "64", "--latent", "1")


def rows(count: int, seed: int, off: float = 0.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    x = random.normal(size=count)
    noise = random.normal(0, 0.2, (2, count))
    return np.stack([x, 2 * x + noise[0], 3 - x + off + noise[1]], 1)


def events(seed: int) -> Data:
    return (rows(400, seed),), {}


def write_autoencoder(folder: Path) -> None:
    for seed, (name, off) in enumerate({"train": 0.0, "background": 0.0, "signal": 2.0}.items()):
        columns = dict(zip("abc", rows(300, seed, off).T, strict=True))
        write(folder / f"{name}.root", columns)


CASES = {
    "autoencoder": Case(
        make=lambda: Autoencoder(
            latent=1,
            options={"hidden": [16]},
            training=Training(epochs=3, batch_size=64, learning_rate=1e-2),
        ),
        data=events,
        answer=lambda method, args: method.score(args[0]),
        verbs={"latent_numbers": lambda method, args: method.latent_numbers(args[0])},
    ),
}
TASK_CASES = {
    "autoencoder": TaskCase(
        write=write_autoencoder,
        fit=lambda folder: ("--files", folder / "train.root", "--features", "a,b,c", *SMALL),
        apply=lambda folder: ("--files", folder / "signal.root"),
        evaluate=lambda folder: (
            *("--signal", str(folder / "signal.root")),
            *("--background", str(folder / "background.root")),
        ),
        export=lambda folder: ("--files", folder / "signal.root"),
    ),
}
