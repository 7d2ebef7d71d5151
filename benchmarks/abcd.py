"""Closure pulls of ABCD: estimates and signal strengths on a toy whose non-closure is exact.

    python benchmarks/abcd.py

A pull is (observed - expected) / error in region A, of Poisson counts of independent scores, or
(strength - 1) / error with a signal in all four regions. Their mean is 0 and their width 1 where
the estimate is unbiased and its error honest. The non-closure of correlated scores is held against
the orthant integral of their normal density.
"""

import argparse
from math import hypot, sqrt
from typing import Any

import numpy as np
import torch
from scipy.stats import norm

from colliderkit.losses.closure import NonClosure
from colliderkit.methods.search.double_disco import ABCDisCoTEC
from colliderkit.methods.search.plane import Counts, likelihood_ratio, strength_of
from colliderkit.sources.toys.abcd import AbcdToy
from comparison import Answer, row, save

COMMAND = "python benchmarks/abcd.py"
CUTS = (0.8, 1.0)
BATCHES = 400
SIGNAL = np.array([[10.0, 30.0], [25.0, 90.0]])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--toys", type=int, default=10_000)
    toys = parser.parse_args().toys
    random = np.random.default_rng(1)
    toy = AbcdToy()
    background = 20_000 * toy.regions(toy.pair(), CUTS)
    signal = Counts(SIGNAL, SIGNAL)
    found: dict[str, list[float]] = {"the estimate": [], "the signal strength": []}
    deviances = []
    for _ in range(toys):
        n = random.poisson(background).astype(float)
        counts = Counts(n, n)
        expected = counts.expected
        error = hypot(expected.error, sqrt(counts.observed))
        found["the estimate"].append((counts.observed - expected.value) / error)
        deviances.append(likelihood_ratio(n))
        n = random.poisson(background + SIGNAL).astype(float)
        strength = strength_of(Counts(n, n), signal)
        found["the signal strength"].append((strength.value - 1) / strength.error)
    common = {"command": COMMAND, "threads": 1, "toys": toys, "unit": ""}
    rows: list[Answer] = []
    for name, pulls in found.items():
        mean, width = float(np.mean(pulls)), float(np.std(pulls, ddof=1))
        good = abs(mean) < 0.1 and abs(width - 1) < 0.1
        for what, value, bar, error in (
            ("mean", mean, "within .1 of 0", width / sqrt(toys)),
            ("width", width, "within .1 of 1", width / sqrt(2 * toys)),
        ):
            title = f"ABCD, closure pulls of {name}: {what}"
            rows.append(row(title, value, None, None, error, bar=bar, met=good, **common))
    # chi2 of one degree of freedom: a mean of 1.
    mean, error = float(np.mean(deviances)), float(np.std(deviances) / sqrt(toys))
    title = "ABCD, mean squared significance without a signal"
    bar, met = "within .1 of 1", abs(mean - 1) < 0.1
    rows.append(row(title, mean, None, None, error, bar=bar, met=met, **common))
    scores = np.eye(3)[:, :2]
    exact = toy.nonclosure(scores, CUTS)
    x, _ = toy.sample(1_000_000, 0, 2)
    closure = Counts.of(x @ scores, np.ones(len(x)), CUTS).closure
    ratio = closure.value / exact
    rows.append(
        row(
            "ABCD, non-closure of correlated scores over the exact one",
            *(ratio, None, None, closure.error / exact),
            bar="within 3 errors of 1",
            met=abs(closure.value - exact) < 3 * closure.error,
            **common,
        )
    )
    rows += resolution(common)
    save("abcd", rows)


def resolution(common: dict[str, Any]) -> list[Answer]:
    """Return what a batch tells of the squared non-closure, in units of the limit by default.

    A batch of 4,096 with two thirds of background, as in the study's toy; independent scores.
    """
    loss, method, random = NonClosure(), ABCDisCoTEC(), np.random.default_rng(3)
    assert method.nonclosure is not None
    limit, size = method.nonclosure**2, 2 * (method.training.batch_size or 0) // 3
    nothing, ones = torch.zeros(size), torch.ones(size)
    found = np.array(
        [float(loss(torch.from_numpy(random.normal(size=(size, 2))), nothing, ones))
         for _ in range(BATCHES)]
    ) / limit  # fmt: skip
    scatter = float(found.std(ddof=1))
    mean, error = float(found.mean()), scatter / sqrt(BATCHES)
    # Of a bivariate normal density of small correlation delta is in proportion to h_x h_y, with
    # h = density / share beyond the cut: the corner of the grid has more than the grid.
    beyond = 1 - np.array(loss.shares)
    h = norm.pdf(norm.isf(beyond)) / beyond / np.array(loss.shares)
    corner = float(h.max() ** 2 / (h**2).mean())
    common = {**common, "toys": BATCHES}
    return [
        row("ABCDisCoTEC, mean squared non-closure of independent scores over the limit",
            mean, 0.0, None, error, bar="within 3 errors of 0", met=abs(mean) < 3 * error,
            **common),
        row("ABCDisCoTEC, scatter of a batch's squared non-closure over the limit",
            scatter, None, None, scatter / sqrt(2 * BATCHES), **common),
        row("ABCDisCoTEC, non-closure in the corner over the root mean square of the grid",
            corner, None, None, None, **common),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
