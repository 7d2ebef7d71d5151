"""Ask how much features know of the mass in which a resonance is searched for.

What tells the window from its sidebands because it follows the mass is found by a classifier as
well as a signal is, and its cut sculpts a bump where there is none.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import as_column, as_table
from colliderkit.losses.decorrelation import distance_correlation
from colliderkit.seeds import derive

__all__ = ["MassDependence", "mass_dependence", "refuse_mass"]

MOST = 4_000  # events that the correlation is measured on
FUNCTION = 0.99  # share of a feature's spread that the mass explains, from which on it is one of it
SAID = 0.01  # squared distance correlation from which on it is warned of


@dataclass(frozen=True)
class MassDependence:
    """How a feature of this `name` depends on the mass.

    - `correlation`: the squared distance correlation, 0 for independence;
    - `explained`: the share of the variance of the feature's ranks that the mass explains, 1 for a
      function of the mass.
    """

    name: str
    correlation: float
    explained: float


def mass_dependence(
    features: ArrayLike, mass: ArrayLike, *, names: Sequence[str] = (), seed: int = 0
) -> list[MassDependence]:
    r"""Measure how each of `features` (N, F) depends on `mass` (N,), the largest first.

    `correlation` is the unbiased squared distance correlation (1310.2926) of up to 4,000 events;
    of independent features it is 0 within about 1 / N. With the ranks r of a feature in the order
    of the mass,

    .. math:: \mathrm{explained} = 1 - \sum_i (r_{i+1} - r_i)^2 / (2 \sum_i (r_i - \bar r)^2)

    (von Neumann's ratio), 1 for a function of the mass and 0 within 1 / sqrt(N) for independence.
    Events of one feature value all over say 0 of both.
    """
    table = as_table(features, "features", names)
    column = as_column(mass, len(table), "mass")
    labels = list(names) or [f"column {i}" for i in range(table.shape[1])]
    random = np.random.default_rng(derive(seed, "mass-dependence"))
    order = np.lexsort((random.random(len(column)), column))
    some = random.permutation(len(column))[:MOST]
    found = []
    for name, values in zip(labels, table.T, strict=True):
        if len(column) < 4 or values.min() == values.max() or column.min() == column.max():
            found.append(MassDependence(name, 0.0, 0.0))
            continue
        x, m = (torch.from_numpy(_ranks(v)[some]) for v in (values, column))
        correlation = float(distance_correlation(x, m, unbiased=True))
        found.append(MassDependence(name, correlation, _explained(values[order])))
    return sorted(found, key=lambda one: -one.correlation)


def refuse_mass(
    features: ArrayLike,
    mass: ArrayLike,
    *,
    names: Sequence[str] = (),
    known: bool = False,
    seed: int = 0,
) -> list[MassDependence]:
    """Refuse features that are functions of the mass, warn of those that depend on it.

    Returns what `mass_dependence` has measured. Raises `InputError` naming the feature of which
    the mass explains 99% or more, unless it is `known`; of others with a squared distance
    correlation above 0.01 a warning names all.
    """
    found = mass_dependence(features, mass, names=names, seed=seed)
    functions = [one for one in found if one.explained >= FUNCTION]
    if functions and not known:
        raise InputError(
            f"the feature '{functions[0].name}' is a function of the resonant mass"
            f" ({functions[0].explained:.1%} of its spread): a cut on it makes a bump of any"
            " background; leave it out, or say with mass_known that it is meant."
        )
    said = [one for one in found if one.correlation > SAID]
    if said:
        listed = ", ".join(f"{one.name} ({one.correlation:.2g})" for one in said)
        warnings.warn(
            f"features know the resonant mass, by their squared distance correlation: {listed};"
            " a classifier can take that for a signal, so compare a method that learns the"
            " background at the window's mass (cathode)",
            UserWarning,
            stacklevel=2,
        )
    return found


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ranks (N,) from 0 to 1, the same for equal values: no unit, and no tails."""
    ordered = np.sort(values)
    ranks = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return ranks / (2 * len(values))


def _explained(values: NDArray[np.float64]) -> float:
    """Return the share of the ranks' variance that neighbours in the order given share."""
    ranks = _ranks(values)
    spread = 2 * ((ranks - ranks.mean()) ** 2).sum()
    return float(max(1 - (np.diff(ranks) ** 2).sum() / spread, 0.0))
