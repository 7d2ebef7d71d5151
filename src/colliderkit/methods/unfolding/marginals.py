"""Rank transform of the columns of a table to N(0, 1), beside the columns, for a network."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

__all__ = ["Marginals"]

Floats = NDArray[np.float64]
KNOTS = 201
EDGE = 0.002  # of the events lie beyond the outermost knots: there the column itself tells more


@dataclass(frozen=True)
class Marginals:
    """Map a table (N, C) to (N, 2 C): each column x, and z(x) = Phi^-1(F(x)).

    F is the distribution of the column in a sample, by straight lines between its quantiles, and z
    therefore normal there. What matters to a likelihood ratio may happen in a small part of a
    column's range, such as the steep rise of a mass; on z no part is small. A value that many
    events share, such as a whole number or 0 for "none", has the middle of their ranks.
    """

    knots: tuple[tuple[Floats, Floats], ...]

    @classmethod
    def of(cls, sample: Floats) -> Self:
        """Fit the quantiles of a sample (N, C)."""
        ranks = np.linspace(0, 1, KNOTS)
        knots = []
        for values in np.quantile(sample, ranks, axis=0).T:
            unique, index = np.unique(values, return_inverse=True)
            middle = np.bincount(index, ranks) / np.bincount(index)
            knots.append((unique, ndtri(middle.clip(EDGE, 1 - EDGE))))
        return cls(tuple(knots))

    def __call__(self, table: Floats) -> Floats:
        """Return the columns and their z, (N, C) -> (N, 2 C)."""
        normal = [np.interp(x, *knots) for x, knots in zip(table.T, self.knots, strict=True)]
        return np.concatenate([table, np.stack(normal, 1)], 1)
