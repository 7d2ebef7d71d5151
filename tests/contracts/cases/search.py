"""A small bump hunt: an exponential spectrum with a bump."""

from pathlib import Path

import numpy as np

from colliderkit.methods.search.bump_hunt import BumpHunt
from colliderkit.sources import write
from contracts.cases.case import Case, Data, TaskCase


def masses(seed: int) -> Data:
    random = np.random.default_rng(seed)
    return (np.append(50 + random.exponential(60, 2000), random.normal(120, 5, 60)),), {}


def write_search(folder: Path) -> None:
    write(folder / "data.root", {"mjj": masses(1)[0][0]})


CASES = {
    "bump-hunt": Case(
        make=lambda: BumpHunt(
            edges=tuple(np.linspace(50, 250, 21).tolist()), orders=(1, 2), widths=(2, 3), toys=20
        ),
        data=masses,
        answer=lambda method, args: method.significance_,
        exact_weight=True,
        verbs={"global_p_": lambda method, args: method.global_p_},
    ),
}
TASK_CASES = {
    "search": TaskCase(
        write=write_search,
        fit=lambda folder: (
            *("--data", str(folder / "data.root"), "--mass", "mjj"),
            *("--bins", "20", "--orders", "[1, 2]", "--widths", "[2, 3]", "--toys", "20"),
        ),
        page=lambda folder: ("--label", '{mjj: "Dijet mass [GeV]"}'),
    ),
}
