"""A Gaussian truth behind a Gaussian detector: what unfolding should find is known exactly."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError

__all__ = ["UnfoldingToy", "gaussian_weight", "posterior", "turn_on", "unfolding_toy"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Efficiency = float | Callable[[Floats], Floats]

# Fakes lie around the origin whatever the truth is, wider than the default truth.
FAKE_WIDTH = 2.0


@dataclass(frozen=True)
class UnfoldingToy:
    """N events at both levels, truth and reconstruction.

    - `truth`, `reco` (N, 1): NaN where the event does not pass at that level;
    - `pass_truth`, `pass_reco` (N,): a miss passes at truth level alone, a fake at detector
      level alone.
    """

    truth: Floats
    reco: Floats
    pass_truth: Bools
    pass_reco: Bools

    @property
    def seen(self) -> Floats:
        """The detector-level table of what passes there (M, 1): what an experiment has."""
        return self.reco[self.pass_reco]


def unfolding_toy(
    count: int,
    *,
    mean: float = 0.0,
    sigma: float = 1.0,
    smear: float = 0.5,
    efficiency: Efficiency = 1.0,
    fakes: float = 0.0,
    seed: int | list[int] = 0,
) -> UnfoldingToy:
    """Draw `count` true events z ~ N(mean, sigma^2), measured as x = z + N(0, smear^2).

    An event is seen with probability `efficiency`, a number or a function of z (N,) such as
    `turn_on` gives. Another `fakes` times `count` events are seen without a truth,
    x ~ N(0, 2^2). The order is random.
    """
    if count < 1 or sigma <= 0 or smear < 0 or fakes < 0:
        raise InputError(
            f"a toy of {count} events, sigma {sigma:g}, smear {smear:g} and fakes {fakes:g} is"
            " none; give a positive count and sigma, and smear and fakes of at least 0."
        )
    random = np.random.default_rng(seed)
    z = random.normal(mean, sigma, count)
    x = z + random.normal(0, smear, count)
    chance = efficiency(z) if callable(efficiency) else np.full(count, float(efficiency))
    if chance.min() < 0 or chance.max() > 1:
        raise InputError("the efficiency leaves [0, 1]; give a probability.")
    seen = random.random(count) < chance
    extra = round(fakes * count)
    truth = np.concatenate([z, np.full(extra, np.nan)])
    reco = np.concatenate([np.where(seen, x, np.nan), random.normal(0, FAKE_WIDTH, extra)])
    order = random.permutation(count + extra)
    truth, reco = truth[order], reco[order]
    return UnfoldingToy(truth[:, None], reco[:, None], ~np.isnan(truth), ~np.isnan(reco))


def turn_on(
    *, threshold: float = -1.0, width: float = 0.5, plateau: float = 0.9
) -> Callable[[Floats], Floats]:
    """Return an efficiency curve: plateau / (1 + exp(-(z - threshold) / width))."""
    return lambda z: plateau / (1 + np.exp(-(z - threshold) / width))


def gaussian_weight(
    truth: ArrayLike, *, mean: float, sigma: float, to_mean: float, to_sigma: float
) -> Floats:
    """Return N(z; to_mean, to_sigma^2) / N(z; mean, sigma^2), (...) -> (...).

    The exact weight of a true event: from (0, 1) to (1, 1) it is exp(z - 1/2).
    """
    z = np.asarray(truth, dtype=np.float64)
    before, after = (z - mean) / sigma, (z - to_mean) / to_sigma
    return sigma / to_sigma * np.exp((before**2 - after**2) / 2)


def posterior(reco: ArrayLike, *, mean: float, sigma: float, smear: float) -> tuple[Floats, float]:
    """Return mean (...) and standard deviation of p(z | x), a Gaussian.

    E[z|x] = (sigma^2 x + smear^2 mean) / (sigma^2 + smear^2),
    var[z|x] = sigma^2 smear^2 / (sigma^2 + smear^2); exact where the efficiency is constant.
    """
    x = np.asarray(reco, dtype=np.float64)
    total = sigma**2 + smear**2
    return (sigma**2 * x + smear**2 * mean) / total, sigma * smear / total**0.5
