"""Jet clustering by sequential recombination (kT, Cambridge/Aachen, anti-kT) into binary trees."""

import math
from typing import Literal, TypeAlias

import awkward as ak
import numpy as np
from numba import njit
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.ragged import Ragged
from colliderkit.events.schema import FOURVECTOR
from colliderkit.events.trees import Tree

__all__ = ["ALGORITHMS", "Algorithm", "cluster"]

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Algorithm = Literal["kt", "ca", "antikt"]

# The exponent p of the generalised-kT distance.
ALGORITHMS: dict[str, int] = {"kt": 1, "ca": 0, "antikt": -1}

# The rapidity of a particle along the beam, plus |pz| to tell two of them apart.
BEAM_RAPIDITY = 1e5


def cluster(constituents: ak.Array, algorithm: Algorithm = "ca") -> Tree:
    """Join the constituents of each jet into one binary tree with the generalised-kT distance.

    At each step the two nodes of smallest

        d_ij = min(pt_i^2p, pt_j^2p) ((y_i - y_j)^2 + (phi_i - phi_j)^2)

    are replaced by the sum of their four-vectors, until one is left: p = 1 is ``"kt"``
    (hep-ph/9305266), p = 0 Cambridge/Aachen ``"ca"``, p = -1 ``"antikt"`` (0802.1189). There is
    no beam distance: every constituent ends under the root, which is the jet.

    `constituents` is ``N * var * {px, py, pz, E}`` in GeV; the sums are in float64. A jet of
    n particles takes O(n^2) time. Raises `InputError` if the algorithm is unknown.
    """
    if algorithm not in ALGORITHMS:
        raise InputError(f"algorithm '{algorithm}' is none of {', '.join(ALGORITHMS)}.")
    ragged = Ragged.from_awkward(constituents, FOURVECTOR)
    lengths = ragged.lengths.numpy()
    offsets = np.concatenate([[0], np.cumsum(np.maximum(2 * lengths - 1, 0))])
    nodes = int(offsets[-1])
    tree = Tree(
        offsets,
        children=np.full((nodes, 2), -1, dtype=np.int64),
        parents=np.full(nodes, -1, dtype=np.int64),
        leaves=np.full(nodes, -1, dtype=np.int64),
        vectors=np.empty((nodes, 4)),
        positions=np.empty((nodes, 3)),
    )
    is_leaf = np.arange(nodes) - offsets[tree.jets] < lengths[tree.jets]
    tree.leaves[is_leaf] = np.arange(len(ragged.values))
    tree.vectors[is_leaf] = ragged.values.numpy()
    longest = int(lengths.max(initial=0))
    # Work space is made here because each array made inside a kernel adds to its compile time.
    slots, links = np.empty((longest, 4)), np.zeros((longest, 2), dtype=np.int64)
    _cluster(
        lengths,
        offsets,
        ALGORITHMS[algorithm],
        tree.children,
        tree.parents,
        tree.vectors,
        tree.positions,
        slots,
        links,
    )
    return tree


@njit(cache=True)
def _cluster(
    lengths: Ints,
    offsets: Ints,
    power: int,
    children: Ints,
    parents: Ints,
    vectors: Floats,
    positions: Floats,
    slots: Floats,
    links: Ints,
) -> None:
    for jet in range(len(lengths)):
        first, n = offsets[jet], lengths[jet]
        for i in range(n):
            _place(vectors, positions, first + i)
        _join(first, n, power, children, parents, vectors, positions, slots, links)


@njit(cache=True)
def _place(vectors: Floats, positions: Floats, i: int) -> None:
    px, py, pz, energy = vectors[i, 0], vectors[i, 1], vectors[i, 2], vectors[i, 3]
    pt2 = px * px + py * py
    transverse_mass = math.sqrt(pt2 + max((energy - pz) * (energy + pz) - pt2, 0.0))
    if transverse_mass > 0:
        rapidity = math.asinh(pz / transverse_mass)
    else:
        rapidity = math.copysign(BEAM_RAPIDITY + abs(pz), pz)
    positions[i, 0] = math.sqrt(pt2)
    positions[i, 1] = rapidity
    positions[i, 2] = math.atan2(py, px)


@njit(cache=True)
def _distance(slots: Floats, a: int, b: int) -> float:
    dphi = abs(slots[a, 1] - slots[b, 1])
    dphi = min(dphi, 2 * math.pi - dphi)
    return (slots[a, 0] - slots[b, 0]) ** 2 + dphi * dphi


@njit(cache=True)
def _nearest(slots: Floats, near: Ints, a: int, active: int) -> None:
    slots[a, 3] = np.inf
    for b in range(active):
        if b != a:
            distance = _distance(slots, a, b)
            if distance < slots[a, 3]:
                slots[a, 3] = distance
                near[a] = b


@njit(cache=True)
def _fill(slots: Floats, positions: Floats, a: int, i: int, power: int) -> None:
    slots[a, 0] = positions[i, 1]
    slots[a, 1] = positions[i, 2]
    pt2 = max(positions[i, 0] ** 2, 1e-300)
    slots[a, 2] = 1.0 if power == 0 else (pt2 if power > 0 else 1 / pt2)


@njit(cache=True)
def _join(
    first: int,
    n: int,
    power: int,
    children: Ints,
    parents: Ints,
    vectors: Floats,
    positions: Floats,
    slots: Floats,
    links: Ints,
) -> None:
    # A slot is a node not yet joined: rapidity, phi, pt^2p, and the squared distance to its
    # neighbour nearest in angle; its links are that neighbour's slot and its own node. The pair
    # of smallest d_ij is always such a pair: of i and j, the one with the smaller pt^2p could
    # otherwise do better with its own neighbour.
    near, node = links[:, 0], links[:, 1]
    for a in range(n):
        node[a] = first + a
        _fill(slots, positions, a, first + a, power)
    for a in range(n):
        _nearest(slots, near, a, n)
    for step in range(n - 1):
        active = n - step
        low, smallest = 0, np.inf
        for a in range(active):
            d = slots[a, 3] * min(slots[a, 2], slots[near[a], 2])
            if d < smallest:
                low, smallest = a, d
        high = near[low]
        low, high = min(low, high), max(low, high)

        new, left, right = first + n + step, node[low], node[high]
        if positions[left, 0] < positions[right, 0]:
            left, right = right, left
        children[new, 0], children[new, 1] = left, right
        parents[left] = parents[right] = new
        for k in range(4):
            vectors[new, k] = vectors[left, k] + vectors[right, k]
        _place(vectors, positions, new)

        # The sum takes the lower slot, the last slot moves into the hole.
        last = active - 1
        node[low] = new
        _fill(slots, positions, low, new, power)
        node[high] = node[last]
        for k in range(4):
            slots[high, k] = slots[last, k]
        near[high] = near[last]
        slots[low, 3] = np.inf
        for a in range(last):
            if a == low:
                continue
            if near[a] == low or near[a] == high:
                _nearest(slots, near, a, last)
            elif near[a] == last:
                near[a] = high
            distance = _distance(slots, a, low)
            if distance < slots[a, 3]:
                slots[a, 3] = distance
                near[a] = low
            if distance < slots[low, 3]:
                slots[low, 3] = distance
                near[low] = a
