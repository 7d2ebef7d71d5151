"""Pulls of errors: FPD, KPD, AUC, rejection and JSD of samples whose exact values are known.

    python benchmarks/pulls.py

Each pull is (value - exact value) / error of a pair of samples; over many pairs their mean is 0 and
their width 1 where values are unbiased and errors honest. `--toys` pairs of each, two fifths of
them for FPD. Bars are for distances that are equal or clearly apart; between one and five errors
from zero a squared distance and its error rise and fall together, and the rows without a bar say by
how much that skews the pulls.
"""

import argparse
from collections.abc import Callable
from math import log, sqrt

import numpy as np
from scipy.stats import norm

from colliderkit.metrics.generative import (
    frechet_physics_distance,
    unbiased_frechet_distance,
    unbiased_kernel_distance,
)
from colliderkit.metrics.roc import auc, rejection
from colliderkit.metrics.sculpting import jsd
from comparison import Answer, row, save

COMMAND = "python benchmarks/pulls.py"
Pull = Callable[[int], float]
PASCAL = ([1], [1, 1], [1, 2, 1], [1, 3, 3, 1], [1, 4, 6, 4, 1])


def distances(
    distance: Callable[..., object], events: tuple[int, int], features: int, shift: float,
    stretch: float,
) -> Pull:  # fmt: skip
    """Return the pull of the Frechet distance of two Gaussians."""

    def pull(toy: int) -> float:
        random = np.random.default_rng([1, toy])
        x = random.normal(size=(events[0], features))
        y = random.normal(size=(events[1], features)) * (1 + stretch) + shift
        scale = np.abs(x).max(0)
        exact = float(((shift / scale) ** 2 + (stretch / scale) ** 2).sum())
        found = distance(x, y, seed=toy)
        return (found.value - exact) / found.error  # type: ignore[attr-defined]

    return pull


def kernel(events: int, features: int, shift: float) -> Pull:
    """Return the pull of the KPD of uniform numbers, whose kernel has moments in closed form."""
    moments = np.array([1.0, 0.0, 1 / 3, 0.0, 1 / 5])
    moved = np.array(
        [sum(c * shift ** (k - j) * moments[j] for j, c in enumerate(PASCAL[k])) for k in range(5)]
    )

    def mean(term: np.ndarray, scale: np.ndarray) -> float:
        # E (x.y/F + 1)^4 from the moments of x.y, a sum of independent terms.
        total = np.array([1.0, 0.0, 0.0, 0.0, 0.0])
        for s in scale:
            each = term / s ** (2 * np.arange(5))
            total = np.array(
                [sum(c * total[k - j] * each[j] for j, c in enumerate(PASCAL[k])) for k in range(5)]
            )
        return float(sum(c * total[j] / features**j for j, c in enumerate(PASCAL[4])))

    def pull(toy: int) -> float:
        random = np.random.default_rng([2, toy])
        x = random.uniform(-1, 1, (events, features))
        y = random.uniform(-1, 1, (events, features)) + shift
        found = unbiased_kernel_distance(x, y, seed=toy)
        exact = 0.0
        if shift:
            scale = np.abs(x).max(0)
            both = ((moments * moments, 1), (moved * moved, 1), (moments * moved, -2))
            exact = sum(sign * mean(term, scale) for term, sign in both)
        return (found.value - exact) / found.error

    return pull


def scores(figure: str, events: int) -> Pull:
    """Return the pull of AUC or rejection at 50% of normal scores one sigma apart."""

    def pull(toy: int) -> float:
        random = np.random.default_rng([3, toy])
        score = np.concatenate([random.normal(1, 1, events), random.normal(0, 1, events)])
        label = np.repeat([1, 0], events)
        if figure == "AUC":
            found, exact = auc(score, label), float(norm.cdf(1 / sqrt(2)))
        else:
            found, exact = rejection(score, label, 0.5), 1 / float(norm.sf(1.0))
        return (found.value - exact) / found.error

    return pull


def divergence(passed: int, failed: int, slope: float) -> Pull:
    """Return the pull of the JSD of straight spectra, less its floor."""
    edges = np.linspace(0, 1, 51)
    shares = [np.diff(edges + s * (edges**2 - edges) / 2) for s in (slope, 0.0)]
    middle = (shares[0] + shares[1]) / 2
    exact = sum(float((p * np.log(p / middle)).sum()) for p in shares) / 2 / log(2)

    def pull(toy: int) -> float:
        random = np.random.default_rng([4, toy])
        masses = [
            50 + 250 * np.repeat((edges[1:] + edges[:-1]) / 2, random.multinomial(n, p))
            for n, p in zip((passed, failed), shares, strict=True)
        ]
        found = jsd(*masses).corrected
        return (found.value - exact) / found.error

    return pull


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--toys", type=int, default=1000)
    toys = parser.parse_args().toys
    fpd, many, some = unbiased_frechet_distance, (2000, 3000), (1000, 1000)

    def jetnet(x: object, y: object, seed: int) -> object:
        return frechet_physics_distance(x, y, fewest=250, most=1000, seed=seed)  # type: ignore[arg-type]

    cases: dict[str, tuple[Pull, bool]] = {
        "KPD of equal densities, 40 features": (kernel(800, 40, 0.0), True),
        "KPD, means .2 apart": (kernel(800, 40, 0.2), True),
        "AUC": (scores("AUC", 1000), True),
        "AUC, 100 events": (scores("AUC", 100), True),
        "rejection": (scores("rejection", 1000), True),
        "JSD of equal densities": (divergence(2000, 8000, 0.0), True),
        "JSD, near zero": (divergence(2000, 8000, 0.5), False),
        "JSD, far": (divergence(2000, 8000, 1.5), True),
        "FPD of equal densities, 20 features": (distances(fpd, many, 20, 0, 0), True),
        "FPD, means .3 apart": (distances(fpd, many, 20, 0.3, 0), True),
        "FPD, widths 20% apart": (distances(fpd, many, 20, 0, 0.2), True),
        "FPD, means and widths .1 apart": (distances(fpd, many, 20, 0.1, 0.1), True),
        "FPD, means .03 apart, near zero": (distances(fpd, many, 20, 0.03, 0), False),
        "FPD of equal densities, 20 events, 3 features": (distances(fpd, (20, 20), 3, 0, 0), False),
        "jetnet's FPD, means .3 apart": (distances(jetnet, some, 20, 0.3, 0), False),
    }
    rows: list[Answer] = []
    for name, (pull, judged) in cases.items():
        count = toys * 2 // 5 if "FPD" in name else toys  # these take longer
        found = np.array([pull(toy) for toy in range(count)])
        mean, width = float(found.mean()), float(found.std(ddof=1))
        good = abs(mean) < 0.1 and abs(width - 1) < 0.1
        common = {"command": COMMAND, "threads": 1, "toys": count, "unit": ""}
        for what, value, bar, error in (
            ("mean", mean, "within .1 of 0", width / sqrt(count)),
            ("width", width, "within .1 of 1", width / sqrt(2 * count)),
        ):
            rows.append(
                row(
                    f"pulls of {name}: {what}",
                    *(value, None, None, error),
                    bar=bar if judged else None,
                    met=good if judged else None,
                    **common,
                )
            )
    save("pulls", rows)


if __name__ == "__main__":
    main()
