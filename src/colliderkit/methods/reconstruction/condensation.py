"""Condensation points: make objects of hits by the weights and places that a network gave them."""

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.events.tables import Ints

__all__ = ["condensed"]


def condensed(
    beta: ArrayLike,
    coordinates: ArrayLike,
    offsets: ArrayLike,
    *,
    threshold: float = 0.1,
    distance: float = 0.5,
) -> tuple[Ints, Ints]:
    """Return the object of each hit (H,), -1 of none, and the hits that stand for objects (K,).

    In each event the hit of the largest `beta` (H,) among those left takes what is nearer to it
    than `distance`, in `coordinates` (H, D), as long as its beta is above `threshold` (2002.03605).
    The hits of event i are `offsets` (E + 1,) [i] to [i + 1]; objects are numbered from 0 in each,
    by falling beta, and the points are in this order. All events take their turns together, in as
    many rounds as the event of most objects has.
    """
    weight, place = np.asarray(beta, dtype=np.float64), np.asarray(coordinates, dtype=np.float64)
    ends = np.asarray(offsets, dtype=np.int64)
    event = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    label = np.full(len(weight), -1)
    points: list[Ints] = []
    # Rows of one event are together, the largest beta first, and stay so as they become fewer.
    rows = np.lexsort((-weight, event))
    rows = rows[weight[rows] > threshold]
    free = np.lexsort((-weight, event))
    number = 0
    while len(rows):
        owner = event[rows]
        first = np.flatnonzero(np.concatenate([[True], owner[1:] != owner[:-1]]))
        heads = rows[first]
        point = np.full(len(ends) - 1, -1)
        point[owner[first]] = heads
        mine = point[event[free]]
        has = mine >= 0
        near = np.zeros(len(free), dtype=bool)
        near[has] = ((place[free[has]] - place[mine[has]]) ** 2).sum(1) < distance**2
        near |= free == mine  # at a distance of 0, if that is what is asked for
        label[free[near]] = number
        points.append(heads)
        free = free[~near]
        rows = rows[label[rows] < 0]
        number += 1
    if not points:
        return label, np.zeros(0, dtype=np.int64)
    heads = np.concatenate(points)
    order = np.lexsort((np.repeat(np.arange(number), list(map(len, points))), event[heads]))
    return label, heads[order]
