"""Small ABCD estimates: two scores that are given, and two that are learned."""

from pathlib import Path

import numpy as np

from colliderkit.methods.search.abcd import ABCD
from colliderkit.methods.search.double_disco import ABCDisCoTEC
from colliderkit.sources import write
from colliderkit.sources.toys.abcd import AbcdToy
from colliderkit.training.settings import Training
from contracts.cases.case import Case, Data, TaskCase

TOY = AbcdToy()
COLUMNS = ("a", "b", "c")
SHORT = Training(epochs=6, batch_size=256, learning_rate=1e-2)


def events(seed: int) -> Data:
    x, label = TOY.sample(900, 300, seed)
    return (x, label), {}


def two_scores(seed: int) -> Data:
    (x, label), _ = events(seed)
    return (x @ TOY.pair(), label), {}


def write_abcd(folder: Path) -> None:
    for seed, (name, background, signal) in enumerate(
        (("background", 900, 0), ("signal", 0, 300), ("data", 600, 30))
    ):
        x, _ = TOY.sample(background, signal, [seed, 1])
        scores = dict(zip(("x", "y"), (x @ TOY.pair()).T, strict=True))
        write(folder / f"{name}.root", dict(zip(COLUMNS, x.T, strict=True)) | scores)


def numbers(method: ABCD, args: tuple) -> np.ndarray:
    found = method.estimate(args[0])
    return np.array([found.counting.value, *method.cuts_, method.background_.closure.value])


CASES = {
    "abcd": Case(
        make=lambda: ABCD(regions=1),
        data=two_scores,
        answer=numbers,
        exact_weight=True,
        verbs={"scores": lambda method, args: method.scores(args[0])},
    ),
    "abcdiscotec": Case(
        make=lambda: ABCDisCoTEC(
            correlation=0.5, nonclosure=None, options={"hidden": [8]}, training=SHORT
        ),
        data=events,
        answer=lambda method, args: method.scores(args[0]),
        verbs={"estimate": lambda method, args: method.estimate(args[0])},
    ),
}


def fit(folder: Path) -> tuple[str, ...]:
    background, signal = (str(folder / f"{name}.root") for name in ("background", "signal"))
    return "--background", background, "--signal", signal, "--x", "x", "--y", "y"


TASK_CASES = {
    "abcd": TaskCase(
        write=write_abcd,
        fit=fit,
        methods={
            "abcdiscotec": (
                *("--x", "null", "--y", "null"),
                *("--columns", "a,b,c", "--options", "{hidden: [8]}", "--shares", "[0.5, 0.7]"),
                *("--training.epochs", "1", "--training.batch_size", "256", "--least", "0.0005"),
            ),
        },
        apply=lambda folder: (str(folder / "data.root"),),
        evaluate=lambda folder: ("--data", str(folder / "data.root")),
    ),
}
