"""Cases of the regressions: a line with Gaussian noise, and its intervals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.regression import REGRESSIONS, Conformal
from colliderkit.sources import write
from colliderkit.training.settings import Training
from contracts.cases.case import Arguments, Case, Data, TaskCase

__all__ = ["CASES", "TASK_CASES"]

QUICK = Training(epochs=2, batch_size=100, learning_rate=5e-3)
OPTIONS: dict[str, dict[str, Any]] = {
    "deep-ensemble": {"members": 2},
    "boosted-regression": {"leaves": 4, "rounds": 20},
    "variational-regression": {"draws": 5},
}


def data(seed: int) -> Data:
    """Draw x (N, 2) and y (N,)."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(400, 2))
    return (x, 10 + 2 * x[:, 0] - x[:, 1] + 0.5 * random.normal(size=400)), {}


def answer(method: Any, args: Arguments) -> NDArray[np.float64]:
    """Return estimates, standard deviations and intervals of some events, (4, N)."""
    x = args[0][:100]
    prediction = method.predict(x)
    return np.stack([prediction.estimate, prediction.std, *method.interval(x, 0.68)])


def built(name: str) -> Callable[[], Any]:
    """Return what makes the regression of one name."""
    network = {} if name == "boosted-regression" else {"hidden": (8,), "training": QUICK}
    return lambda: REGRESSIONS.build(name, **network, **OPTIONS.get(name, {}))


VERBS = {"interval": lambda method, args: method.interval(args[0])}
CASES = {name: Case(built(name), data, answer, verbs=VERBS) for name in REGRESSIONS}
CASES["quantile-regression"] = Case(
    built("quantile-regression"),
    data,
    answer,
    verbs={**VERBS, "quantile": lambda method, args: method.quantile(args[0], 0.2)},
)
CASES["conformal"] = Case(
    lambda: Conformal(built("deep-ensemble")(), share=0.3), data, answer, verbs=VERBS
)


def write_table(folder: Path) -> None:
    """Write features, a target and the number of an event."""
    random = np.random.default_rng(5)
    a, b = random.normal(size=(2, 500))
    y = 10 + 2 * a - b + 0.5 * random.normal(size=500)
    write(folder / "table.root", {"a": a, "b": b, "y": y, "number": np.arange(500)})


TRAINING = ("--training.epochs", "2", "--training.batch_size", "100", "--hidden", "[8]")
TASK_CASES = {
    "regression": TaskCase(
        write=write_table,
        fit=lambda folder: [
            *(
                "--files",
                folder / "table.root",
                "--features",
                "a,b",
                "--target",
                "y",
                "--event",
                "number",
            ),
        ],
        methods={
            **{name: TRAINING for name in REGRESSIONS if name != "boosted-regression"},
            "boosted-regression": ("--leaves", "4", "--rounds", "10"),
            "conformal": TRAINING,
        },
        apply=lambda folder: [folder / "table.root", "--level", "0.68"],
        evaluate=lambda folder: [folder / "table.root", "--target", "y", "--bins", "4"],
        export=lambda folder: [folder / "table.root"],
    )
}
