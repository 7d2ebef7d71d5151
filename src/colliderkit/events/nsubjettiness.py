"""N-subjettiness tau_N: how well a jet is described by N axes."""

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from colliderkit.events.trees import Tree

__all__ = ["nsubjettiness"]

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]


def nsubjettiness(tree: Tree, subjets: int, betas: Sequence[float] = (1.0,)) -> Floats:
    """Return tau_N^(beta) for N = 1 ... `subjets` and each beta, (jets, subjets, len(betas)).

        tau_N = sum_i pt_i min(R_1i, ..., R_Ni)^beta / sum_i pt_i

    with R the distance in rapidity and azimuth to the N axes (1011.2268, radius R_0 = 1). The
    axes are the exclusive jets of `tree`, of the kT algorithm in the E scheme. A jet of N or
    fewer particles has tau_N = 0.
    """
    taus = np.zeros((len(tree), subjets, len(betas)))
    longest = int(tree.multiplicity.max(initial=0))
    axes, squares = np.zeros(subjets, dtype=np.int64), np.empty((longest, subjets))
    exponents = np.asarray(betas, dtype=np.float64)
    _nsubjettiness(tree.offsets, tree.children, tree.positions, exponents, taus, axes, squares)
    return taus


@njit(cache=True)
def _nsubjettiness(
    offsets: Ints,
    children: Ints,
    positions: Floats,
    betas: Floats,
    taus: Floats,
    axes: Ints,
    squares: Floats,
) -> None:
    for jet in range(len(offsets) - 1):
        first = offsets[jet]
        n = (offsets[jet + 1] - first + 1) // 2
        if n < 2:
            continue
        total = 0.0
        for i in range(n):
            total += positions[first + i, 0]
        if total == 0:
            continue
        axes[0] = offsets[jet + 1] - 1
        _measure(positions, first, n, axes[0], squares, 0)
        for count in range(1, min(len(axes), n - 1) + 1):
            if count > 1:
                # One more exclusive jet is the last sum, which has the largest number, undone.
                split = 0
                for k in range(1, count - 1):
                    if axes[k] > axes[split]:
                        split = k
                last = axes[split]
                axes[split], axes[count - 1] = children[last, 0], children[last, 1]
                _measure(positions, first, n, axes[split], squares, split)
                _measure(positions, first, n, axes[count - 1], squares, count - 1)
            for i in range(n):
                nearest = squares[i, 0]
                for k in range(1, count):
                    nearest = min(nearest, squares[i, k])
                share = positions[first + i, 0] / total
                for b in range(len(betas)):
                    taus[jet, count - 1, b] += share * _power(nearest, betas[b])


@njit(cache=True)
def _measure(positions: Floats, first: int, n: int, axis: int, squares: Floats, k: int) -> None:
    for i in range(n):
        dphi = abs(positions[first + i, 2] - positions[axis, 2])
        dphi = min(dphi, 2 * math.pi - dphi)
        squares[i, k] = (positions[first + i, 1] - positions[axis, 1]) ** 2 + dphi * dphi


@njit(cache=True)
def _power(square: float, beta: float) -> float:
    # The usual exponents without the general power, which takes most of the time otherwise.
    if beta == 1:
        return math.sqrt(square)
    if beta == 2:
        return square
    if beta == 0.5:
        return math.sqrt(math.sqrt(square))
    return square ** (beta / 2)
