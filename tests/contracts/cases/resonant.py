"""Small searches for a resonance in 1,200 events of the toy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.search.resonant.anode import Anode
from colliderkit.methods.search.resonant.bounds import Idealised, Supervised
from colliderkit.methods.search.resonant.cathode import Cathode
from colliderkit.methods.search.resonant.cwola import CwolaHunting
from colliderkit.methods.search.resonant.lacathode import LaCathode
from colliderkit.methods.search.resonant.r_anode import RAnode
from colliderkit.methods.search.resonant.salad import Salad
from colliderkit.methods.search.resonant.transport import Transport
from colliderkit.sources.toys.resonance import Resonance
from colliderkit.training.settings import Training
from contracts.cases.case import Arguments, Case, Data

REGION = (3200.0, 3800.0)
ALL: dict[str, Any] = {"signal_region": REGION, "efficiency": 0.1, "folds": 2}
TREES: dict[str, Any] = {**ALL, "options": {"rounds": 5, "leaves": 4}}
QUICK = Training(epochs=2, batch_size=256, learning_rate=3e-3)
FLOW: dict[str, Any] = {"flow": {"transforms": 1, "hidden": [8], "bins": 4}, "training": QUICK}
TOY = Resonance(distance=(2.0, 1.0))


def drawn(seed: int) -> Data:
    events = TOY.events(1200, 100, seed)
    return (events.features, events.mass), {}


def labelled(seed: int) -> Data:
    events = TOY.events(1200, 100, seed)
    return (events.features, events.mass), {"label": events.label}


def simulated(seed: int) -> Data:
    args, _ = drawn(seed)
    simulation = TOY.simulation(1000, [seed, 1])
    return args, {"simulation": (simulation.features, simulation.mass)}


def scored(method: Any, args: Arguments) -> NDArray[np.float64]:
    return np.append(method.score(*args), method.score_[:100])


def case(make: Any, data: Any = drawn, **more: Any) -> Case:
    return Case(
        make=make,
        data=data,
        answer=scored,
        verbs={"select": lambda method, args: method.select(0.1), **more},
    )


CASES = {
    "anode": case(lambda: Anode(**ALL, **FLOW)),
    "cathode": case(lambda: Cathode(**TREES, **FLOW)),
    "cwola-hunting": case(lambda: CwolaHunting(**{**TREES, "folds": 4})),
    "idealised-bound": case(lambda: Idealised(**TREES), labelled),
    "lacathode": case(lambda: LaCathode(**TREES, **FLOW)),
    "r-anode": case(lambda: RAnode(**ALL, **FLOW), shares=lambda method, args: method.shares_),
    "salad": case(lambda: Salad(**TREES, hidden=(8,), training=QUICK), simulated),
    "supervised-bound": case(lambda: Supervised(**TREES), labelled),
    "transport": case(lambda: Transport(**TREES, **FLOW)),
}
