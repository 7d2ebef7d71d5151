"""Small searches for latent structure and symmetries, and one with simulated signals."""

from pathlib import Path

import numpy as np

from colliderkit.methods.search.latent import LatentDirichlet
from colliderkit.methods.search.semi_supervised import SemiSupervised
from colliderkit.methods.search.symmetry import Symmetry
from colliderkit.sources import write
from colliderkit.training.settings import Training
from contracts.cases.case import Case, Data, TaskCase

FLOW = "{transforms: 1, bins: 3, hidden: [8]}"


def counts(seed: int) -> Data:
    """Events of two topics, one of the first tokens and one of the last."""
    random = np.random.default_rng(seed)
    topics = np.array([[0.5, 0.3, 0.2, 0.0], [0.0, 0.1, 0.2, 0.7]])
    return (random.multinomial(30, random.dirichlet([1, 1], 300) @ topics).astype(float),), {}


def axial(seed: int) -> Data:
    """Events that a rotation of the first two columns leaves alone."""
    return (np.random.default_rng(seed).normal(size=(2000, 3)) * [1, 1, 2],), {}


def known(seed: int) -> Data:
    random = np.random.default_rng(seed)
    signals = {"right": random.normal(2, 0.5, (150, 2)), "left": random.normal(-2, 0.5, (150, 2))}
    return (random.normal(size=(300, 2)), signals), {}


def write_counts(folder: Path) -> None:
    for seed, name in enumerate(("train", "background", "signal")):
        write(folder / f"{name}.root", dict(zip("abcd", counts(seed)[0][0].T, strict=True)))


def write_axial(folder: Path) -> None:
    write(folder / "events.root", dict(zip("xyz", axial(1)[0][0].T, strict=True)))


def write_known(folder: Path) -> None:
    (background, signals), _ = known(1)
    for name, table in {"background": background, **signals}.items():
        write(folder / f"{name}.root", dict(zip("xy", table.T, strict=True)))


CASES = {
    "latent-dirichlet": Case(
        make=lambda: LatentDirichlet(iterations=20),
        data=counts,
        answer=lambda method, args: method.score(args[0]),
        exact_weight=True,
        weight_tolerance=1e-2,  # the smoothing counts a little less among more events
        verbs={"shares": lambda method, args: method.shares(args[0])},
    ),
    "symmetry": Case(
        make=lambda: Symmetry(functions=6, level=1e-4),
        data=axial,
        answer=lambda method, args: method.generators_[0],
        verbs={
            "p_value": lambda method, args: method.p_value(args[0], np.eye(3)),
            "transformed": lambda method, args: method.transformed(args[0], 0.3),
        },
    ),
    "semi-supervised": Case(
        make=lambda: SemiSupervised(
            options={"transforms": 1, "bins": 3, "hidden": [8]},
            training=Training(epochs=2, batch_size=64, learning_rate=1e-2),
        ),
        data=known,
        answer=lambda method, args: method.score(args[0]),
        verbs={"space": lambda method, args: method.space(args[0])},
    ),
}
TASK_CASES = {
    "latent": TaskCase(
        write=write_counts,
        fit=lambda folder: (
            *("--files", folder / "train.root", "--features", "a,b,c,d", "--iterations", "10"),
        ),
        apply=lambda folder: ("--files", folder / "signal.root"),
        evaluate=lambda folder: (
            *("--signal", folder / "signal.root", "--background", folder / "background.root"),
        ),
    ),
    "symmetry": TaskCase(
        write=write_axial,
        fit=lambda folder: ("--files", folder / "events.root", "--features", "x,y"),
    ),
    "semi-supervised": TaskCase(
        write=write_known,
        fit=lambda folder: (
            *("--background", folder / "background.root"),
            *("--signals", f"{{right: {folder / 'right.root'}, left: {folder / 'left.root'}}}"),
            *("--features", "x,y", "--options", FLOW, "--training.epochs", "1"),
        ),
        apply=lambda folder: ("--files", folder / "right.root"),
        evaluate=lambda folder: (
            *("--signal", folder / "right.root", "--background", folder / "background.root"),
        ),
    ),
}
