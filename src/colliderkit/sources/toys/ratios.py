"""Pairs of densities whose likelihood ratio is known exactly."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError

__all__ = ["RATIO_TOYS", "RatioToy", "ratio_toy"]

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]


@dataclass(frozen=True)
class RatioToy:
    """Two densities in one dimension, p1 and p0, and the exact ln p1/p0."""

    title: str
    draw_numerator: Draw
    draw_denominator: Draw
    log_ratio: Callable[[Floats], Floats]

    def numerator(self, count: int, seed: int | list[int]) -> Floats:
        """Draw events of p1, (count, 1)."""
        return self.draw_numerator(np.random.default_rng(seed), count)[:, None]

    def denominator(self, count: int, seed: int | list[int]) -> Floats:
        """Draw events of p0, (count, 1)."""
        return self.draw_denominator(np.random.default_rng(seed), count)[:, None]

    def ratio(self, x: NDArray[Any]) -> Floats:
        """Return p1/p0 at events (N, 1) as (N,)."""
        return np.exp(self.log_ratio(np.asarray(x, dtype=np.float64)[:, 0]))


def _gaussian(mean: float) -> RatioToy:
    """N(mean, 1) over N(-mean, 1): ln p1/p0 = 2 mean x."""
    return RatioToy(
        f"N(±{mean:g}, 1)",
        lambda random, n: random.normal(mean, 1, n),
        lambda random, n: random.normal(-mean, 1, n),
        lambda x: 2 * mean * x,
    )


# The distributions of 2305.10500; of the two, the numerator is the one named first.
RATIO_TOYS: dict[str, RatioToy] = {
    **{f"gaussian-{mean:g}": _gaussian(mean) for mean in (0.1, 0.2, 0.3, 0.4, 0.5)},
    "beta": RatioToy(
        "Beta(2, 3) / Beta(3, 2)",
        lambda random, n: random.beta(2, 3, n),
        lambda random, n: random.beta(3, 2, n),
        lambda x: np.log1p(-x) - np.log(x),
    ),
    "gamma": RatioToy(
        "Gamma(5) / Gamma(6)",
        lambda random, n: random.gamma(5, 1, n),
        lambda random, n: random.gamma(6, 1, n),
        # Gamma functions 5! / 4! = 5.
        lambda x: np.log(5.0) - np.log(x),
    ),
}


def ratio_toy(name: str) -> RatioToy:
    """Return a toy by name; raise `InputError` listing the names if there is none such."""
    if name not in RATIO_TOYS:
        raise InputError(f"toy '{name}' is unknown; choose from {', '.join(RATIO_TOYS)}.")
    return RATIO_TOYS[name]
