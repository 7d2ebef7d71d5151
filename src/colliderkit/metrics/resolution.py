"""Energy resolution: effective width, and fit of the stochastic and the constant term."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.metrics.value import Value, bootstrap

__all__ = ["EnergyBins", "Resolution", "effective_width", "energy_bins", "fit_resolution"]


def effective_width(values: ArrayLike, share: float = 0.6827) -> float:
    """Return half the width of the smallest interval that holds `share` of the values (N,).

    One standard deviation of a normal density, and little moved by tails. It holds
    ceil(share N) values. Raises `InputError` for fewer than two of them.
    """
    x = np.sort(np.asarray(values, dtype=np.float64))
    inside = math.ceil(share * len(x))
    if inside < 2:
        raise InputError(f"an effective width of {len(x)} values cannot be told; give more.")
    return float((x[inside - 1 :] - x[: len(x) - inside + 1]).min()) / 2


@dataclass(frozen=True)
class EnergyBins:
    """Resolution and linearity in K bins of energy.

    - `energy` (K,): 1 / <1 / E> [GeV], at which a stochastic term squared has its mean;
    - `resolution`: sigma_eff of estimate / E over its mean, with the error of resampled events;
    - `bias`: the mean of estimate / E, minus one.
    """

    energy: NDArray[np.float64]
    resolution: list[Value]
    bias: list[Value]


def energy_bins(estimate: ArrayLike, energy: ArrayLike, edges: ArrayLike) -> EnergyBins:
    """Return resolution and bias of estimates (N,) of energies (N,) [GeV] in bins of energy.

    Energies beyond `edges` (K + 1,) are left out. Raises `InputError` for a bin of fewer than two.
    """
    e, ends = np.asarray(energy, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    ratio = np.asarray(estimate, dtype=np.float64) / e
    number = np.digitize(e, ends) - 1
    means, widths, biases = [], [], []
    for i in range(len(ends) - 1):
        inside = ratio[number == i]
        if len(inside) < 2:
            raise InputError(f"fewer than two energies between {ends[i]:g} and {ends[i + 1]:g}.")
        means.append(1 / np.mean(1 / e[number == i]))
        widths.append(bootstrap(lambda r: effective_width(r) / float(r.mean()), inside, seed=i))
        biases.append(Value(float(inside.mean()) - 1, float(inside.std() / len(inside) ** 0.5)))
    return EnergyBins(np.array(means), widths, biases)


@dataclass(frozen=True)
class Resolution:
    """Terms of the energy resolution, and the chi^2 of their fit.

    sigma/E = a / sqrt(E / GeV) (+) b, added in quadrature: `stochastic` a and `constant` b.
    `chi2` is per degree of freedom.
    """

    stochastic: Value
    constant: Value
    chi2: float


def fit_resolution(energies: ArrayLike, widths: Sequence[Value]) -> Resolution:
    """Fit relative widths sigma/E at energies (K,) [GeV], with their errors.

    Linear in A = a^2 and B = b^2: (sigma/E)^2 = A / E + B, by least squares. Where B comes out
    negative, b is 0; its error is sqrt(B + dB) - sqrt(B), which holds also there. Raises
    `InputError` for fewer than three energies, or an error that is not positive.
    """
    x = 1 / np.asarray(energies, dtype=np.float64)
    width = np.array([w.value for w in widths])
    error = 2 * width * np.array([w.error for w in widths])
    if len(x) < 3 or len(x) != len(width) or not (error > 0).all():
        raise InputError("a fit of the resolution needs three widths or more, each with its error.")
    design = np.stack([x, np.ones_like(x)], 1) / error[:, None]
    covariance = np.linalg.inv(design.T @ design)
    terms = covariance @ design.T @ (width**2 / error)
    chi2 = float(((design @ terms - width**2 / error) ** 2).sum()) / (len(x) - 2)
    roots = []
    for term, variance in zip(terms, np.diag(covariance), strict=True):
        square = max(float(term), 0.0)
        root = math.sqrt(square)
        roots.append(Value(root, math.sqrt(square + math.sqrt(variance)) - root))
    return Resolution(roots[0], roots[1], chi2)
