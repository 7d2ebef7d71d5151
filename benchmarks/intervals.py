"""How often intervals of regressions hold the truth, before and after conformal calibration.

    python benchmarks/intervals.py --showers FOLDER/data/gamma-10000.hdf5

Two samples: a toy whose scatter grows with x and is skewed, y = 2 x + (.2 + x) Exp(1), of which the
coverage of each interval is known exactly, so that there is no counting error; and photons in a
calorimeter (made by `colliderkit study energy-regression --scale laptop --out FOLDER`), whose
energy over the sum of the cells is learned from shapes. Each fit has another seed, and with it
another part of the events to calibrate with; test events are never among them. The bar is issue
5's: coverage within 2% of 68%. Rows without "conformal" have no bar: they say what a method is
worth by itself. "ours" is the mean over fits, the uncertainty its error (of the showers with the
counting error of the test events, which all fits share).
"""

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from colliderkit.methods.method import versions
from colliderkit.methods.regression import REGRESSIONS, Conformal, Regression
from colliderkit.metrics.coverage import coverage
from colliderkit.metrics.value import over_seeds
from colliderkit.sources.datasets.shower_energies import (
    EnergySum,
    ShowerEnergies,
    read_shower_energies,
)
from colliderkit.sources.geant4.calorimeters import calorimeter
from colliderkit.training.settings import Training
from comparison import Answer, row, save

COMMAND = "python benchmarks/intervals.py --showers FOLDER/data/gamma-10000.hdf5"
LEVEL, BAR = 0.68, 0.02
Floats = NDArray[np.float64]
Method = Regression | Conformal


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--showers", type=Path, required=True)
    parser.add_argument("--repetitions", type=int, default=5)
    chosen = parser.parse_args()
    showers = read_shower_energies(chosen.showers, calorimeter("photons-368").geometry)
    rows = []
    for kind in REGRESSIONS:
        rows += toy_rows(kind, chosen.repetitions)
        rows += shower_rows(kind, showers, chosen.repetitions)
        save("intervals", rows)


def fitted(kind: str, x: Floats, y: Floats, seed: int) -> Conformal:
    """Fit and calibrate one kind; the regression alone is its `method_`."""
    options = {}
    if kind != "boosted-regression":
        slow = kind == "variational-regression"
        training = Training(epochs=120 if slow else 40, learning_rate=5e-3 if slow else 1e-3)
        options = {"hidden": (32, 32), "training": training}
    method = REGRESSIONS.build(kind, **options)
    score = "shifted" if kind == "quantile-regression" else "scaled"
    return Conformal(method, score=score, levels=(LEVEL,)).fit(x, y, seed=seed)


def toy_rows(kind: str, repetitions: int) -> list[Answer]:
    """Return the rows of the toy: 8,000 events a fit, a quarter of which calibrates."""
    before, after = [], []
    begin = time.process_time()
    x = np.random.default_rng(0).uniform(0, 1, (20_000, 1))
    for seed in range(repetitions):
        random = np.random.default_rng([seed, 1])
        train = random.uniform(0, 1, (8000, 1))
        y = 2 * train[:, 0] + (0.2 + train[:, 0]) * random.exponential(size=8000)
        method = fitted(kind, train, y, seed)
        before.append(toy_coverage(method.method_, x))
        after.append(toy_coverage(method, x))
    return _rows(f"{kind}, toy", before, after, 0.0, time.process_time() - begin)


def toy_coverage(method: Method, x: Floats) -> float:
    """Return the mean probability of y in the intervals at x (N, 1), exactly."""
    ends = [(end - 2 * x[:, 0]) / (0.2 + x[:, 0]) for end in method.interval(x, LEVEL)]
    below = [1 - np.exp(-np.maximum(end, 0)) for end in ends]
    return float((below[1] - below[0]).mean())


def shower_rows(kind: str, sample: ShowerEnergies, repetitions: int) -> list[Answer]:
    """Return the rows of photons: 30% are test showers; of the rest, a quarter calibrates."""
    _, _, test = sample.parts()
    rest = sample.at(slice(len(test.energy), None))
    line = EnergySum.fitted(rest)
    y, truth = rest.energy / line(rest), test.energy / line(test)
    before, after, errors = [], [], []
    begin = time.process_time()
    for seed in range(repetitions):
        method = fitted(kind, rest.shapes, y, seed)
        for each, found in ((method.method_, before), (method, after)):
            value = coverage(*each.interval(test.shapes, LEVEL), truth).value
            found.append(value.value)
            errors.append(value.error)
    counting = float(np.mean(errors))
    return _rows(f"{kind}, photons", before, after, counting, time.process_time() - begin)


def _rows(
    name: str, before: list[float], after: list[float], counting: float, seconds: float
) -> list[Answer]:
    rows = []
    for when, values in (("", before), (", conformal", after)):
        mean, _, error = over_seeds(values)
        rows.append(
            row(
                f"coverage of 68% intervals, {name}{when}",
                *(mean, None, None, float(np.hypot(error, counting))),
                unit="",
                bar="within 2% of 68%" if when else None,
                met=abs(mean - LEVEL) <= BAR if when else None,
                command=COMMAND,
                threads=1,
                repetitions=len(values),
                each=values,
                cpu_s=seconds,
                versions=versions(),
            )
        )
    return rows


if __name__ == "__main__":
    main()
