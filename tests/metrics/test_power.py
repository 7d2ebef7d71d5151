"""Which metric sees what: one-dimensional figures miss a lost correlation, FPD does not."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from colliderkit.metrics.generative import unbiased_frechet_distance, wasserstein
from colliderkit.metrics.separation import separation
from colliderkit.sources.toys.showers import ShowerToy

Floats = NDArray[np.float64]
EVENTS, UNDISTORTED, PAIRS = 400, 200, 60


def separation_power(x: Floats, y: Floats) -> float:
    edges = [-np.inf, *np.linspace(-2, 2, 9), np.inf]
    return float(np.mean([float(separation(b, a, edges)) for a, b in zip(x.T, y.T, strict=True)]))


def moved(x: Floats, y: Floats) -> float:
    columns = zip(x.T, y.T, strict=True)
    return float(np.mean([float(wasserstein(a, b, bootstraps=2)) for a, b in columns]))


METRICS: dict[str, Callable[[Floats, Floats], float]] = {
    "separation power": separation_power,
    "Wasserstein": moved,
    "FPD": lambda x, y: unbiased_frechet_distance(x, y, halvings=10).value,
}


@pytest.mark.statistical
def test_one_dimensional_figures_miss_a_correlation_and_fpd_does_not(seed: int) -> None:
    """At a false-alarm level of 5%, calibrated on undistorted pairs."""

    def found(toy: ShowerToy, part: int, pairs: int) -> dict[str, Floats]:
        samples = [
            (ShowerToy().sample(EVENTS, [seed, part, i, 0]), toy.sample(EVENTS, [seed, part, i, 1]))
            for i in range(pairs)
        ]
        return {n: np.array([metric(x, y) for x, y in samples]) for n, metric in METRICS.items()}

    null = found(ShowerToy(), 0, UNDISTORTED)
    edge = {name: np.quantile(each, 0.95) for name, each in null.items()}

    def power(what: str, size: float, part: int) -> dict[str, float]:
        each = found(ShowerToy().distorted(what, size), part, PAIRS)
        return {name: float((each[name] > edge[name]).mean()) for name in METRICS}

    lost = power("correlation", 0.9, 1)
    assert lost["FPD"] > 0.8
    # Theirs is 5%, of 60 pairs and a threshold of 200.
    assert max(lost["separation power"], lost["Wasserstein"]) < 0.4
    assert min(power("mean", 1.0, 2).values()) > 0.8
