"""Small cases of the likelihood ratio."""

from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.methods.ratio import Ratio
from colliderkit.sources import write
from colliderkit.training.settings import Training
from contracts.cases.case import Case, TaskCase

COUNT = 400


def normal(seed: int, mean: float, count: int = COUNT) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1, (count, 2))


def samples(seed: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (normal(seed, 0.5), normal(seed + 100, 0.0)), {}


def repeat(args: Any, kwargs: Any, rows: Any) -> Any:
    """Events of the numerator; those of the denominator stay as they are."""
    return (args[0][rows], args[1]), kwargs


CASES = {
    "ratio": Case(
        make=lambda: Ratio(hidden=(8,), training=Training(epochs=2, batch_size=128)),
        data=samples,
        answer=lambda method, args: method.log_ratio(args[1][:50]),
        verbs={
            "weights": lambda method, args: method.weights(args[1][:5]),
            "summary": lambda method, args: method.summary(args[1][:5]),
        },
        repeat=repeat,
        weight=lambda args, weights: (weights, None),
    ),
}


def write_files(folder: Path) -> None:
    for name, mean, seed in (("one", 0.5, 1), ("two", 0.0, 2), ("three", 0.5, 3), ("four", 0.0, 4)):
        x, y = normal(seed, mean, 600).T
        write(folder / f"{name}.parquet", {"x": x, "y": y})


def two(folder: Path, numerator: str, denominator: str) -> list[str]:
    return [
        *("--numerator", str(folder / f"{numerator}.parquet")),
        *("--denominator", str(folder / f"{denominator}.parquet")),
    ]


TASK_CASES = {
    "ratio": TaskCase(
        write=write_files,
        fit=lambda folder: [
            *two(folder, "one", "two"),
            *("--columns", "x,y", "--training.epochs", "2", "--hidden", "[8]"),
        ],
        apply=lambda folder: [str(folder / "four.parquet")],
        evaluate=lambda folder: two(folder, "three", "four"),
        export=lambda folder: [str(folder / "four.parquet")],
    ),
}
