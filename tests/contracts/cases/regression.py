"""Cases of the regressions: a line with Gaussian noise, and its intervals."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.regression import REGRESSIONS, Conformal
from colliderkit.training.settings import Training
from contracts.cases.case import Arguments, Case, Data

__all__ = ["CASES"]

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
