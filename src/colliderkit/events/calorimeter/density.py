"""Clusters of cells by their energy density: the algorithm of CLUE (2001.09761)."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from colliderkit.events.tables import Floats, Ints

__all__ = ["clue"]

APART = 1e7  # mm between events, all of which are clustered together
PAIRS = 4_000_000  # of hits, at a time


def clue(
    x: ArrayLike,
    energy: ArrayLike,
    event: ArrayLike,
    *,
    distance: float,
    density: float,
    outlier: float = 2.0,
) -> Ints:
    """Return the cluster of each hit, from 0 on in each event, -1 of noise, (H,).

    `x` (H, D) are coordinates and `energy` (H,) of hits of an `event` (H,), whose order and numbers
    are any. Ties of density go to the hit that comes first.
    """
    place, weight = np.asarray(x, dtype=np.float64), np.asarray(energy, dtype=np.float64)
    owner = np.asarray(event, dtype=np.int64)
    count = len(weight)
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    _, rank = np.unique(owner, return_inverse=True)
    apart = np.concatenate([place, APART * rank[:, None]], axis=1)
    reach = outlier * distance
    blocks = list(_blocks(apart, reach))
    rho = weight.copy()
    kept: list[tuple[Ints, Ints, Floats]] = []
    for rows in blocks:
        i, j, d = _pairs(apart, rows, reach)
        near = d <= distance
        rho += 0.5 * np.bincount(i[near], weight[j[near]], count)
        if len(blocks) == 1:
            kept.append((i, j, d))
    higher, delta = np.arange(count), np.full(count, np.inf)
    for rows in blocks:
        i, j, d = kept[0] if kept else _pairs(apart, rows, reach)
        above = (rho[j] > rho[i]) | ((rho[j] == rho[i]) & (j < i))
        i, j, d = i[above], j[above], d[above]
        order = np.lexsort((j, d, i))[::-1]  # of each i the nearest comes last, and stays
        higher[i[order]], delta[i[order]] = j[order], d[order]
    seed = (rho >= density) & (delta > distance)
    noise = (rho < density) & (delta > reach)
    # Followers: each knows the hit that it follows, and after log2 H steps of all the last.
    last: Ints = np.where(seed | noise, np.arange(count), higher)
    while not np.array_equal(after := last[last], last):
        last = after
    seeds = np.flatnonzero(seed)
    number = np.full(count, -1)
    order = seeds[np.lexsort((seeds, rank[seeds]))]
    begin = np.searchsorted(rank[order], np.arange(rank.max() + 1))
    number[order] = np.arange(len(order)) - begin[rank[order]]
    return number[last]


def _blocks(x: Floats, reach: float) -> Iterator[Ints]:
    """Yield hits (n,) of at most some million pairs within `reach` in all."""
    if len(x) < 2000:
        yield np.arange(len(x))
        return
    near = cKDTree(x).query_ball_point(x, reach, return_length=True)
    part = np.cumsum(near) // PAIRS
    yield from np.split(np.arange(len(x)), np.flatnonzero(np.diff(part)) + 1)


def _pairs(x: Floats, rows: Ints, reach: float) -> tuple[Ints, Ints, Floats]:
    """Return i among `rows`, j and d of all pairs of two hits that are within `reach`."""
    tree, part = cKDTree(x), cKDTree(x[rows])
    found = part.sparse_distance_matrix(tree, reach, output_type="ndarray")
    i, j = rows[found["i"]], found["j"].astype(np.int64)
    two = i != j
    return i[two], j[two], found["v"][two]
