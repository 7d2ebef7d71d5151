"""Small searches for a resonance in 1,500 events of the toy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.search.cwola import CwolaHunting
from colliderkit.sources.toys.resonance import Resonance
from contracts.cases.case import Arguments, Case, Data

QUICK = {"rounds": 5, "leaves": 4}
COMMON: dict[str, Any] = {"folds": 3, "efficiency": 0.1, "options": QUICK}


def drawn(seed: int) -> Data:
    events = Resonance(distance=(2.0, 1.0)).events(1500, 60, seed)
    return (events.features, events.mass), {}


def scored(method: Any, args: Arguments) -> NDArray[np.float64]:
    return np.append(method.score(*args), method.score_[:100])


def case(make: Any, data: Any = drawn) -> Case:
    return Case(
        make=make,
        data=data,
        answer=scored,
        verbs={"select": lambda method, args: method.select(0.1)},
    )


CASES = {"cwola-hunting": case(lambda: CwolaHunting(**COMMON))}
