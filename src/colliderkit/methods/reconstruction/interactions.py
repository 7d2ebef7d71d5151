"""Count the collisions of a crossing from vertices, tracks and densities, without a prior."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.errors import InputError
from colliderkit.events.pileup import ACTIVITY
from colliderkit.events.tables import Floats

__all__ = ["InteractionCounter"]

# What grows with the collisions: all but the leading vertex' own.
GROWING = tuple(name for name in ACTIVITY if name != "leading track pt")
DEGREE = 2  # of the mean activity in the number: vertices merge, so that they grow ever less
STEPS = 30


@dataclass(frozen=True)
class InteractionCounter:
    """Estimate the number n of collisions of an event by the largest likelihood of its activity.

    The activity x (C,) of n collisions is taken for normal, with a mean m(n), a polynomial of
    second degree in each, and the covariance (n + 1) S. Of an event it is

        n = argmin (x - m(n))' S^-1 (x - m(n)),

    by steps n <- n + m' S^-1 (x - m) / (m' S^-1 m'). A regression of n on x, as by a network, gives
    the mean of n over the events of its training that look alike: at the ends of what it has seen
    it is drawn inwards. This one asks what n makes such events, and is right in the mean at each n
    whatever n the training had.

    `columns` (C,) are those of `events.pileup.activity` that are used, `mean` (C, 3) coefficients,
    the highest power first, `covariance` (C, C) is S, and `most` the largest n that it has learned
    from.
    """

    columns: tuple[int, ...]
    mean: Floats
    covariance: Floats
    most: float

    @classmethod
    def learn(
        cls, activity: ArrayLike, interactions: ArrayLike, *, names: Sequence[str] = GROWING
    ) -> Self:
        """Learn from the activity (N, 9) of events and their numbers of collisions (N,).

        Raises `InputError` for names that are not among `events.pileup.ACTIVITY`, shapes that do
        not fit, values that are not finite, and fewer than three events a name or three different
        numbers.
        """
        unknown = [name for name in names if name not in ACTIVITY]
        if unknown or not names:
            raise InputError(
                f"'{next(iter(unknown), '')}' is no activity; choose among {', '.join(ACTIVITY)}."
            )
        columns = tuple(ACTIVITY.index(name) for name in names)
        x = _checked(activity)
        n = np.asarray(interactions, dtype=np.float64)
        if n.shape != (len(x),):
            raise InputError(
                f"interactions have shape {n.shape} for {len(x)} events; give one each."
            )
        if not np.isfinite(n).all() or (n < 0).any():
            raise InputError("a number of interactions is negative or not finite; mend it.")
        if len(n) < 3 * len(columns) or len(np.unique(n)) <= DEGREE:
            raise InputError(
                f"{len(n)} events with {len(np.unique(n))} different numbers of interactions are"
                f" given to learn {len(columns)} activities from; give {3 * len(columns)} or more,"
                f" and {DEGREE + 1} numbers at least."
            )
        x = x[:, columns]
        width = np.sqrt(n + 1)
        mean = np.stack([np.polyfit(n, column, DEGREE, w=1 / width) for column in x.T])
        residual = (x - _polynomial(mean, n)) / width[:, None]
        covariance = residual.T @ residual / (len(n) - DEGREE - 1)
        # Of activities that say the same, and of those that never change, one must not divide by 0.
        covariance += np.diag(1e-6 * np.diag(covariance) + 1e-12)
        return cls(columns, mean, covariance, float(n.max()))

    def count(self, activity: ArrayLike) -> tuple[Floats, Floats]:
        """Return the number of collisions (N,) and its standard deviation, of activity (N, 9).

        It is kept between 0 and twice the largest that was learned from.
        """
        x = _checked(activity)[:, self.columns]
        inverse = np.linalg.inv(self.covariance)
        slopes = self.mean[:, :-1] * np.arange(DEGREE, 0, -1)
        n = np.full(len(x), self.most / 2)
        for _ in range(STEPS):
            slope = _polynomial(slopes, n)
            pull = slope @ inverse
            known = np.maximum((pull * slope).sum(1), 1e-12)
            step = (pull * (x - _polynomial(self.mean, n))).sum(1) / known
            n = np.clip(n + step, 0, 2 * self.most)
        return n, np.sqrt((n + 1) / known)


def _polynomial(coefficients: Floats, n: Floats) -> Floats:
    """Return polynomials (C, D), the highest power first, at n (N,), (N, C)."""
    powers = n[:, None] ** np.arange(coefficients.shape[1] - 1, -1, -1)
    values: Floats = powers @ coefficients.T
    return values


def _checked(activity: ArrayLike) -> Floats:
    x = np.asarray(activity, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != len(ACTIVITY):
        raise InputError(
            f"the activity has shape {x.shape} and is to have {len(ACTIVITY)} columns, as of"
            " events.pileup.activity."
        )
    if (bad := ~np.isfinite(x).all(1)).any():
        raise InputError(f"the activity of event {int(np.argmax(bad))} is not finite; mend it.")
    return x
