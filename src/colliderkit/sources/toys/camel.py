"""The camel's back: two normal peaks, and its fit of five parameters (2008.06545)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from colliderkit.errors import InputError

__all__ = ["Camel", "fit_camel"]

Floats = NDArray[np.float64]
STEPS = 2000  # of expectation and maximisation; a hundred are usual
START = ((0.5, -3.0, 3.0, 1.5, 1.5), (0.3, -4.0, 4.0, 1.0, 1.0), (0.7, -4.0, 4.0, 1.0, 1.0))


@dataclass(frozen=True)
class Camel:
    """Describe f N(low, low_width) + (1 - f) N(high, high_width); as published, f = 1/2 and +-4.

    The five numbers in their order are the parameters of the fit.
    """

    share: float = 0.5
    low: float = -4.0
    high: float = 4.0
    low_width: float = 1.0
    high_width: float = 1.0

    @property
    def parameters(self) -> tuple[float, ...]:
        """f, both means and both widths."""
        return self.share, self.low, self.high, self.low_width, self.high_width

    def sample(self, count: int, seed: int | list[int]) -> Floats:
        """Draw events (count,)."""
        random = np.random.default_rng(seed)
        left = random.random(count) < self.share
        z = random.normal(size=count)
        return np.where(left, self.low + self.low_width * z, self.high + self.high_width * z)

    def density(self, x: ArrayLike) -> Floats:
        """Return p(x), (N,)."""
        return np.asarray(_peaks(np.asarray(x, dtype=np.float64), self.parameters).sum(0))

    def below(self, x: ArrayLike) -> Floats:
        """Return the probability below each x, (N,)."""
        x = np.asarray(x, dtype=np.float64)
        left, right = (x - self.low) / self.low_width, (x - self.high) / self.high_width
        return np.asarray(self.share * ndtr(left) + (1 - self.share) * ndtr(right))

    def quantiles(self, count: int) -> Floats:
        """Return what parts `count` quantiles of equal probability, (count - 1,)."""
        ends = (self.low - 40 * self.low_width, self.high + 40 * self.high_width)
        shares = np.arange(1, count) / count
        return np.array([brentq(lambda x, s=s: self.below(x) - s, *ends) for s in shares])

    def shares(self, edges: ArrayLike) -> Floats:
        """Return the probability between neighbouring edges (K - 1,), the outer ones open: (K,)."""
        return np.diff(self.below(edges), prepend=0.0, append=1.0)

    def fit_error(self, count: int, edges: ArrayLike) -> float:
        """Return the quantile error that a fit to `count` events has in the mean, for many events.

        With the Fisher information I of one event, sum_j grad x_j . I^-1 grad x_j / count.
        """
        x = np.linspace(self.low - 12 * self.low_width, self.high + 12 * self.high_width, 20_001)
        slopes, moved = [], []
        for i, value in enumerate(self.parameters):
            step = 1e-4
            up, down = (
                Camel(*(p + s * step if j == i else p for j, p in enumerate(self.parameters)))
                for s in (1, -1)
            )
            assert value == self.parameters[i]
            slopes.append((up.density(x) - down.density(x)) / (2 * step))
            moved.append((up.shares(edges) - down.shares(edges)) / (2 * step))
        score, gradient = np.array(slopes), np.array(moved)
        information = (score / self.density(x)) @ score.T * (x[1] - x[0])
        return float(np.trace(gradient.T @ np.linalg.solve(information, gradient))) / count


def fit_camel(x: ArrayLike) -> Camel:
    """Fit all five parameters to events (N,) by maximum likelihood.

    Expectation and maximisation from several starts, of which the likeliest is kept. A peak may not
    shrink on a single event, where the likelihood has no maximum: its width stays above a fiftieth
    of the events' standard deviation. Raises `InputError` for fewer than five events.
    """
    events = np.asarray(x, dtype=np.float64)
    if events.ndim != 1 or len(events) < 5 or not np.isfinite(events).all():
        raise InputError("a fit of five parameters needs five finite events (N,) at least.")
    narrowest = events.std() / 50
    best: tuple[float, ...] | None = None
    highest = -np.inf
    for start in START:
        parameters, last = np.array(start), -np.inf
        for _ in range(STEPS):
            peaks = _peaks(events, parameters)
            total = np.maximum(peaks.sum(0), 1e-300)
            likelihood = float(np.log(total).mean())
            if likelihood - last < 1e-10:
                break
            last = likelihood
            member = peaks / total
            size = np.maximum(member.sum(1), 1e-9)
            mean = (member @ events) / size
            spread = np.sqrt((member * (events - mean[:, None]) ** 2).sum(1) / size)
            width = np.maximum(spread, narrowest)
            parameters = np.array([size[0] / size.sum(), mean[0], mean[1], width[0], width[1]])
        if last > highest:
            highest, best = last, tuple(parameters.tolist())
    assert best is not None
    share, one, other, one_width, other_width = best
    if one > other:
        return Camel(1 - share, other, one, other_width, one_width)
    return Camel(share, one, other, one_width, other_width)


def _peaks(x: Floats, parameters: ArrayLike) -> Floats:
    """Return the two terms of the density, (2, N)."""
    share, low, high, low_width, high_width = np.asarray(parameters, dtype=np.float64)
    return np.stack(
        [
            f * np.exp(-0.5 * ((x - mean) / width) ** 2) / (width * np.sqrt(2 * np.pi))
            for f, mean, width in ((share, low, low_width), (1 - share, high, high_width))
        ]
    )
