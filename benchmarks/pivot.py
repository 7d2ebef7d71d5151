"""Exact answers on the toy of a pivot (1611.01046): the best pivot beside the likelihood ratio.

    python benchmarks/pivot.py

50 signal events on 1,000 of a background that a nuisance z ~ N(0, 1) moves; expected significance
of ten bins of a score and of the unbinned likelihood, with z profiled and known.
"""

import argparse
from collections.abc import Callable

from colliderkit.methods.inference.nuisances import Nuisance
from colliderkit.sources.toys.pivot import PivotToy
from colliderkit.studies.pivot import FIXED, PROFILED, RESPONSE, Floats, Problem, measure
from comparison import Answer, row, save

COMMAND = "python benchmarks/pivot.py"
YIELDS = (1_000, 50)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000, help="of each class")
    events = parser.parse_args().events
    toy = PivotToy()
    sample = toy.sample(events, events, 1, 0.0)[:2]
    nuisance = Nuisance("z", "shift", width=1.0, column=1)
    problem = Problem("toy", sample, sample, nuisance, YIELDS)
    scores: dict[str, Callable[[Floats], Floats]] = {
        "the ratio at z = 0": toy.log_ratio,
        "the exact pivot": toy.pivot,
        "the first number": lambda x: -x[:, 0],
    }
    common = {"command": COMMAND, "threads": 1, "unit": ""}
    rows: list[Answer] = []
    for name, score in scores.items():
        for quantity, value in measure(problem, score).items():
            bars = {}
            if (name, quantity) == ("the exact pivot", RESPONSE):
                bars = {"bar": "within 3 errors of 0", "met": value.value < 3 * value.error}
            title = f"pivot, {quantity} of {name}"
            rows.append(row(title, value.value, None, None, value.error, **bars, **common))
    for quantity, exact in zip((PROFILED, FIXED), toy.significance(50, 1_000), strict=True):
        rows.append(row(f"pivot, {quantity}, exact likelihood", exact, None, None, None, **common))
    save("pivot", rows)


if __name__ == "__main__":
    main()
