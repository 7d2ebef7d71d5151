"""Small searches from files: every method of the family, and a scan."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.search.resonant.cwola import CwolaHunting
from colliderkit.methods.search.resonant.scan import WindowScan
from colliderkit.sources import write
from colliderkit.sources.toys.resonance import Resonance
from contracts.cases.case import Arguments, Case, Data, TaskCase

TOY = Resonance(distance=(2.0, 1.0))
TREES = ("--options", "{rounds: 5, leaves: 4}")
FLOW = ("--flow", "{transforms: 1, hidden: [8], bins: 4}", "--training.epochs", "2")


def drawn(seed: int) -> Data:
    events = TOY.events(1500, 60, seed)
    return (events.features, events.mass), {}


def scored(method: Any, args: Arguments) -> NDArray[np.float64]:
    return np.append(method.score(*args), method.local_p_)


def write_anomaly(folder: Path) -> None:
    for name, counts in (("data", (1200, 100)), ("signal", (0, 200)), ("background", (1200, 0))):
        events = TOY.events(*counts, [1, len(name)])
        a, b = events.features.T
        columns = {"mjj": events.mass, "a": a, "b": b, "label": events.label}
        write(folder / f"{name}.root", columns)


def of_files(folder: Path, *words: str) -> tuple[str, ...]:
    return ("--data", str(folder / "data.root"), *words)


CASES = {
    "window-scan": Case(
        make=lambda: WindowScan(
            CwolaHunting(
                folds=3,
                efficiency=0.1,
                options={"rounds": 5, "leaves": 4},
                members=1,
                edges=tuple(np.linspace(2500, 4900, 9).tolist()),
            ),
            toys=20,
        ),
        data=drawn,
        answer=scored,
    ),
}
TASK_CASES = {
    "anomaly": TaskCase(
        write=write_anomaly,
        fit=lambda folder: (
            *of_files(folder, "--resonant", "mjj", "--features", "a,b"),
            *("--signal_region", "3200,3800", "--efficiency", "0.1", "--folds", "3"),
        ),
        methods={
            "anode": FLOW,
            "cathode": (*TREES, *FLOW),
            "cwola-hunting": TREES,
            "lacathode": (*TREES, *FLOW),
            "r-anode": FLOW,
            "salad": (
                *(*TREES, "--hidden", "8", "--training.epochs", "2"),
                *("--simulation", "FOLDER/background.root"),
            ),
            "supervised-bound": (*TREES, "--label", "label", "--efficiency", "0.4"),
            "idealised-bound": (*TREES, "--label", "label", "--efficiency", "0.4"),
            "transport": (*TREES, *FLOW),
            "window-scan": (*TREES, "--null", "1", "--bins", "8"),
        },
        apply=lambda folder: (str(folder / "background.root"),),
        evaluate=lambda folder: of_files(
            folder, "--signal", str(folder / "signal.root"), "--strengths", "50,150"
        ),
        on="cwola-hunting",
    ),
}
